"""Engines that are built and run on the GPU here."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from infgen.engines import EagerEngine, Engine, TileBatch
from infgen.engines.tensorrt import TensorRTEngine
from infgen.export.tensorrt import export_tensorrt
from infgen.model.checkpoint import SHIPPED, file_hash
from infgen.model.generator import Generator
from infgen.rendering.palette import world_palette
from infgen.rendering.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World
from tests.export.files import batch_of, tiny_file, tiny_generator
from tests.rendering.test_fused_seams import four_styles


def built_here(path: Path, generator: Generator, source: Path | str, **options: Any) -> TensorRTEngine:
    """An engine that was built on this GPU and runs on it. Fails where no TensorRT builds for it."""
    export_tensorrt(generator, path, model_sha256=file_hash(source), **options)
    return TensorRTEngine(path)


@pytest.fixture(scope="module")
def on_gpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TensorRTEngine]:
    """Engines of the tiny model by precision."""
    folder = tmp_path_factory.mktemp("engines")
    return {
        precision: built_here(
            folder / precision, tiny_generator(), tiny_file(), cells=(11, 11), styles=4, precision=precision, batch=3
        )
        for precision in ("fp32", "fp16")
    }


@pytest.mark.gpu
@pytest.mark.parametrize("world", [World(seed=5), World.create(seed=5, layout=four_styles((-515, -515), 401))])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 80.0), ("fp16", 45.0)])
def test_engine_pixels_are_those_of_pytorch(
    on_gpu: dict[str, TensorRTEngine], precision: str, least: float, world: World
):
    batch = batch_of(world, count=7)
    expected = EagerEngine(tiny_generator()).render_float(batch)
    difference = on_gpu[precision].render_float(batch).cpu() - expected
    assert 10 * torch.log10(4 / difference.square().mean()) > least


@pytest.mark.gpu
def test_an_engine_is_deterministic_from_graph_to_graph(on_gpu: dict[str, TensorRTEngine]):
    batch = batch_of(World(seed=5), count=3)
    pictures = [on_gpu["fp16"].render_float(batch) for _ in range(5)]
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)


@pytest.mark.gpu
def test_the_inspector_shows_the_plugins_of_a_classic_engine(on_gpu: dict[str, TensorRTEngine]):
    engine = on_gpu["fp16"]
    shown = [layer for layer in engine.layers if "_epilogue" in layer]
    expected = 2 * engine.config.levels if engine.record.builder == "classic" else 0  # TensorRT-RTX has no plugins
    assert len(shown) == expected


@torch.inference_mode()
def seconds(engine: Engine, batch: TileBatch) -> float:
    """The median of ten calls, after three."""
    times = []
    for _ in range(13):
        torch.cuda.synchronize()
        start = time.perf_counter()
        engine.render_float(batch)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times[3:])[5]


@pytest.mark.gpu
def test_half_precision_is_faster_than_single_and_both_than_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # as in engines
    generator, world, device = Generator.from_pretrained(SHIPPED), World(seed=5), torch.device("cuda")
    cells = (19, 19)
    config, palette = generator.config, world_palette(world, generator)
    tiles = [TilePosition(14 * i, 0) for i in range(8)]
    batch = tile_batch(world, tiles, cells=cells, config=config, palette=palette, device=device)
    times = [seconds(EagerEngine(generator.to(device)), batch)]
    for precision in ("fp32", "fp16"):
        engine = built_here(tmp_path / precision, generator.cpu(), SHIPPED, cells=cells, precision=precision)
        times.append(seconds(engine, batch))
    assert times == sorted(times, reverse=True)
