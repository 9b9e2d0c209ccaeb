"""One image, whoever asks: tiles, batches, windows and positions never show."""

import numpy as np
import pytest

from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.rendering.plan import Region
from infgen.rendering.render import Pixels, Scene
from infgen.world.world import PX_LIMIT
from tests.model.networks import random_generator
from tests.rendering.scenes import make_scene, picture


def assert_same_picture(one: Pixels, other: Pixels) -> None:
    """At most 1/255 apart anywhere, equal on 99.9 % of values."""
    difference = np.abs(one.astype(np.int16) - other.astype(np.int16))
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999


@pytest.fixture(scope="module")
def scene(tiny: Generator) -> Scene:
    return make_scene(tiny, seed=5)


@pytest.fixture(scope="module", params=[(0, 0), (-513, 77)], ids=["origin", "offset"])
def whole(request: pytest.FixtureRequest, scene: Scene) -> tuple[Region, Pixels]:
    region = Region(*request.param, 1024, 1024)
    return region, picture(scene, region)


def test_the_picture_is_not_flat(whole: tuple[Region, Pixels]):
    assert whole[1].std() > 20


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("tile", [101, 229, 485, 997])
def test_no_tile_size_and_no_batch_size_shows(scene: Scene, whole: tuple[Region, Pixels], tile: int, batch: int):
    region, expected = whole
    assert_same_picture(picture(scene, region, tile=tile, batch=batch), expected)


CENTRES = [(0, 0), (-(10**6), 3), (2**40 - 5, -(2**40) + 5), (2**31, 2**32 - 1), (-(2**31) - 1, -(2**32))]


@pytest.mark.parametrize("centre", CENTRES)
def test_a_small_window_equals_the_same_window_cut_from_a_larger_one(scene: Scene, centre: tuple[int, int]):
    def clamp(low: int, size: int) -> int:
        return max(-PX_LIMIT, min(low, PX_LIMIT - size))

    x, y = clamp(centre[0] - 40, 90), clamp(centre[1] - 30, 70)
    big_x, big_y = clamp(x - 130, 400), clamp(y - 170, 380)
    small = picture(scene, Region(x, y, 90, 70))
    large = picture(scene, Region(big_x, big_y, 400, 380), tile=229)
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


def test_the_same_plan_gives_the_same_bits(scene: Scene):
    region = Region(-100, -50, 300, 200)
    assert np.array_equal(picture(scene, region, tile=101, batch=4), picture(scene, region, tile=101, batch=4))


@pytest.mark.parametrize("period", [16, 272, 2224, 3200])
def test_a_cyclic_world_repeats_without_a_seam(tiny: Generator, period: int):
    scene = make_scene(tiny, seed=3, period=period)
    around = picture(scene, Region(-60, -20, 120, 60))
    assert_same_picture(picture(scene, Region(period - 60, -20, 120, 60)), around)
    assert_same_picture(picture(scene, Region(-60 - 5 * period, -20, 120, 60), tile=101), around)


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
@pytest.mark.parametrize("tile", [101, 485])
def test_the_gpu_draws_the_same_picture(tiny: Generator, scene: Scene, tile: int):
    import copy

    region = Region(-513, 77, 512, 512)
    on_gpu = make_scene(copy.deepcopy(tiny).cuda(), seed=5)
    assert_same_picture(picture(on_gpu, region, tile=tile, batch=4), picture(scene, region))
