"""Pixels do not depend on tiles, batches, windows or positions, at any scale."""

from functools import cache

import numpy as np
import pytest

from infgen.geometry import PX_LIMIT, Region
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.pixels import Pixels
from infgen.rendering.plan import make_plan
from infgen.rendering.render import Scene, render_array, render_batch
from tests.model.networks import random_generator
from tests.model.scaled import FOUR_LEVELS, NETWORKS, SCALES, halvings, network
from tests.rendering.scenes import PLENTY, make_scene, picture


def assert_same_picture(one: Pixels, other: Pixels) -> None:
    """At most 1/255 apart anywhere, equal on 99.9 % of values."""
    difference = np.abs(one.astype(np.int16) - other.astype(np.int16))
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999


OFFSETS = [(0, 0), (-513, 77)]
TILE = {name: 133 if name == "1" else 101 for name in NETWORKS}  # px, a small one of each network
# Network, px of the world where the region begins, side in px of tiles. Of scales a smaller region is drawn.
TILINGS = [(FOUR_LEVELS, offset, tile) for offset in OFFSETS for tile in (101, 229, 485, 997)]
TILINGS += [(scale, OFFSETS[1], tile) for scale in SCALES for tile in ((133, 261) if scale == "1" else (101, 229))]


def test_the_tilings_are_of_every_scale() -> None:
    assert {name for name, _, _ in TILINGS} == set(NETWORKS)


def region_at(name: str, offset: tuple[int, int]) -> Region:
    """Return the region that one piece shows, in the network's own pixels: 1024 x 1024, at coarser scales 380 x 300."""
    size = (1024, 1024) if name == FOUR_LEVELS else (380, 300)
    return Region(offset[0] >> halvings(name), offset[1] >> halvings(name), *size)


@cache
def scene_of(name: str) -> Scene:
    return make_scene(network(name), seed=5)


@cache
def whole(name: str, offset: tuple[int, int]) -> Pixels:
    """The region in as few tiles as memory allows."""
    return picture(scene_of(name), region_at(name, offset))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scene_of(FOUR_LEVELS)


@pytest.mark.parametrize(("name", "offset"), sorted({(name, offset) for name, offset, _ in TILINGS}))
def test_the_picture_is_not_flat(name: str, offset: tuple[int, int]):
    assert whole(name, offset).std() > 20


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize(("name", "offset", "tile"), TILINGS)
def test_no_tile_size_and_no_batch_size_shows(name: str, offset: tuple[int, int], tile: int, batch: int):
    drawn = picture(scene_of(name), region_at(name, offset), tile=tile, batch=batch)
    assert_same_picture(drawn, whole(name, offset))


CENTRES = [(0, 0), (-(10**6), 3), (2**40 - 5, -(2**40) + 5), (2**31, 2**32 - 1), (-(2**31) - 1, -(2**32))]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("centre", CENTRES)
def test_a_small_window_equals_the_same_window_cut_from_a_larger_one(name: str, centre: tuple[int, int]):
    scene, limit = scene_of(name), PX_LIMIT >> halvings(name)

    def clamp(low: int, size: int) -> int:
        return max(-limit, min(low, limit - size))

    x, y = clamp((centre[0] >> halvings(name)) - 40, 90), clamp((centre[1] >> halvings(name)) - 30, 70)
    big_x, big_y = clamp(x - 130, 400), clamp(y - 170, 380)
    small = picture(scene, Region(x, y, 90, 70))
    large = picture(scene, Region(big_x, big_y, 400, 380), tile=261 if name == "1" else 229)
    assert_same_picture(small, large[y - big_y : y - big_y + 70, x - big_x : x - big_x + 90])


def test_far_places_look_different(scene: Scene):
    near, far = (picture(scene, Region(x, 0, 64, 64)) for x in (0, 139 * 16 * 10**6))
    assert np.abs(near.astype(int) - far).mean() > 5


def test_another_seed_is_another_picture(tiny: Generator):
    one, other = (picture(make_scene(tiny, seed=s), Region(0, 0, 64, 64)) for s in (0, 1))
    assert np.abs(one.astype(int) - other).mean() > 5


@pytest.mark.parametrize("seed", [-(2**63), -1, 2**63, 2**64 - 1])
def test_any_64_bit_seed_draws(tiny: Generator, seed: int):
    assert picture(make_scene(tiny, seed=seed), Region(0, 0, 30, 30)).std() > 1


def test_one_pixel_can_be_drawn(scene: Scene):
    larger = picture(scene, Region(-3, 5, 20, 20))
    assert_same_picture(picture(scene, Region(7, 9, 1, 1)), larger[4:5, 10:11])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_plan_gives_the_same_bits(name: str):
    region = Region(-100, -50, 300, 200)
    one, other = (picture(scene_of(name), region, tile=TILE[name], batch=4) for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_tile_has_the_bits_of_its_place_in_the_picture(name: str):
    scene = scene_of(name)
    plan = make_plan(Region(-100, -50, 220, 160), scene.engine.config, memory=PLENTY, tile_px=TILE[name], batch=2)
    whole = render_array(scene, plan)
    for index in reversed(range(plan.batch_count)):
        for tile, pixels in render_batch(scene, plan, index):
            assert np.array_equal(pixels, whole[tile.y :, tile.x :][: pixels.shape[0], : pixels.shape[1]])


CYCLIC = [(FOUR_LEVELS, period) for period in (16, 272, 2224, 3200)]
CYCLIC += [(scale, period) for scale in SCALES for period in (64, 64 * 51)]


@pytest.mark.parametrize(("name", "period"), CYCLIC)
def test_a_cyclic_world_repeats_without_a_seam(name: str, period: int):
    scene, own = make_scene(network(name), seed=3, period=period), period >> halvings(name)
    around = picture(scene, Region(-60, -20, 120, 60))
    assert_same_picture(picture(scene, Region(own - 60, -20, 120, 60)), around)
    assert_same_picture(picture(scene, Region(-60 - 5 * own, -20, 120, 60), tile=TILE[name]), around)


def test_noise_0_removes_fine_noise_and_keeps_the_rest(tiny: Generator):
    region = Region(0, 0, 64, 64)
    loud, quiet = (picture(make_scene(tiny, seed=1, noise=n), region) for n in (1.0, 0.0))
    assert not np.array_equal(loud, quiet)


def test_bf16_is_close_to_fp32(tiny: Generator):
    region = Region(0, 0, 200, 200)
    exact, rough = (picture(make_scene(tiny, seed=1, precision=p), region) for p in ("fp32", "bf16"))  # type: ignore[arg-type]
    error = exact.astype(np.float64) - rough
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 30


KINDS = [(levels, system, "implicit") for levels in (1, 3, 5) for system in ("scenery", "texture", "object")]
KINDS += [(levels, "scenery", structure) for levels in (3, 5) for structure in ("pointwise", "none")]


@pytest.mark.parametrize(("levels", "system", "structure"), KINDS)
def test_every_model_size_coordinate_system_and_structure_is_seamless(levels: int, system: str, structure: str):
    config = GeneratorConfig((6, 4) * levels, 4, 8, coordinates=system, structure=structure)  # type: ignore[arg-type]
    scene = make_scene(random_generator(config, seed=levels), seed=2)
    region = Region(-333, 41, 260, 190)
    tile = config.cell_px * 4 + 5
    assert_same_picture(picture(scene, region, tile=tile, batch=3), picture(scene, region))


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "tile"), [(FOUR_LEVELS, 101), (FOUR_LEVELS, 485), ("1", 133), ("1/4", 101)])
def test_the_gpu_draws_the_same_picture(name: str, tile: int):
    import copy

    region = Region(-513, 77, 512, 512)
    on_gpu = make_scene(copy.deepcopy(network(name)).cuda(), seed=5)
    assert_same_picture(picture(on_gpu, region, tile=tile, batch=4), picture(scene_of(name), region))
