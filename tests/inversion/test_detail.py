"""The grain and sharpness of generated pixels beside a photograph."""

import numpy as np
import pytest

from infgen.inversion import detail
from infgen.inversion.detail import match_detail

HEIGHT, WIDTH, KNOWN = 160, 480, 240


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None].round().clip(0, 255), 3, 2).astype(np.uint8)


def picture(*, grain: float) -> tuple[np.ndarray, np.ndarray]:
    """A photograph with ``grain`` on the left of a smooth generated part, and its mask."""
    rng = np.random.default_rng(0)
    values = np.full((HEIGHT, WIDTH), 120.0) + 20 * np.sin(np.arange(WIDTH) / 9)
    values[:, :KNOWN] += rng.normal(0, grain, (HEIGHT, KNOWN))
    known = np.zeros((HEIGHT, WIDTH), bool)
    known[:, :KNOWN] = True
    return grey(values), known


def finest_power(part: np.ndarray) -> float:
    return float(np.diff(part[:, :, 0].astype(float), axis=1).var())


def test_pixels_of_the_photograph_do_not_change() -> None:
    given, known = picture(grain=8)
    found = match_detail(given, known, px=4, seed=0)
    assert np.array_equal(found[known], given[known])


@pytest.mark.parametrize("grain", [4, 12])
def test_the_generated_part_gets_the_grain_of_the_photograph(grain: float) -> None:
    given, known = picture(grain=grain)
    found = match_detail(given, known, px=4, seed=0)
    own, other = finest_power(found[:, 20 : KNOWN - 20]), finest_power(found[:, KNOWN + 20 : -20])
    assert finest_power(given[:, KNOWN + 20 : -20]) < 0.1 * own
    assert 0.6 * own < other < 1.5 * own


def test_a_photograph_without_grain_adds_none() -> None:
    given, known = picture(grain=0)
    found = match_detail(given, known, px=4, seed=0)
    assert np.abs(found.astype(int) - given).max() <= 1


def test_equal_seeds_give_equal_grain_and_other_seeds_another() -> None:
    given, known = picture(grain=8)
    first, again, other = (match_detail(given, known, px=4, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("cyclic", [False, True])
def test_tiles_leave_no_trace(cyclic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given, known = picture(grain=8)
    whole = match_detail(given, known, px=2, seed=1, cyclic=cyclic)
    model = detail._fit(detail._Canvas(given, known, cyclic), 4)  # measured in the same tiles for both
    monkeypatch.setattr(detail, "_fit", lambda *_: model)
    monkeypatch.setattr(detail, "TILE_PX", 64)
    small = match_detail(given, known, px=2, seed=1, cyclic=cyclic)
    assert np.abs(small.astype(int) - whole).mean() < 0.3


@pytest.mark.parametrize("value", [True, False])
def test_a_picture_of_one_kind_is_returned_as_it_is(value: bool) -> None:
    given, known = picture(grain=8)
    assert np.array_equal(match_detail(given, np.full_like(known, value), px=2, seed=0), given)
