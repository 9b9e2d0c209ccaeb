"""Photographs pasted into generated images: kept pixels, unchanged pixels, and no visible edge."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infgen.rendering import compositing
from infgen.rendering.compositing import REACHES_PX, enlarge, match_colours, paste, ramp
from tests.train.photos import landscape

HEIGHT, WIDTH = 40, 90


def noise(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def joined(generated: np.ndarray, photo: np.ndarray, known: np.ndarray, *, x: int, y: int, feather: int) -> np.ndarray:
    return paste(match_colours(generated, photo, known, x=x, y=y), photo, known, x=x, y=y, feather=feather)


def deep(known: np.ndarray, reach: int) -> np.ndarray:
    """Erode the mask by ``reach`` px with shifts; edge values continue outside."""
    wide = np.pad(known, reach, "edge")
    result = np.ones_like(known)
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            result &= wide[dy : dy + known.shape[0], dx : dx + known.shape[1]]
    return result


@dataclass(frozen=True)
class Case:
    """A random photograph with a random mask somewhere in a picture."""

    photo: np.ndarray
    known: np.ndarray
    x: int
    y: int
    feather: int

    @property
    def mask(self) -> np.ndarray:
        whole = np.zeros((HEIGHT, WIDTH), bool)
        height, width = self.known.shape
        whole[self.y : self.y + height, self.x : self.x + width] = self.known
        return whole


@st.composite
def cases(draw: st.DrawFn) -> Case:
    height, width = draw(st.integers(1, HEIGHT)), draw(st.integers(1, WIDTH))
    x, y = draw(st.integers(0, WIDTH - width)), draw(st.integers(0, HEIGHT - height))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    known = np.ones((height, width), bool)
    for _ in range(draw(st.integers(0, 3))):  # holes of any shape
        top, left = rng.integers(0, height), rng.integers(0, width)
        known[top : top + rng.integers(1, 20), left : left + rng.integers(1, 30)] &= rng.random() < 0.2
    return Case(noise(seed, height, width), known, x, y, draw(st.integers(0, 12)))


# What is kept and what is left alone


@settings(max_examples=30)
@given(cases())
def test_pixels_beyond_the_feather_are_those_of_the_photograph_bit_for_bit(case: Case) -> None:
    found = joined(noise(1), case.photo, case.known, x=case.x, y=case.y, feather=case.feather)
    height, width = case.known.shape
    kept = deep(case.mask, case.feather)[case.y : case.y + height, case.x : case.x + width]
    part = found[case.y : case.y + height, case.x : case.x + width]
    assert np.array_equal(part[kept], case.photo[kept])


@given(cases())
def test_pixels_that_are_not_known_come_from_the_background(case: Case) -> None:
    background = noise(1)
    found = paste(background, case.photo, case.known, x=case.x, y=case.y, feather=case.feather)
    assert np.array_equal(found[~case.mask], background[~case.mask])


def test_pixels_farther_than_the_longest_reach_stay_as_generated() -> None:
    generated = noise(1, 30, 400)
    found = joined(generated, noise(2, 30, 100), np.ones((30, 100), bool), x=0, y=0, feather=8)
    assert np.array_equal(found[:, 100 + max(REACHES_PX) :], generated[:, 100 + max(REACHES_PX) :])


@settings(max_examples=15)
@given(cases())
def test_a_photograph_equal_to_the_generated_pixels_changes_nothing(case: Case) -> None:
    generated = noise(1)
    height, width = case.known.shape
    photo = generated[case.y : case.y + height, case.x : case.x + width]
    assert np.array_equal(joined(generated, photo, case.known, x=case.x, y=case.y, feather=case.feather), generated)


def test_a_photograph_that_ends_with_the_picture_is_not_softened_there() -> None:
    photo = noise(2, HEIGHT, 50)
    found = joined(noise(1), photo, np.ones((HEIGHT, 50), bool), x=0, y=0, feather=12)
    assert np.array_equal(found[:, : 50 - 12], photo[:, : 50 - 12])


@settings(max_examples=20)
@given(cases(), st.integers(1, 9))
def test_strips_change_nothing(case: Case, rows: int) -> None:
    def found() -> np.ndarray:
        return paste(noise(1), case.photo, case.known, x=case.x, y=case.y, feather=case.feather)

    whole = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compositing, "_STRIP_PX", rows)
        assert np.array_equal(found(), whole)


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -1), (WIDTH - 9, 0), (0, HEIGHT - 9)])
def test_a_photograph_outside_the_picture_is_refused(x: int, y: int) -> None:
    photo, known = noise(2, 10, 10), np.ones((10, 10), bool)
    for call in (
        lambda: match_colours(noise(1), photo, known, x=x, y=y),
        lambda: joined(noise(1), photo, known, x=x, y=y, feather=2),
    ):
        with pytest.raises(ValueError, match="does not lie inside"):
            call()


# Ramps


@given(cases())
def test_a_ramp_is_0_outside_and_1_where_all_within_its_reach_is_known(case: Case) -> None:
    weight = ramp(case.mask, case.feather)
    assert not weight[~case.mask].any()
    assert (weight[deep(case.mask, case.feather)] == 1).all()


@given(st.integers(0, 60))
def test_a_ramp_rises_evenly_from_an_edge(reach: int) -> None:
    weight = ramp(np.pad(np.ones((1, 80), bool), ((0, 0), (20, 0))), reach)[0]
    assert (np.diff(weight) >= 0).all()
    assert weight[19] == 0
    assert weight[20 + reach] == 1
    if reach > 8:
        assert np.diff(weight).max() < 3 / reach


# No step


def step(picture: np.ndarray, column: int) -> float:
    """Mean signed change of colour at ``column``, which is visible as an edge."""
    smooth = picture.astype(float)
    return float(np.abs((smooth[:, column] - smooth[:, column - 1]).mean(0)).max())


def test_a_difference_of_brightness_leaves_no_step() -> None:
    generated = np.broadcast_to(np.linspace(60, 140, 400)[None, :, None], (60, 400, 3)).astype(np.uint8)
    photo = (generated[:, :150] + 50).astype(np.uint8)
    found = joined(generated, photo, np.ones((60, 150), bool), x=0, y=0, feather=32)
    assert max(step(found, column) for column in range(1, 400)) < 2.5


def test_differences_that_change_along_the_join_leave_no_step() -> None:
    generated = np.full((120, 400, 3), 100, np.uint8)
    photo = generated[:, :150] + np.linspace(-60, 60, 120)[:, None, None]
    found = joined(generated, photo.astype(np.uint8), np.ones((120, 150), bool), x=0, y=0, feather=32).astype(int)
    assert np.abs(np.diff(found[:, 100:300], axis=1)).max() <= 6


@settings(max_examples=6)
@given(st.integers(0, 2**16), st.sampled_from(["left", "right"]))
def test_the_gradient_across_the_join_is_like_that_elsewhere(seed: int, side: str) -> None:
    generated, photo = landscape(seed, height=120, width=400), landscape(seed, height=120, width=400)[:, :150]
    photo = (photo * 0.7 + 30).astype(np.uint8)
    x = 0 if side == "right" else 250
    if side == "left":
        photo = (generated[:, 250:] * 0.7 + 30).astype(np.uint8)
    found = joined(generated, photo, np.ones((120, 150), bool), x=x, y=0, feather=16).astype(float)
    across = np.abs(np.diff(found, axis=1)).mean((0, 2))
    at = 149 if side == "right" else 249
    assert across[at] < 1.5 * np.median(across) + 1


def test_a_hole_is_filled_in_the_colours_around_it() -> None:
    generated, photo = np.full((80, 100, 3), 60, np.uint8), np.full((80, 100, 3), 160, np.uint8)
    known = np.ones((80, 100), bool)
    known[30:50, 40:60] = False
    found = joined(generated, photo, known, x=0, y=0, feather=4)
    assert found[40, 50].min() > 140


# Enlarging


def test_enlarging_a_whole_picture_to_its_own_size_changes_nothing() -> None:
    assert np.array_equal(enlarge(noise(1), (0, 0, WIDTH, HEIGHT), size=(WIDTH, HEIGHT)), noise(1))


def test_an_enlarged_part_lies_where_the_photograph_was_before_it_was_scaled_down() -> None:
    wide = np.broadcast_to(np.linspace(0, 255, 300)[None, :, None], (30, 300, 3)).round().astype(np.uint8)
    small = enlarge(wide, (0, 0, 300, 30), size=(100, 10))
    part = enlarge(small, (20, 0, 90, 10), size=(210, 30))
    assert np.abs(part.astype(int) - wide[:, 60:270]).max() <= 2
