"""Test reading of finished pictures: size, pixels, and refusals."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.errors import InputError
from infgen.rendering.inspect import describe
from infgen.sinks import Box, Grid, open_sink, picture_size, read_region
from tests.sinks.pictures import FILES, PROVENANCE, noise, save, write

LOSSLESS = [kind for kind in FILES if kind != "jpeg"]
BOX = Box(37, 51, 200, 99)


@pytest.mark.parametrize("kind", FILES)
def test_the_size_is_read_from_the_header(kind: str, tmp_path: Path) -> None:
    assert picture_size(save(tmp_path / FILES[kind], noise(), file_format=kind)) == (300, 200)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_box_holds_its_pixels(kind: str, tmp_path: Path) -> None:
    path = save(tmp_path / FILES[kind], noise(), file_format=kind)
    np.testing.assert_array_equal(read_region(path, BOX), noise()[51:150, 37:237])


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("box", [Box(-1, 0, 8, 8), Box(0, 193, 8, 8), Box(0, 0, 301, 1), Box(0, 0, 0, 8)])
def test_a_box_outside_the_picture_is_refused(kind: str, box: Box, tmp_path: Path) -> None:
    path = save(tmp_path / FILES[kind], noise(), file_format=kind)
    with pytest.raises(InputError, match=r"\A[^\n]*is not inside [^\n]*300 x 200 px[^\n]*\Z"):
        read_region(path, box)


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "dzi"])
def test_a_truncated_picture_is_refused(kind: str, tmp_path: Path) -> None:
    path = save(tmp_path / FILES[kind], noise(), file_format=kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"\A[^\n]*damaged[^\n]*\Z"):
        read_region(path, Box(0, 0, 300, 200))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/>")
    with pytest.raises(InputError, match="is not a PNG, JPEG, WebP or TIFF picture"):
        picture_size(tmp_path / "a.svg")


def test_a_picture_without_three_channels_is_refused(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="has 1 channels"):
        read_region(tmp_path / "a.png", Box(0, 0, 8, 8))


def test_a_missing_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        picture_size(tmp_path / "a.png")


@pytest.mark.parametrize("kind", FILES)
def test_a_picture_is_described_by_its_provenance(kind: str, tmp_path: Path) -> None:
    path = save(tmp_path / FILES[kind], noise(), file_format=kind)
    assert describe(path) == {"kind": "picture", **PROVENANCE}


def test_a_zarr_is_read_like_any_other_picture(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    grid = Grid(300, 200, 64, 64)
    with open_sink(tmp_path / "a.zarr", grid, PROVENANCE) as sink:
        write(sink, noise(), grid)
        sink.finish()
    assert picture_size(tmp_path / "a.zarr") == (300, 200)
    assert describe(tmp_path / "a.zarr") == {"kind": "picture", **PROVENANCE}
    np.testing.assert_array_equal(read_region(tmp_path / "a.zarr", BOX), noise()[51:150, 37:237])
