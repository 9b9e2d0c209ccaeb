"""Estimates of the time of a continuation."""

from dataclasses import replace

import pytest

from infgen.inversion import estimating
from infgen.inversion.arrangement import Extension, outpainting
from infgen.inversion.estimating import FLOPS_PER_SECOND, SETUP_FORWARDS, STEP_FORWARDS, estimate_composing
from infgen.inversion.placing import Placed, place
from infgen.inversion.settings import Settings
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.perceptual import MIN_PX
from infgen.photo import open_photograph
from tests.model.networks import random_generator
from tests.train.photos import landscape

SETTINGS = Settings(steps=40, coarse_share=0.75)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return random_generator(preset("tiny-scales"), seed=0)


def place_photo(height: int = 80) -> Placed:
    return place(open_photograph(landscape(1, height=height, width=120)), height=height, horizon=0.5)


@pytest.fixture(autouse=True)
def forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forward pass takes 1 s at the working scale, and 0.25 s at the coarser one."""
    monkeypatch.setattr(estimating, "_forward", lambda network, cover: 0.25 if network.config.halvings > 2 else 1.0)


def test_coarse_steps_cost_less(generator: Generator) -> None:
    seconds = estimating.estimate_inversion(place_photo(), generator, SETTINGS, period=None)
    assert seconds == pytest.approx(SETUP_FORWARDS + STEP_FORWARDS * (30 * 0.25 + 10))


def test_settings_without_coarse_steps_cost_the_working_scale(generator: Generator) -> None:
    plain = replace(SETTINGS, coarse_share=0.0)
    seconds = estimating.estimate_inversion(place_photo(), generator, plain, period=None)
    assert seconds == pytest.approx(SETUP_FORWARDS + STEP_FORWARDS * 40)


def test_small_photographs_have_no_coarse_steps(generator: Generator) -> None:
    seconds = estimating.estimate_inversion(place_photo(2 * MIN_PX - 2), generator, SETTINGS, period=None)
    assert seconds == pytest.approx(SETUP_FORWARDS + STEP_FORWARDS * 40)


def test_composing_costs_more_for_added_pixels_and_less_on_a_faster_machine() -> None:
    small, large = (outpainting(place_photo(), Extension(right=right), scale="source") for right in (10, 1000))
    slow, fast = (
        estimate_composing(large, flops_per_second=speed) for speed in (FLOPS_PER_SECOND, 2 * FLOPS_PER_SECOND)
    )
    assert slow == pytest.approx(2 * fast)
    assert estimate_composing(small, flops_per_second=FLOPS_PER_SECOND) < 0.5 * slow
