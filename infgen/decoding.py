"""Decode photograph files by common rules: kind by content, limits from the header, upright, 8 bits, no CMYK.

Every command that reads photographs uses ``decode``: training, data checks, evaluation, outpainting and uploads.
"""

import io
import math
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError, features

from infgen import colour
from infgen.errors import InputError, LimitError
from infgen.limits import MAX_PHOTO_PIXELS, MAX_SHRUNK_PHOTO_PIXELS
from infgen.metadata import NO_METADATA, Metadata, make_metadata, read_metadata
from infgen.picture_kinds import KINDS_TEXT, READABLE, SNIFF_BYTES, sniff

MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
LARGE_PIXELS = 2**24  # larger ones are decoded one at a time, to limit memory
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
_VIPS_BLOCKS = ("exif-data", "iptc-data", "xmp-data")
_LOADERS = {"JPEG": "jpegload", "PNG": "pngload", "WebP": "webpload", "TIFF": "tiffload"}  # libvips' names
_MODE_NAMES = {"I;16": "grey with 16 bits", "I;16B": "grey with 16 bits", "I": "grey with 32 bits", "LAB": "Lab colour"}
_VIPS_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_SUBFILE = 254  # TIFF tag; 1: a smaller copy of another picture
_SAVE_AGAIN = "save it as RGB or grey with 8 bits per channel"


@dataclass(frozen=True)
class Decoded:
    """A decoded photograph: upright ``image``, RGB or RGBA; ``width``, ``height``: px in the file, after rotation.

    ``profile``: colour profile (ICC) of the pixels; None: sRGB. ``remarks``: omissions and conversions of the reader.
    ``metadata``: as in the file.
    """

    image: Image.Image
    _: KW_ONLY
    width: int
    height: int
    profile: bytes | None
    remarks: tuple[str, ...]
    metadata: Metadata = NO_METADATA


def decode(content: bytes, *, short_px: int = 1, fit_px: int | None = None) -> Decoded:
    """Decode the photograph file ``content``.

    EXIF orientation is applied. Grey, palette and CMYK are converted to RGB, CMYK by its colour profile; the profile of
    RGB is kept. Of several pictures the first is used, of 16 bits per channel the upper 8. A file over
    INFGEN_MAX_PHOTO_PIXELS is downsampled while it is read. ``fit_px``: the caller needs a picture of this short side
    only, and a JPEG may be decoded at a fraction of its size. Raises InputError with the reason for a photograph that is
    damaged, of another kind, smaller than ``short_px``, or over INFGEN_MAX_SHRUNK_PHOTO_PIXELS.
    """
    kind = check_kind(content)
    try:
        with quiet_pillow():
            return _decode(content, kind, short_px=short_px, fit_px=fit_px)
    except InputError:
        raise
    except UnidentifiedImageError:
        reason = _unidentified_reason(content, kind)
    except Exception as error:  # Pillow and libvips raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
    # Raised here, without the context of the first error, whose frames hold the pixels.
    raise InputError(f"it cannot be read ({reason})")


def check_kind(content: bytes) -> str:
    """Return the kind of the picture file ``content``. Raises InputError with its name if it is not readable."""
    kind = sniff(content[:SNIFF_BYTES])
    if kind is None:
        raise InputError(f"it cannot be read (no picture of a known kind; allowed are {KINDS_TEXT})")
    if kind not in READABLE:
        raise InputError(f"it cannot be read (it is a {kind} file; allowed are {KINDS_TEXT})")
    if kind == "HEIC":
        from infgen import heif

        heif.register()
    if kind == "AVIF" and not features.check("avif"):
        raise InputError("it cannot be read (it is an AVIF picture; update Pillow, or save it as JPEG)")
    return kind


def read_size(content: bytes) -> tuple[int, int]:
    """Read (width, height) in px from the header of a photograph, before rotation. Raises InputError."""
    kind = check_kind(content)
    try:
        with quiet_pillow(), Image.open(io.BytesIO(content), formats=READABLE[kind]) as image:
            return image.size
    except Exception as error:  # Pillow raises many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
    raise InputError(f"it cannot be read ({reason})")


def decode_image(image: Image.Image, *, short_px: int = 1) -> Decoded:
    """Decode an opened Pillow image, as ``decode`` does a file. Raises as ``decode``."""
    try:
        with quiet_pillow():
            return _decode_opened(image, short_px=short_px)
    except InputError:
        raise
    except Exception as error:  # Pillow raises many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
    raise InputError(f"it cannot be read ({reason})")


def _decode_opened(image: Image.Image, *, short_px: int, fit_px: int | None = None) -> Decoded:
    width, height = image.size
    _check_size(width, height, short_px=short_px)
    if width * height > (limit := MAX_PHOTO_PIXELS.value()):
        raise LimitError(f"{width} x {height} px is over the limit of {limit} pixels ({MAX_PHOTO_PIXELS.name})")
    _check_mode(image)
    remarks = []
    if (frames := getattr(image, "n_frames", 1)) > 1:
        remarks.append(f"holds {frames} pictures; the first is used")
    if any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        remarks.append("has 16 bits per channel; the upper 8 are used")
    metadata = read_metadata(image)
    if fit_px is not None and image.format in ("JPEG", "MPO"):
        image.draft("RGB", (fit_px, fit_px))
    with _one_large_at_a_time if image.width * image.height > LARGE_PIXELS else nullcontext():
        upright = _rotate_upright(image)
        turned = (upright.width > upright.height) != (width > height)
        size = (height, width) if turned else (width, height)
        return replace(_to_rgb(upright, size, image.info.get(_PROFILE), remarks), metadata=metadata)


def _decode(content: bytes, kind: str, *, short_px: int, fit_px: int | None) -> Decoded:
    try:
        with Image.open(io.BytesIO(content), formats=READABLE[kind]) as image:
            width, height = image.size
            _check_file(image)
            _check_size(width, height, short_px=short_px)
            if width * height <= MAX_PHOTO_PIXELS.value():
                return _decode_opened(image, short_px=short_px, fit_px=fit_px)
    except Image.DecompressionBombError:
        pass  # Pillow's own guard, a little above our limit
    with _one_large_at_a_time:
        return _decode_shrunk(content, kind, short_px=short_px)


def _check_file(image: Image.Image) -> None:
    """Raise InputError for a raw file of a camera: its first picture is only a preview."""
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_SUBFILE, 0) == 1:
        raise InputError("it cannot be read (its first picture is a preview, as in camera raw files; save it as JPEG)")


def _check_size(width: int, height: int, *, short_px: int) -> None:
    most = MAX_SHRUNK_PHOTO_PIXELS.value()
    if width * height > max(most, MAX_PHOTO_PIXELS.value()):
        raise LimitError(
            f"{width} x {height} px is over the limit of {most} pixels ({MAX_SHRUNK_PHOTO_PIXELS.name}); save it smaller"
        )
    if min(width, height) < short_px:
        raise InputError(f"{width} x {height} px is too small; the short side must be at least {short_px} px")


def _check_mode(image: Image.Image) -> None:
    if image.mode in MODES:
        return
    name = "floating-point numbers" if image.mode == "F" else _MODE_NAMES.get(image.mode, f"colour mode {image.mode}")
    raise InputError(f"it cannot be read (it is {name}; {_SAVE_AGAIN})")


def _to_rgb(upright: Image.Image, size: tuple[int, int], embedded: object, remarks: list[str]) -> Decoded:
    """Convert ``upright`` of any mode to RGB or RGBA. ``embedded``: the colour profile in the file, or None."""
    width, height = size
    mode = "CMYK" if upright.mode == "CMYK" else "RGB"
    profile, left_out = _check_profile(embedded, mode)
    if mode == "RGB":
        wanted = "RGBA" if has_alpha(upright) else "RGB"
        image = upright if upright.mode == wanted else upright.convert(wanted)
        return Decoded(image, width=width, height=height, profile=profile, remarks=(*remarks, *left_out))
    rgb = upright.convert("RGB") if profile is None else colour.convert_profile(upright, profile)
    by = "without a colour profile" if profile is None else "by its colour profile"
    remarks = [*remarks, *left_out, f"is CMYK; converted to RGB {by}"]
    return Decoded(rgb, width=width, height=height, profile=None, remarks=tuple(remarks))


def _check_profile(embedded: object, mode: str) -> tuple[bytes | None, tuple[str, ...]]:
    """Check the colour profile for pixels of ``mode``. Returns None and a remark if it cannot be used."""
    if embedded is None:
        return None, ()
    try:
        return colour.check_profile(embedded, mode), ()
    except InputError as error:
        return None, (f"has a colour profile that is left out: {error}",)


def _decode_shrunk(content: bytes, kind: str, *, short_px: int) -> Decoded:
    """Downsample a photograph over the limit with libvips, which reads most files row by row."""
    from infgen import vips

    limit = MAX_PHOTO_PIXELS.value()
    if kind not in _LOADERS:
        raise LimitError(
            f"a {kind} picture of more than {limit} pixels ({MAX_PHOTO_PIXELS.name}) is too large; shrink it"
        )
    library: Any = vips.load()
    image = getattr(library.Image, f"{_LOADERS[kind]}_buffer")(content, access="sequential", fail_on="error")
    width, height = image.width, image.height
    _check_size(width, height, short_px=short_px)
    remarks = _describe_vips(image)
    scale = math.sqrt(limit / (width * height))
    across, down = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    plain = image if image.interpretation == "cmyk" else image.colourspace("srgb")
    small = plain.resize(across / width, vscale=down / height).autorot()
    turned = (small.width > small.height) != (across > down)
    mode = "CMYK" if small.interpretation == "cmyk" else _VIPS_MODES[small.bands]
    pixels = Image.frombytes(mode, (small.width, small.height), small.write_to_memory())
    profile, *blocks = (
        image.get(name) if name in image.get_fields() else None for name in (_VIPS_PROFILE, *_VIPS_BLOCKS)
    )
    shrunk = (
        f"has {width} x {height} px, over the limit of {limit} pixels; resized to {small.width} x {small.height} px"
    )
    decoded = _to_rgb(pixels, (height, width) if turned else (width, height), profile, [*remarks, shrunk])
    return replace(decoded, metadata=make_metadata(*blocks))


def _describe_vips(image: Any) -> list[str]:
    """Return the remarks on an image of libvips. Raises InputError for pixels that Pillow would not read, either."""
    remarks = []
    frames = image.get("n-pages") if "n-pages" in image.get_fields() else 1
    if frames > 1:
        remarks.append(f"holds {frames} pictures; the first is used")
    if image.format == "ushort" and image.bands > 2:
        remarks.append("has 16 bits per channel; the upper 8 are used")
    elif image.format != "uchar" or image.interpretation == "lab":
        name = "grey with 16 bits" if image.format == "ushort" else f"values of type {image.format}"
        raise InputError(f"it cannot be read (it is {name}; {_SAVE_AGAIN})")
    return remarks


def _unidentified_reason(content: bytes, kind: str) -> str:
    """Explain why Pillow does not open a file of a known ``kind``: it is damaged, or a TIFF of rare numbers."""
    if kind == "TIFF":
        from infgen import vips

        library: Any = vips.load()
        try:
            found = library.Image.tiffload_buffer(content)
        except library.Error:
            return "a damaged TIFF picture"
        number = {"float": "floating-point numbers", "double": "floating-point numbers"}.get(found.format)
        return f"it is a TIFF picture of {number or f'{found.bands} channels of {found.format}'}; {_SAVE_AGAIN}"
    return f"a damaged {kind} picture"


def _rotate_upright(image: Image.Image) -> Image.Image:
    image.load()  # rotates a TIFF, and removes its orientation
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def has_alpha(image: Image.Image) -> bool:
    """Whether ``image`` has transparent parts in any form."""
    return image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info


_one_large_at_a_time = threading.Lock()
_quiet_lock = threading.Lock()
_quiet_users: list["warnings.catch_warnings[None]"] = []  # one entry for each thread inside


@contextmanager
def quiet_pillow() -> Iterator[None]:
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
