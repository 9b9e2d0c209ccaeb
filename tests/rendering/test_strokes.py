"""Brush strokes in pictures: no tile, scale, distance or copy of the world shows, and untouched pixels stay."""

from functools import cache

import numpy as np
import pytest

from infgen.geometry import Region
from infgen.rendering.plan import make_plan
from infgen.rendering.render import Scene, batch_inputs
from tests.model.scaled import FOUR_LEVELS, halvings, network
from tests.rendering.scenes import PLENTY, make_scene, picture
from tests.rendering.test_fused_seams import four_styles
from tests.rendering.test_seams import TILE, assert_same_picture

STROKES = [
    {"points": "100 300 500 340 700 600", "radius": 90, "hardness": 0.3, "style": "c"},
    {"points": "450 100 450 800", "radius": 60, "hardness": 1.0, "style": "b"},
    {"points": "400 420 640 420", "radius": 40},
]


def layout(dx: int = 0, dy: int = 0) -> dict[str, object]:
    def moved(points: str) -> str:
        return " ".join(str(int(v) + (dy if i % 2 else dx)) for i, v in enumerate(points.split()))

    return four_styles((dx, dy)) | {"strokes": [s | {"points": moved(str(s["points"]))} for s in STROKES]}


@cache
def scene(name: str, dx: int = 0, dy: int = 0) -> Scene:
    return make_scene(network(name), seed=5, layout=layout(dx, dy))


@pytest.mark.parametrize("name", [FOUR_LEVELS, "1/4"])
@pytest.mark.parametrize("place", [(0, 0), (2**40 - 1024, -(2**40) + 64)])
def test_strokes_are_the_same_in_every_tiling(name: str, place: tuple[int, int]) -> None:
    k = halvings(name)
    region = Region((place[0] + 320) >> k, (place[1] + 320) >> k, 300 >> k, 240 >> k)
    one = picture(scene(name, *place), region)
    assert_same_picture(picture(scene(name, *place), region, tile=TILE[name], batch=2), one)
    bare = make_scene(network(name), seed=5, layout=four_styles(place))
    assert np.abs(picture(bare, region).astype(int) - one).max() > 8


def test_pixels_beyond_the_reach_of_the_strokes_stay_bit_for_bit() -> None:
    bare, config = make_scene(network(FOUR_LEVELS), seed=5, layout=four_styles()), network(FOUR_LEVELS).config
    reach = 14 * config.cell_px
    region = Region(700 + 90 + reach, 0, 120, 90)
    assert np.array_equal(picture(scene(FOUR_LEVELS), region), picture(bare, region))


def test_a_tile_below_one_opaque_stroke_carries_one_style() -> None:
    covered = four_styles() | {"strokes": [{"points": "0 0", "radius": 4000, "hardness": 1.0, "style": "d"}]}
    drawn = make_scene(network(FOUR_LEVELS), seed=5, layout=covered)
    plan = make_plan(Region(450, 450, 100, 100), drawn.engine.config, memory=PLENTY)
    batch = batch_inputs(drawn, plan, plan.batch_tiles(0))
    assert batch.weights is None
    assert batch.style.z_g.shape[0] == 1


def test_a_cyclic_world_repeats_its_strokes() -> None:
    cyclic = make_scene(network(FOUR_LEVELS), seed=3, period=1024, layout=layout())
    around = picture(cyclic, Region(380, 300, 160, 90))
    assert_same_picture(picture(cyclic, Region(380 - 3 * 1024, 300, 160, 90)), around)
