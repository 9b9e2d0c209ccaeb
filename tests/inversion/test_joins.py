"""Colours at the edges of photographs, and where patches of two photographs meet."""

import numpy as np
import pytest

from infgen.inversion.joins import blend_lights, close_steps
from infgen.photo import Known
from infgen.pixels import Pixels

HEIGHT, WIDTH, EDGE = 120, 240, 100


def scene(step: int) -> tuple[Pixels, Known]:
    """Return a grey picture whose unknown right part is lighter by ``step``."""
    known = np.zeros((HEIGHT, WIDTH), np.bool_)
    known[:, :EDGE] = True
    picture = np.full((HEIGHT, WIDTH, 3), 90) + np.where(known, 0, step)[:, :, None]
    return picture.astype(np.uint8), known


def largest_step(picture: Pixels) -> int:
    return int(np.abs(np.diff(picture.astype(int), axis=1)).max())


@pytest.mark.parametrize("step", [-20, 6, 20])
def test_a_small_step_at_the_edge_fades_outwards(step: int) -> None:
    picture, known = scene(step)
    found = close_steps(picture, known)
    assert np.array_equal(found[known], picture[known])
    assert largest_step(found) <= 2
    assert np.array_equal(found[:, -40:], picture[:, -40:])


def test_a_large_step_is_the_edge_of_something_and_stays() -> None:
    picture, known = scene(140)
    assert largest_step(close_steps(picture, known)) > 120


def test_a_picture_of_two_megapixels_is_compared_at_a_smaller_size() -> None:
    picture, known = (np.repeat(np.repeat(part, 10, 0), 10, 1) for part in scene(20))
    found = close_steps(picture, known)
    assert np.array_equal(found[known], picture[known])
    assert largest_step(found) <= 4


def test_the_change_ends_before_the_ends_of_a_circle() -> None:
    picture, known = scene(20)
    picture, known = np.roll(picture, 70, axis=1), np.roll(known, 70, axis=1)
    found = close_steps(picture, known, cyclic=True)
    assert np.array_equal(found[:, [0, -1]], picture[:, [0, -1]])


def test_a_hole_and_a_picture_without_unknown_pixels_can_be_evened() -> None:
    picture, known = scene(0)
    known[:] = True
    assert np.array_equal(close_steps(picture, known), picture)
    known[40:80, 100:140], picture[40:80, 100:140] = False, 100
    assert largest_step(close_steps(picture, known)) <= 3


def test_two_lights_meet_in_the_smooth_colours_of_the_model() -> None:
    owners = np.repeat([0, 1], WIDTH // 2)[None].repeat(HEIGHT, 0)
    known = np.zeros((HEIGHT, WIDTH), np.bool_)
    known[:, :30] = known[:, -30:] = True
    noise = np.random.default_rng(0).normal(0, 8, (HEIGHT, WIDTH, 1))
    light = np.interp(np.arange(WIDTH), [WIDTH // 2 - 2.5, WIDTH // 2 + 2.5], [60, 180])  # overlapping patches mix
    picture = (light[None, :, None] + noise + np.zeros(3)).round().clip(0, 255).astype(np.uint8)
    guide = np.linspace(60, 180, WIDTH)[None, :, None].repeat(HEIGHT, 0).repeat(3, 2).astype(np.uint8)
    found = blend_lights(picture, guide, owners, known)
    assert np.array_equal(found[known], picture[known])
    middle = found[:, WIDTH // 2 - 20 : WIDTH // 2 + 20].astype(float)
    assert largest_step(middle.mean(0, keepdims=True).round().astype(np.uint8)) < 12  # 24 before, 120 in all
    assert np.abs(middle.mean(0) - guide[0, WIDTH // 2 - 20 : WIDTH // 2 + 20]).max() < 16
    assert middle.std(0).mean() > 6  # the detail stays
