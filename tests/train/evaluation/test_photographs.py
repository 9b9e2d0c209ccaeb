"""Photographs of a scale: none enlarged; and their two halves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from infgen.errors import InputError
from infgen.model.config import preset
from infgen.model.scales import judged_scales
from infgen.train.data.photo_set import PhotoSet
from infgen.train.evaluation.photographs import Half, Turned, halves, open_photographs
from tests.train.photos import landscape, plain, save

COARSE, QUARTER, HALF, FULL = judged_scales(preset("tiny-scales"))


@pytest.fixture(scope="module")
def mixed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with short sides of 120, 220 and 400 px."""
    folder = tmp_path_factory.mktemp("mixed")
    for i, height in enumerate((120, 220, 400)):
        save(folder, f"{i}.png", landscape(i, height=height, width=500))
    return folder


def test_photographs_take_part_where_they_are_large_enough(mixed_folder: Path) -> None:
    assert [len(photos) for photos in open_photographs(mixed_folder, (COARSE, QUARTER, HALF))[0]] == [3, 2, 1]


def test_photographs_that_no_scale_can_use_are_listed_with_a_reason(mixed_folder: Path) -> None:
    _, skipped = open_photographs(mixed_folder, (QUARTER, HALF))
    assert [skip.reason for skip in skipped] == ["500 x 120 px is too small; the short side must be at least 197 px"]


def test_views_and_patches_are_those_of_the_scale(mixed_folder: Path) -> None:
    (photos,), _ = open_photographs(mixed_folder, (COARSE,))
    assert min(photos.view(2).shape[:2]) == 98
    assert photos.patch(0, seed=0)[0].shape == (3, 93, 93)


def test_photographs_of_one_scale_are_a_photo_set(mixed_folder: Path) -> None:
    (photos,), _ = open_photographs(mixed_folder, (QUARTER,))
    expected, _ = PhotoSet.open(mixed_folder, view_px=197, patch_px=101)
    assert photos.fingerprint == expected.fingerprint


def test_a_scale_without_photographs_is_refused_with_the_sizes_found(mixed_folder: Path) -> None:
    said = r"large enough for scale 1, whose views are 788 px high; the short sides of 3 photographs are 120 to 400 px: add"
    with pytest.raises(InputError, match=said):
        open_photographs(mixed_folder, (COARSE, QUARTER, HALF, FULL))


def test_photographs_of_one_size_are_refused_with_that_size(tmp_path: Path) -> None:
    save(tmp_path, "a.png", landscape(0, height=120))
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"short sides of 1 photographs are 120 px: add photographs of 788 px"):
        open_photographs(tmp_path, (COARSE, FULL))


def test_damaged_photographs_are_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="holds no usable photograph"):
        open_photographs(tmp_path, (COARSE,))


@pytest.fixture(scope="module")
def coloured_set(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    """Seven plain photographs, photograph i of red 30 * i."""
    folder = tmp_path_factory.mktemp("coloured")
    for i in range(7):
        save(folder, f"{i}.png", plain((30 * i, 0, 0), height=50, width=60))
    return PhotoSet.open(folder, view_px=40, patch_px=30)[0]


def reds(half: Half) -> list[int]:
    return [int(half.view(i)[0, 0, 0]) for i in range(len(half))]


def test_turned_photographs_are_the_same_ones_in_four_orientations(mixed_folder: Path) -> None:
    (photos,), _ = open_photographs(mixed_folder, (COARSE,))
    turned, quarters = Turned(photos), set()
    for i in range(16):
        (patch, position), (upright, expected) = turned.patch(i, seed=3), photos.patch(i, seed=3)
        quarters.add(next(k for k in range(4) if torch.equal(patch, upright.rot90(k, (1, 2)))))
        assert position == expected
    assert quarters == {0, 1, 2, 3}
    assert turned.fingerprint != photos.fingerprint  # features in the cache are those of upright ones


def test_halves_share_no_photograph_and_miss_none(coloured_set: PhotoSet) -> None:
    one, other = (reds(half) for half in halves(coloured_set, seed=0))
    assert (len(one), len(other)) == (4, 3)
    assert sorted(one + other) == [30 * i for i in range(7)]


def test_another_seed_gives_other_halves(coloured_set: PhotoSet) -> None:
    assert len({tuple(sorted(reds(halves(coloured_set, seed=seed)[0]))) for seed in range(5)}) > 1


def test_patches_of_a_half_show_each_of_its_photographs(coloured_set: PhotoSet) -> None:
    half = halves(coloured_set, seed=0)[1]
    shown = [int(half.patch(i, seed=3)[0][0].float().mean()) for i in range(6)]
    assert sorted(shown) == sorted(2 * reds(half))


def test_halves_have_fingerprints_of_their_own(coloured_set: PhotoSet) -> None:
    one, other = halves(coloured_set, seed=0)
    assert (
        len({one.fingerprint, other.fingerprint, coloured_set.fingerprint, halves(coloured_set, seed=1)[0].fingerprint})
        == 4
    )


def test_a_patch_of_a_half_is_a_window_of_its_view_or_its_mirror_image(tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path, f"{i}.png", landscape(i, height=40, width=60))
    photos, _ = PhotoSet.open(tmp_path, view_px=40, patch_px=30)
    half = halves(photos, seed=0)[0]
    view = half.view(0).numpy()
    windows = [view[y : y + 30, x : x + 30] for y in range(11) for x in range(31)]
    for i in range(8):
        patch = half.patch(i, seed=0)[0].permute(1, 2, 0).numpy()
        assert any(np.array_equal(patch, w) or np.array_equal(patch[:, ::-1], w) for w in windows)


def test_patches_of_a_half_are_a_function_of_seed_and_number(tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path, f"{i}.png", landscape(i, height=40, width=60))
    half = halves(PhotoSet.open(tmp_path, view_px=40, patch_px=30)[0], seed=0)[0]
    assert torch.equal(half.patch(1, seed=0)[0], half.patch(1, seed=0)[0])
    assert not torch.equal(half.patch(1, seed=0)[0], half.patch(1, seed=1)[0])


def test_a_single_photograph_has_no_halves(tmp_path: Path) -> None:
    save(tmp_path, "a.png", plain((0, 0, 0)))
    photos, _ = PhotoSet.open(tmp_path, view_px=40, patch_px=30)
    with pytest.raises(InputError, match="there is 1 with views of 40 px; add photographs, or leave --floor out"):
        halves(photos, seed=0)
