"""Files of every kind in training data: used by content, or named with the reason."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen import heif
from infgen.photo import open_photograph, read_photo
from infgen.train.data.photo_set import PhotoSet
from tests.profiles import profile
from tests.train.data.test_views import png
from tests.train.photos import landscape, tar_of, zip_of

VIEW, PATCH = 40, 24


def encode(kind: str, **options: object) -> bytes:
    heif.register()
    buffer = io.BytesIO()
    Image.fromarray(landscape(1, height=50, width=60)).save(buffer, kind, **options)
    return buffer.getvalue()


# Name of a file -> Pillow's format of its content.
USED = {
    "a.jfif": "JPEG",
    "b.jpe": "JPEG",
    "c.heic": "HEIF",
    "d.avif": "AVIF",
    "e.gif": "GIF",
    "f.bmp": "BMP",
    "g": "JPEG",
    "h.txt": "PNG",
    "i.jp2": "JPEG2000",
    "j.jpg": "WEBP",
}


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, kind in USED.items():
        (folder / name).write_bytes(encode(kind))
    return folder


def open_photos(data: Path) -> tuple[list[str], dict[str, str]]:
    """Names of the used photographs, and the reasons of the others by name."""
    photos, skipped = PhotoSet.open(data, view_px=VIEW, patch_px=PATCH)
    return [p.name for p in photos.photos], {Path(skip.name.split(":")[-1]).name: skip.reason for skip in skipped}


@pytest.mark.parametrize("pack", [None, zip_of, tar_of])
def test_photographs_are_found_by_their_content(kinds: Path, pack: object) -> None:
    data = pack(kinds, kinds.parent / f"photos.{pack.__name__[:3]}") if callable(pack) else kinds
    used, skipped = open_photos(data)
    assert sorted(used) == sorted(USED)
    assert skipped == {}


def test_files_that_are_not_photographs_are_counted_and_named(kinds: Path) -> None:
    (kinds / "clip.mov").write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0" + bytes(40))
    (kinds / "raw.cr2").write_bytes(b"II*\0\x10\0\0\0CR\x02\0" + bytes(40))
    (kinds / "drawing.psd").write_bytes(b"8BPS" + bytes(40))
    for name in ("one.json", "two.json"):
        (kinds / name).write_text("{}")
    Image.new("F", (60, 50)).save(kinds / "float.tif")
    used, skipped = open_photos(kinds)
    assert sorted(used) == sorted(USED)
    assert "a video file" in skipped["clip.mov"]
    assert "a camera raw file" in skipped["raw.cr2"]
    assert "a Photoshop file" in skipped["drawing.psd"]
    assert skipped["one.json"] == "it and 1 more .json are no pictures"
    assert "floating-point numbers" in skipped["float.tif"]


def test_links_are_followed_once_and_dangling_ones_are_named(kinds: Path) -> None:
    outside = kinds.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "z.png").write_bytes(encode("PNG"))
    (kinds / "folder").symlink_to(outside)
    (outside / "loop").symlink_to(kinds)
    (kinds / "good.png").symlink_to(outside / "deep" / "z.png")
    (kinds / "copy.jfif").symlink_to("a.jfif")
    (kinds / "gone.jpg").symlink_to("nowhere.jpg")
    used, skipped = open_photos(kinds)
    assert sorted(used) == sorted([*USED, "folder/deep/z.png"])
    assert "leads nowhere" in skipped["gone.jpg"]
    assert skipped["copy.jfif"] == "it is a link to a.jfif, which is used already"
    assert "read already" in skipped["loop"]
    assert "used already" in skipped["good.png"]


def test_pipes_do_not_stop_the_reader(kinds: Path) -> None:
    os.mkfifo(kinds / "pipe.jpg")
    assert open_photos(kinds)[1] == {"pipe.jpg": "it is a pipe, socket or device"}


def test_without_the_extra_a_heic_photograph_names_it(kinds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heif.register.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    used, skipped = open_photos(kinds)
    assert len(used) == len(USED) - 1
    assert "pip install 'infgen[heif]'" in skipped["c.heic"]


# Training and outpainting see the same colours


def colours(content: bytes, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The photograph as training reads it, and as outpainting does, both in sRGB."""
    (folder / "photo").write_bytes(content)
    found = open_photograph(folder / "photo")
    srgb = found.in_profile_of(open_photograph(np.zeros((2, 2, 3), np.uint8)))
    return np.asarray(read_photo(content, short_px=50).image, int), np.asarray(srgb.image, int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_training_applies_the_colour_profile(kind: str, tmp_path: Path) -> None:
    trained, outpainted = colours(encode(kind, icc_profile=profile("p3")), tmp_path)
    plain, _ = colours(encode(kind), tmp_path)
    assert np.abs(trained - outpainted).max() <= 1
    assert np.abs(trained - plain).mean() > 1


def test_training_converts_cmyk_by_its_profile(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (60, 50), (0, 255, 255, 0)).save(buffer, "TIFF", icc_profile=profile("cmyk"))
    trained, outpainted = colours(buffer.getvalue(), tmp_path)
    assert np.abs(trained - outpainted).max() <= 1


@pytest.mark.parametrize("share", [2, 1])
def test_remarks_do_not_depend_on_the_limit_of_pixels(
    share: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFGEN_MAX_PHOTO_PIXELS", str(60 * 50 // share))
    deep = png(60, 50, depth=16, body=bytes(50 * (1 + 60 * 6)))
    assert "has 16 bits per channel; the upper 8 are used" in read_photo(deep, short_px=30).remarks
    buffer = io.BytesIO()
    pages = [Image.new("CMYK", (60, 50), (0, 0, 0, value)) for value in (0, 200)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    found = read_photo(buffer.getvalue(), short_px=30)
    assert "holds 2 pictures; the first is used" in found.remarks
    assert "is CMYK; converted to RGB without a colour profile" in found.remarks
    assert np.asarray(found.image).min() > 250


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_orientation_of_avif_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_photo(encode("AVIF", exif=exif), short_px=50)
    assert (found.width, found.height) == ((60, 50) if orientation == 1 else (50, 60))
