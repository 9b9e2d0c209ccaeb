"""Drawing at a scale: by the model's own level, or resized from the nearest one."""

import numpy as np
import pytest
import torch
from PIL import Image

from infgen.geometry import Region
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.model.scales import Scale, judged_scales
from infgen.train.evaluation.painter import Painter
from infgen.world.world import World

FOUR = judged_scales(preset("tiny-scales"))
WORLD = World(seed=5)


@pytest.mark.parametrize("scale", FOUR, ids=lambda s: s.label)
def test_a_model_with_the_scale_draws_it_by_its_own_level(tiny_scales: Generator, scale: Scale) -> None:
    painter = Painter.of(tiny_scales, scale=scale)
    assert (painter.config.levels, painter.own, painter.enlarged) == (scale.level, scale, 1)


def test_the_level_renders_the_same_as_the_coarser_generator(tiny_scales: Generator) -> None:
    region = Region(-7, -30, 60, 50)
    drawn = Painter.of(tiny_scales, scale=FOUR[1]).draw(WORLD, region)
    assert np.array_equal(drawn, Painter.of(tiny_scales.coarser(2)).draw(WORLD, region))


def test_without_a_scale_a_model_is_drawn_at_full_size(tiny_scales: Generator) -> None:
    assert Painter.of(tiny_scales).config is tiny_scales.config


@pytest.mark.parametrize(("scale", "enlarged"), list(zip(FOUR, (98 / 197, 1, 2, 4), strict=True)))
def test_a_model_without_the_scale_is_resized_to_its_view(tiny: Generator, scale: Scale, enlarged: float) -> None:
    painter = Painter.of(tiny, scale=scale)
    assert painter.enlarged == pytest.approx(enlarged)
    assert painter.draw(WORLD, Region(0, 0, 30, 20)).shape == (20, 30, 3)


def whole_view(painter: Painter, *, width: int) -> np.ndarray:
    """The first ``width`` columns of the view of the scale that the generator itself has."""
    return Painter.of(painter.generator).draw(WORLD, Region(0, painter.own.view_top, width, painter.own.view_px))


@pytest.mark.parametrize("scale", [FOUR[0], FOUR[2], FOUR[3]], ids=lambda s: s.label)
def test_a_resized_view_is_the_models_view_resized(tiny: Generator, scale: Scale) -> None:
    painter = Painter.of(tiny, scale=scale)
    own = Image.fromarray(whole_view(painter, width=197))
    expected = np.asarray(own.resize((scale.view_px, scale.view_px), Image.Resampling.LANCZOS))
    drawn = painter.draw(WORLD, Region(0, scale.view_top, scale.view_px, scale.view_px))
    inside = slice(16, -16)  # at its edges a picture of its own has nothing beyond them to average
    difference = np.abs(drawn[inside, inside].astype(int) - expected[inside, inside])
    assert difference.max() <= 1


@pytest.mark.parametrize("scale", [FOUR[0], FOUR[3]], ids=lambda s: s.label)
def test_a_resized_pixel_does_not_depend_on_the_region(tiny: Generator, scale: Scale) -> None:
    painter = Painter.of(tiny, scale=scale)
    around = painter.draw(WORLD, Region(-11, -40, 70, 60))
    part = painter.draw(WORLD, Region(2, -33, 30, 20))
    assert np.abs(around[7:27, 13:43].astype(int) - part).max() <= 1


def test_the_painter_is_on_the_device_of_the_weights(tiny: Generator) -> None:
    assert Painter.of(tiny).device == torch.device("cpu")
