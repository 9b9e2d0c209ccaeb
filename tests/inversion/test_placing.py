"""Photographs at working size, and the detection of their horizon."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infgen.errors import InputError, LimitError
from infgen.inversion.placing import HORIZON_LIMITS, MIDDLE, find_horizon, place
from infgen.limits import MAX_INVERSION_PIXELS
from infgen.photo import Photograph, open_photograph
from tests.train.photos import landscape


def halves(share: float, *, height: int = 200, width: int = 150, grain: float = 0, seed: int = 0) -> Photograph:
    """A sky over a darker ground, with the horizon at ``share`` of the height."""
    rng = np.random.default_rng(seed)
    picture = np.empty((height, width, 3))
    line = round(share * height)
    picture[:line], picture[line:] = (150, 180, 230), (90, 80, 40)
    picture += rng.normal(0, grain, picture.shape) if grain else 0
    return open_photograph(picture.clip(0, 255).astype(np.uint8))


# Horizon


@given(st.floats(0.3, 0.7), st.sampled_from([0.0, 25.0]))
@settings(max_examples=25)
def test_the_line_between_two_bodies_of_colour_is_found(share: float, grain: float) -> None:
    found = find_horizon(halves(share, grain=grain))
    assert abs(found.fraction - share) < 0.02
    assert found.confidence is not None
    assert found.confidence > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_the_horizon_of_a_landscape_with_clouds_and_grain_is_found(seed: int) -> None:
    assert abs(find_horizon(open_photograph(landscape(seed))).fraction - 0.5) < 0.12


def test_a_sky_that_changes_evenly_does_not_hide_the_horizon() -> None:
    picture = np.zeros((200, 150, 3))
    picture[:90] = np.linspace(60, 250, 90)[:, None, None]
    picture[90:] = np.linspace(120, 90, 110)[:, None, None]
    assert abs(find_horizon(open_photograph(picture.astype(np.uint8))).fraction - 0.45) < 0.02


def test_a_line_of_grain_alone_is_found() -> None:
    picture = np.full((200, 150, 3), 120.0)
    picture[110:] += np.random.default_rng(0).normal(0, 40, (90, 150, 1))
    assert abs(find_horizon(open_photograph(picture.clip(0, 255).astype(np.uint8))).fraction - 0.55) < 0.04


@pytest.mark.parametrize(
    "picture",
    [
        np.full((200, 150, 3), 77, np.uint8),
        np.random.default_rng(0).integers(0, 256, (200, 150, 3)).astype(np.uint8),
        np.broadcast_to(np.linspace(0, 255, 200).astype(np.uint8)[:, None, None], (200, 150, 3)),
    ],
    ids=["one colour", "noise", "an even gradient"],
)
def test_without_a_line_the_horizon_is_the_middle(picture: np.ndarray) -> None:
    found = find_horizon(open_photograph(np.ascontiguousarray(picture)))
    assert (found.fraction, found.confidence) == (MIDDLE, 0.0)


def test_of_two_lines_the_one_nearer_to_the_middle_counts() -> None:
    picture = np.zeros((200, 150, 3), np.uint8)
    picture[55:105], picture[105:] = 110, 220
    assert abs(find_horizon(open_photograph(picture)).fraction - 105 / 200) < 0.02


@given(st.floats(0.3, 0.7))
@settings(max_examples=15)
def test_a_picture_upside_down_has_its_horizon_upside_down(share: float) -> None:
    photo = halves(share, grain=10)
    turned = open_photograph(np.ascontiguousarray(np.asarray(photo.image)[::-1]))
    assert abs(find_horizon(photo).fraction + find_horizon(turned).fraction - 1) < 0.03


def test_the_horizon_does_not_depend_on_the_size() -> None:
    found = {round(find_horizon(halves(0.4, height=h, width=h)).fraction, 2) for h in (97, 200, 433, 1000)}
    assert max(found) - min(found) < 0.02


def test_unknown_pixels_have_no_say_in_where_the_horizon_is() -> None:
    pixels = np.asarray(halves(0.4).image).copy()
    pixels[:, :75] = np.where(np.arange(200)[:, None, None] < 120, 255, 0)
    mask = np.full((200, 150), 255, np.uint8)
    mask[:, :75] = 0
    assert abs(find_horizon(open_photograph(pixels).with_mask(mask)).fraction - 0.4) < 0.02


def test_rows_without_a_known_pixel_do_not_disturb() -> None:
    mask = np.full((200, 150), 255, np.uint8)
    mask[20:50] = 0
    assert abs(find_horizon(halves(0.5).with_mask(mask)).fraction - 0.5) < 0.02


# Places


@pytest.mark.parametrize(
    ("size", "working"), [((300, 200), (296, 197)), ((640, 480), (263, 197)), ((90, 60), (296, 197))]
)
def test_the_working_picture_has_the_working_height(size: tuple[int, int], working: tuple[int, int]) -> None:
    placed = place(open_photograph(landscape(0, height=size[1], width=size[0])))
    assert placed.pixels.shape == (working[1], working[0], 3)
    assert (placed.region.w, placed.region.h) == working


@given(st.floats(*HORIZON_LIMITS), st.integers(32, 300))
@settings(max_examples=20)
def test_the_horizon_lies_at_row_0_of_the_world(horizon: float, height: int) -> None:
    placed = place(halves(0.5, height=60, width=60), height=height, horizon=horizon, x=5)
    assert abs(placed.y + horizon * height) <= 0.5
    assert placed.x == 5
    assert placed.horizon.confidence is None


def test_the_horizon_found_is_used() -> None:
    placed = place(halves(0.4), height=100)
    assert abs(placed.y + 40) <= 1


def test_a_photograph_of_working_size_keeps_its_pixels() -> None:
    pixels = landscape(0, height=50, width=70)
    assert np.array_equal(place(open_photograph(pixels), height=50).pixels, pixels)


def test_unknown_colours_are_not_mixed_into_known_pixels() -> None:
    pixels, mask = np.full((400, 400, 3), 90, np.uint8), np.full((400, 400), 255, np.uint8)
    pixels[:, :201], mask[:, :201] = 255, 0
    placed = place(open_photograph(pixels).with_mask(mask), height=100, horizon=0.5)
    assert placed.known[:, 52:].all()
    assert not placed.known[:, :50].any()
    assert np.abs(placed.pixels[placed.known].astype(int) - 90).max() <= 6


def test_the_target_is_the_picture_between_minus_1_and_1_at_its_place() -> None:
    pixels = landscape(0, height=50, width=70)
    target = place(open_photograph(pixels), height=50, horizon=0.5, x=-3).target()
    assert (target.x, target.y, target.mask) == (-3, -25, None)
    assert torch.equal(((target.picture + 1) * 127.5).round().byte(), torch.from_numpy(pixels).permute(2, 0, 1))


def test_the_target_of_a_masked_photograph_has_its_mask() -> None:
    mask = np.full((50, 70), 255, np.uint8)
    mask[:, :30] = 0
    target = place(open_photograph(landscape(0, height=50, width=70)).with_mask(mask), height=50, horizon=0.5).target()
    assert target.mask is not None
    assert target.mask.sum(0).tolist() == [0] * 30 + [50] * 40


@pytest.mark.parametrize("horizon", [-1.1, 2.5, float("nan"), float("inf")])
def test_a_horizon_out_of_range_is_refused(horizon: float) -> None:
    with pytest.raises(InputError, match="allowed are fractions of the height from -1 to 2"):
        place(halves(0.5), horizon=horizon)


@pytest.mark.parametrize("height", [31, 0, -197])
def test_a_height_that_is_too_small_is_refused(height: int) -> None:
    with pytest.raises(InputError, match=f"height {height} px is too small; allowed are 32 px"):
        place(halves(0.5), height=height)


def test_a_photograph_that_would_become_too_narrow_is_refused() -> None:
    with pytest.raises(InputError, match="array of 40 x 400 px would be 20 px wide at the working height of 197 px"):
        place(halves(0.5, height=400, width=40))


def test_too_many_working_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAX_INVERSION_PIXELS.name, "9999")
    with pytest.raises(LimitError, match="100 x 100 px at the working height of 100 px, over the limit of 9999"):
        place(halves(0.5, height=200, width=200), height=100)
