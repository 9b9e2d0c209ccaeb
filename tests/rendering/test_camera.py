"""The way of a camera: where it is, how it starts and stops."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen.errors import InputError
from infgen.rendering.camera import Camera, frame_times, parse_point, parse_zoom


def path(camera: Camera, count: int = 1001) -> np.ndarray:
    return np.array([(pose.x, pose.y) for pose in map(camera.pose, frame_times(count))])


def test_a_straight_way_begins_and_ends_at_its_points_and_passes_the_middle_in_the_middle():
    assert path(Camera(((0, 10), (100, -10))), 3).tolist() == [[0, 10], [50, 0], [100, -10]]


def test_the_camera_starts_and_stops_smoothly():
    steps = np.diff(path(Camera(((0, 0), (1000, 0)))), axis=0)[:, 0]
    assert steps.min() > 0
    assert max(steps[0], steps[-1]) < 1e-4 * steps.max()
    assert np.abs(np.diff(steps)).max() < 0.01 * steps.max()


def test_a_curved_way_passes_its_points():
    points = ((0, 0), (300, 100), (500, -200), (900, 0))
    found = path(Camera(points), 20_001)
    for point in points:
        assert np.hypot(*(found - point).T).min() < 0.2


def test_the_speed_on_a_curve_is_that_on_a_line():
    curve = path(Camera(((0, 0), (300, 100), (500, -200), (900, 0))))
    lengths = np.hypot(*np.diff(curve, axis=0).T)
    straight = np.diff(path(Camera(((0, 0), (lengths.sum(), 0)))), axis=0)[:, 0]
    assert np.abs(lengths - straight).max() < 0.02 * straight.max()


def test_the_way_is_exact_far_from_the_origin():
    far = 2.0**40 - 1000
    near, there = Camera(((0, 0), (300, 0), (500, 90))), Camera(((far, 0), (far + 300, 0), (far + 500, 90)))
    assert np.abs(path(there) - [far, 0] - path(near)).max() < 1e-3


def test_zoom_changes_by_equal_factors():
    zooms = [Camera(((0, 0), (1, 0)), (1, 0.25)).pose(t).zoom for t in (0, 0.5, 1)]
    assert zooms == pytest.approx([1, 0.5, 0.25])


def test_a_camera_may_stand_and_zoom():
    assert Camera(((5, 5), (5, 5)), (1, 2)).pose(0.5).x == 5


def test_points_may_repeat_on_the_way():
    assert np.isfinite(path(Camera(((0, 0), (0, 0), (90, 0), (90, 0), (0, 50))))).all()


@pytest.mark.parametrize(
    ("points", "zoom", "message"),
    [
        (((0, 0),), (1, 1), "needs two points"),
        (((3, 4), (3, 4)), (1, 1), "the camera does not move"),
        (((0, 0), (2.0**41, 0)), (1, 1), "out of range"),
        (((0, 0), (float("nan"), 0)), (1, 1), "out of range"),
        (((0, 0), (1, 0)), (0.001, 1), "zoom 0.001 is out of range"),
    ],
)
def test_a_camera_without_a_way_is_refused(
    points: tuple[tuple[float, float], ...], zoom: tuple[float, float], message: str
):
    with pytest.raises(InputError, match=message):
        Camera(points, zoom)


@pytest.mark.parametrize(("text", "point"), [("0,-64", (0, -64)), (" 1.5 , 2 ", (1.5, 2))])
def test_a_point_is_two_numbers(text: str, point: tuple[float, float]):
    assert parse_point(text, "--to") == point


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "1e3,2", "nan,0", "inf,0", "٣,0"])
def test_what_is_no_point_is_refused_with_its_option(text: str):
    with pytest.raises(InputError, match=r"--to .* is not a point"):
        parse_point(text, "--to")


@pytest.mark.parametrize(("text", "zoom"), [("1", (1, 1)), ("1:0.25", (1, 0.25)), (" 2 : 4 ", (2, 4))])
def test_a_zoom_is_one_number_or_two(text: str, zoom: tuple[float, float]):
    assert parse_zoom(text) == zoom


@given(st.text(alphabet="0123456789.:- ", max_size=12))
def test_any_text_is_a_zoom_or_is_refused(text: str):
    with suppress(InputError):
        assert all(value >= 0 for value in parse_zoom(text))
