"""Test the TensorRT engine, its files and refusals, on a double that computes with ONNX Runtime on the CPU."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from infgen.engines import EagerEngine
from infgen.engines.tensorrt import TensorRTEngine
from infgen.engines.tensorrt_file import pack, read_engine
from infgen.engines.tensorrt_run import KEPT_SIZES, LANES
from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.world.world import World
from tests.export import tensorrt_double as double
from tests.export.files import batch_of, tiny_generator
from tests.export.tensorrt_double import Machine, double_engine, engine_file, record
from tests.rendering.test_fused_seams import four_styles

ONE = World.create(seed=5)
FOUR = World.create(seed=5, layout=four_styles((-515, -515), 401))
PACKED = pack(record(), b"engine" * 50)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with pytest.MonkeyPatch.context() as patch:
        yield double.install(patch)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        TensorRTEngine(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def eager(world: World, *, count: int) -> torch.Tensor:
    return EagerEngine(tiny_generator()).render_float(batch_of(world, count=count))


def test_an_engine_without_a_gpu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "needs an NVIDIA GPU" in refusal(engine_file(tmp_path, b""))


def test_a_gpu_that_does_not_exist_is_refused(tmp_path: Path, machine: Machine):
    with pytest.raises(InputError, match="GPU 3 does not exist here; there are 1"):
        TensorRTEngine(engine_file(tmp_path, b""), device_index=3)


def test_an_engine_of_another_version_is_refused_with_the_command_that_rebuilds(tmp_path: Path, machine: Machine):
    message = refusal(engine_file(tmp_path, b"", version="1.0"))
    assert "was built by TensorRT-RTX 1.0, and TensorRT-RTX 1.2.3 is here; run: infgen export MODEL --trt" in message


def test_an_engine_for_another_gpu_is_refused_with_both(tmp_path: Path, machine: Machine):
    message = refusal(engine_file(tmp_path, b"", gpus=("8.0", "12.0")))
    assert "was built for compute capability 8.0, 12.0, and the GPU here is Double (8.9); run: infgen" in message


def test_a_classic_engine_of_another_gpu_is_refused_with_both(tmp_path: Path, machine: Machine):
    message = refusal(engine_file(tmp_path, b"", builder="classic", gpus=("NVIDIA H200 (9.0)",)))
    assert "was built for NVIDIA H200 (9.0), and the GPU here is Double (8.9)" in message


@pytest.mark.parametrize(
    ("builder", "advice"),
    [("rtx", r"pip install 'infgen\[trt\]'"), ("classic", r"pip install 'infgen\[trt-classic\]'")],
)
def test_a_missing_tensorrt_names_the_package_to_install(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, builder: Any, advice: str
):
    monkeypatch.setitem(sys.modules, {"rtx": "tensorrt_rtx", "classic": "tensorrt"}[builder], None)
    with pytest.raises(MissingExtraError, match=advice):
        TensorRTEngine(engine_file(tmp_path, b"", builder=builder))


def test_an_engine_that_tensorrt_does_not_accept_is_refused_with_its_reason(tmp_path: Path, machine: Machine):
    assert "is not accepted by TensorRT-RTX 1.2.3: the engine is not one" in refusal(engine_file(tmp_path, b"bad"))


def test_an_engine_with_inputs_that_the_header_does_not_know_is_refused(tmp_path: Path, machine: Machine):
    mixed = engine_file(tmp_path, styles=4)
    _, content = read_engine(mixed)
    assert "has other inputs than in its header" in refusal(engine_file(tmp_path, content, styles=1))


def test_the_engine_describes_its_file_and_device(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path)
    assert (engine.name, engine.fixed_cells, engine.most_tiles) == ("trt (TensorRT-RTX 1.2.3)", (11, 11), 4)
    assert engine.layers == ["layer 0 in a line", "layer 1 in a line"]


@pytest.mark.parametrize("builder", ["rtx", "classic"])
def test_the_engine_renders_the_same_as_pytorch(tmp_path: Path, machine: Machine, builder: Any):
    gpus = ("Double (8.9)",) if builder == "classic" else ("8.9",)
    engine = double_engine(tmp_path, builder=builder, gpus=gpus)
    rgb = engine.render_float(batch_of(ONE, count=3))
    torch.testing.assert_close(rgb, eager(ONE, count=3), rtol=0, atol=1e-3)


def test_the_engine_mixes_styles(tmp_path: Path, machine: Machine):
    rgb = double_engine(tmp_path, styles=4).render_float(batch_of(FOUR))
    torch.testing.assert_close(rgb, eager(FOUR, count=2), rtol=0, atol=1e-3)


def test_results_stay_when_the_next_are_computed(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path)
    first = engine.render_float(batch_of(ONE))
    kept = first.clone()
    for seed in range(LANES + 1):
        engine.render_float(batch_of(World(seed=seed)))
    assert torch.equal(first, kept)


def test_replayed_graphs_compute_with_the_inputs_of_each_batch(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path)
    for seed in range(2 * LANES + 1):
        rgb = engine.render_float(batch_of(World(seed=seed)))
        torch.testing.assert_close(rgb, eager(World(seed=seed), count=2), rtol=0, atol=1e-3)


def test_batches_of_changing_numbers_of_tiles_give_the_same_pixels(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path)
    for count in (1, 2, 1, 2):
        rgb = engine.render_float(batch_of(ONE, count=count))
        torch.testing.assert_close(rgb, eager(ONE, count=count), rtol=0, atol=1e-3)


def test_a_network_that_cannot_be_captured_gives_the_same_pixels(tmp_path: Path, machine: Machine):
    machine.capturable = False
    engine = double_engine(tmp_path)
    for seed in range(LANES + 1):
        rgb = engine.render_float(batch_of(World(seed=seed)))
        torch.testing.assert_close(rgb, eager(World(seed=seed), count=2), rtol=0, atol=1e-3)


def test_a_batch_over_the_engines_is_computed_in_parts_that_fit(tmp_path: Path, machine: Machine):
    rgb = double_engine(tmp_path, batch=2).render_float(batch_of(ONE, count=5))
    torch.testing.assert_close(rgb, eager(ONE, count=5), rtol=0, atol=1e-3)


def test_consecutive_parts_of_a_batch_use_different_memory_without_waiting(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path, batch=1)
    engine.render_float(batch_of(ONE))
    machine.events.clear()
    engine.render_float(batch_of(ONE, count=2))
    first, second = (context.addresses for context in machine.contexts)
    assert not set(first.values()) & set(second.values())
    assert "waited" not in machine.events


def test_streams_are_ordered_inputs_before_computation_before_results(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path)
    machine.events.clear()
    engine.render_float(batch_of(ONE))
    order = [event for event in machine.events if "waits" in event]
    assert order == ["uploads waits for current", "current waits for computes"]


def test_contexts_of_one_number_of_tiles_share_their_memory(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path)
    engine.render_float(batch_of(ONE))
    first, second = machine.contexts
    assert first.memory == second.memory == 1000


def test_only_lanes_of_the_latest_numbers_of_tiles_stay_in_memory(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path, batch=KEPT_SIZES + 1)
    for count in (*range(1, KEPT_SIZES + 2), 1):
        rgb = engine.render_float(batch_of(ONE, count=count))
        torch.testing.assert_close(rgb, eager(ONE, count=count), rtol=0, atol=1e-3)
    assert len(engine._runner._lanes) == KEPT_SIZES


def test_a_batch_that_does_not_fit_the_memory_is_drawn_in_parts(tmp_path: Path, machine: Machine):
    machine.most = 1
    engine = double_engine(tmp_path)
    torch.testing.assert_close(engine.render_float(batch_of(ONE, count=3)), eager(ONE, count=3), rtol=0, atol=1e-3)
    assert engine.most_tiles == 1


def test_a_batch_size_that_did_not_fit_is_not_used_again(tmp_path: Path, machine: Machine):
    machine.most = 2
    engine = double_engine(tmp_path)
    for _ in range(2):
        torch.testing.assert_close(engine.render_float(batch_of(ONE, count=4)), eager(ONE, count=4), rtol=0, atol=1e-3)
        assert engine.most_tiles == 2


def test_a_tile_that_does_not_fit_the_memory_is_named(tmp_path: Path, machine: Machine):
    machine.most = 0
    with pytest.raises(InfgenError, match=r"one tile of 101 x 101 px of engine file .* does not fit.*smaller --tile"):
        double_engine(tmp_path).render_float(batch_of(ONE))


def test_a_failure_of_tensorrt_is_reported_in_one_line(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path)
    machine.failing = True
    with pytest.raises(InfgenError, match=r"^TensorRT-RTX 1\.2\.3 failed: the kernel was refused$"):
        engine.render_float(batch_of(ONE))


def test_the_engine_works_after_a_failure(tmp_path: Path, machine: Machine):
    engine = double_engine(tmp_path)
    machine.failing = True
    with pytest.raises(InfgenError):
        engine.render_float(batch_of(ONE))
    machine.failing = False
    torch.testing.assert_close(engine.render_float(batch_of(ONE)), eager(ONE, count=2), rtol=0, atol=1e-3)
