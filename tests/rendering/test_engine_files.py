"""Engines that were selected without a file: which file they take, and when it is made."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from infgen.cache import CACHE_VARIABLE, cache_folder
from infgen.engines.onnx_file import read_onnx
from infgen.engines.tile_file import TileFile
from infgen.errors import InputError
from infgen.export import onnx as export
from infgen.rendering.engine_files import EngineNeeds, default_engine_file, remember_export
from tests.export.files import onnx_file, tiny_file

NAME = "tiny-101px-fp32.onnx"


@pytest.fixture(autouse=True)
def in_empty_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Exports instead of real ones: copies of one file."""
    paths: list[Path] = []

    def make(generator: object, path: Path, **options: object) -> None:
        shutil.copy(onnx_file(styles=4 if options["styles"] == 4 else 1), path)
        paths.append(path)

    monkeypatch.setattr(export, "export_onnx", make)
    return paths


NEEDS = EngineNeeds("onnx", Path(), tile_px=101)


def found(lines: list[str] | None = None, **changes: object) -> Path:
    needs = replace(NEEDS, model=tiny_file(), **changes)  # type: ignore[arg-type]
    return default_engine_file(needs, report=(lines if lines is not None else []).append)


def test_a_missing_file_is_made_once_in_the_cache_and_named(made: list[Path]):
    lines: list[str] = []
    first = found(lines)
    assert first.parent == cache_folder() / "engines"
    assert "tiles of 101 px, fp32: takes seconds, only once" in lines[0]
    assert found(lines) == first
    assert (made, lines[-1]) == ([first], f"engine onnx uses {first}")


def test_the_file_that_export_made_here_comes_first(made: list[Path]):
    shutil.copy(onnx_file(), NAME)
    remember_export(Path(NAME))
    assert (found(), made) == (Path(NAME), [])


def test_a_file_of_unknown_origin_is_not_taken(made: list[Path]):
    shutil.copy(onnx_file(), NAME)
    assert found() == made[0]


def test_a_numbered_file_is_taken_if_the_first_is_of_another_model(made: list[Path]):
    shutil.copy(onnx_file(styles=4), NAME)
    shutil.copy(onnx_file(), "tiny-101px-fp32-2.onnx")
    for name in (NAME, "tiny-101px-fp32-2.onnx"):
        remember_export(Path(name))
    assert found() == Path("tiny-101px-fp32-2.onnx")


@pytest.mark.parametrize("field", ["model_sha256", "infgen_version"])
def test_a_file_of_another_model_or_version_is_rebuilt(field: str, made: list[Path], monkeypatch: pytest.MonkeyPatch):
    found()

    def read(path: Path) -> tuple[TileFile, bytes]:
        file, data = read_onnx(path)
        return (replace(file, **{field: "other"}) if len(made) == 1 else file), data  # type: ignore[arg-type]

    monkeypatch.setattr("infgen.rendering.engine_files.read_onnx", read)
    lines: list[str] = []
    found(lines)
    assert lines[0].endswith(f"is rebuilt: it has another {field}")
    assert len(made) == 2


def test_a_damaged_file_in_the_cache_is_rebuilt(made: list[Path]):
    found().write_bytes(b"damaged")
    lines: list[str] = []
    found(lines)
    assert "is rebuilt" in lines[0]
    assert len(made) == 2


def test_layouts_get_a_file_that_mixes_styles(made: list[Path]):
    assert found(styles=4).name.startswith("tiny-101px-fp32-4styles-")


def test_a_cache_that_cannot_be_made_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch):
    Path("file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, "file/cache")
    with pytest.raises(InputError, match="set INFGEN_CACHE_DIR, or give --engine-file"):
        found()


def test_tensorrt_without_a_gpu_is_refused_before_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("infgen.rendering.engine_files.find_gpu", lambda index: None)
    with pytest.raises(InputError, match="needs an NVIDIA GPU"):
        found(kind="trt")
