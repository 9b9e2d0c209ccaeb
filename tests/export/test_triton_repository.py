"""Test model repositories for Triton: configurations, parsed with Triton's own message, and folders."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from click.testing import CliRunner
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from infgen.cli.export import command
from infgen.engines import EagerEngine, OnnxEngine
from infgen.engines.tensorrt_file import EngineRecord
from infgen.engines.tensorrt_library import Gpu, Library
from infgen.engines.tile_file import MAX_STYLES, PRECISIONS, TileFile
from infgen.errors import InputError, MissingExtraError
from infgen.export import triton_repository
from infgen.export.tensorrt import BuildStats
from infgen.export.triton_repository import configuration, export_triton, input_shapes, model_name
from infgen.model.checkpoint import file_hash
from infgen.model.config import GeneratorConfig
from infgen.rendering.plan import MAX_BATCH
from infgen.world.world import World
from tests.export.files import batch_of, scaled_file, scaled_model, tiny_file, tiny_generator
from tests.export.kserve import copy_file, read_config, tiny_repository
from tests.model.scaled import network
from tests.rendering.test_fused_seams import four_styles

FILE = TileFile(
    tiny_generator().config,
    (11, 11),
    styles=4,
    precision="fp32",
    model_sha256="ab" * 32,
    infgen_version="0.1",
    styles_per="tile",
)
STYLES = pytest.mark.parametrize("styles", [1, 4])


def parse(file: TileFile, *, batch: int = 4, plan: bool = False) -> Any:
    text = configuration(file, file.to_metadata(), batch=batch, plan=plan)
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@STYLES
def test_inputs_and_output_are_those_of_the_file_after_a_free_batch(styles: int):
    folder = tiny_repository(styles) / "tiny"
    graph = onnx.load(folder / "1" / "model.onnx").graph
    config = read_config(folder)
    for described, real in ((config.input, graph.input), (config.output, graph.output)):
        types = {value.name: value.type.tensor_type for value in real}
        assert {each.name: each.data_type for each in described} == dict.fromkeys(types, model_config_pb2.TYPE_FP32)
        assert all(each.elem_type == onnx.TensorProto.FLOAT for each in types.values())
        sizes = {name: [d.dim_param or d.dim_value for d in each.shape.dim] for name, each in types.items()}
        assert {each.name: ["batch", *each.dims] for each in described} == sizes


def test_the_client_reads_tile_size_and_model_from_the_configuration():
    config = read_config(tiny_repository(4) / "tiny")
    data = {key: value.string_value for key, value in config.parameters.items()}
    file = TileFile.from_metadata(data, source="", made_by="")
    assert (file.config, file.cells, file.styles, file.styles_per) == (tiny_generator().config, (11, 11), 4, "tile")
    assert file.model_sha256 == file_hash(tiny_file())


def test_an_onnx_file_is_for_triton_s_onnx_runtime_and_an_engine_for_its_tensorrt():
    assert [parse(FILE, plan=plan).platform for plan in (False, True)] == ["onnxruntime_onnx", "tensorrt_plan"]


def test_the_model_has_the_name_of_its_folder():
    assert parse(FILE).name == ""


def test_requests_are_joined_after_a_short_wait_in_batches_of_any_size():
    batching = parse(FILE).dynamic_batching
    assert batching.max_queue_delay_microseconds == triton_repository.QUEUE_DELAY_US
    assert not batching.preferred_batch_size
    assert not parse(FILE).HasField("sequence_batching")


@pytest.mark.parametrize(
    ("precision", "plan", "kind"),
    [
        ("fp32", False, "KIND_AUTO"),
        ("fp16", False, "KIND_AUTO"),
        ("bf16", False, "KIND_GPU"),
        ("fp32", True, "KIND_GPU"),
    ],
)
def test_a_model_that_needs_a_gpu_is_configured_for_one(precision: Any, plan: bool, kind: str):
    (group,) = parse(replace(FILE, precision=precision), plan=plan).instance_group
    assert (model_config_pb2.ModelInstanceGroup.Kind.Name(group.kind), group.count) == (kind, 1)
    assert not group.gpus  # all that are there


def test_the_newest_version_is_served():
    policy = parse(FILE).version_policy
    assert (policy.WhichOneof("policy_choice"), policy.latest.num_versions) == ("latest", 1)


def test_a_whole_batch_of_zeros_warms_the_model_up():
    config = parse(FILE, batch=5)
    (sample,) = config.model_warmup
    assert sample.batch_size == config.max_batch_size == 5
    given = {name: (each.data_type, list(each.dims), each.zero_data) for name, each in sample.inputs.items()}
    assert given == {each.name: (each.data_type, list(each.dims), True) for each in config.input}


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.tuples(st.integers(7, 12), st.integers(7, 12)),
    st.integers(1, MAX_STYLES),
    st.sampled_from(PRECISIONS),
    st.integers(1, MAX_BATCH),
    st.booleans(),
)
def test_every_configuration_is_one_that_triton_reads(
    channels: list[int], cells: tuple[int, int], styles: int, precision: Any, batch: int, plan: bool
):
    config = GeneratorConfig(tuple(c for c in channels for _ in range(2)), 4, 8)
    file = TileFile(
        config, cells, styles=styles, precision=precision, model_sha256="", infgen_version="0.1", styles_per="tile"
    )
    model = parse(file, batch=batch, plan=plan)
    assert model.max_batch_size == batch
    assert [each.name for each in model.input] == file.input_names
    assert all(size > 0 for each in (*model.input, *model.output) for size in each.dims)
    assert all(len(each.dims) > 0 for each in (*model.input, *model.output))  # Triton has no scalars
    assert list(model.output[0].dims) == [3, *file.tile_px]
    data = {key: value.string_value for key, value in model.parameters.items()}
    assert TileFile.from_metadata(data, source="", made_by="") == file


@pytest.mark.parametrize("text", ['a "quoted" name', "back\\slash", "two\nlines", "{ }"])
def test_any_text_survives_in_the_configuration(text: str):
    config = text_format.Parse(configuration(FILE, {"key": text}, batch=1, plan=False), model_config_pb2.ModelConfig())
    assert config.parameters["key"].string_value == text


@pytest.mark.parametrize("layout", [None, four_styles((-515, -515), 401)], ids=["one style", "four styles"])
def test_onnx_runtime_draws_from_the_file_in_a_repository(layout: Any):
    batch = batch_of(World.create(seed=5, layout=layout))
    engine = OnnxEngine(tiny_repository(4) / "tiny" / "1" / "model.onnx", threads=1)
    expected = EagerEngine(tiny_generator()).render_float(batch)
    torch.testing.assert_close(engine.render_float(batch), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("/models/scenery.safetensors", "scenery"),
        ("someone/scenery-101.v2", "scenery-101.v2"),
        ("my model (1).safetensors", "my_model__1_"),
        (".safetensors", "model"),
        ("_x.safetensors", "x"),
    ],
)
def test_a_model_is_named_after_its_file(model: str, name: str):
    assert model_name(model) == name


@pytest.mark.parametrize(("halvings", "name"), [(0, "scenery"), (1, "scenery-1-2"), (3, "scenery-1-8")])
def test_a_scale_of_a_model_has_a_name_of_its_own(halvings: int, name: str):
    assert model_name("scenery.safetensors", halvings=halvings) == name


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports take the file of ``tiny_repository``."""
    source = tiny_repository(1) / "tiny" / "1" / "model.onnx"

    def copy(generator: Any, path: Path, **options: Any) -> TileFile:
        shutil.copy(source, path)
        assert options["styles_per"] == "tile"
        return TileFile(
            generator.config,
            options["cells"],
            styles=1,
            precision=options["precision"],
            model_sha256=options["model_sha256"],
            infgen_version="0",
            styles_per="tile",
        )

    monkeypatch.setattr(triton_repository, "export_onnx", copy)


def export(repository: Path, **options: Any) -> TileFile:
    fixed = {"name": "tiny", "model_sha256": "ab", "cells": (11, 11)}
    return export_triton(tiny_generator(), repository, **{**fixed, **options})


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.usefixtures("quick")
def test_a_missing_repository_is_created(tmp_path: Path):
    export(tmp_path / "repository")
    assert files(tmp_path) == ["repository/tiny/1/model.onnx", "repository/tiny/config.pbtxt"]


@pytest.mark.usefixtures("quick")
def test_a_model_of_infgen_is_replaced_and_others_stay(tmp_path: Path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.pbtxt").write_text("mine")
    export(tmp_path, batch=2)
    (tmp_path / "tiny" / "1" / "left.over").touch()
    export(tmp_path, batch=3)
    assert files(tmp_path) == ["other/config.pbtxt", "tiny/1/model.onnx", "tiny/config.pbtxt"]
    assert read_config(tmp_path / "tiny").max_batch_size == 3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("content", [None, b'name: "tiny"', b"\xff"])
def test_a_folder_of_another_program_is_not_replaced(tmp_path: Path, content: bytes | None):
    (tmp_path / "tiny").mkdir()
    if content is not None:
        (tmp_path / "tiny" / "config.pbtxt").write_bytes(content)
    before = files(tmp_path)
    with pytest.raises(InputError, match="was not made by infgen"):
        export(tmp_path)
    assert files(tmp_path) == before


@pytest.mark.parametrize("older", [False, True])
def test_an_export_that_fails_leaves_all_as_it_was(
    tmp_path: Path, older: bool, quick: None, monkeypatch: pytest.MonkeyPatch
):
    repository = tmp_path / "repository"
    if older:
        export(repository)
    before = sorted(tmp_path.rglob("*"))

    def fail(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(triton_repository, "export_onnx", fail)
    with pytest.raises(KeyboardInterrupt):
        export(repository)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a/b"}, "'a/b' is not possible"),
        ({"name": ".."}, r"'\.\.' is not possible"),
        ({"batch": 0}, "allowed are 1 to 1024"),
        ({"batch": 1025}, "allowed are 1 to 1024"),
    ],
)
def test_an_impossible_export_is_refused_in_one_line(tmp_path: Path, options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message) as refusal:
        export(tmp_path / "repository", **options)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_repository_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="give a folder"):
        export(tmp_path / "file")


def test_a_repository_whose_folder_is_missing_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be written"):
        export(tmp_path / "none" / "repository")


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Classic TensorRT and a GPU in name only; gives the graphs that were to be built."""
    graphs: list[Any] = []

    def build(path: Path, library: Library, record: EngineRecord, *, capabilities: tuple[str, ...]) -> Any:
        assert capabilities == ("9.0",)
        graphs.append(onnx.load(path))
        return b"engine", BuildStats(1, 1.0)

    monkeypatch.setattr(triton_repository, "require_library", lambda builder, what: Library(builder, None, "10.9.0"))
    monkeypatch.setattr(triton_repository, "find_gpu", lambda: Gpu("H200", (9, 0)))
    monkeypatch.setattr(triton_repository, "build_engine", build)
    return graphs


@pytest.mark.usefixtures("quick")
def test_a_plan_takes_the_place_of_the_onnx_file(tmp_path: Path, tensorrt: list[Any]):
    export(tmp_path, plan=True, batch=6)
    assert files(tmp_path) == ["tiny/1/model.plan", "tiny/config.pbtxt"]
    config = read_config(tmp_path / "tiny")
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", 6)
    data = {key: value.string_value for key, value in config.parameters.items()}
    record = EngineRecord.from_metadata(data, source="")
    assert (record.built_by, record.gpus, record.batch) == ("TensorRT 10.9.0", ("H200 (9.0)",), 6)


@pytest.mark.usefixtures("quick")
def test_a_plan_is_built_of_standard_operators(tmp_path: Path, tensorrt: list[Any]):
    export(tmp_path, plan=True)
    (model,) = tensorrt
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}


@pytest.mark.usefixtures("quick")
def test_a_plan_without_a_gpu_is_refused(tmp_path: Path, tensorrt: list[Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(triton_repository, "find_gpu", lambda: None)
    with pytest.raises(InputError, match="leave --plan out"):
        export(tmp_path / "repository", plan=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick")
def test_a_plan_without_tensorrt_names_the_package_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    with pytest.raises(MissingExtraError, match=r"infgen\[trt-classic\]"):
        export(tmp_path, plan=True)


@pytest.mark.usefixtures("quick")
def test_the_command_writes_a_model_into_the_folder(tmp_path: Path):
    result = CliRunner().invoke(
        command, [str(tiny_file()), "--triton", "-o", str(tmp_path), "--tile", "101", "--batch", "2"]
    )
    assert result.exit_code == 0
    assert result.stdout.split() == [str(tmp_path / "tiny" / "1" / "model.onnx")]
    assert read_config(tmp_path / "tiny").max_batch_size == 2


def test_the_command_writes_a_scale_next_to_the_full_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(triton_repository, "export_onnx", partial(copy_file, scaled_file("1/4")))
    (tmp_path / "scaled").mkdir()
    words = ["--triton", "--scale", "1/4", "--tile", "101", "--max-styles", "4", "-o", str(tmp_path)]
    result = CliRunner().invoke(command, [str(scaled_model()), *words])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scaled", "scaled-1-4"]
    config = read_config(tmp_path / "scaled-1-4")
    data = {key: value.string_value for key, value in config.parameters.items()}
    assert TileFile.from_metadata(data, source="", made_by="").config == network("1/4").config


@pytest.mark.parametrize("option", [("--plan",), ("--batch", "2")])
def test_options_of_a_repository_are_refused_for_a_file(tmp_path: Path, option: tuple[str, ...]):
    result = CliRunner().invoke(command, [str(tiny_file()), "--onnx", "-o", str(tmp_path / "x.onnx"), *option])
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(f"{option[0]} applies only to ")
    assert "--triton" in str(result.exception)


def test_shapes_of_inputs_have_no_batch():
    shapes = input_shapes(FILE)
    assert (shapes["z_g"], shapes["w_plus"], shapes["noise_strength"]) == ((4, 16), (4, 9, 16), (1, 1, 1))
