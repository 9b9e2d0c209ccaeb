"""``infgen export``."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infgen.cache import CACHE_VARIABLE
from infgen.cli.export import command
from infgen.errors import InputError, exit_code
from infgen.geometry import tile_px
from infgen.rendering.engine_files import default_tile_cells
from tests.export.files import onnx_file, tiny_file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_the_command_writes_the_same_file_as_the_library(tmp_path: Path):
    path = tmp_path / "tiny.onnx"
    result = run(tiny_file(), "--onnx", "-o", path, "--tile", 101)
    assert result.exit_code == 0
    assert path.read_bytes() == onnx_file().read_bytes()
    assert "tiles of 101 x 101 px, one style, fp32" in result.stderr
    assert result.stdout.split() == [str(path)]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--onnx", "--tile", 101), "tiny-101px-fp32.onnx"),
        (("--torchserve",), "tiny.mar"),
        (("--triton", "--tile", 101), "triton-repository/tiny/1/model.onnx"),
    ],
)
def test_a_file_without_a_name_is_named_after_its_content(
    words: tuple[object, ...], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    result = run(tiny_file(), *words)
    assert result.stdout == f"{name}\n"
    assert Path(name).stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--onnx", "--tile", 100), "nearest: 85 and 101"),
        (("--onnx", "--tile", 20), "nearest: 37"),
        ((), "give one of --onnx"),
    ],
)
def test_an_impossible_export_is_refused_with_the_remedy(tmp_path: Path, arguments: tuple[object, ...], message: str):
    result = run(tiny_file(), "-o", tmp_path / "out.onnx", *arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert exit_code(result.exception) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [("--max-styles", 0), ("--max-styles", 17), ("--precision", "int8")])
def test_options_out_of_range_are_refused(tmp_path: Path, arguments: tuple[object, ...]):
    result = run(tiny_file(), "--onnx", "-o", tmp_path / "out.onnx", *arguments)
    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_does_not_exist_is_refused(tmp_path: Path):
    result = run(tiny_file(), "--onnx", "-o", tmp_path / "none" / "out.onnx", "--tile", 101)
    assert isinstance(result.exception, InputError)


@pytest.mark.parametrize(("levels", "px"), [(1, 485), (4, 485), (5, 485), (6, 453), (7, 389), (9, 1029)])
def test_the_default_tile_is_the_largest_up_to_485_px_or_the_smallest(levels: int, px: int):
    assert tile_px(default_tile_cells(levels), levels=levels) == px
