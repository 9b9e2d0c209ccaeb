"""Measures of continued photographs."""

from itertools import pairwise

import numpy as np
import pytest

from infgen.train.evaluation.continuations import LARGEST_PX, join_step, octave_powers, squares


def picture(height: int = 430, width: int = 900) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(("side", "count"), [(100, 4), (200, 2), (400, 1)])
def test_squares_lie_beyond_the_join_below_each_other(side: int, count: int) -> None:
    found = list(squares(picture(), column=480, side=side))
    assert len(found) == count
    assert found[0].shape == (3, min(side, LARGEST_PX), min(side, LARGEST_PX))
    if side <= LARGEST_PX:
        assert np.array_equal(found[-1].permute(1, 2, 0).numpy(), picture()[(count - 1) * side :, 480:][:side, :side])


def test_the_step_at_a_join_is_about_1_without_one() -> None:
    assert join_step(picture(), 480) == pytest.approx(1, abs=0.1)


def test_a_join_raises_the_step() -> None:
    joined = picture() // 4
    joined[:, 480:] += 180
    assert join_step(joined, 480) > 3


def test_white_noise_loses_three_quarters_of_its_power_in_each_octave() -> None:
    powers = octave_powers(picture(512, 512))
    ratios = [b / a for a, b in pairwise(powers)]
    assert ratios == pytest.approx([0.25] * 3, abs=0.06)


def test_a_blurred_picture_has_no_fine_power() -> None:
    smooth = np.repeat(np.repeat(picture(64, 64), 8, 0), 8, 1)
    sharp, blurred = octave_powers(picture(512, 512)), octave_powers(smooth)
    assert blurred[0] < 0.3 * sharp[0]
    assert blurred[3] > sharp[3]
