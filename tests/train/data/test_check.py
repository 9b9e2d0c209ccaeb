"""The report on a data set."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from infgen.errors import InputError
from infgen.train.data import check as module
from infgen.train.data import contact_sheet
from infgen.train.data.check import LengthRange, check_data, difference_hash, is_grey, near_duplicates
from infgen.train.data.contact_sheet import check_sheet, select_evenly, write_sheet
from infgen.train.data.photo_set import PhotoSet
from tests.train.photos import landscape, load, plain, save, save_landscapes, tar_of

VIEW = 40


@pytest.fixture
def mixed_photos(tmp_path: Path) -> Path:
    """Two landscapes, a portrait, a square, and a grey, a small and a truncated photograph."""
    folder = tmp_path / "photos"
    save(folder, "a.png", landscape(0, height=60, width=90))
    save(folder, "b.png", landscape(1, height=100, width=150))
    save(folder, "portrait.png", landscape(2, height=120, width=50))
    save(folder, "square.png", landscape(3, height=70, width=70))
    save(folder, "grey.png", np.array(Image.fromarray(landscape(4, height=50, width=80)).convert("L")))
    save(folder, "small.png", landscape(5, height=39, width=80))
    (folder / "truncated.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_counts_and_sizes_are_those_of_the_usable_photographs(mixed_photos: Path) -> None:
    report = check_data(mixed_photos, view_px=VIEW).report
    assert (report.found, report.usable, len(report.skipped)) == (7, 5, 2)
    assert (report.landscape, report.portrait, report.square) == (3, 1, 1)
    assert report.short_side == LengthRange(50, 60, 100)
    assert report.long_side == LengthRange(70, 90, 150)


def test_unusable_photographs_are_listed_with_their_reasons(mixed_photos: Path) -> None:
    small, truncated = check_data(mixed_photos, view_px=VIEW).report.skipped
    assert small.name == str(mixed_photos / "small.png")
    assert small.reason.startswith("80 x 39 px is too small")
    assert truncated.reason.startswith("it cannot be read")


def test_grey_photographs_are_listed(mixed_photos: Path) -> None:
    assert check_data(mixed_photos, view_px=VIEW).report.grey == [str(mixed_photos / "grey.png")]


@pytest.mark.parametrize("pre_resize_px", [None, 30, 60])
def test_the_usable_photographs_are_those_that_training_uses(pre_resize_px: int | None, mixed_photos: Path) -> None:
    photos, skipped = PhotoSet.open(mixed_photos, view_px=VIEW, patch_px=24, pre_resize_px=pre_resize_px)
    checked = check_data(mixed_photos, view_px=VIEW, pre_resize_px=pre_resize_px)
    assert [p.label for p in checked.usable] == [p.label for p in photos.photos]
    assert checked.report.skipped == skipped


def test_no_usable_photograph_gives_a_report_and_then_an_error(tmp_path: Path) -> None:
    checked = check_data(tmp_path, view_px=VIEW)
    assert (checked.report.usable, checked.report.short_side) == (0, None)
    with pytest.raises(InputError, match="holds no usable photograph"):
        checked.require_usable()


# Near-duplicates


def test_a_copy_that_was_scaled_and_compressed_is_found(tmp_path: Path) -> None:
    folder = save_landscapes(tmp_path / "photos", count=4)
    load(folder / "2.png").resize((210, 154)).save(folder / "copy.jpg", quality=60)
    report = check_data(folder, view_px=VIEW).report
    assert [(c.first, c.second) for c in report.copies] == [(str(folder / "2.png"), str(folder / "copy.jpg"))]


def test_copies_are_found_across_shards(tmp_path: Path) -> None:
    for i in range(2):
        tar_of(save_landscapes(tmp_path / str(i), count=1), tmp_path / f"{i}.tar")
    (pair,) = check_data(str(tmp_path / "{0..1}.tar"), view_px=VIEW).report.copies
    assert (pair.first, pair.second, pair.bits) == ("0.tar:0.png", "1.tar:0.png", 0)


@given(
    hashes=hnp.arrays(bool, st.tuples(st.integers(0, 12), st.just(8))),
    most=st.integers(0, 4),
    block=st.integers(1, 5),
    listed=st.integers(1, 40),
)
def test_the_pairs_equal_those_of_a_direct_comparison(hashes: np.ndarray, most: int, block: int, listed: int) -> None:
    expected = {
        (i, j, int((hashes[i] != hashes[j]).sum()))
        for j in range(len(hashes))
        for i in range(j)
        if (hashes[i] != hashes[j]).sum() <= most
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        pairs, total = near_duplicates(hashes, max_bits=most, max_listed=listed)
    assert total == len(expected)
    assert len(pairs) == len(set(pairs)) == min(listed, total)
    assert set(pairs) <= expected


def test_other_photographs_have_other_hashes() -> None:
    hashes = np.array([difference_hash(Image.fromarray(landscape(i))) for i in range(12)])
    assert near_duplicates(hashes)[1] == 0


def test_compression_does_not_make_a_grey_picture_coloured() -> None:
    buffer = io.BytesIO()
    Image.fromarray(landscape(0)).convert("L").convert("RGB").save(buffer, "JPEG", quality=30)
    assert is_grey(Image.open(buffer))


def test_a_picture_with_a_little_colour_is_not_grey() -> None:
    pixels = plain((120, 120, 120))
    pixels[:10, :10] = (200, 60, 60)
    assert not is_grey(Image.fromarray(pixels))


# The contact sheet


def test_the_sheet_shows_thumbnails_row_by_row(tmp_path: Path) -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    for i, colour in enumerate(colours):
        save(tmp_path / "photos", f"{i}.png", plain(colour))
    assert write_sheet(check_data(tmp_path / "photos", view_px=VIEW).usable, tmp_path / "s.png", least_px=VIEW) == 3
    side = contact_sheet.THUMBNAIL_PX
    sheet = load(tmp_path / "s.png")
    middles = [(side // 2, side // 2), (side + side // 2, side // 2), (side // 2, side + side // 2)]
    assert sheet.size == (2 * side, 2 * side)
    assert [sheet.getpixel(place) for place in middles] == colours


@given(count=st.integers(0, 1000), most=st.integers(1, 400))
def test_thumbnails_are_selected_evenly(count: int, most: int) -> None:
    selected = select_evenly(range(count), most)  # type: ignore[arg-type]
    steps = set(np.diff(selected))
    assert len(selected) == min(count, most)
    assert len(steps) <= 2
    assert not steps or max(steps) - min(steps) <= 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("s.gif", "has an unknown extension"), ("photos/s.png", "inside data folder"), ("no/s.png", "does not exist")],
)
def test_a_sheet_that_cannot_be_written_is_refused_before_work(name: str, message: str, tmp_path: Path) -> None:
    save(tmp_path / "photos", "a.png", plain((0, 0, 0)))
    with pytest.raises(InputError, match=message):
        check_sheet(tmp_path / name, tmp_path / "photos")


def test_a_photograph_that_was_deleted_leaves_a_grey_field(tmp_path: Path) -> None:
    path = save(tmp_path / "photos", "a.png", plain((200, 0, 0)))
    usable = check_data(tmp_path / "photos", view_px=VIEW).usable
    path.unlink()
    write_sheet(usable, tmp_path / "s.png", least_px=VIEW)
    assert load(tmp_path / "s.png").getpixel((64, 64)) == (128, 128, 128)
