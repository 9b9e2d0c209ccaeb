"""Generators with zero padding: drawn in one piece, and evaluated like others."""

import numpy as np
import pytest
import torch

from infgen import geometry
from infgen.engines.base import to_pixels
from infgen.errors import LimitError
from infgen.geometry import Region
from infgen.model.config import PATCH_CELLS, preset
from infgen.model.generator import Generator
from infgen.rendering.palette import world_palette
from infgen.rendering.tile_inputs import TilePosition, tile_batch
from infgen.train.evaluation import Request, evaluate, metrics_named, run
from infgen.train.evaluation.padded import draw_whole
from infgen.train.evaluation.painter import Painter
from infgen.world.world import World
from tests.model.networks import random_generator
from tests.train.evaluation.stand_ins import Colours, Landscapes

WORLD = World(seed=5)


@pytest.fixture(scope="module")
def padded_generator() -> Generator:
    return random_generator(preset("tiny", padding=True), seed=7)


def test_a_patch_equals_the_generators_output_for_the_worlds_latents(padded_generator: Generator) -> None:
    x, y = (geometry.first_px(cell, levels=4) for cell in (3, -5))
    cells = (PATCH_CELLS, PATCH_CELLS)
    palette = world_palette(WORLD, padded_generator)
    device = torch.device("cpu")
    inputs = tile_batch(
        WORLD, [TilePosition(3, -5)], cells=cells, config=padded_generator.config, palette=palette, device=device
    )
    quiet = World(seed=5, noise=0.0)
    noises = [torch.zeros(1, 1, *shape) for shape in padded_generator.config.noise_shapes(cells)]
    with torch.inference_mode():
        expected = to_pixels(padded_generator(inputs.z_l, inputs.coordinates, inputs.style, noises))[0].numpy()
    assert np.array_equal(draw_whole(padded_generator, quiet, Region(x, y, 101, 101)), expected)


def test_the_worlds_noise_shows(padded_generator: Generator) -> None:
    region = Region(0, 0, 101, 101)
    assert not np.array_equal(
        draw_whole(padded_generator, World(seed=5, noise=0.0), region), draw_whole(padded_generator, WORLD, region)
    )


@pytest.mark.parametrize("region", [Region(0, 0, 101, 101), Region(-7, 33, 202, 150), Region(5, -1000, 1, 1)])
def test_a_region_of_any_size_is_drawn(padded_generator: Generator, region: Region) -> None:
    assert draw_whole(padded_generator, WORLD, region).shape == (region.h, region.w, 3)


def test_the_same_region_is_the_same_picture(padded_generator: Generator) -> None:
    one, other = (draw_whole(padded_generator, WORLD, Region(-7, 33, 120, 110)) for _ in range(2))
    assert np.array_equal(one, other)


def test_a_piece_over_the_memory_limit_is_refused(padded_generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_TILE_MEMORY_MB", "1")
    with pytest.raises(LimitError, match="draws 808 x 808 px in one piece"):
        draw_whole(padded_generator, WORLD, Region(0, 0, 808, 808))


def test_distances_at_all_scales_can_be_measured(padded_generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "load_network", lambda name, *rest, **options: Colours(name=name))
    request = Request(metrics_named(["fd-vgg", "scaleinv-fd-vgg"]), scales=(1, 2), n=4)
    report = evaluate(padded_generator, Landscapes(), request=request)
    assert report.value("scaleinv-fd-vgg", scale=1) == report.value("fd-vgg")


def test_painters_of_other_models_use_the_render_loop(tiny: Generator, padded_generator: Generator) -> None:
    assert Painter.of(tiny).engine is not None
    assert Painter.of(padded_generator).engine is None
