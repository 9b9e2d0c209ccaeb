"""Test the content of ONNX files."""

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from infgen.engines import EagerEngine, OnnxEngine
from infgen.engines.onnx_file import read_sealed
from infgen.engines.tile_file import TileFile
from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.export import functions
from infgen.export.onnx import export_onnx
from infgen.model.checkpoint import file_hash
from infgen.model.config import GeneratorConfig
from infgen.rendering.palette import world_palette
from infgen.rendering.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World
from tests.export.files import onnx_file, tiny_file, tiny_generator
from tests.model.networks import random_generator

STYLES = pytest.mark.parametrize("styles", [1, 4])


def load(styles: int = 1) -> Any:
    return onnx.load(onnx_file(styles=styles))


def shape(value: Any) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@STYLES
def test_inputs_have_their_documented_names_and_only_the_batch_is_free(styles: int):
    graph = load(styles).graph
    found = {value.name: shape(value) for value in graph.input}
    expected: dict[str, list[int | str]] = {"z_l": ["batch", 6, 35, 35], "coordinates": ["batch", 3, 35, 35]}
    sizes = [19, 17, 31, 29, 55, 53, 103, 101]
    expected |= {f"noise_{i}": ["batch", 1, size, size] for i, size in enumerate(sizes)}
    expected |= {"noise_strength": [], "z_g": [styles, 16], "w_plus": [styles, 9, 16]}
    if styles > 1:
        expected["weights_structure"] = ["batch", styles, 35, 35]
        expected |= {f"weights_{i}": ["batch", styles, size, size] for i, size in enumerate([11, *sizes[:-1]])}
    assert found == expected
    assert [(value.name, shape(value)) for value in graph.output] == [("rgb", ["batch", 3, 101, 101])]


@STYLES
def test_every_texture_convolution_has_its_epilogue_as_one_node(styles: int):
    kinds = [node.op_type for node in load(styles).graph.node if node.op_type.endswith("Epilogue")]
    assert kinds == [functions.UPSAMPLE.name, functions.MODULATED_CONV.name] * 4


def test_every_epilogue_names_its_plugin():
    for node in load().graph.node:
        if node.op_type.endswith("Epilogue"):
            assert {a.name: a.s.decode() for a in node.attribute} == dict(functions.PLUGIN)


def test_the_bodies_of_all_operators_are_in_the_file():
    model = load()
    used = {node.op_type for node in model.graph.node if node.domain == functions.DOMAIN}
    assert used == {f.name for f in model.functions}


@STYLES
def test_convolutions_have_constant_weights_and_no_groups(styles: int):
    graph = load(styles).graph
    constants = {tensor.name for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(convolutions) == 4 + 8 + 4
    assert all(node.input[1] in constants for node in convolutions)
    assert all(a.i == 1 for node in convolutions for a in node.attribute if a.name == "group")


@STYLES
def test_the_graph_has_no_random_operators(styles: int):
    assert not [node for node in load(styles).graph.node if "Random" in node.op_type]


def test_metadata_name_the_model_and_the_window():
    data = {entry.key: entry.value for entry in load(4).metadata_props}
    assert data["infgen.model_sha256"] == file_hash(tiny_file())
    assert (data["infgen.cells"], data["infgen.tile_px"], data["infgen.styles"]) == ("11x11", "101x101", "4")
    assert json.loads(data["infgen.config"]) == tiny_generator().config.to_dict()


def test_metadata_are_read_back():
    path = onnx_file(styles=4)
    data = {entry.key: entry.value for entry in load(4).metadata_props}
    file = TileFile.from_metadata(data, source=str(path), made_by="")
    assert file == TileFile(
        tiny_generator().config,
        (11, 11),
        styles=4,
        precision="fp32",
        model_sha256=file_hash(tiny_file()),
        infgen_version=data["infgen.version"],
    )


def test_a_file_names_nothing_of_the_machine_that_made_it():
    data = read_sealed(onnx_file())
    assert b".py" not in data
    assert str(Path.cwd()).encode() not in data


def test_half_precision_weights_take_half_the_room():
    kinds = {
        t.data_type
        for t in onnx.load(onnx_file(styles=4, precision="fp16")).graph.initializer
        if len(t.dims) == 4 and t.dims[2] > 1
    }
    assert kinds == {onnx.TensorProto.FLOAT16}


def test_a_window_need_not_be_square(tmp_path: Path):
    generator = random_generator(GeneratorConfig((4, 4), 4, 8), seed=1)
    path = tmp_path / "wide.onnx"
    file = export_onnx(generator, path, model_sha256="", cells=(7, 10))
    assert file.tile_px == (9, 15)
    palette = world_palette(World(seed=1), generator)
    tiles, device = [TilePosition(3, -4)], torch.device("cpu")
    batch = tile_batch(World(seed=1), tiles, cells=(7, 10), config=generator.config, palette=palette, device=device)
    expected = EagerEngine(generator).render_float(batch)
    torch.testing.assert_close(OnnxEngine(path).render_float(batch), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cells": (4, 11)}, "4 x 11 cells cannot be exported"),
        ({"styles": 0}, "allowed are 1 to 16"),
        ({"styles": 17}, "allowed are 1 to 16"),
        ({"precision": "int8"}, "fp32, fp16, bf16"),
    ],
)
def test_an_impossible_export_is_refused_in_one_line(tmp_path: Path, options: dict[str, Any], message: str):
    path = tmp_path / "out.onnx"
    with pytest.raises(InputError, match=message) as refusal:
        export_onnx(tiny_generator(), path, **{"model_sha256": "", "cells": (11, 11), **options})
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_an_export_that_fails_leaves_an_older_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "out.onnx"
    shutil.copy(onnx_file(), path)

    def fail(*arguments: Any, **options: Any) -> None:
        raise InfgenError("not legal")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(InfgenError, match="not legal"):
        export_onnx(tiny_generator(), path, model_sha256="", cells=(7, 7))
    assert path.read_bytes() == onnx_file().read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_next_to_the_output_while_the_network_is_translated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[Path] = []

    def fail(*arguments: Any, **options: Any) -> None:
        seen.extend(tmp_path.iterdir())
        raise InfgenError("killed")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(InfgenError, match="killed"):
        export_onnx(tiny_generator(), tmp_path / "out.onnx", model_sha256="", cells=(7, 7))
    assert seen == []


@pytest.mark.parametrize("module", ["onnx", "onnxscript"])
def test_a_missing_dependency_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=r"infgen\[cpu\]"):
        export_onnx(tiny_generator(), tmp_path / "out.onnx", model_sha256="", cells=(11, 11))
