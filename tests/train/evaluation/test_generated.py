"""Samples for evaluation: which worlds, which windows, at every scale."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infgen import geometry
from infgen.geometry import Region
from infgen.model.config import PATCH_CELLS
from infgen.model.generator import Generator
from infgen.train.evaluation import generated
from infgen.train.evaluation.generated import patches, shrink, strip_crops
from infgen.train.evaluation.painter import Painter
from infgen.train.evaluation.places import patch_region, sample, scale_region
from infgen.train.presets import VERTICAL_STARTS
from infgen.train.sampling import FIRST_ROW


@pytest.fixture(scope="module")
def painter(tiny: Generator) -> Painter:
    return Painter.of(tiny)


def test_a_sample_is_a_function_of_seed_and_number() -> None:
    assert sample(3, 7) == sample(3, 7)
    assert len({sample(s, i).world.seed for s in (0, 1) for i in range(10)}) == 20


def test_measurements_have_samples_of_their_own() -> None:
    assert sample(0, 0, purpose="seam") != sample(0, 0)


def test_samples_begin_at_every_row_of_the_training_strip_and_at_no_other() -> None:
    rows = set()
    for i in range(200):
        place = sample(0, i)
        spans = geometry.layer_spans(place.cell_y, PATCH_CELLS, levels=4)
        rows.add(spans.local.start - FIRST_ROW)
    assert rows == set(range(VERTICAL_STARTS))


def test_a_sample_is_exactly_one_training_window() -> None:
    place = sample(0, 0)
    region = patch_region(place, levels=4, patch_px=101)
    span = geometry.layer_spans(place.cell_x, PATCH_CELLS, levels=4).pixels
    assert (region.x, region.w) == (span.start, span.size)


@given(st.integers(-500, 500), st.integers(-500, 500), st.integers(1, 400), st.integers(1, 16))
def test_a_larger_picture_keeps_its_shares_of_sky_and_ground(x: int, y: int, side: int, scale: int) -> None:
    larger = scale_region(Region(x, y, side, side), scale)
    assert (larger.w, larger.h) == (scale * side, scale * side)
    assert larger.y == scale * y  # rows above the horizon, times the scale
    assert abs((2 * larger.x + larger.w) - (2 * x + side)) <= 1  # the same centre


def test_scale_1_is_the_patch_itself() -> None:
    region = Region(-7, 13, 101, 101)
    assert scale_region(region, 1) == region


def test_samples_do_not_depend_on_how_many_are_drawn(painter: Painter) -> None:
    two, three = (list(patches(painter, n=n, seed=0)) for n in (2, 3))
    assert all(torch.equal(a, b) for a, b in zip(two, three, strict=False))


def test_a_patch_is_the_window_of_its_world(painter: Painter) -> None:
    place = sample(0, 0)
    region = patch_region(place, levels=4, patch_px=101)
    around = painter.draw(place.world, Region(region.x - 20, region.y - 30, 180, 160))
    patch = next(patches(painter, n=1, seed=0)).permute(1, 2, 0).numpy()
    difference = np.abs(patch.astype(int) - around[30:131, 20:121])
    assert difference.max() <= 1


def test_larger_samples_come_at_the_size_of_a_patch(painter: Painter) -> None:
    picture = next(patches(painter, n=1, seed=0, scale=2))
    assert (picture.shape, picture.dtype) == ((3, 101, 101), torch.uint8)


def test_shrinking_keeps_the_corners() -> None:
    picture = torch.arange(3 * 9 * 9, dtype=torch.uint8).view(3, 9, 9)
    small = shrink(picture, 5)
    assert torch.equal(small[:, ::4, ::4], picture[:, ::8, ::8])


def test_shrinking_to_the_same_size_changes_nothing() -> None:
    picture = torch.arange(3 * 9 * 9, dtype=torch.uint8).view(3, 9, 9)
    assert torch.equal(shrink(picture, 9), picture)


def test_crops_are_windows_of_one_strip(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "STRIP_PATCHES", 2)
    place = sample(0, 0, purpose="strip")
    region = patch_region(place, levels=4, patch_px=101)
    strip = torch.from_numpy(painter.draw(place.world, Region(region.x, region.y, 202, 101))).permute(2, 0, 1)
    windows = [strip[:, :, x : x + 101] for x in range(102)]
    for crop in strip_crops(painter, n=4, seed=0):
        assert any(torch.equal(crop, window) for window in windows)


@pytest.mark.parametrize("n", [3, 4, 6])
def test_as_many_crops_come_as_are_asked_for(painter: Painter, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "STRIP_PATCHES", 2)
    assert len(list(strip_crops(painter, n=n, seed=0))) == n
