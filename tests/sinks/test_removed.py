"""Sinks whose output folder is removed during the render."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from infgen.errors import InfgenError
from infgen.sinks import Grid, open_sink


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.dzi", "a.zarr"])
def test_a_removed_folder_is_one_error_and_is_not_made_again(name: str, tmp_path: Path) -> None:
    folder, grid = tmp_path / "out", Grid(64, 64, 16, 16)
    folder.mkdir()

    def render() -> None:
        with open_sink(folder / name, grid, {"world": {}}) as sink:
            for number in range(grid.count):
                while number == grid.count // 2 and folder.exists():  # the sink writes beside it meanwhile
                    shutil.rmtree(folder, ignore_errors=True)
                sink.write_tile(number, np.full((16, 16, 3), number, np.uint8))
            sink.finish()

    with pytest.raises(InfgenError, match="removed during the work"):
        render()
    assert not folder.exists()
