"""Style weights: exact ownership, exact shares, the same in every tile, and the official maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen.geometry import Span, Window
from infgen.world.mixing import Centre, Labels, StyleCounts, _nearest, covering, nearest_styles
from tests import oracle

PLACES = st.integers(-200, 200)
CENTRES = st.lists(st.builds(Centre, PLACES, PLACES, st.integers(0, 3)), min_size=1, max_size=6)
FAR = st.sampled_from([0, 2**31, -(2**32) - 3, 2**40 - 300, -(2**40) + 5])


def slowly(centres: list[Centre], window: Window) -> np.ndarray:
    """Pixel by pixel, in Python's integers."""

    def style(x: int, y: int) -> int:
        return min(centres, key=lambda c: (c.x - x) ** 2 + (c.y - y) ** 2).style

    rows, columns = range(window.y.start, window.y.stop), range(window.x.start, window.x.stop)
    return np.array([[style(x, y) for x in columns] for y in rows])


@given(CENTRES, FAR, FAR, PLACES, PLACES)
def test_a_pixel_belongs_to_its_nearest_centre_and_of_equals_to_the_first(
    centres: list[Centre], far_x: int, far_y: int, x: int, y: int
) -> None:
    moved = [Centre(c.x + far_x, c.y + far_y, c.style) for c in centres]
    window = Window(Span(x + far_x, 13), Span(y + far_y, 9))
    assert np.array_equal(nearest_styles(moved, window), slowly(moved, window))


@given(CENTRES, FAR, FAR, PLACES, PLACES, st.integers(1, 9))
def test_positions_apart_have_the_styles_of_their_pixels(
    centres: list[Centre], far_x: int, far_y: int, x: int, y: int, halvings: int
) -> None:
    step = 1 << halvings
    moved = [Centre(c.x + far_x, c.y + far_y, c.style) for c in centres]
    window = Window(Span((x + far_x) // step, 70), Span((y + far_y) // step, 3))
    found = nearest_styles(moved, window, step=step)
    for row, column in ((0, 0), (2, 69), (1, 63), (1, 64), (2, 30)):
        pixel = Window(Span(step * (window.x.start + column), 1), Span(step * (window.y.start + row), 1))
        assert found[row, column] == slowly(moved, pixel)[0, 0]


@given(CENTRES)
def test_centres_at_the_ends_of_the_world_are_compared_exactly(centres: list[Centre]) -> None:
    ends = [Centre(c.x + sign * 2**40, c.y - sign * 2**40, c.style) for c in centres for sign in (1, -1)]
    window = Window(Span(-5, 11), Span(-4, 9))
    assert np.array_equal(nearest_styles(ends, window), slowly(ends, window))
    far_apart = nearest_styles(ends, Window(Span(-64, 128), Span(0, 1)), step=512)
    for column in (0, 63, 64, 127):
        assert far_apart[0, column] == slowly(ends, Window(Span(512 * (column - 64), 1), Span(0, 1)))[0, 0]


def test_many_centres_are_as_exact_as_few() -> None:
    rng = np.random.default_rng(0)
    centres = [Centre(int(x), int(y), i) for i, (x, y) in enumerate(rng.integers(-3000, 3000, (1000, 2)))]
    window = Window(Span(-70, 140), Span(11, 90))
    labels = nearest_styles(centres, window)
    picked = rng.integers(0, [90, 140], (200, 2))
    for row, column in picked:
        one = Window(Span(-70 + int(column), 1), Span(11 + int(row), 1))
        assert labels[row, column] == slowly(centres, one)[0, 0]


def test_no_centre_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one centre"):
        nearest_styles([], Window(Span(0, 1), Span(0, 1)))


def test_pixels_are_compared_only_near_the_border_between_two_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def record(centres: list[Centre], block: Window, step: int) -> Labels:
        compared.append(block)
        return _nearest(centres, block, step)

    monkeypatch.setattr("infgen.world.mixing._nearest", record)
    nearest_styles([Centre(-8, 0, 0), Centre(8, 0, 1)], Window(Span(-1000, 2048), Span(-1000, 2048)))
    assert len(compared) == 16  # a column of 16 of 256 blocks


def count(labels: Labels, window: Window) -> StyleCounts:
    return StyleCounts.of(labels, window, styles=tuple(int(n) for n in np.unique(labels)))


def counts(centres: list[Centre], x: Span, y: Span, spacing: int, transition: int) -> StyleCounts:
    window = covering(x, y, spacing=spacing, transition=transition)
    return count(nearest_styles(centres, window), window)


@given(CENTRES, st.sampled_from([1, 3, 15]), st.sampled_from([1, 2, 16]))
def test_a_weight_is_the_share_of_its_square(centres: list[Centre], transition: int, spacing: int) -> None:
    x, y = Span(-2, 4), Span(1, 3)
    found = counts(centres, x, y, spacing, transition)
    weights = found.weights(x, y, spacing=spacing, transition=transition)
    half = transition // 2
    for row, column in ((0, 0), (2, 3), (1, 2)):
        px, py = (x.start + column) * spacing, (y.start + row) * spacing
        square = slowly(centres, Window(Span(px - half, transition), Span(py - half, transition)))
        for i, style in enumerate(found.styles):
            assert weights[i, row, column] == np.float32(np.mean(square == style))


@given(CENTRES, st.sampled_from([1, 7, 127]))
def test_weights_sum_to_one(centres: list[Centre], transition: int) -> None:
    x, y = Span(-5, 11), Span(-3, 9)
    weights = counts(centres, x, y, 16, transition).weights(x, y, spacing=16, transition=transition)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)


@given(CENTRES, st.integers(0, 6), st.integers(0, 5))
def test_a_part_of_a_window_has_the_weights_of_the_whole(centres: list[Centre], right: int, down: int) -> None:
    x, y = Span(-5, 11), Span(-3, 9)
    part_x, part_y = Span(x.start + right, x.size - 6), Span(y.start + down, y.size - 5)
    whole = counts(centres, x, y, 8, 31)
    part = counts(centres, part_x, part_y, 8, 31)
    weights = whole.weights(x, y, spacing=8, transition=31)[:, down : down + part_y.size, right : right + part_x.size]
    found = part.weights(part_x, part_y, spacing=8, transition=31)
    for i, style in enumerate(whole.styles):
        expected = found[part.styles.index(style)] if style in part.styles else np.zeros_like(weights[i])
        assert np.array_equal(weights[i], expected)


def test_a_square_that_leaves_the_window_is_an_error() -> None:
    window = Window(Span(0, 20), Span(0, 20))
    found = count(np.zeros((20, 20), np.int32), window)
    with pytest.raises(ValueError, match="leave the window"):
        found.weights(Span(0, 4), Span(8, 4), spacing=1, transition=3)


COMPACT = "fusion_small_c3_k127"
FILES = ("fusion_small_c2_k31", "fusion_small_c2_k127", "fusion_small_c3_k31", "fusion_small_c3_k127")


@pytest.fixture(scope="module", params=["compact", *FILES])
def data(request: pytest.FixtureRequest) -> dict[str, oracle.Array]:
    return oracle.load(COMPACT) if request.param == "compact" else oracle.full(request.param)


def test_the_official_map_is_ours_but_for_its_truncated_offsets_and_ties(data: dict[str, oracle.Array]) -> None:
    official = data["nearest_index"]
    height, width = official.shape
    rows, columns = np.mgrid[:height, :width]
    offsets = [(rows - float(y), columns - float(x)) for y, x in data["meta_centers_px"]]
    truncated = np.stack([np.trunc(dy) ** 2 + np.trunc(dx) ** 2 for dy, dx in offsets])
    chosen = np.take_along_axis(truncated, official[None].astype(np.int64), axis=0)[0]
    assert np.array_equal(chosen, truncated.min(0))
    centres = [Centre(round(float(x)), round(float(y)), i) for i, (y, x) in enumerate(data["meta_centers_px"])]
    labels = nearest_styles(centres, Window(Span(0, width), Span(0, height)))
    exact = np.sort(np.stack([np.hypot(dy, dx) for dy, dx in offsets]), axis=0)
    clear = exact[1] - exact[0] > 3  # a whole pixel may be cut from both offsets of both centres
    assert np.array_equal(labels[clear], official[clear])


def test_the_official_weights_are_shares_of_squares_of_the_official_map(data: dict[str, oracle.Array]) -> None:
    side, reach = int(data["blur_kernel"]), int(data["blur_kernel"]) // 2
    height, width = data["nearest_index"].shape
    labels = np.pad(data["nearest_index"], reach, mode="edge").astype(np.int32)
    found = count(labels, Window(Span(-reach, width + 2 * reach), Span(-reach, height + 2 * reach)))
    weights = found.weights(Span(0, width), Span(0, height), spacing=1, transition=side)
    weights = oracle.select(data, "map_pixel", weights[None])
    np.testing.assert_allclose(weights, data["map_pixel"], atol=3e-4 if side > 100 else 1e-5)
