"""Brush strokes: exact shares that no tiling, distance or period changes, an eraser, and one-line errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen import World
from infgen.errors import WorldError
from infgen.geometry import Span, Window
from infgen.world.layout import ResolvedLayout
from infgen.world.strokes import MAX_POINTS, Stroke, StrokeTable, encode_points

PLACES = st.tuples(st.integers(-150, 150), st.integers(-150, 150))
FAR = st.sampled_from([0, 2**31, -(2**32) - 3, 2**40 - 400, -(2**40) + 400])
HARDNESSES = st.sampled_from([0.0, 0.3, 0.5, 1.0])
ROWS = {"a": 0, "b": 1, "c": 2}
SIZE = 40


@st.composite
def strokes(draw: st.DrawFn) -> list[tuple[list[tuple[int, int]], int, float, str | None]]:
    one = st.tuples(
        st.lists(PLACES, min_size=1, max_size=4), st.integers(1, 90), HARDNESSES, st.sampled_from([None, "b", "c"])
    )
    return draw(st.lists(one, min_size=1, max_size=5))


def table(parts: list, dx: int = 0, dy: int = 0) -> StrokeTable:
    return StrokeTable.of(
        [
            Stroke(points=encode_points([(x + dx, y + dy) for x, y in points]), radius=r, hardness=h, style=style)
            for points, r, h, style in parts
        ]
    )


def painted(found: StrokeTable, xs: range, ys: range, period: int | None = None) -> np.ndarray:
    ground = np.zeros((3, len(ys), len(xs)), np.float32)
    ground[0] = 1
    window = Window(Span(xs[0], xs[-1] - xs[0] + 1), Span(ys[0], ys[-1] - ys[0] + 1))
    touching = found.touching(window, period=period)
    return found.paint(ground, xs, ys, found=touching, rows=ROWS, period=period)


@given(strokes(), FAR, FAR, PLACES, st.integers(1, 9))
def test_a_position_has_the_same_weights_in_every_window_and_at_every_distance(parts, dx, dy, corner, cut):
    (x, y), size = corner, SIZE
    here = painted(table(parts), range(x, x + size), range(y, y + size))
    far = table(parts, dx, dy)
    there = painted(far, range(x + dx, x + dx + size), range(y + dy, y + dy + size))
    assert np.array_equal(here, there)
    part = painted(far, range(x + dx + cut, x + dx + size - cut), range(y + dy, y + dy + cut))
    assert np.array_equal(part, there[:, :cut, cut:-cut])


@given(strokes(), PLACES, st.sampled_from([2, 8, 32]))
def test_a_coarse_lattice_has_the_weights_of_its_pixels(parts, corner, step):
    x, y = (step * (value // step) for value in corner)
    whole = painted(table(parts), range(x, x + 4 * step), range(y, y + 4 * step))
    apart = painted(table(parts), range(x, x + 4 * step, step), range(y, y + 4 * step, step))
    assert np.array_equal(apart, whole[:, ::step, ::step])


@given(strokes(), PLACES)
def test_weights_sum_to_1(parts, corner):
    x, y = corner
    found = painted(table(parts), range(x, x + SIZE), range(y, y + SIZE))
    assert np.abs(found.sum(0) - 1).max() < 1e-6
    assert found.min() >= 0


@given(strokes(), PLACES, st.sampled_from([64, 128, 192, 640]))
def test_a_cyclic_world_repeats_its_strokes(parts, corner, period):
    x, y = corner
    first = painted(table(parts), range(x, x + SIZE), range(y, y + SIZE), period)
    turn = period * (2**32 // period)
    assert np.array_equal(painted(table(parts), range(x + turn, x + turn + SIZE), range(y, y + SIZE), period), first)
    copies = [
        ([(px + k * period, py) for px, py in points], r, h, style)
        for points, r, h, style in parts
        for k in range(-9, 10)
    ]
    if all(h == 1 for _, _, h, _ in parts):  # then copies of one stroke cover like one
        plain = painted(table(copies), range(x, x + SIZE), range(y, y + SIZE))
        assert np.array_equal(first, plain)


def test_opacity_follows_the_distance_to_the_line():
    line = table([([(0, 0), (100, 0)], 10, 0.5, "b")])
    weights = painted(line, range(50, 51), range(12))[1, :, 0]
    assert weights[:6].tolist() == [1] * 6
    assert weights[10:].tolist() == [0, 0]
    assert np.all(np.diff(weights[5:11]) < 0)


def test_a_hard_stroke_covers_exactly_the_positions_within_its_radius():
    disc = painted(table([([(0, 0)], 5, 1.0, "b")]), range(-6, 7), range(-6, 7))[1]
    xs, ys = np.meshgrid(range(-6, 7), range(-6, 7))
    assert np.array_equal(disc, (xs**2 + ys**2 <= 25).astype(np.float32))


def test_every_position_has_the_distance_to_the_nearest_segment():
    rng = np.random.default_rng(3)
    points = [(int(x), int(y)) for x, y in rng.integers(-900, 900, (40, 2))]
    found = painted(table([(points, 400, 0.0, "b")]), range(-300, 300, 7), range(-200, 200, 7))[1]
    a, b = np.array(points[:-1], float), np.array(points[1:], float)
    for row, column in rng.integers(0, found.shape, (60, 2)):
        p = np.array([-300 + 7 * column, -200 + 7 * row], float)
        along = np.clip(((p - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)
        rise = max(0, 1 - np.hypot(*(a + along[:, None] * (b - a) - p).T).min() / 400)
        assert abs(found[row, column] - rise * rise * (3 - 2 * rise)) < 1e-6


def test_the_eraser_restores_the_layout_below_earlier_strokes_only():
    parts = [([(0, 0)], 9, 1.0, "b"), ([(0, 0)], 5, 1.0, None), ([(0, 0)], 2, 1.0, "c")]
    weights = painted(table(parts), range(10), range(1))[:, 0]
    assert weights.argmax(0).tolist() == [2] * 3 + [0] * 3 + [1] * 4


def test_a_stroke_that_does_not_reach_a_window_is_not_found():
    found = table([([(0, 0), (50, 0)], 10, 1.0, "b")])
    assert found.touching(Window(Span(61, 5), Span(0, 5)), period=None) == []
    assert found.touching(Window(Span(60, 5), Span(10, 5)), period=None) == [0]
    assert found.touching(Window(Span(61 + 640, 5), Span(0, 5)), period=640) == []
    assert found.touching(Window(Span(60 - 640, 5), Span(0, 5)), period=640) == [0]


STYLES = [{"name": "a", "seed": 1}, {"name": "b", "seed": 2}]
STROKE = {"points": "0 0 40 0", "radius": 10, "style": "b"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points": "nan 0"}, "whole px"),
        ({"points": "0 0 1"}, "whole px"),
        ({"points": "0.5 0"}, "whole px"),
        ({"points": ""}, "whole px"),
        ({"points": f"{2**40 + 1} 0"}, "leaves the canvas"),
        ({"points": " ".join(["0 0"] * (MAX_POINTS + 1))}, f"at most {MAX_POINTS}"),
        ({"radius": 0}, "strokes.0.radius is 0"),
        ({"radius": 10.5}, "strokes.0.radius is 10.5"),
        ({"hardness": float("nan")}, "strokes.0.hardness is nan"),
        ({"hardness": 1.5}, "strokes.0.hardness is 1.5"),
        ({"style": "hills"}, "stroke 0 has style 'hills', which is not given; styles are a, b"),
        ({"colour": 1}, "unknown entry 'colour'"),
    ],
)
def test_an_illegal_stroke_is_one_line(changes, words):
    layout = {"styles": STYLES, "transition": 1, "strokes": [STROKE | changes]}
    with pytest.raises(WorldError, match=words) as raised:
        World(layout=layout)
    assert "\n" not in str(raised.value)


def test_a_world_with_strokes_is_written_in_schema_3_and_read_again():
    world = World(layout={"styles": STYLES, "transition": 1, "strokes": [STROKE, {"points": "5 5", "radius": 3}]})
    assert world.to_dict()["schema"] == 3
    assert World.from_json(world.to_json()) == world


def test_a_world_without_strokes_is_written_as_before():
    world = World(layout={"styles": STYLES[:1], "transition": 1})
    assert world.to_dict()["schema"] == 2
    assert "strokes" not in world.to_dict()["layout"]


def test_the_map_shows_strokes_over_the_ground():
    layout = ResolvedLayout(styles=STYLES, transition=1, strokes=[STROKE | {"hardness": 1.0}])
    assert layout.labels_at([-20, 0, 20], [0, 11]).tolist() == [[0, 1, 1], [0, 0, 0]]
