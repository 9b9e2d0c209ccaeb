"""Building engines: a real one by TensorRT-RTX on the CPU, and everything around it."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from infgen.engines.onnx_file import read_onnx
from infgen.engines.tensorrt_library import Library, find_library
from infgen.errors import InfgenError, InputError
from infgen.export import tensorrt, tensorrt_build
from infgen.export.tensorrt import BuildStats, build_engine
from infgen.export.tensorrt_build import BuildJob, BuildResult, build, prepare_model
from tests.export.files import onnx_file, scaled_file, tiny_generator
from tests.export.tensorrt_double import record

RTX = Library("rtx", ModuleType("tensorrt_rtx"), "1.7")
needs_rtx = pytest.mark.skipif(find_library("rtx") is None, reason="needs the extra trt")


@pytest.fixture(scope="module")
def rtx() -> Library:
    library = find_library("rtx")
    assert library is not None
    return library


@pytest.fixture(scope="module")
def real(rtx: Library) -> tuple[bytes, BuildStats]:
    """An engine of the tiny model for every GPU that TensorRT-RTX builds for."""
    return build_engine(onnx_file(), rtx, record(version=rtx.version), capabilities=tensorrt.RTX_TARGETS)


@needs_rtx
def test_rtx_builds_an_engine_without_a_gpu(real: tuple[bytes, BuildStats]):
    engine, built = real
    assert len(engine) > 1_000_000
    assert built.layers > 100
    assert 0 < built.seconds < 600


@needs_rtx
def test_rtx_builds_an_engine_of_a_scale(rtx: Library):
    tile = read_onnx(scaled_file("1/8"))[0]
    engine, _ = build_engine(scaled_file("1/8"), rtx, record(version=rtx.version, tile=tile), capabilities=("8.9",))
    assert len(engine) > 100_000


@needs_rtx
def test_rtx_still_refuses_transposed_convolutions_in_bf16(rtx: Library, tmp_path: Path):
    ends = [
        helper.make_tensor_value_info(name, TensorProto.BFLOAT16, ["batch", channels, side, side])
        for name, channels, side in (("x", 3, 8), ("y", 4, 17))
    ]
    weight = helper.make_tensor("w", TensorProto.BFLOAT16, [3, 4, 3, 3], [0.5] * 108)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)]), tmp_path / "one.onnx")
    with pytest.raises(InfgenError, match=r"built nothing: .*deconv") as caught:
        build_engine(tmp_path / "one.onnx", rtx, record(version=rtx.version), capabilities=("8.9",))
    assert "\n" not in str(caught.value)


def domains(data: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(data).graph.node if node.domain == "infgen"]


def test_without_plugins_nothing_of_infgen_is_left_in_the_graph():
    assert domains(prepare_model(onnx_file(), plugins=False)) == []


def test_with_plugins_only_their_nodes_are_left_and_none_has_a_body():
    data = prepare_model(onnx_file(), plugins=True)
    levels = tiny_generator().config.levels
    assert sorted(domains(data)) == ["InfgenModulatedConvEpilogue"] * levels + ["InfgenUpsampleEpilogue"] * levels
    assert not onnx.load_from_string(data).functions


class Builder:
    """Classic TensorRT's builder, network and configuration in one, as far as they are used."""

    def __init__(self, told: dict[str, Any], *, engine: bytes | None = b"engine", understood: bool = True) -> None:
        self.told, self._engine, self._understood = told, engine, understood
        self.num_errors, self.num_layers = 2, 7
        self._inputs = {"z_l": (-1, 6, 35, 35), "z_g": (1, 16)}
        self.num_inputs = len(self._inputs)

    def module(self) -> ModuleType:
        module = ModuleType("tensorrt")
        names = {
            "__version__": "10.9",
            "ILogger": type("ILogger", (), {"Severity": SimpleNamespace(ERROR=0, INTERNAL_ERROR=1)}),
            "NetworkDefinitionCreationFlag": SimpleNamespace(STRONGLY_TYPED=1),
            "BuilderFlag": SimpleNamespace(TF32="TF32"),
            "ProfilingVerbosity": SimpleNamespace(DETAILED="detailed"),
            "MemoryPoolType": SimpleNamespace(WORKSPACE="workspace"),
            "Builder": lambda log: self._with(log=log),
            "OnnxParser": lambda network, log: self,
        }
        for name, value in names.items():
            setattr(module, name, value)
        return module

    def _with(self, **told: Any) -> "Builder":
        self.told |= told
        return self

    def create_network(self, flags: int) -> "Builder":
        return self._with(flags=flags)

    def create_builder_config(self) -> "Builder":
        return self

    def create_optimization_profile(self) -> "Builder":
        return self

    def add_optimization_profile(self, profile: Any) -> None:
        pass

    def parse(self, data: bytes) -> bool:
        self._with(nodes=domains(data))
        return self._understood

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: f"error {index}")

    def get_input(self, index: int) -> Any:
        name, shape = list(self._inputs.items())[index]
        return SimpleNamespace(name=name, shape=shape)

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self._with(**{name: shapes})

    def clear_flag(self, flag: str) -> None:
        self._with(cleared=flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self._with(**{pool: size})

    def create_timing_cache(self, data: bytes) -> str:
        self._with(timings=data)
        return "cache"

    def set_timing_cache(self, cache: str, *, ignore_mismatch: bool) -> None:
        pass

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: b"measured")

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        return self._engine


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments that the double of the builder received."""
    told: dict[str, Any] = {}
    onnx_file()  # PyTorch's exporter does not work with a double of TensorRT
    monkeypatch.setitem(sys.modules, "tensorrt", Builder(told).module())
    monkeypatch.setattr(tensorrt_build, "_register_plugins", lambda target: told.update(plugins_for=target))
    return told


def job(folder: Path) -> BuildJob:
    return BuildJob(
        builder="classic",
        onnx=str(onnx_file()),
        engine=str(folder / "engine"),
        result=str(folder / "result.json"),
        batch=8,
        targets=("9.0",),
        workspace_mb=512,
        timings=str(folder / "cache" / "timings"),
    )


def test_classic_builds_a_strongly_typed_network_with_plugins(told: dict[str, Any], tmp_path: Path):
    assert build(job(tmp_path)).error is None
    assert (told["flags"], told["plugins_for"]) == (2, "9.0")
    assert len(told["nodes"]) == 2 * tiny_generator().config.levels


def test_the_profile_goes_from_one_tile_to_the_batch_and_is_tuned_for_the_batch(told: dict[str, Any], tmp_path: Path):
    build(job(tmp_path))
    assert told["z_l"] == ((1, 6, 35, 35), (8, 6, 35, 35), (8, 6, 35, 35))
    assert "z_g" not in told


def test_fp32_is_not_rounded_to_tf32(told: dict[str, Any], tmp_path: Path):
    build(job(tmp_path))
    assert told["cleared"] == "TF32"


def test_the_workspace_is_limited(told: dict[str, Any], tmp_path: Path):
    build(job(tmp_path))
    assert told["workspace"] == 512 * 2**20


def test_measured_features_are_cached(told: dict[str, Any], tmp_path: Path):
    build(job(tmp_path))
    assert told["timings"] == b""
    build(job(tmp_path))
    assert told["timings"] == b"measured"


def test_a_cache_that_cannot_be_written_is_left_out(told: dict[str, Any], tmp_path: Path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert build(job(tmp_path)).error is None


def test_a_network_that_cannot_be_parsed_is_refused_with_all_reasons(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tensorrt", Builder(told, understood=False).module())
    assert build(job(tmp_path)).error == "TensorRT cannot parse the network: error 0; error 1"


def test_an_engine_that_is_not_built_is_told(told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorrt", Builder(told, engine=None).module())
    assert build(job(tmp_path)).error == "no reason was given"
    assert not (tmp_path / "engine").exists()


def test_a_job_is_read_as_it_was_written(tmp_path: Path):
    job(tmp_path).write(tmp_path / "job.json")
    assert BuildJob.read(tmp_path / "job.json") == job(tmp_path)


def test_the_child_writes_its_error_to_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    job(tmp_path).write(tmp_path / "job.json")
    tensorrt_build.main(str(tmp_path / "job.json"))
    result = BuildResult.read(tmp_path / "result.json")
    assert result.refused
    assert "infgen[trt-classic]" in (result.error or "")


def child(
    monkeypatch: pytest.MonkeyPatch, *, code: int = 0, stderr: str = "", result: BuildResult | None = None
) -> None:
    """Replace the child process."""

    def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if result is not None:
            result.write(Path(BuildJob.read(Path(words[-1])).result))
        return subprocess.CompletedProcess(words, code, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.parametrize(
    ("code", "stderr", "message"),
    [
        (
            -6,
            "terminate called\nwhat(): no plugin\n",
            r"ended the build process with SIGABRT: what\(\): no plugin$",
        ),
        (-11, "", "with SIGSEGV: no reason was given$"),
        (1, "Traceback\nKeyError: 'x'", "failed with code 1: KeyError: 'x'$"),
    ],
)
def test_a_child_that_dies_is_one_line(monkeypatch: pytest.MonkeyPatch, code: int, stderr: str, message: str):
    child(monkeypatch, code=code, stderr=stderr)
    with pytest.raises(InfgenError, match=message) as caught:
        build_engine(Path("x.onnx"), RTX, record(), capabilities=("8.9",))
    assert "\n" not in str(caught.value)


def test_an_engine_that_tensorrt_cannot_build_is_an_error(monkeypatch: pytest.MonkeyPatch):
    child(monkeypatch, result=BuildResult("Error Code 2: out of memory"))
    with pytest.raises(InfgenError, match=r"^TensorRT-RTX 1\.7 built nothing: Error Code 2: out of memory$"):
        build_engine(Path("x.onnx"), RTX, record(), capabilities=("8.9",))


def test_illegal_arguments_are_input_errors(monkeypatch: pytest.MonkeyPatch):
    child(monkeypatch, result=BuildResult("TensorRT 10.1 has no plugins", refused=True))
    with pytest.raises(InputError, match=r"^TensorRT 10\.1 has no plugins$"):
        build_engine(Path("x.onnx"), RTX, record(), capabilities=("8.9",))
