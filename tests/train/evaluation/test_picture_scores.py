"""Scores of single pictures, on pictures whose answer is known and on the tiny model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infgen.model.generator import Generator
from infgen.train.evaluation import picture_scores
from infgen.train.evaluation.generated import Painter
from infgen.train.evaluation.picture_scores import border_step, diversity, repetition, seam_score, self_similarity


@pytest.fixture(scope="module")
def painter(tiny: Generator) -> Painter:
    return Painter.of(tiny)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("axis", [0, 1])
def test_steps_are_measured_at_borders_and_nowhere_else(axis: int) -> None:
    picture = np.zeros((480, 480, 3), np.uint8)
    places = np.arange(480)[:, None, None] if axis == 0 else np.arange(480)[None, :, None]
    bright = picture + ((places // 96) * 40).astype(np.uint8)  # a step of 40 at every border
    shifted = picture + (((places + 48) // 96) * 40).astype(np.uint8)  # the same between borders
    assert border_step(bright, step=96) == 20  # the mean of 40 along one axis and 0 along the other
    assert border_step(shifted, step=96) == 0


@pytest.mark.parametrize("height", [96 * 3, 96 * 3 + 1, 96 * 4 - 1])
def test_a_picture_may_end_anywhere(height: int) -> None:
    assert border_step(noise(height, 200), step=96) == pytest.approx(256 / 3, rel=0.1)


def test_the_render_loop_leaves_no_seams(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_scores, "SEAM_WORLDS", 1)
    assert seam_score(painter, seed=0) == pytest.approx(1, abs=1e-3)


@settings(max_examples=10)
@given(period=st.integers(20, 90))
def test_a_periodic_strip_has_a_peak_of_1_at_a_multiple_of_its_period(period: int) -> None:
    strip = np.tile(noise(8, period), (1, 1 + 1000 // period, 1))[:, :1000]
    found = self_similarity(strip, shortest=30)
    assert found.peak == pytest.approx(1, abs=1e-6)
    assert found.shift_px % period == 0
    assert found.shift_px >= 30


def test_noise_does_not_repeat() -> None:
    assert self_similarity(noise(64, 2000), shortest=100).peak < 0.05


def test_broad_light_and_shade_do_not_count() -> None:
    slope = np.linspace(0, 120, 2000).astype(np.uint8)[None, :, None]
    assert self_similarity(noise(64, 2000) // 2 + slope, shortest=100).peak < 0.05


def test_strips_taken_in_parts_are_like_strips_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = self_similarity(noise(40, 600), shortest=30)
    monkeypatch.setattr(picture_scores, "ROWS_AT_A_TIME", 7)
    parts = self_similarity(noise(40, 600), shortest=30)
    assert (parts.shift_px, parts.peak) == (whole.shift_px, pytest.approx(whole.peak))


def test_a_flat_strip_has_no_peak() -> None:
    assert self_similarity(np.full((8, 800, 3), 90, np.uint8), shortest=100).peak == 0


def test_a_short_strip_is_refused() -> None:
    with pytest.raises(ValueError, match="strip is 300 px wide; needed are four times 100 px"):
        self_similarity(noise(8, 300), shortest=100)


def test_repetition_looks_beyond_one_patch(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_scores, "REPETITION_PX", (16, 1200))
    assert repetition(painter, seed=0).shift_px >= 101


def test_diversity_is_the_same_every_time(painter: Painter) -> None:
    assert diversity(painter, n=2, seed=0) == diversity(painter, n=2, seed=0)


def test_other_latents_give_other_pictures(painter: Painter) -> None:
    found = diversity(painter, n=2, seed=0)
    assert found.same_style > 0.01
    assert found.other_style > found.same_style
