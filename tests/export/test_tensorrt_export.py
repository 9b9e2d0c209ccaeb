"""Test the export of engines without building: choice of TensorRT, existing files, the command."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from infgen.cli.export import command
from infgen.engines.tensorrt_file import EngineRecord, read_engine
from infgen.engines.tensorrt_library import Gpu, Library
from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.export import tensorrt
from infgen.export.tensorrt import BuildStats, EngineExport, choose_library, export_tensorrt
from infgen.model.checkpoint import file_hash
from tests.export.files import tiny_file, tiny_generator
from tests.export.tensorrt_double import record

RTX = Library("rtx", ModuleType("tensorrt_rtx"), "1.7")
CLASSIC = Library("classic", ModuleType("tensorrt"), "10.9")
H200 = Gpu("NVIDIA H200", (9, 0))


def machine(
    monkeypatch: pytest.MonkeyPatch, *, classic: bool = False, rtx: bool = False, here: Gpu | None = None
) -> None:
    """Simulate the installed libraries and the GPU."""
    libraries = {"classic": CLASSIC if classic else None, "rtx": RTX if rtx else None}
    monkeypatch.setattr(tensorrt, "find_library", libraries.get)
    monkeypatch.setattr(tensorrt, "find_gpu", lambda: here)


@pytest.mark.parametrize(
    ("classic", "rtx", "here", "chosen"),
    [
        (True, True, H200, CLASSIC),
        (True, False, H200, CLASSIC),
        (True, True, None, RTX),
        (False, True, None, RTX),
        (False, True, H200, RTX),
    ],
)
def test_classic_builds_where_it_and_a_gpu_are_here_and_rtx_elsewhere(
    monkeypatch: pytest.MonkeyPatch, classic: bool, rtx: bool, here: Gpu | None, chosen: Library
):
    machine(monkeypatch, classic=classic, rtx=rtx, here=here)
    assert choose_library() is chosen


def test_no_tensorrt_names_the_extra_and_the_other_way(monkeypatch: pytest.MonkeyPatch):
    machine(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"pip install 'infgen\[trt\]'.*infgen\[trt-classic\]"):
        choose_library()


def test_classic_tensorrt_without_a_gpu_names_the_alternative(monkeypatch: pytest.MonkeyPatch):
    machine(monkeypatch, classic=True)
    with pytest.raises(InputError, match=r"PyTorch finds none here; .*infgen\[trt\]"):
        choose_library()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[EngineRecord]:
    """Replace ONNX and TensorRT in exports; gives the records of built engines."""
    built: list[EngineRecord] = []

    def engine(onnx: Path, library: Library, record: EngineRecord, **rest: Any) -> tuple[bytes, BuildStats]:
        built.append(record)
        return b"engine", BuildStats(7, 0.5)

    machine(monkeypatch, rtx=True)
    monkeypatch.setattr(tensorrt, "export_onnx", lambda *arguments, **rest: None)
    monkeypatch.setattr(tensorrt, "build_engine", engine)
    return built


def export(path: Path, **options: Any) -> EngineExport:
    given = {"model_sha256": file_hash(tiny_file()), "cells": (11, 11)} | options
    return export_tensorrt(tiny_generator(), path, **given)


def test_an_engine_is_for_the_gpu_that_is_here(
    quick: list[EngineRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    machine(monkeypatch, rtx=True, here=Gpu("NVIDIA L4", (8, 9)))
    assert export(tmp_path / "a.engine").record.gpus == ("8.9",)


def test_an_engine_is_for_all_gpus_where_none_is_here(quick: list[EngineRecord], tmp_path: Path):
    assert export(tmp_path / "a.engine").record.gpus == tensorrt.RTX_TARGETS


def test_a_classic_engine_is_for_its_gpu_by_name(
    quick: list[EngineRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    machine(monkeypatch, classic=True, here=H200)
    assert export(tmp_path / "a.engine").record.gpus == ("NVIDIA H200 (9.0)",)


def test_a_gpu_that_rtx_does_not_build_for_is_refused_with_the_way_out(
    quick: list[EngineRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    machine(monkeypatch, rtx=True, here=H200)
    with pytest.raises(InputError, match=r"compute capability 9\.0; choose one of .*8\.9.*infgen\[trt-classic\]"):
        export(tmp_path / "a.engine")


def test_a_gpu_that_is_too_old_for_the_plugins_is_refused(
    quick: list[EngineRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    machine(monkeypatch, classic=True, here=Gpu("Tesla T4", (7, 5)))
    with pytest.raises(InputError, match=r"Tesla T4 \(7\.5\).*8\.0"):
        export(tmp_path / "a.engine")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "bf16"}, "choose --precision fp32 or fp16"),
        ({"targets": ("7.5",)}, r"compute capability 7\.5; choose one of"),
        ({"batch": 0}, "batch 0 is out of range; allowed are 1 to 1024"),
        ({"batch": 1025}, "batch 1025 is out of range"),
        ({"workspace_mb": 0}, "workspace 0 MiB is out of range"),
    ],
)
def test_an_impossible_build_is_refused_and_nothing_is_written(
    quick: list[EngineRecord], tmp_path: Path, options: dict[str, Any], message: str
):
    with pytest.raises(InputError, match=message):
        export(tmp_path / "a.engine", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_refused_before_work(quick: list[EngineRecord], tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        export(tmp_path / "none" / "a.engine")
    assert quick == []


def test_the_file_holds_the_engine_and_its_record(quick: list[EngineRecord], tmp_path: Path):
    done = export(tmp_path / "a.engine", batch=4)
    assert read_engine(tmp_path / "a.engine") == (done.record, b"engine")
    assert done.stats == BuildStats(7, 0.5)


def test_the_same_engine_is_left_alone(quick: list[EngineRecord], tmp_path: Path):
    export(tmp_path / "a.engine")
    before = (tmp_path / "a.engine").stat()
    assert export(tmp_path / "a.engine").stats is None
    assert (tmp_path / "a.engine").stat().st_mtime_ns == before.st_mtime_ns
    assert len(quick) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"batch": 2}, "batch 8 there, 2 here"),
        ({"precision": "fp16"}, "precision fp32 there, fp16 here"),
        ({"workspace_mb": 64}, "workspace free there, 64 MiB here"),
        ({"cells": (14, 14)}, "tile 101 x 101 px there, 149 x 149 px here"),
        ({"model_sha256": "0" * 64}, "000000000000 here"),
        ({"targets": ("8.6",)}, "GPU 8.0, 8.6, 8.9, 12.0, 12.1 there, 8.6 here"),
    ],
)
def test_another_engine_is_built_again_with_the_reason(
    quick: list[EngineRecord], tmp_path: Path, change: dict[str, Any], reason: str
):
    export(tmp_path / "a.engine")
    lines: list[str] = []
    assert export(tmp_path / "a.engine", report=lines.append, **change).stats is not None
    assert len(lines) == 1
    assert "is rebuilt" in lines[0]
    assert reason in lines[0]


def test_another_version_of_tensorrt_builds_again(
    quick: list[EngineRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    export(tmp_path / "a.engine")
    newer = Library("rtx", ModuleType("tensorrt_rtx"), "1.8")
    monkeypatch.setattr(tensorrt, "find_library", {"rtx": newer, "classic": None}.get)
    lines: list[str] = []
    export(tmp_path / "a.engine", report=lines.append)
    assert "built by TensorRT-RTX 1.7 there, TensorRT-RTX 1.8 here" in lines[0]


def test_a_damaged_engine_is_built_again(quick: list[EngineRecord], tmp_path: Path):
    path = tmp_path / "a.engine"
    export(path)
    path.write_bytes(path.read_bytes()[:-1])
    lines: list[str] = []
    export(path, report=lines.append)
    assert "is cut off" in lines[0]
    assert read_engine(path)[1] == b"engine"


def test_a_build_that_fails_leaves_the_old_file(
    quick: list[EngineRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    export(tmp_path / "a.engine")
    before = (tmp_path / "a.engine").read_bytes()

    def fail(*arguments: Any, **rest: Any) -> Any:
        raise InfgenError("out of memory")

    monkeypatch.setattr(tensorrt, "build_engine", fail)
    with pytest.raises(InfgenError):
        export(tmp_path / "a.engine", batch=2)
    assert (tmp_path / "a.engine").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_timings_are_kept_for_each_version_and_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = record(builder="classic", gpus=("NVIDIA H200 (9.0)",))
    expected = tmp_path / "infgen" / "tensorrt-10.9-NVIDIA-H200-9.0-.timings"
    assert tensorrt.timing_cache(CLASSIC, made) == expected


def test_the_command_builds_the_same_engine_as_the_library(quick: list[EngineRecord], tmp_path: Path):
    words = [str(tiny_file()), "--trt", "-o", str(tmp_path / "a.engine"), "--tile", "101", "--batch", "4"]
    result = CliRunner().invoke(command, [*words, "--precision", "fp16", "--workspace", "64"])
    assert result.exit_code == 0, result.output
    assert (quick[0].batch, quick[0].workspace_mb, quick[0].tile.precision) == (4, 64, "fp16")
    assert "batches of 1 to 4, TensorRT-RTX 1.7 for GPU 8.0, 8.6" in result.stderr
    assert result.stdout.split() == [str(tmp_path / "a.engine")]


def test_the_command_reports_that_an_engine_is_up_to_date(quick: list[EngineRecord], tmp_path: Path):
    words = [str(tiny_file()), "--trt", "-o", str(tmp_path / "a.engine"), "--tile", "101"]
    for _ in range(2):
        result = CliRunner().invoke(command, words)
    assert "up to date" in result.stderr
    assert len(quick) == 1
