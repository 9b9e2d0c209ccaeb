"""Test the ONNX engine: refusals before and during work, and batches of fewer styles than its file mixes."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from infgen.engines import EagerEngine
from infgen.engines.onnx import OnnxEngine
from infgen.engines.onnx_file import OPEN_SEAL, seal
from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.model.checkpoint import file_hash
from infgen.rendering.tile_inputs import TilePosition
from infgen.world.world import World
from tests.export.files import batch_at, batch_of, onnx_engine, onnx_file, tiny_file, tiny_generator
from tests.rendering.test_fused_seams import four_styles

ONE = World.create(seed=5)
TWO = World.create(seed=5, layout={**four_styles((-515, 0)), "transition": 31})
FOUR = World.create(seed=5, layout=four_styles((-515, -515), 401))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        OnnxEngine(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_engine_describes_its_file_and_device():
    engine = onnx_engine()
    assert (engine.provider, engine.fixed_cells, engine.device.type) == ("CPUExecutionProvider", (11, 11), "cpu")
    assert engine.config == tiny_generator().config


@pytest.mark.parametrize(("precision", "size"), [("fp32", 4), ("fp16", 4)])
def test_a_cpu_computes_every_precision_in_float32(precision: Any, size: int):
    assert onnx_engine(styles=4, precision=precision).bytes_per_value == size


@pytest.mark.parametrize(("world", "reached"), [(ONE, 1), (TWO, 2), (FOUR, 4)])
def test_a_file_of_four_styles_draws_batches_that_fewer_reach(world: World, reached: int):
    batch = batch_of(world)
    assert len(batch.style.z_g) == reached
    expected = EagerEngine(tiny_generator()).render_float(batch)
    torch.testing.assert_close(onnx_engine(styles=4).render_float(batch), expected, rtol=0, atol=1e-3)


def test_more_styles_than_the_file_mixes_are_refused_with_their_number():
    with pytest.raises(InputError, match=r"styles reach one tile.*draws one style.*--max-styles"):
        onnx_engine().render_float(batch_of(FOUR))


def test_tiles_of_another_size_are_refused_with_both_sizes():
    with pytest.raises(InputError, match=r"101 x 149 px were asked .* draws 101 x 101 px"):
        onnx_engine().render_float(batch_of(ONE, cells=(11, 14)))


def test_a_file_of_one_style_refuses_a_layout_before_work():
    with pytest.raises(InputError, match=r"4 styles reach one tile.*draws one style.*--max-styles 4"):
        onnx_engine().check(styles=4)


def test_a_file_of_several_styles_takes_a_layout():
    onnx_engine(styles=4).check(styles=4)


def test_a_file_of_another_model_is_refused():
    with pytest.raises(InputError, match=r"was made from model .* not from 123456789abc"):
        onnx_engine().check(model_sha256="123456789abcdef")


def test_a_missing_file_is_refused(tmp_path: Path):
    assert "does not exist" in refusal(tmp_path / "none.onnx")


@pytest.mark.parametrize("content", [b"", b"ONNX", bytes(1000)])
def test_a_file_that_infgen_did_not_make_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    assert "was not made by infgen" in refusal(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_file_with_one_byte_changed_is_refused(tmp_path: Path, share: float):
    data = bytearray(onnx_file().read_bytes())
    data[int(share * (len(data) - 1))] ^= 1
    path = tmp_path / "changed.onnx"
    path.write_bytes(data)
    assert "was changed or damaged" in refusal(path)


def test_a_file_edited_by_hand_is_refused(tmp_path: Path):
    model = onnx.load(onnx_file())
    model.metadata_props[0].value += "-mine"
    path = tmp_path / "edited.onnx"
    onnx.save(model, path)
    assert "was changed or damaged" in refusal(path)


def test_a_truncated_file_is_refused(tmp_path: Path):
    path = tmp_path / "short.onnx"
    path.write_bytes(onnx_file().read_bytes()[:-100])
    assert "infgen" in refusal(path)


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INFGEN_MAX_MODEL_MB", "1")
    path = tmp_path / "large.onnx"
    path.write_bytes(bytes(2**20 + 1))
    assert "INFGEN_MAX_MODEL_MB" in refusal(path)


def reseal(tmp_path: Path, change: Callable[[dict[str, str]], None]) -> Path:
    """A file with other metadata and a right seal."""
    model = onnx.load(onnx_file())
    data = {entry.key: entry.value for entry in model.metadata_props}
    change(data)
    data["infgen.sha256"] = OPEN_SEAL
    onnx.helper.set_model_props(model, data)
    path = tmp_path / "resealed.onnx"
    path.write_bytes(seal(model.SerializeToString()))
    return path


def add_external(graph: onnx.GraphProto) -> None:
    """Move the values of one tensor to the file "weights.bin" of the working directory."""
    tensor = max(graph.initializer, key=lambda one: len(one.raw_data))
    Path("weights.bin").write_bytes(bytes(len(tensor.raw_data)))
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")


def add_constant(graph: onnx.GraphProto) -> None:
    """Add a constant with values in another file, inside an attribute."""
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "other")
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    graph.node.append(onnx.helper.make_node("Constant", [], ["other"], value=tensor))


def add_compiled(graph: onnx.GraphProto) -> None:
    """Add an operator that loads a compiled graph from another file."""
    graph.node.append(onnx.helper.make_node("EPContext", [], ["x"], domain="com.microsoft", ep_cache_context="a.bin"))


@pytest.mark.parametrize("change", [add_external, add_constant, add_compiled])
def test_a_sealed_file_that_takes_data_from_other_files_is_refused(
    change: Callable[[onnx.GraphProto], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    model = onnx.load(reseal(tmp_path, lambda data: None))
    change(model.graph)
    entry = next(entry for entry in model.metadata_props if entry.key == "infgen.sha256")
    entry.value = OPEN_SEAL
    (tmp_path / "other.onnx").write_bytes(seal(model.SerializeToString()))
    assert "takes weights from other files" in refusal(tmp_path / "other.onnx")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("infgen.format", "other", "was not made by infgen"),
        ("infgen.format_version", "2", "format version '2'"),
        ("infgen.config", "{", "cannot be read"),
        ("infgen.config", "{}", "cannot be read"),
        ("infgen.config", "[]", "cannot be read"),
        ("infgen.cells", "eleven", "cannot be read"),
        ("infgen.styles", "", "cannot be read"),
        ("infgen.precision", "int8", "cannot be read"),
    ],
)
def test_illegal_metadata_are_refused(tmp_path: Path, key: str, value: str, message: str):
    assert message in refusal(reseal(tmp_path, lambda data: data.update({key: value})))


def test_an_unknown_provider_is_refused():
    assert "cpu, cuda, tensorrt" in refusal(onnx_file(), provider="abacus")


def test_bf16_is_refused_on_a_cpu(tmp_path: Path):
    message = refusal(reseal(tmp_path, lambda data: data.update({"infgen.precision": "bf16"})))
    assert "bf16, which ONNX Runtime does not compute on a CPU" in message


def test_a_provider_that_this_onnx_runtime_lacks_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "infgen[gpu]" in refusal(onnx_file(), provider="cuda")


def test_a_silent_fall_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch):
    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    real = onnxruntime.InferenceSession

    def on_cpu(data: bytes, options: Any, *, providers: Any, **rest: Any) -> Any:
        return real(data, options, providers=names[1:], **rest)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", on_cpu)
    assert "cuda did not start, ONNX Runtime would silently use CPUExecutionProvider" in refusal(
        onnx_file(), provider="cuda"
    )


def test_a_missing_onnx_runtime_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"infgen\[cpu\]"):
        OnnxEngine(onnx_file())


class SmallMemory:
    """A session that has room for ``most`` tiles."""

    def __init__(self, session: Any, most: int) -> None:
        self._session, self._most = session, most

    def run(self, names: list[str], feed: dict[str, Any]) -> Any:
        if len(feed["z_l"]) > self._most:
            raise RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 7")
        return self._session.run(names, feed)


def open_within(most: int) -> OnnxEngine:
    engine = OnnxEngine(onnx_file(styles=4), threads=1)
    engine._session = SmallMemory(engine._session, most)
    return engine


def test_a_batch_that_does_not_fit_the_memory_is_drawn_in_parts():
    batch = batch_of(FOUR, count=3)
    expected = onnx_engine(styles=4).render_float(batch)
    np.testing.assert_allclose(open_within(1).render_float(batch), expected, atol=1e-4)


def test_a_tile_that_does_not_fit_the_memory_is_named():
    with pytest.raises(InfgenError, match=r"one tile of 101 x 101 px of ONNX file .* does not fit.*smaller --tile"):
        open_within(0).render_float(batch_of(FOUR))


def test_other_failures_are_not_taken_for_lack_of_memory():
    engine = OnnxEngine(onnx_file(), threads=1)
    engine._session = None
    with pytest.raises(AttributeError):
        engine.render_float(batch_of(ONE))


def test_a_copy_of_its_model_is_accepted(tmp_path: Path):
    copy = shutil.copy(tiny_file(), tmp_path / "copy.safetensors")
    onnx_engine().check(model_sha256=file_hash(copy))


def test_a_batch_that_more_styles_reach_than_the_file_mixes_is_drawn_tile_by_tile():
    apart = World.create(
        seed=5,
        layout={
            "styles": [{"name": name, "seed": 40 + i} for i, name in enumerate("abcde")],
            "centres": [{"style": name, "x": 1000 * i, "y": 0} for i, name in enumerate("abcde")],
            "transition": 31,
        },
    )
    batch = batch_at(apart, [TilePosition(cell, 0) for cell in (-10, 27, 62, 90, 156, 190, 250)])
    assert len(batch.style.z_g) == 5
    expected = EagerEngine(tiny_generator()).render_float(batch)
    torch.testing.assert_close(onnx_engine(styles=4).render_float(batch), expected, rtol=0, atol=1e-3)
