"""Generated parts drawn with patches of the photographs."""

import numpy as np
import pytest
import torch

from infgen.inversion.patch_match import Level
from infgen.inversion.patches import _pyramid, draw_with_patches
from infgen.photo import Known
from infgen.pixels import Pixels

HEIGHT, KNOWN, WIDTH, HORIZON = 90, 110, 160, 40


def shore(*, seed: int = 0) -> tuple[Pixels, Known]:
    """Return noisy blue sky over noisy green land; beyond the known columns a smooth model's picture of both."""
    rows = np.arange(HEIGHT)[:, None] < HORIZON
    smooth = np.where(rows[..., None], (80, 120, 220), (60, 160, 70)).astype(float) + np.zeros((1, WIDTH, 1))
    noise = np.random.default_rng(seed).normal(0, 12, (HEIGHT, WIDTH, 1))
    known = np.zeros((HEIGHT, WIDTH), np.bool_)
    known[:, :KNOWN] = True
    picture = smooth + np.where(known[..., None], noise, 0)
    return picture.round().clip(0, 255).astype(np.uint8), known


def draw(picture: Pixels, known: Known, *, seed: int, cyclic: bool = False) -> Pixels:
    return draw_with_patches(picture, np.where(known, 0, -1), seed=seed, cyclic=cyclic)[0]


def test_known_pixels_do_not_change() -> None:
    picture, known = shore()
    found = draw(picture, known, seed=0)
    assert np.array_equal(found[known], picture[known])


def test_equal_seeds_give_equal_pictures_and_other_seeds_other_ones() -> None:
    picture, known = shore()
    first, again, other = (draw(picture, known, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_smooth_picture_gets_the_texture_of_the_photograph_and_keeps_its_layers() -> None:
    picture, known = shore()
    found = draw(picture, known, seed=0)[:, KNOWN + 5 :].astype(float)
    assert found[: HORIZON - 4, :, 1].std() > 4  # the model's picture has 0 here
    blue = found[:, :, 2].mean(1) > 150
    assert blue[: HORIZON - 3].all()
    assert not blue[HORIZON + 3 :].any()


def test_a_horizon_that_jumps_at_the_join_is_led_back_to_the_photographs() -> None:
    picture, known = shore()
    picture[:, KNOWN:] = np.roll(picture[:, KNOWN:], 6, axis=0)
    found = draw(picture, known, seed=0)[:, KNOWN : KNOWN + 4, 2].mean(1)
    assert abs(int((found > 150).sum()) - HORIZON) <= 3


@pytest.mark.parametrize("seed", [-1, 2**64 - 1])
def test_a_hole_is_filled_for_any_seed(seed: int) -> None:
    picture, known = shore()
    known[:] = True
    known[20:60, 30:70], picture[20:60, 30:70] = False, 0
    found = draw(picture, known, seed=seed)
    assert found[20:60, 30:70].min() > 20


@pytest.mark.parametrize("width", [WIDTH, WIDTH - 1])
def test_the_ends_of_a_circle_meet(width: int) -> None:
    picture, known = shore()
    picture, known = picture[:, -width:], known[:, -width:]
    picture, known = np.roll(picture, 25, axis=1), np.roll(known, 25, axis=1)
    found = draw(picture, known, seed=0, cyclic=True).astype(float)
    across = np.abs(found[:, 0] - found[:, -1]).mean()
    within = np.abs(np.diff(found[:, :20], axis=1)).mean()
    assert across < 2 * within


def test_a_picture_without_a_whole_known_patch_does_not_change() -> None:
    picture, known = shore()
    known[:] = False
    known[::4, ::4] = True
    assert np.array_equal(draw(picture, known, seed=0), picture)


def test_patches_belong_to_the_photograph_that_they_come_from() -> None:
    blue, red = ((60, 60, 200), (200, 60, 60))
    owners = np.repeat([0, -1, 1], [70, 40, 70])[None].repeat(90, 0)
    picture = np.zeros((90, 180, 3), np.uint8)
    picture[:, :90], picture[:, 90:] = blue, red
    found, places = draw_with_patches(picture, owners, seed=0)
    assert np.array_equal(places[owners >= 0], owners[owners >= 0])
    sure = np.ptp(found[:, :, [0, 2]].astype(int), axis=2) > 100  # not mixed at the border
    assert np.array_equal(places[sure], (found[sure, 0] > 128).astype(int))
    assert sure[owners < 0].mean() > 0.6


def test_matches_that_fit_badly_count_less_in_a_vote() -> None:
    picture, known = shore()
    level = Level(torch.from_numpy(picture.reshape(-1, 3).copy()), torch.from_numpy(known.copy()), cyclic=False)
    descriptors = level.image.flatten(1).T.contiguous()
    order = (descriptors[level.targets][:, None] - descriptors[level.sources[:500]]).square().sum(2).argsort(1)
    best, worst = (level.sources[order[:, place]] for place in (0, -1))
    good, bad = level.weigh(descriptors, best), level.weigh(descriptors, worst)
    mixed = level.weigh(descriptors, torch.where(torch.arange(len(best)) % 2 == 0, best, worst))
    assert float(mixed[::2].mean()) > 3 * float(mixed[1::2].mean())
    assert 0 < float(torch.stack([good, bad]).min()) <= float(torch.stack([good, bad]).max()) <= 1


def test_a_circle_of_odd_width_is_searched_from_the_coarsest_level_too() -> None:
    picture, known = shore()
    levels = [_pyramid(picture[:, :w], np.where(known[:, :w], 0, -1) >= 0, cyclic=True) for w in (WIDTH, WIDTH - 1)]
    assert [[level.height for level in found] for found in levels] == [[90, 45]] * 2
