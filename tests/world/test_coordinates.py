"""Coordinate encodings against the official numbers and against float64 references."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from infgen.world.coordinates import HORIZONTAL_PERIOD, encode, turns
from tests import oracle

HUGE = 10**12
COLUMN = st.one_of(st.integers(-500, 500), st.integers(HUGE - 200, HUGE + 200), st.integers(-HUGE - 200, -HUGE + 200))

properties = settings(deadline=None, max_examples=40)


def official(key: str) -> Tensor:
    return torch.from_numpy(oracle.load("coords")[key].copy())


def run(start: int, size: int) -> Tensor:
    """Consecutive cells (1, size)."""
    return torch.arange(start, start + size).unsqueeze(0)


def centre(size: int) -> Tensor:
    """Rows (1, size) with the horizon in the middle."""
    return run(-(size // 2), size)


def training_cells() -> tuple[Tensor, Tensor]:
    """Columns and rows (8, 35) of the training samples; the official grid wraps from column 139 to column 0."""
    offsets = torch.arange(35)
    columns = (official("train_y_st").long().unsqueeze(1) + offsets) % 140
    return columns, official("train_x_st").long().unsqueeze(1) + offsets - 22


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


def test_the_training_grid_is_cells_minus_22_to_22_and_0_to_139() -> None:
    mesh = official("const_mesh")
    grid = torch.stack((mesh[0].tanh(), (math.pi * mesh[1]).cos(), (math.pi * mesh[2]).sin())).unsqueeze(0)
    assert_equal(encode(run(0, 140), run(-22, 45), system="scenery"), grid)


def test_training_samples_match_before_the_wrap() -> None:
    starts = official("train_y_st").long()
    columns = starts.unsqueeze(1) + torch.arange(35)
    inside = (columns < 140).view(8, 1, 1, 35)
    ours = encode(columns, training_cells()[1], system="scenery")
    assert_equal(torch.where(inside, ours, 0), torch.where(inside, official("train_coords_noperturb"), 0))


def test_the_official_wrap_repeats_one_column_so_ours_is_one_cell_ahead_after_it() -> None:
    starts = official("train_y_st").long()
    columns = starts.unsqueeze(1) + torch.arange(35)
    wrapped = (columns >= 140).view(8, 1, 1, 35)
    assert bool(wrapped.any())
    ours = encode(columns - 1, training_cells()[1], system="scenery")
    assert_equal(torch.where(wrapped, ours, 0), torch.where(wrapped, official("train_coords_noperturb"), 0))


def test_jitter_shifts_every_channel_by_itself() -> None:
    columns, rows = training_cells()
    jitter = official("train_perturb") / torch.tensor([0.3, 2 / 139, 2 / 139])
    assert_equal(encode(columns, rows, system="scenery", jitter=jitter), official("train_coords_perturbed"))


@pytest.mark.parametrize(("height", "width"), [(35, 35), (47, 59), (53, 101), (35, 163)])
def test_test_time_fields_are_centred_rows_and_columns_from_0(height: int, width: int) -> None:
    assert_equal(encode(run(0, width), centre(height), system="scenery"), official(f"test_coords_{height}x{width}"))


def test_the_official_panorama_of_140_cells_is_a_cyclic_world_of_one_turn() -> None:
    assert turns(140) == 1
    assert_equal(encode(run(0, 140), centre(35), system="scenery", period_cells=140), official("pano_coords_35x140"))


def test_a_panorama_of_300_cells_turns_twice_where_the_official_one_turns_once() -> None:
    assert turns(300) == 2
    once = official("pano_coords_47x300")[..., torch.arange(0, 600, 2) % 300]
    assert_equal(encode(run(0, 300), centre(47), system="scenery", period_cells=300), once)


def test_a_cell_10_to_the_12_away_is_as_exact_as_its_twin_near_0() -> None:
    near = encode(run(HUGE % 139, 200), run(0, 2), system="scenery")
    assert torch.equal(encode(run(HUGE, 200), run(0, 2), system="scenery"), near)


@properties
@given(cell_x=COLUMN, cell_y=st.integers(-60, 60))
def test_scenery_follows_the_float64_formula(cell_x: int, cell_y: int) -> None:
    angle = 2 * math.pi * (cell_x % 139) / 139 - math.pi
    expected = torch.tensor([math.tanh(0.3 * cell_y), math.cos(angle), math.sin(angle)]).view(1, 3, 1, 1)
    assert_equal(encode(run(cell_x, 1), run(cell_y, 1), system="scenery"), expected)


@properties
@given(cell_x=COLUMN, cell_y=COLUMN)
def test_texture_is_periodic_both_ways(cell_x: int, cell_y: int) -> None:
    vertical, horizontal = (2 * math.pi * (c % 139) / 139 - math.pi for c in (cell_y, cell_x))
    values = [math.cos(vertical), math.sin(vertical), math.cos(horizontal), math.sin(horizontal)]
    assert_equal(encode(run(cell_x, 1), run(cell_y, 1), system="texture"), torch.tensor(values).view(1, 4, 1, 1))


def test_objects_have_constant_coordinates() -> None:
    assert torch.equal(encode(run(HUGE, 5), run(-HUGE, 4), system="object"), torch.ones(1, 1, 4, 5))


@pytest.mark.parametrize(("cell_y", "limit"), [(40, 1.0), (HUGE, 1.0), (-40, -1.0), (-HUGE, -1.0)])
def test_height_saturates_at_exactly_one(cell_y: int, limit: float) -> None:
    assert float(encode(run(0, 1), run(cell_y, 1), system="scenery")[0, 0]) == limit


def test_the_horizon_is_exactly_zero() -> None:
    assert float(encode(run(0, 1), run(0, 1), system="scenery")[0, 0]) == 0


@properties
@given(cell_x=COLUMN, period=st.integers(1, 2000), laps=st.integers(-(10**9), 10**9))
def test_a_cyclic_world_repeats_bit_for_bit(cell_x: int, period: int, laps: int) -> None:
    here = encode(run(cell_x, 9), run(0, 1), system="scenery", period_cells=period)
    there = encode(run(cell_x + laps * period, 9), run(0, 1), system="scenery", period_cells=period)
    assert torch.equal(here, there)


@properties
@given(period=st.integers(1, 10**6))
def test_a_cyclic_world_makes_the_whole_number_of_turns_nearest_to_the_trained_rate(period: int) -> None:
    best = turns(period)
    error = {count: abs(count / period - 1 / HORIZONTAL_PERIOD) for count in (best - 1, best, best + 1)}
    assert error[best] <= min(error.values()) + 1e-15


@pytest.mark.parametrize("laps", [1, 2, 7])
def test_a_period_of_whole_turns_changes_nothing(laps: int) -> None:
    cyclic = encode(run(-50, 300), run(0, 1), system="scenery", period_cells=laps * 139)
    assert_equal(cyclic, encode(run(-50, 300), run(0, 1), system="scenery"))


def test_batches_take_their_own_columns_and_rows() -> None:
    columns, rows = torch.tensor([[0, 1, 2], [70, 71, 72]]), torch.tensor([[0, 1], [-5, -4]])
    batch = encode(columns, rows, system="texture")
    alone = [encode(columns[i : i + 1], rows[i : i + 1], system="texture") for i in range(2)]
    assert torch.equal(batch, torch.cat(alone))
    assert batch.dtype == torch.float32
