"""Decode photographs to upright RGB pixels, at full size or resized. Headers are checked before decoding."""

import io
import math
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from infgen import colour
from infgen.errors import InputError, LimitError, one_line
from infgen.limits import MAX_PHOTO_MB, MAX_PHOTO_PIXELS, MAX_SHRUNK_PHOTO_PIXELS, MIB

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
LARGE_PIXELS = 2**24  # larger ones are decoded one at a time, to limit memory
HALF = 128  # smallest value of alpha and masks that means "known"
# EXIF orientation -> rotation to upright. (ImageOps.exif_transpose rewrites all metadata, and fails if it is invalid.)
_UPRIGHT: Mapping[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PROFILE, _VIPS_PROFILE = "icc_profile", "icc-profile-data"  # Pillow's name and libvips' of a file's colour profile
_LOADERS = {"JPEG": "jpegload", "PNG": "pngload", "WebP": "webpload", "TIFF": "tiffload"}  # libvips' names

Known = npt.NDArray[np.bool_]  # (H, W), True where a pixel is known
PhotoSource = str | Path | Image.Image | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """A decoded photograph: upright, resized RGB ``image``; ``width``, ``height``: px in the file, after rotation."""

    image: Image.Image
    width: int
    height: int


@dataclass(frozen=True)
class Photograph:
    """A photograph at full size: upright RGB ``image``, and the mask of ``known`` pixels (H, W); None: all.

    ``name``: name in messages. ``remarks``: notes for the user about decoding. ``profile``: colour profile (ICC) of
    ``image``; None: sRGB.
    """

    name: str
    image: Image.Image
    known: Known | None = None
    remarks: tuple[str, ...] = ()
    profile: bytes | None = None

    def pixels(self) -> tuple[npt.NDArray[np.uint8], Known]:
        """Return pixels (H, W, 3) uint8 and the mask of known pixels (H, W)."""
        pixels = np.asarray(self.image)
        return pixels, np.ones(pixels.shape[:2], np.bool_) if self.known is None else self.known

    def masked(self, source: PhotoSource) -> Self:
        """Keep only pixels known where the mask ``source`` is white, or at least light grey, and opaque.

        Raises InputError if the mask cannot be read, has another size or leaves no pixel.
        """
        mask = open_photograph(source, what="mask")
        if mask.image.size != self.image.size:
            raise InputError(
                f"mask {mask.name} has {_size_text(mask.image)} and photograph {self.name} has {_size_text(self.image)} "
                "when upright; give a mask of the photograph's size"
            )
        known = np.asarray(mask.image.convert("L")) >= HALF
        for other in (mask.known, self.known):
            known = known if other is None else known & other
        if not known.any():
            raise InputError(
                f"mask {mask.name} leaves no pixel of {self.name}; what is to be kept must be white in the mask"
            )
        return replace(self, known=None if known.all() else known)

    def in_profile_of(self, other: Self) -> Self:
        """Convert the photograph to the colour profile of ``other``, and add a remark if pixels changed."""
        if colour.equal_colours(self.profile, other.profile):
            return replace(self, profile=other.profile)
        try:
            image = colour.convert_profile(self.image, self.profile, other.profile)
            remark = f"has another colour profile than {other.name}; converted into that one"
        except InputError:
            image = self.image
            remark = f"cannot be converted into the colour profile of {other.name}; its colours will look different"
        return replace(self, image=image, profile=other.profile, remarks=(*self.remarks, remark))


def unify_profiles(photographs: Sequence[Photograph]) -> list[Photograph]:
    """Convert ``photographs`` (at least one) to the colour profile of the first."""
    first, *others = photographs
    return [first, *(other.in_profile_of(first) for other in others)]


def open_photograph(source: PhotoSource, *, short_px: int = 1, what: str = "photograph") -> Photograph:
    """Open a photograph: a file, a Pillow image, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8.

    EXIF orientation is applied. Grey, palette and CMYK are converted to RGB. Pixels more than half transparent are not known.
    The colour profile of RGB is kept, that of CMYK is applied. A file over INFGEN_MAX_PHOTO_PIXELS is downsampled while it is
    read. Raises InputError, which names ``what`` and the file, for a photograph that is damaged, smaller than ``short_px``,
    fully transparent, or over INFGEN_MAX_PHOTO_MB or INFGEN_MAX_SHRUNK_PHOTO_PIXELS.
    """
    if isinstance(source, str | Path):
        return _open_file(Path(source), short_px=short_px, what=what)
    image = source if isinstance(source, Image.Image) else _from_array(source)
    with _one_line_errors(what), _quiet_pillow():
        _check_header(image, short_px=short_px, limit=MAX_PHOTO_PIXELS.value())
        return _decode(image, "image" if image is source else "array")


def _open_file(path: Path, *, short_px: int, what: str) -> Photograph:
    content = _read_bytes(path, what)
    with _one_line_errors(f"{what} {path}"), _quiet_pillow():
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height <= MAX_PHOTO_PIXELS.value():
                    _check_header(image, short_px=short_px, limit=MAX_PHOTO_PIXELS.value())
                    with _one_large_at_a_time if image.width * image.height > LARGE_PIXELS else nullcontext():
                        return _decode(image, str(path))
        except Image.DecompressionBombError:
            pass  # Pillow's own guard, a little above our limit
        with _one_large_at_a_time:
            return _decode_shrunk(path, short_px=short_px)


def _read_bytes(path: Path, what: str) -> bytes:
    limit = MAX_PHOTO_MB.value()
    try:
        if (size := path.stat().st_size) > limit * MIB:
            raise LimitError(
                f"{what} {path} has {size / MIB:.0f} MiB; allowed are {limit} ({MAX_PHOTO_MB.name}); save it smaller"
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{what} {str(path)[:200]!r} cannot be read ({reason}); give an existing picture") from None


@contextmanager
def _one_line_errors(name: str | None = None) -> Iterator[None]:
    """Convert errors of Pillow to one line, prefixed with ``name``."""
    begin = "" if name is None else f"{name}: "
    try:
        yield
    except InputError as error:
        raise type(error)(f"{begin}{error}") from None
    except UnidentifiedImageError:
        raise InputError(f"{begin}it cannot be read (no JPEG, PNG, WebP or TIFF picture, or a torn one)") from None
    except Exception as error:  # Pillow raises many kinds
        reason = one_line(error)
        raise InputError(f"{begin}it cannot be read ({reason})") from None


def _from_array(array: npt.NDArray[np.uint8]) -> Image.Image:
    shape = getattr(array, "shape", None)
    if getattr(array, "dtype", None) != np.uint8 or shape is None:
        raise InputError(
            f"photograph is {type(array).__name__} of {getattr(array, 'dtype', 'no type')}; give a file, a Pillow image or "
            "an array of uint8"
        )
    if 0 in shape or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))):
        raise InputError(f"photograph has shape {shape}; allowed are (H, W), (H, W, 3) and (H, W, 4)")
    return Image.fromarray(np.ascontiguousarray(array))


def _decode(image: Image.Image, name: str) -> Photograph:
    remarks = []
    if (frames := getattr(image, "n_frames", 1)) > 1:
        remarks.append(f"holds {frames} pictures; the first is used")
    if any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        remarks.append("has 16 bits per channel; the upper 8 are used")
    upright = _rotate_upright(image)
    mode = "CMYK" if image.mode == "CMYK" else "RGB"
    profile, left_out = _read_profile(image.info, mode)
    if mode == "RGB":
        return _split(upright, name, (*remarks, *left_out), profile)
    rgb = upright.convert("RGB") if profile is None else colour.convert_profile(upright, profile)
    by = "without a colour profile" if profile is None else "by its colour profile"
    return _split(rgb, name, (*remarks, *left_out, f"is CMYK; converted to RGB {by}"))


def _read_profile(metadata: Mapping[Any, Any], mode: str) -> tuple[bytes | None, tuple[str, ...]]:
    """Read the colour profile for pixels of ``mode``. Returns None and a remark if it cannot be used."""
    if _PROFILE not in metadata:
        return None, ()
    try:
        return colour.check_profile(metadata[_PROFILE], mode), ()
    except InputError as error:
        return None, (f"has a colour profile that is left out: {error}",)


def _split(upright: Image.Image, name: str, remarks: tuple[str, ...], profile: bytes | None = None) -> Photograph:
    """Split colours and transparency: pixels at least half opaque are known."""
    if not _has_alpha(upright):
        return Photograph(name, upright.convert("RGB"), None, remarks, profile)
    rgba = upright.convert("RGBA")
    known = np.asarray(rgba.getchannel("A")) >= HALF
    if not known.any():
        raise InputError("it is transparent all over; give one with opaque pixels")
    return Photograph(name, rgba.convert("RGB"), None if known.all() else known, remarks, profile)


def _decode_shrunk(path: Path, *, short_px: int) -> Photograph:
    """Downsample a photograph over the limit with libvips, which reads most files row by row."""
    from infgen.sinks import xmp
    from infgen.sinks.encoders import vips

    limit, most = MAX_PHOTO_PIXELS.value(), MAX_SHRUNK_PHOTO_PIXELS.value()
    library: Any = vips.load()
    image = getattr(library.Image, _LOADERS[xmp.kind_of(path)])(str(path), access="sequential", fail_on="error")
    width, height = image.width, image.height
    if width * height > most:
        raise LimitError(
            f"{width} x {height} px is over the limit of {most} pixels ({MAX_SHRUNK_PHOTO_PIXELS.name}); save it smaller"
        )
    if min(width, height) < short_px:
        raise InputError(_too_small_text(width, height, short_px))
    scale = math.sqrt(limit / (width * height))
    across, down = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    small = image.colourspace("srgb").resize(across / width, vscale=down / height).autorot()
    remark = (
        f"has {width} x {height} px, over the limit of {limit} pixels; resized to {small.width} x {small.height} px"
    )
    rgb = image.interpretation != "cmyk"  # libvips applies the profile of CMYK
    found = {_PROFILE: image.get(_VIPS_PROFILE)} if rgb and _VIPS_PROFILE in image.get_fields() else {}
    profile, left_out = _read_profile(found, "RGB")
    mode = "RGBA" if small.hasalpha() else "RGB"
    pixels = Image.frombytes(mode, (small.width, small.height), small.write_to_memory())
    return _split(pixels, str(path), (remark, *left_out), profile)


def read_photo(content: bytes, *, short_px: int) -> Photo:
    """Decode ``content`` and resize its short side to ``short_px``.

    EXIF orientation is applied. Grey, palette and CMYK are converted to RGB, and transparency is blended over white. Raises
    InputError with the reason for a photograph that is damaged, too large, smaller than ``short_px`` or not 8 bits.
    """
    limit = MAX_PHOTO_PIXELS.value()
    with _one_line_errors(), _quiet_pillow(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _check_header(image, short_px=short_px, limit=limit)
        width, height = image.size
        image.draft("RGB", (short_px, short_px))
        with _one_large_at_a_time if image.width * image.height > LARGE_PIXELS else nullcontext():
            upright = _blend_over_white(_rotate_upright(image))
            turned = (upright.width > upright.height) != (width > height)
            return Photo(resize_short_side(upright, short_px), *((height, width) if turned else (width, height)))


def resize_short_side(rgb: Image.Image, short_px: int) -> Image.Image:
    """Resize the short side to exactly ``short_px``."""
    scale = short_px / min(rgb.size)
    size = (max(short_px, round(rgb.width * scale)), max(short_px, round(rgb.height * scale)))
    return rgb.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _check_header(image: Image.Image, *, short_px: int, limit: int) -> None:
    width, height = image.size
    if width * height > limit:
        raise InputError(f"{width} x {height} px is over the limit of {limit} pixels ({MAX_PHOTO_PIXELS.name})")
    if min(width, height) < short_px:
        raise InputError(_too_small_text(width, height, short_px))
    if image.mode not in MODES:
        raise InputError(f"colour mode {image.mode} is not supported; save it as RGB or grey with 8 bits per channel")


def _too_small_text(width: int, height: int, short_px: int) -> str:
    return f"{width} x {height} px is too small; the short side must be at least {short_px} px"


def _size_text(image: Image.Image) -> str:
    return f"{image.width} x {image.height} px"


def _rotate_upright(image: Image.Image) -> Image.Image:
    image.load()  # rotates a TIFF, and removes its orientation
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info


def _blend_over_white(image: Image.Image) -> Image.Image:
    if not _has_alpha(image):
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


_one_large_at_a_time = threading.Lock()
_quiet_lock = threading.Lock()
_quiet_users: list["warnings.catch_warnings[None]"] = []  # one entry for each thread inside


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about metadata, and about sizes, which are checked here.

    Warning filters are per process: the first thread to enter sets them, the last one to leave restores them.
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
