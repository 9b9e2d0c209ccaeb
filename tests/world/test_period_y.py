"""Worlds that repeat along y: fields, coordinates, layouts and edits, each against the axis that is tested elsewhere."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from infgen.errors import WorldError
from infgen.geometry import Region, Span, Window
from infgen.model.config import preset
from infgen.rendering.palette import check_world
from infgen.world import fields, world_fields
from infgen.world.coordinates import encode
from infgen.world.edits import Edit
from infgen.world.layout import Layout
from infgen.world.layout_files import resolve
from infgen.world.overlaps import window_overlaps
from infgen.world.strokes import Stroke, StrokeTable, encode_points
from infgen.world.world import World
from tests.world.latents import SIZES, S, make_latents

SPAN = st.builds(Span, st.integers(-90, 90), st.integers(1, 40))
WINDOW = st.builds(Window, SPAN, SPAN)
PERIOD = st.none() | st.integers(1, 60)
LAPS = st.integers(-(10**9), 10**9)
Field = Callable[..., Tensor]


def _local(where: Window, **periods: int | None) -> Tensor:
    return fields.local_latent(17, where, channels=5, **periods)


def _noise(where: Window, **periods: int | None) -> Tensor:
    return fields.noise(17, where, conv=3, **periods)


def down(window: Window, rows: int) -> Window:
    return Window(window.x, Span(window.y.start + rows, window.y.size))


def turned(window: Window) -> Window:
    """The window of the transposed image."""
    return Window(window.y, window.x)


@pytest.mark.parametrize("field", [_local, _noise])
@given(window=WINDOW, half=st.integers(1, 30), period=st.none() | st.just(8), laps=LAPS)
def test_fields_repeat_along_y(field: Field, window: Window, half: int, period: int | None, laps: int) -> None:
    here, there = (field(part, period=period, period_y=2 * half) for part in (window, down(window, laps * 2 * half)))
    assert torch.equal(here, there)


@pytest.mark.parametrize("field", [_local, _noise])
def test_the_first_period_is_that_of_the_endless_world(field: Field) -> None:
    window = Window(Span(0, 12), Span(0, 16))
    assert torch.equal(field(window, period=12, period_y=16), field(window))


@given(cell=st.integers(-(2**40), 2**40), period=st.integers(1, 2000), laps=LAPS)
def test_texture_coordinates_repeat_along_y_as_along_x(cell: int, period: int, laps: int) -> None:
    cells, further, none = (torch.arange(n, n + 9)[None] for n in (cell, cell + laps * period, 0))
    along_y = encode(none, cells, system="texture", period_cells_y=period)
    assert torch.equal(along_y, encode(none, further, system="texture", period_cells_y=period))
    along_x = encode(cells, none, system="texture", period_cells=period)
    assert torch.equal(along_y[:, :2], along_x[:, 2:].transpose(2, 3))


@given(
    places=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(-99, 99), st.integers(-99, 99)), min_size=1, max_size=5
    ),
    window=WINDOW,
    period=PERIOD,
    period_y=PERIOD,
)
def test_a_layout_repeats_along_y_as_its_transpose_along_x(
    places: list[tuple[str, int, int]], window: Window, period: int | None, period_y: int | None
) -> None:
    styles = {"a": {"seed": 1}, "b": {"seed": 2}}
    upright, lying = (
        resolve(
            Layout.model_validate({"styles": styles, "centres": [{"style": s, "x": x, "y": y} for s, x, y in found]}),
            Region(0, 0, 9, 9),
            folder=Path(),
        )
        for found in (places, [(s, y, x) for s, x, y in places])
    )
    labels = upright.labels(window, period=period, period_y=period_y)
    assert np.array_equal(labels, lying.labels(turned(window), period=period_y, period_y=period).T)
    xs, ys = (range(span.start, span.stop) for span in (window.x, window.y))
    assert np.array_equal(labels, upright.labels_at(xs, ys, period=period, period_y=period_y))


def test_a_stroke_repeats_along_y_as_its_transpose_along_x() -> None:
    points = [(-30, 10), (20, 75)]
    upright, lying = (
        StrokeTable.of([Stroke(points=encode_points(found), radius=14, style="a")])
        for found in (points, [(y, x) for x, y in points])
    )
    xs, ys, periods = range(-70, 90), range(-110, 60), {"period": 64, "period_y": 48}
    swapped = {"period": 48, "period_y": 64}
    ground = np.ones((2, len(ys), len(xs)), np.float32) * np.array([1, 0], np.float32)[:, None, None]
    painted = upright.paint(ground, xs, ys, found=[0], rows={"a": 1}, **periods)
    turned_ground = ground.transpose(0, 2, 1)
    assert np.array_equal(
        painted, lying.paint(turned_ground, ys, xs, found=[0], rows={"a": 1}, **swapped).transpose(0, 2, 1)
    )
    assert np.array_equal(painted[:, 48:], painted[:, :-48])
    pixels = Window(Span(400, 9), Span(10**6, 9))
    assert upright.touching(pixels, **periods) == lying.touching(turned(pixels), **swapped)


@given(window=WINDOW, block=WINDOW, period=PERIOD, period_y=PERIOD)
def test_overlaps_along_y_are_those_of_the_transpose(
    window: Window, block: Window, period: int | None, period_y: int | None
) -> None:
    found = set(map(repr, window_overlaps(window, block, period=period, period_y=period_y)))
    lying = window_overlaps(turned(window), turned(block), period=period_y, period_y=period)
    assert found == {repr(((a[1], a[0]), (b[1], b[0]))) for a, b in lying}


@given(window=WINDOW, y=st.integers(-900, 900), h=st.integers(1, 20 * S), laps=st.integers(-9, 9))
def test_an_edit_shows_once_in_every_period_along_y(window: Window, y: int, h: int, laps: int) -> None:
    world = World(period_y=20 * S, edits=(Edit(x=-(2**20), y=y, w=2**21, h=h, seed=9),))
    here, there = (world_fields.local_latent(world, part, sizes=SIZES) for part in (window, down(window, 20 * laps)))
    assert torch.equal(here, there)
    edited = np.array([(S * row - y) % (20 * S) < h for row in range(window.y.start, window.y.stop)])
    plain = world_fields.local_latent(World(period_y=20 * S), window, sizes=SIZES)
    assert np.array_equal((here != plain).any(dim=0).any(dim=1).numpy(), edited)


def test_the_entry_is_kept_by_the_document_and_left_out_without_a_value() -> None:
    world = World(seed=1, period=64, period_y=128)
    assert World.from_json(world.to_json()) == world
    assert "period_y" not in World(seed=1, period=64).to_dict()
    assert World(seed=1, local_truncation=1.0, period_y=128).to_dict()["schema"] == 3


def test_a_model_with_a_horizon_does_not_repeat_along_y() -> None:
    with pytest.raises(WorldError, match="period_y 64 px: this model has a horizon, which does not repeat along y"):
        check_world(World(period_y=64), preset("tiny"))


def test_a_period_along_y_is_a_multiple_of_the_cell() -> None:
    with pytest.raises(WorldError, match=r"period_y 100 px is not a multiple .* nearest are 96 and 112"):
        check_world(World(period_y=100), preset("tiny", coordinates="texture"))


def test_an_edit_taller_than_the_period_is_refused() -> None:
    with pytest.raises(WorldError, match="edit 0 is 65 px tall; allowed is at most period_y, 64 px"):
        World(period_y=64, edits=(Edit(x=0, y=0, w=9, h=65, seed=1),))


def test_a_world_with_a_photograph_does_not_repeat_along_y(tmp_path: Path) -> None:
    make_latents(0, -4).save(tmp_path / "a.safetensors")
    world = World.from_inversions([tmp_path / "a.safetensors"])
    with pytest.raises(WorldError, match="a world with photographs cannot repeat along y"):
        world.replace(period_y=640)
