"""Plans cover every region exactly once, for all models, tiles and positions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen import geometry
from infgen.errors import InputError, LimitError
from infgen.geometry import PX_LIMIT, Region
from infgen.model.config import GeneratorConfig, preset
from infgen.rendering.cost import peak_bytes, tile_flops
from infgen.rendering.plan import MIN_TILE_CELLS, make_plan, same_plan, tile_option_cells

POSITIONS = st.integers(-3000, 3000) | st.integers(-PX_LIMIT, PX_LIMIT - 3000)


def config_of(levels: int) -> GeneratorConfig:
    return GeneratorConfig((4,) * (2 * levels), local_channels=4, global_channels=4)


@st.composite
def plans(draw: st.DrawFn):  # type: ignore[no-untyped-def]
    levels = draw(st.integers(1, 6))
    config = config_of(levels)
    region = Region(draw(POSITIONS), draw(POSITIONS), draw(st.integers(1, 700)), draw(st.integers(1, 700)))
    cells = draw(st.none() | st.integers(MIN_TILE_CELLS, 40))
    tile = None if cells is None else geometry.tile_px(cells, levels=levels)
    memory = draw(st.sampled_from([1, 10**6, 10**12]))
    return make_plan(region, config, memory=memory, tile_px=tile, batch=draw(st.integers(1, 5)))


@given(plans())
def test_every_pixel_of_the_region_belongs_to_exactly_one_tile(plan):
    covered = np.zeros((plan.region.h, plan.region.w), np.int32)
    for index in range(plan.batch_count):
        for tile in plan.batch_tiles(index):
            height, width = tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
            covered[tile.y : tile.y + height, tile.x : tile.x + width] += 1
    assert covered.min() == covered.max() == 1


@given(plans())
def test_owned_pixels_lie_inside_the_tile_at_their_global_position(plan):
    height, width = plan.tile_px
    levels = plan.across.levels
    for index in range(plan.tile_count):
        tile = plan.tile(index)
        assert 0 <= tile.rows.start < tile.rows.stop <= height
        assert 0 <= tile.columns.start < tile.columns.stop <= width
        assert geometry.first_px(tile.position.cell_x, levels=levels) + tile.columns.start == plan.region.x + tile.x
        assert geometry.first_px(tile.position.cell_y, levels=levels) + tile.rows.start == plan.region.y + tile.y


@given(plans())
def test_the_tiles_own_the_boxes_of_a_regular_grid(plan):
    assert plan.grid.count == plan.tile_count
    for index in range(plan.tile_count):
        tile, box = plan.tile(index), plan.grid.box(index)
        assert (tile.x, tile.y) == (box.x, box.y)
        assert (tile.columns.stop - tile.columns.start, tile.rows.stop - tile.rows.start) == (box.w, box.h)


@given(plans())
def test_a_plan_is_found_again_from_its_region_tile_and_batch(plan):
    levels = plan.across.levels
    assert same_plan(plan.region, tile_px=plan.tile_px, batch=plan.batch, levels=levels) == plan


@given(plans())
def test_batches_hold_all_tiles_and_only_the_last_is_short(plan):
    sizes = [len(plan.batch_tiles(i)) for i in range(plan.batch_count)]
    assert sum(sizes) == plan.tile_count
    assert len(sizes) == plan.batch_count
    assert all(size == plan.batch for size in sizes[:-1])


def test_an_automatic_tile_is_no_larger_than_the_region_needs():
    plan = make_plan(Region(0, 0, 300, 200), config_of(4), memory=2**40)
    assert plan.tile_count == 1
    assert plan.tile_px[0] < 200 + 32
    assert plan.tile_px[1] < 300 + 32


def test_an_automatic_tile_fits_the_memory_given():
    config = preset("scenery-101")
    memory = 2**30
    plan = make_plan(Region(0, 0, 5000, 5000), config, memory=memory)
    assert peak_bytes(config, plan.cells, bytes_per_value=4) <= memory


def test_batch_memory_counts_every_tile_of_the_batch():
    config = preset("scenery-101")
    one, eight = (make_plan(Region(0, 0, 5000, 5000), config, memory=2**30, batch=b) for b in (1, 8))
    assert eight.tile_px < one.tile_px


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5, 6, 7])
def test_tile_sizes_that_no_cells_give_are_refused_with_the_nearest(levels: int):
    s = 2**levels
    legal = geometry.tile_px(20, levels=levels)
    assert tile_option_cells(legal, levels=levels) == 20
    with pytest.raises(InputError, match=f"nearest: {legal} and {legal + s}"):
        tile_option_cells(legal + 1, levels=levels)


@pytest.mark.parametrize("tile", [-5, 0, 1, 5, 20])
def test_tiles_below_the_smallest_are_refused(tile: int):
    with pytest.raises(InputError, match="nearest: 37"):
        tile_option_cells(tile, levels=4)


@pytest.mark.parametrize(
    ("region", "error"),
    [
        ((0, 0, 0, 5), InputError),
        ((0, 0, 5, -1), InputError),
        ((PX_LIMIT - 4, 0, 5, 5), LimitError),
        ((0, -PX_LIMIT - 1, 5, 5), LimitError),
    ],
)
def test_impossible_regions_are_refused(region: tuple[int, int, int, int], error: type[Exception]):
    with pytest.raises(error):
        Region(*region)


@given(*[st.integers(-(2**40), 2**40 - 1)] * 2, *[st.integers(1, 2**20)] * 2, st.integers(0, 9))
def test_a_coarser_region_is_the_fewest_pixels_that_cover_it(x: int, y: int, w: int, h: int, halvings: int):
    step = 1 << halvings
    region = Region(x, y, min(w, 2**40 - x), min(h, 2**40 - y))
    coarse = region.coarser(halvings)
    for low, size, found, count in ((region.x, region.w, coarse.x, coarse.w), (region.y, region.h, coarse.y, coarse.h)):
        assert found * step <= low < (found + 1) * step
        assert (found + count - 1) * step < low + size <= (found + count) * step


def test_the_corners_of_the_canvas_are_allowed():
    assert Region(-PX_LIMIT, PX_LIMIT - 5, 5, 5).pixels == 25


@pytest.mark.parametrize("batch", [0, -1, 1025])
def test_impossible_batches_are_refused(batch: int):
    with pytest.raises(InputError, match="batch"):
        make_plan(Region(0, 0, 5, 5), config_of(4), memory=2**30, batch=batch)


def test_more_pixels_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INFGEN_MAX_PIXELS", "999")
    with pytest.raises(LimitError, match="INFGEN_MAX_PIXELS"):
        make_plan(Region(0, 0, 100, 10), config_of(4), memory=2**30)


def test_tiles_have_the_cost_stated_in_the_design():
    config = preset("scenery-101")
    per_pixel = {n: tile_flops(config, (n, n)) / (16 * (n - 5)) ** 2 for n in (11, 67, 1000)}  # each owns one step
    assert per_pixel[11] == pytest.approx(10.6e6, rel=0.01)
    assert per_pixel[1000] == pytest.approx(7.9e6, rel=0.02)
    assert per_pixel[11] / per_pixel[1000] == pytest.approx(1.35, abs=0.03)
    assert per_pixel[67] / per_pixel[1000] == pytest.approx(1.04, abs=0.02)
