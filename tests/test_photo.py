"""Test photographs of every kind: upright RGB with known pixels, and refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from infgen import colour, decoding
from infgen.errors import InputError, LimitError
from infgen.limits import MAX_PHOTO_MB, MAX_PHOTO_PIXELS, MAX_SHRUNK_PHOTO_PIXELS, MIB
from infgen.photo import Photograph, open_photograph, read_photo, unify_profiles
from tests.profiles import profile
from tests.train.data.test_views import ENCODED, KINDS, STORED, png
from tests.train.photos import coordinates_image, landscape, load, plain, save

RED = (200, 30, 40)


def open_pixels(path: Path, **options: Any) -> np.ndarray:
    return np.asarray(open_photograph(path, **options).image)


def refusal(source: object, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        open_photograph(source, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Whole photographs


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_a_whole_photograph_is_upright(orientation: int, name: str, tmp_path: Path) -> None:
    upright = coordinates_image(41, 57)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    lossless: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(np.ascontiguousarray(STORED[orientation](upright))).save(tmp_path / name, exif=exif, **lossless)
    assert np.array_equal(open_pixels(tmp_path / name), upright)


@pytest.mark.parametrize("kind", [k for k in KINDS if "transparen" not in k])
def test_every_common_kind_becomes_rgb(kind: str, tmp_path: Path) -> None:
    make, name, options, colour = KINDS[kind]
    make(Image.new("RGB", (60, 50), RED)).save(tmp_path / name, **options)
    assert np.abs(open_pixels(tmp_path / name).astype(int) - colour).max() <= 3


def test_pixels_that_are_more_than_half_transparent_are_not_known(tmp_path: Path) -> None:
    rgba = np.dstack([plain(RED), np.full((50, 60), 255, np.uint8)])
    rgba[:, :20, 3], rgba[:, 20:40, 3] = 127, 128
    found = open_photograph(save(tmp_path, "a.png", rgba))
    assert found.known is not None
    assert found.known.sum(0).tolist() == [0] * 20 + [50] * 40


def test_colours_below_transparent_pixels_are_kept_as_they_are(tmp_path: Path) -> None:
    rgba = np.dstack([landscape(0), np.full((220, 300), 255, np.uint8)])
    rgba[:, :20, 3] = 0
    assert np.array_equal(open_pixels(save(tmp_path, "a.png", rgba)), landscape(0))


def test_an_opaque_photograph_is_known_all_over(tmp_path: Path) -> None:
    assert (
        open_photograph(save(tmp_path, "a.png", np.dstack([plain(RED), plain(RED)[:, :, 0] * 0 + 255]))).known is None
    )


def test_a_photograph_that_is_transparent_all_over_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", np.zeros((50, 60, 4), np.uint8))
    assert refusal(path) == f"photograph {path}: it is transparent all over; give one with opaque pixels"


@pytest.mark.parametrize(
    ("make", "remark"),
    [
        (lambda p: Image.new("CMYK", (60, 50)).save(p / "a.jpg"), "is CMYK; converted to RGB"),
        (lambda p: (p / "a.png").write_bytes(png(9, 9, depth=16, body=bytes(9 * 55))), "has 16 bits per channel"),
        (
            lambda p: Image.new("RGB", (9, 9)).save(
                p / "a.webp", save_all=True, append_images=[Image.new("RGB", (9, 9), "red")]
            ),
            "holds 2 pictures; the first is used",
        ),
        (
            lambda p: Image.new("RGB", (9, 9)).save(
                p / "a.tif", save_all=True, append_images=[Image.new("RGB", (9, 9), "red")] * 2
            ),
            "holds 3 pictures; the first is used",
        ),
    ],
)
def test_losses_of_reading_a_photograph_are_reported(
    make: Callable[[Path], object], remark: str, tmp_path: Path
) -> None:
    make(tmp_path)
    (path,) = tmp_path.iterdir()
    assert [r[: len(remark)] for r in open_photograph(path).remarks] == [remark]


def test_nothing_is_said_of_an_ordinary_photograph(tmp_path: Path) -> None:
    assert open_photograph(save(tmp_path, "a.jpg", landscape(0))).remarks == ()


@pytest.mark.parametrize("name", ["none.jpg", "", "a" * 5000, "a\0b"])
def test_a_missing_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    assert "cannot be read (" in refusal(tmp_path / name)


def test_a_photograph_that_is_too_small_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", plain(RED, height=1, width=1))
    assert refusal(path, short_px=32) == (
        f"photograph {path}: 1 x 1 px is too small; the short side must be at least 32 px"
    )


def test_a_file_over_the_limit_of_bytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(bytes(MIB + 1))
    monkeypatch.setenv(MAX_PHOTO_MB.name, "1")
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    assert "INFGEN_MAX_PHOTO_MB" in refusal(tmp_path / "a.png")


@given(
    source=st.sampled_from(ENCODED),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=8),
    length=st.integers(0, 2**14),
)
def test_a_damaged_file_is_either_opened_or_refused(
    tmp_path_factory: pytest.TempPathFactory, source: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    damaged = bytearray(source[: max(length, 1)])
    for position, value in changes:
        damaged[position % len(damaged)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    try:
        found = open_photograph(path)
    except InputError:
        return
    assert found.image.mode == "RGB"


# Colour profiles


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_the_colour_profile_of_a_photograph_is_kept_and_its_pixels_stay(name: str, mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(landscape(0)).convert(mode if name == "a.png" else "RGB")
    image.save(tmp_path / name, icc_profile=profile("p3"))
    found = open_photograph(tmp_path / name)
    assert (found.profile, found.remarks) == (profile("p3"), ())
    assert np.array_equal(np.asarray(found.image), load(tmp_path / name).convert("RGB"))


def test_a_photograph_without_a_profile_has_none(tmp_path: Path) -> None:
    assert open_photograph(save(tmp_path, "a.png", landscape(0))).profile is None


def test_a_mask_leaves_the_profile() -> None:
    image = Image.new("RGB", (60, 50))
    image.info["icc_profile"] = profile("p3")
    assert open_photograph(image).with_mask(np.full((50, 60), 255, np.uint8)).profile == profile("p3")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
@pytest.mark.parametrize("embedded", [b"broken", profile("p3")[:300], profile("cmyk")])
def test_a_profile_that_cannot_be_used_is_left_out_and_that_is_said(embedded: bytes, name: str, tmp_path: Path) -> None:
    Image.fromarray(landscape(0)).save(tmp_path / name, icc_profile=embedded)
    found = open_photograph(tmp_path / name)
    assert found.profile is None
    assert found.remarks == ("has a colour profile that is left out: it is damaged, or of pixels other than RGB",)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.webp"])
def test_a_profile_of_absurd_size_is_left_out_and_that_is_said(name: str, tmp_path: Path) -> None:
    Image.fromarray(landscape(0)).save(tmp_path / name, icc_profile=profile("p3") + bytes(5 * MIB))
    found = open_photograph(tmp_path / name)
    assert (found.profile, len(found.remarks)) == (None, 1)
    assert found.remarks[0] == "has a colour profile that is left out: it has 5.0 MiB, and allowed are 4"


def test_a_png_whose_profile_unpacks_to_an_absurd_size_is_refused(tmp_path: Path) -> None:
    Image.fromarray(landscape(0)).save(tmp_path / "a.png", icc_profile=bytes(50 * MIB))
    assert (tmp_path / "a.png").stat().st_size < MIB
    assert "a.png: it cannot be read (Decompressed data too large" in refusal(tmp_path / "a.png")


def test_a_profile_of_the_wrong_data_type_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(landscape(0)).save(tmp_path / "a.tif", tiffinfo={34675: 7})
    assert [r[:46] for r in open_photograph(tmp_path / "a.tif").remarks] == [
        "has a colour profile that is left out: it is d"
    ]


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_is_converted_by_its_profile_which_is_not_kept(name: str, tmp_path: Path) -> None:
    image = Image.new("CMYK", (60, 50), (0, 255, 255, 0))
    image.save(tmp_path / name, icc_profile=profile("cmyk"))
    found = open_photograph(tmp_path / name)
    assert (found.profile, found.remarks) == (None, ("is CMYK; converted to RGB by its colour profile",))
    assert np.asarray(found.image)[0, 0, 0] < 245  # without a profile it would be pure red


def test_a_profile_of_rgb_in_a_cmyk_file_is_left_out(tmp_path: Path) -> None:
    Image.new("CMYK", (60, 50)).save(tmp_path / "a.jpg", icc_profile=profile("p3"))
    found = open_photograph(tmp_path / "a.jpg")
    assert found.profile is None
    assert found.remarks[1] == "is CMYK; converted to RGB without a colour profile"


@pytest.mark.parametrize(("mode", "kept"), [("RGB", True), ("CMYK", False)])
def test_a_shrunk_photograph_keeps_the_profile_of_rgb(
    mode: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = profile("p3" if kept else "cmyk")
    image = Image.fromarray(landscape(0)).convert(mode)
    found = large(tmp_path, "a.tif", image, monkeypatch, icc_profile=embedded)
    assert (found.profile, len(found.remarks)) == (embedded if kept else None, 1 if kept else 2)


def test_a_broken_profile_of_a_shrunk_photograph_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = large(tmp_path, "a.jpg", Image.fromarray(landscape(0)), monkeypatch, icc_profile=b"broken")
    assert found.profile is None
    assert found.remarks[1].startswith("has a colour profile that is left out")


def of_profile(name: str | None) -> Photograph:
    return Photograph(str(name), Image.new("RGB", (4, 4), RED), profile=None if name is None else profile(name))


def test_photographs_of_one_profile_stay_as_they_are() -> None:
    photographs = [of_profile("p3"), of_profile("p3")]
    assert unify_profiles(photographs) == photographs


@pytest.mark.parametrize(("first", "second"), [("srgb", None), (None, "srgb")])
def test_profiles_that_mean_the_same_change_no_pixel(first: str | None, second: str | None) -> None:
    one, other = unify_profiles([of_profile(first), of_profile(second)])
    assert (other.profile, other.remarks) == (one.profile, ())
    assert np.array_equal(other.image, one.image)


@pytest.mark.parametrize(("first", "second", "stronger"), [("p3", None, False), (None, "p3", True)])
def test_photographs_of_other_profiles_are_converted_into_the_first_and_that_is_said(
    first: str | None, second: str | None, stronger: bool
) -> None:
    one, other = unify_profiles([of_profile(first), of_profile(second)])
    assert (other.profile, one.remarks) == (one.profile, ())
    assert other.remarks == (f"has another colour profile than {first}; converted into that one",)
    assert (np.asarray(other.image)[0, 0, 0] > RED[0]) is np.bool_(stronger)


def test_where_no_conversion_is_possible_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise InputError("no such direction")

    monkeypatch.setattr(colour, "_transform", fail)
    _, other = unify_profiles([of_profile("p3"), of_profile(None)])
    assert other.profile == profile("p3")
    assert other.remarks == ("cannot be converted into the colour profile of p3; its colours will look different",)


# Very large ones


def large(folder: Path, name: str, image: Image.Image, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Photograph:
    """The photograph when half of its pixels are allowed."""
    image.save(folder / name, **options)
    monkeypatch.setenv(MAX_PHOTO_PIXELS.name, str(image.width * image.height // 2))
    return open_photograph(folder / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_a_photograph_over_the_limit_of_pixels_is_shrunk_below_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = large(tmp_path, name, Image.fromarray(landscape(0)), monkeypatch)
    assert found.image.size == (212, 155)
    assert found.remarks == ("has 300 x 220 px, over the limit of 33000 pixels; resized to 212 x 155 px",)


def test_a_shrunk_photograph_looks_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(landscape(0))
    found = large(tmp_path, "a.png", image, monkeypatch).image
    assert (
        np.abs(np.asarray(found, int) - np.asarray(image.resize(found.size, Image.Resampling.LANCZOS), int)).mean() < 2
    )


def test_a_shrunk_photograph_is_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    found = large(tmp_path, "a.jpg", Image.fromarray(landscape(0)), monkeypatch, exif=exif).image
    assert found.width < found.height


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "P"])
def test_a_photograph_of_any_kind_is_shrunk_to_rgb(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("RGB", (60, 50), RED).convert(mode, palette=Image.Palette.ADAPTIVE)
    expected = np.asarray(image.convert("RGB"))[0, 0].astype(int)
    found = large(tmp_path, "a.tif" if mode == "CMYK" else "a.png", image, monkeypatch)
    assert np.abs(np.asarray(found.image).astype(int) - expected).max() <= 3


def test_transparent_pixels_stay_unknown_in_a_resized_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgba = np.dstack([landscape(0), np.full((220, 300), 255, np.uint8)])
    rgba[:, :150, 3] = 0
    known = large(tmp_path, "a.png", Image.fromarray(rgba), monkeypatch).known
    assert known is not None
    assert known[:, :105].sum() + (~known[:, 107:]).sum() == 0


def test_a_photograph_over_the_last_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAX_SHRUNK_PHOTO_PIXELS.name, "65999")
    with pytest.raises(LimitError, match="300 x 220 px is over the limit of 65999 pixels"):
        large(tmp_path, "a.png", Image.fromarray(landscape(0)), monkeypatch)


def test_pictures_that_pillow_refuses_for_their_size_are_shrunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32_000)
    assert large(tmp_path, "a.png", Image.fromarray(landscape(0)), monkeypatch).image.size == (212, 155)


# Pictures and arrays from Python


@pytest.mark.parametrize("shape", [(50, 60), (50, 60, 3), (50, 60, 4)])
def test_an_array_is_a_photograph(shape: tuple[int, ...]) -> None:
    array = np.full(shape, 255, np.uint8)
    assert np.array_equal(np.asarray(open_photograph(array).image), np.full((50, 60, 3), 255))


def test_a_pillow_image_is_turned_by_its_metadata() -> None:
    image = Image.fromarray(landscape(0))
    image.getexif()[ExifTags.Base.Orientation] = 8
    assert open_photograph(image).image.size == (220, 300)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((50, 60, 3), np.float32), "ndarray of float32; give a file, a Pillow image or an array of uint8"),
        (np.zeros((50, 60, 2), np.uint8), "shape (50, 60, 2); allowed are"),
        (np.zeros((0, 60, 3), np.uint8), "shape (0, 60, 3); allowed are"),
        (None, "NoneType of no type"),
    ],
)
def test_a_file_that_is_not_a_picture_is_refused(array: object, message: str) -> None:
    assert message in refusal(array)


# Masks


def test_white_pixels_of_the_mask_stay_known() -> None:
    mask = np.zeros((50, 60), np.uint8)
    mask[:, :20], mask[:, 20:40] = 127, 128
    known = open_photograph(plain(RED)).with_mask(mask).known
    assert known is not None
    assert known.sum(0).tolist() == [0] * 20 + [50] * 20 + [0] * 20


def test_a_mask_and_transparency_both_count() -> None:
    rgba = np.dstack([plain(RED), np.full((50, 60), 255, np.uint8)])
    rgba[:, :30, 3] = 0
    mask = np.zeros((50, 60), np.uint8)
    mask[:25] = 255
    known = open_photograph(rgba).with_mask(mask).known
    assert known is not None
    assert known.sum() == 25 * 30
    assert known[:25, 30:].all()


def test_a_white_mask_changes_nothing() -> None:
    assert open_photograph(plain(RED)).with_mask(np.full((50, 60), 255, np.uint8)).known is None


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="has 60 x 49 px and photograph array has 60 x 50 px"):
        open_photograph(plain(RED)).with_mask(np.zeros((49, 60), np.uint8))


def test_a_mask_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="leaves no pixel of array; what is to be kept must be white"):
        open_photograph(plain(RED)).with_mask(np.zeros((50, 60), np.uint8))


# Threads


@pytest.mark.parametrize(("limit", "alone"), [(100, True), (10**9, False)])
def test_only_large_photographs_are_decoded_one_at_a_time(
    limit: int, alone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, "a.png", landscape(0))
    seen: list[bool] = []
    decode = decoding._rotate_upright

    def note(image: Image.Image) -> Image.Image:
        seen.append(decoding._one_large_at_a_time.locked())
        return decode(image)

    monkeypatch.setattr(decoding, "LARGE_PIXELS", limit)
    monkeypatch.setattr(decoding, "_rotate_upright", note)
    read_photo(path.read_bytes(), short_px=40)
    open_photograph(path)
    assert seen == [alone, alone]
