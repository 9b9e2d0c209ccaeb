"""Where samples lie: rows of the view at every scale, any column, views side by side for several styles."""

from itertools import pairwise

import pytest

from infgen.model.config import GeneratorConfig, preset
from infgen.model.scales import Scale, judged_scales
from infgen.train.evaluation.places import Place, patch_region, place, places, sample
from infgen.world.layout import DEFAULT_TRANSITION, ResolvedLayout

SCALES = preset("tiny-scales")
FOUR = judged_scales(SCALES)
ONE_SCALE = preset("tiny")


def config_of(scale: Scale) -> GeneratorConfig:
    return SCALES.coarser(scale.halvings)


def some(scale: Scale, count: int, *, styles: int | None = None) -> list[Place]:
    return [place(config_of(scale), scale, i, seed=0, styles=styles) for i in range(count)]


@pytest.mark.parametrize("scale", FOUR, ids=lambda s: s.label)
def test_patches_lie_in_the_view(scale: Scale) -> None:
    for found in some(scale, 100):
        assert scale.view_top <= found.region.y
        assert found.region.y + found.region.h <= scale.view_top + scale.view_px


def test_patches_of_whole_views_begin_at_every_row_that_leaves_room() -> None:
    assert {found.region.y for found in some(FOUR[0], 100)} == set(range(-49, -43))


def test_patches_of_the_finest_scale_lie_above_and_below_the_horizon_alike() -> None:
    middles = [found.region.y + 50.5 for found in some(FOUR[-1], 400)]
    assert min(middles) < -320
    assert max(middles) > 320
    assert abs(sum(middles) / len(middles)) < 30  # of +-343.5 px: three standard errors


def test_patches_of_a_land_seen_from_above_begin_at_any_row() -> None:
    scale = FOUR[-1]
    config = preset("tiny-scales", coordinates="texture").coarser(scale.halvings)
    rows = [place(config, scale, i, seed=0).region.y for i in range(100)]
    assert min(rows) < 64 * 39
    assert max(rows) > 64 * 100


def test_patches_begin_at_any_column() -> None:
    columns = [found.region.x for found in some(FOUR[-1], 100)]
    assert {x % 4 for x in columns} == {0, 1, 2, 3}
    assert max(columns) > 64 * 100


def test_scales_show_the_same_worlds() -> None:
    assert len({place(config_of(scale), scale, 3, seed=0).world.seed for scale in FOUR}) == 1


def test_a_model_with_one_scale_has_the_papers_windows() -> None:
    (scale,) = judged_scales(ONE_SCALE)
    for i in range(20):
        expected = patch_region(sample(0, i), levels=4, patch_px=101)
        assert place(ONE_SCALE, scale, i, seed=0) == Place(sample(0, i).world, expected)


def test_places_are_those_of_their_numbers() -> None:
    assert list(places(config_of(FOUR[0]), FOUR[0], n=3, seed=0)) == some(FOUR[0], 3)


def layout_of(found: Place) -> ResolvedLayout:
    assert found.world.layout is not None
    return found.world.layout


@pytest.mark.parametrize("scale", FOUR, ids=lambda s: s.label)
def test_centres_of_styles_are_one_view_apart(scale: Scale) -> None:
    layout = layout_of(some(scale, 1, styles=4)[0])
    xs = [centre.x for centre in layout.centres]
    assert {b - a for a, b in pairwise(xs)} == {scale.view_px << scale.halvings}
    assert layout.transition == DEFAULT_TRANSITION


def test_each_style_has_a_seed_of_its_own() -> None:
    seeds = {style.seed for found in some(FOUR[0], 10, styles=4) for style in layout_of(found).styles}
    assert len(seeds) == 40


@pytest.mark.parametrize("styles", [1, 2, 4])
@pytest.mark.parametrize("scale", FOUR, ids=lambda s: s.label)
def test_patches_lie_in_the_views_around_the_centres(scale: Scale, styles: int) -> None:
    for found in some(scale, 50, styles=styles):
        xs = [centre.x for centre in layout_of(found).centres]
        half = scale.view_px << scale.halvings >> 1
        left, right = (x << scale.halvings for x in (found.region.x, found.region.x + found.region.w))
        assert xs[0] - half <= left
        assert right <= xs[-1] + half + 1


def test_patches_lie_at_all_styles() -> None:
    found = some(FOUR[-1], 100, styles=4)
    away = [(f.region.x - layout_of(f).centres[0].x) / FOUR[-1].view_px for f in found]
    assert {round(a) for a in away} >= {0, 1, 2, 3}


def test_fused_worlds_have_the_latents_of_plain_ones() -> None:
    plain, fused = some(FOUR[0], 1)[0], some(FOUR[0], 1, styles=2)[0]
    assert (plain.world.seed, plain.region.y) == (fused.world.seed, fused.region.y)
