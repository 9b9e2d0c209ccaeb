"""The bytes of one photograph -> upright RGB pixels of the size wanted. Headers are checked before anything is decoded."""

import io
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from infgen.errors import InputError
from infgen.limits import MAX_PHOTO_PIXELS

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
LARGE_PIXELS = 2**24  # one at a time, or every thread would hold hundreds of megabytes
# EXIF orientation -> what makes it upright. (ImageOps.exif_transpose rewrites all metadata, and fails on odd ones.)
_UPRIGHT: Mapping[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Photo:
    """A decoded photograph: upright RGB ``image`` of the size asked for; ``width``, ``height`` in px as in the file."""

    image: Image.Image
    width: int
    height: int


def read_photo(content: bytes, *, short_px: int) -> Photo:
    """Decode ``content`` and bring its short side down to ``short_px``.

    EXIF orientation is applied; grey, palette and CMYK become RGB; transparency is laid over white. Raises InputError
    with the reason where the photograph cannot be used: damaged, too large, smaller than ``short_px``, not 8 bits.
    """
    limit = MAX_PHOTO_PIXELS.value()
    try:
        with _quiet_pillow(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check_header(image, short_px=short_px, limit=limit)
            width, height = image.size
            image.draft("RGB", (short_px, short_px))
            with _one_large_at_a_time if image.width * image.height > LARGE_PIXELS else nullcontext():
                upright = _upright_rgb(image)
                turned = (upright.width > upright.height) != (width > height)
                return Photo(_scaled(upright, short_px), *((height, width) if turned else (width, height)))
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError("it cannot be read (no JPEG, PNG, WebP or TIFF picture, or a torn one)") from None
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise InputError(f"it cannot be read ({' '.join(str(error).split()) or type(error).__name__})") from None


def read_view(content: bytes, view_px: int, *, pre_resize_px: int | None = None) -> Tensor:
    """A training view: the photograph with its short side brought to ``view_px``, (H, W, 3) uint8.

    With ``pre_resize_px`` it passes through that short side first, as the paper's pictures did (128, then 197), and a
    photograph need not be larger than that. Raises InputError, see ``read_photo``.
    """
    image = read_photo(content, short_px=pre_resize_px or view_px).image
    if min(image.size) != view_px:
        image = _scaled(image, view_px)
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(image.height, image.width, 3)


def _check_header(image: Image.Image, *, short_px: int, limit: int) -> None:
    width, height = image.size
    if width * height > limit:
        raise InputError(f"{width} x {height} px is over the limit of {limit} pixels ({MAX_PHOTO_PIXELS.name})")
    if min(width, height) < short_px:
        raise InputError(f"{width} x {height} px is too small; the short side must be at least {short_px} px")
    if image.mode not in MODES:
        raise InputError(f"colour mode {image.mode} is not supported; save it as RGB or grey with 8 bits per channel")


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()  # turns a TIFF by itself, and removes its orientation
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    upright = image if turn is None else image.transpose(turn)
    if upright.mode in {"LA", "PA", "RGBA"} or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    return upright.convert("RGB")


def _scaled(rgb: Image.Image, short_px: int) -> Image.Image:
    """The picture with its short side exactly ``short_px``."""
    scale = short_px / min(rgb.size)
    size = (max(short_px, round(rgb.width * scale)), max(short_px, round(rgb.height * scale)))
    return rgb.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


_one_large_at_a_time = threading.Lock()
_quiet_lock = threading.Lock()
_quiet_users: list["warnings.catch_warnings[None]"] = []  # one entry for each thread inside


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings: of odd metadata, and of sizes that are checked here.

    Warning filters belong to the process: the first thread that comes in sets them, the last one to go restores them.
    """
    with _quiet_lock:
        guard = warnings.catch_warnings() if not _quiet_users else _quiet_users[0]
        if not _quiet_users:
            guard.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _quiet_users.append(guard)
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_users.pop()
            if not _quiet_users:
                guard.__exit__(None, None, None)
