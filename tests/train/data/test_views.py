"""Decoding one photograph to a training view, and its refusals."""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile

from infgen.errors import InputError
from infgen.heif import register
from infgen.limits import MAX_PHOTO_PIXELS, MAX_SHRUNK_PHOTO_PIXELS
from infgen.photo import read_photo
from infgen.train.data.views import read_view as decode_view
from tests.train.photos import coordinates_image, landscape, plain, save

VIEW = 40
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF", "BMP", "JPEG2000", "PPM")
register()


def read_view(path: Path, view_px: int, *, pre_resize_px: int | None = None) -> torch.Tensor:
    return decode_view(path.read_bytes(), view_px, pre_resize_px=pre_resize_px)


def read_error(path: Path, view_px: int = VIEW) -> str:
    with pytest.raises(InputError) as caught:
        read_view(path, view_px)
    return str(caught.value)


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, body: bytes = b"") -> bytes:
    """Assemble a PNG file: Pillow writes neither 16-bit colour nor headers without pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# Refusals


def test_a_photograph_that_is_too_small_is_refused_with_its_size(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", plain((0, 0, 0), height=VIEW - 1))
    assert "60 x 39 px is too small; the short side must be at least 40 px" in read_error(path)


def test_a_photograph_of_exactly_the_view_is_used(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", plain((0, 0, 0), height=VIEW, width=VIEW))
    assert read_view(path, VIEW).shape == (VIEW, VIEW, 3)


def test_a_photograph_over_the_limit_is_refused_from_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, "a.png", plain((0, 0, 0), height=100, width=101))
    monkeypatch.setenv(MAX_PHOTO_PIXELS.name, "100")
    monkeypatch.setenv(MAX_SHRUNK_PHOTO_PIXELS.name, "10099")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    assert "101 x 100 px is over the limit of 10099 pixels (INFGEN_MAX_SHRUNK_PHOTO_PIXELS)" in read_error(path)


def test_a_photograph_at_the_limit_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, "a.png", plain((0, 0, 0), height=100, width=101))
    monkeypatch.setenv(MAX_PHOTO_PIXELS.name, "10100")
    assert read_view(path, 100).shape == (100, 101, 3)


@pytest.mark.parametrize("side", [22_400, 100_000])
def test_a_decompression_bomb_is_refused_from_its_header(side: int, tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(side, side, body=bytes(1000)))
    assert "limit" in read_error(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jpg", b""),
        ("text.jpg", b"not a picture"),
        ("short.png", png(50, 50, body=bytes(100))),
        ("bitmap.png", b"BM" + bytes(200)),
        ("postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n"),
    ],
)
def test_a_file_that_is_no_readable_photograph_is_refused_in_one_line(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    message = read_error(tmp_path / name)
    assert message.startswith("it cannot be read (")
    assert "\n" not in message


def test_a_file_that_is_no_picture_gets_a_plain_message(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    assert read_error(tmp_path / "a.jpg").startswith("it cannot be read (no picture of a known kind; ")


@pytest.mark.parametrize(
    ("name", "mode", "what"),
    [
        ("a.png", "I;16", "grey with 16 bits"),
        ("a.tif", "I;16", "grey with 16 bits"),
        ("b.tif", "I", "grey with 32 bits"),
        ("c.tif", "F", "floating-point numbers"),
        ("d.tif", "LAB", "Lab colour"),
    ],
)
def test_the_error_names_unsupported_pixels(name: str, mode: str, what: str, tmp_path: Path) -> None:
    Image.new(mode, (60, 50)).save(tmp_path / name)
    assert read_error(tmp_path / name).startswith(f"it cannot be read (it is {what}; save it as RGB or grey")


def exif_jpeg(tag: int, kind: int) -> bytes:
    """A JPEG with an orientation of 90 degrees and one more EXIF entry of a non-standard type."""
    entries = [struct.pack("<HHI4s", tag, kind, 1, b"abcd"), struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)]
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"".join(sorted(entries)) + bytes(4)
    buffer = io.BytesIO()
    Image.new("RGB", (60, 50), "red").save(buffer, "JPEG", exif=block)
    return buffer.getvalue()


@pytest.mark.parametrize(("tag", "kind"), [(0x0100, 2), (0x0103, 4), (0x010E, 11), (0x011A, 1)])
def test_invalid_metadata_do_not_make_a_photograph_unusable(tag: int, kind: int, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(exif_jpeg(tag, kind))
    assert read_view(tmp_path / "a.jpg", VIEW).shape == (48, 40, 3)


def encode_photo(kind: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(landscape(0, height=50, width=60))
    image.save(buffer, kind)
    return buffer.getvalue()


ENCODED = [encode_photo(kind) for kind in FORMATS]


@given(
    source=st.sampled_from(ENCODED),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=8),
    length=st.integers(0, 2**14),
)
def test_a_damaged_file_is_either_read_or_refused(source: bytes, changes: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(source[: max(length, 1)])
    for position, value in changes:
        damaged[position % len(damaged)] = value
    try:
        view = decode_view(bytes(damaged), VIEW)
    except InputError:
        return
    assert min(view.shape[:2]) == VIEW


# Decoded pixels

WHITE, RED = (255, 255, 255), (200, 30, 40)


def with_alpha(image: Image.Image, alpha: int) -> Image.Image:
    image.putalpha(alpha)
    return image


def palette(image: Image.Image) -> Image.Image:
    return image.convert("P", palette=Image.Palette.ADAPTIVE)


KINDS: dict[str, tuple[Callable[[Image.Image], Image.Image], str, dict[str, Any], tuple[int, int, int]]] = {
    "RGB": (lambda i: i, "a.png", {}, RED),
    "RGB as JPEG": (lambda i: i, "a.jpg", {"quality": 95}, RED),
    "RGB as WebP": (lambda i: i, "a.webp", {"lossless": True}, RED),
    "grey": (lambda i: i.convert("L"), "a.png", {}, (82, 82, 82)),
    "grey as JPEG": (lambda i: i.convert("L"), "a.jpg", {}, (82, 82, 82)),
    "black and white": (lambda i: Image.new("1", i.size, 1), "a.png", {}, WHITE),
    "palette": (palette, "a.png", {}, RED),
    "palette with a transparent colour": (palette, "a.png", {"transparency": 0}, WHITE),
    "palette with transparencies": (palette, "a.png", {"transparency": bytes([128]) * 256}, (227, 142, 147)),
    "RGB with a transparent colour": (lambda i: i, "a.png", {"transparency": RED}, WHITE),
    "grey with a transparent value": (lambda i: i.convert("L"), "a.png", {"transparency": 82}, WHITE),
    "opaque": (lambda i: with_alpha(i, 255), "a.png", {}, RED),
    "half transparent": (lambda i: with_alpha(i, 128), "a.png", {}, (227, 142, 147)),
    "half transparent as WebP": (lambda i: with_alpha(i, 128), "a.webp", {"lossless": True}, (227, 142, 147)),
    "transparent": (lambda i: with_alpha(i, 0), "a.png", {}, WHITE),
    "transparent grey": (lambda i: with_alpha(i.convert("L"), 0), "a.png", {}, WHITE),
    "CMYK as JPEG": (lambda i: i.convert("CMYK"), "a.jpg", {"quality": 95}, RED),
    "CMYK as TIFF": (lambda i: i.convert("CMYK"), "a.tif", {}, RED),
    "YCbCr as TIFF": (lambda i: i.convert("YCbCr"), "a.tif", {}, RED),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_common_kind_of_photograph_becomes_rgb(kind: str, tmp_path: Path) -> None:
    make, name, options, colour = KINDS[kind]
    make(Image.new("RGB", (60, 50), RED)).save(tmp_path / name, **options)
    view = read_view(tmp_path / name, VIEW)
    assert view.dtype == torch.uint8
    assert int((view.int() - torch.tensor(colour)).abs().max()) <= 3


def test_16_bit_colour_is_read_by_its_high_bytes(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">HHH", 0xC8FF, 0x1E00, 0x2880) * 50
    (tmp_path / "a.png").write_bytes(png(50, 50, depth=16, body=row * 50))
    assert bool((read_view(tmp_path / "a.png", 50) == torch.tensor([0xC8, 0x1E, 0x28])).all())


STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda u: u,
    2: lambda u: u[:, ::-1],
    3: lambda u: u[::-1, ::-1],
    4: lambda u: u[::-1],
    5: lambda u: u.swapaxes(0, 1),
    6: lambda u: np.rot90(u, 1),
    7: lambda u: np.rot90(u, 2).swapaxes(0, 1),
    8: lambda u: np.rot90(u, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_the_orientation_in_the_metadata_is_applied(orientation: int, name: str, tmp_path: Path) -> None:
    upright = coordinates_image(40, 50)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    lossless: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(np.ascontiguousarray(STORED[orientation](upright))).save(tmp_path / name, exif=exif, **lossless)
    assert read_view(tmp_path / name, 40).equal(torch.from_numpy(upright))


@pytest.mark.parametrize(
    ("size", "view"), [((300, 220), (55, 40)), ((220, 300), (40, 55)), ((41, 40), (41, 40)), ((1000, 41), (976, 40))]
)
def test_the_short_side_becomes_the_view_and_the_shape_is_kept(
    size: tuple[int, int], view: tuple[int, int], tmp_path: Path
) -> None:
    path = save(tmp_path, "a.jpg", landscape(0, height=size[1], width=size[0]))
    assert read_view(path, VIEW).shape == (view[1], view[0], 3)


def test_scaling_down_averages_the_covered_pixels(tmp_path: Path) -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[::2] = 255
    view = read_view(save(tmp_path, "a.png", stripes), VIEW)
    assert float((view[1:-1].float() - 127.5).abs().max()) < 5


# Pre-resize


@pytest.mark.parametrize("size", [(30, 45), (300, 500)])
def test_with_a_pre_resize_a_photograph_may_be_smaller_than_the_view(size: tuple[int, int], tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", landscape(0, height=size[0], width=size[1]))
    assert read_view(path, VIEW, pre_resize_px=30).shape[0] == VIEW


def test_a_photograph_smaller_than_the_pre_resize_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", plain((0, 0, 0), height=29))
    with pytest.raises(InputError, match="the short side must be at least 30 px"):
        read_view(path, VIEW, pre_resize_px=30)


def test_a_pre_resize_removes_fine_detail(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8))
    once, twice = read_view(path, 80).float(), read_view(path, 80, pre_resize_px=20).float()
    assert twice.diff(dim=0).abs().mean() < 0.3 * once.diff(dim=0).abs().mean()


# The size in the file


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_the_size_is_that_of_the_upright_photograph(orientation: int, name: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(landscape(0, height=50, width=90)).save(tmp_path / name, exif=exif)
    photo = read_photo((tmp_path / name).read_bytes(), short_px=VIEW)
    assert (photo.width, photo.height) == ((90, 50) if orientation < 5 else (50, 90))


# Threads


def test_decoding_in_threads_does_not_change_the_warning_filters(tmp_path: Path) -> None:
    content = exif_jpeg(0x0100, 2)
    before = list(warnings.filters)
    threads = [threading.Thread(target=decode_view, args=(content, VIEW)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
