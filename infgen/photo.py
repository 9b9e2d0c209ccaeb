"""Photographs as upright RGB pixels, at full size with known pixels or resized. ``infgen.decoding`` reads the files."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from infgen import colour
from infgen.decoding import Decoded, decode, decode_image
from infgen.errors import InputError, LimitError
from infgen.limits import MAX_PHOTO_MB, MIB
from infgen.metadata import NO_METADATA, Metadata

HALF = 128  # smallest value of alpha and masks that means "known"

Known = npt.NDArray[np.bool_]  # (H, W), True where a pixel is known
PhotoSource = str | Path | Image.Image | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """A decoded photograph: upright, resized sRGB ``image``; ``width``, ``height``: px in the file, after rotation.

    ``remarks``: notes for the user about decoding.
    """

    image: Image.Image
    width: int
    height: int
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Photograph:
    """A photograph at full size: upright RGB ``image``, and the mask of ``known`` pixels (H, W); None: all.

    ``name``: name in messages. ``remarks``: notes for the user about decoding. ``profile``: colour profile (ICC) of
    ``image``; None: sRGB. ``metadata``: as in the file.
    """

    name: str
    image: Image.Image
    _: KW_ONLY
    known: Known | None = None
    remarks: tuple[str, ...] = ()
    profile: bytes | None = None
    metadata: Metadata = NO_METADATA

    def pixels(self) -> tuple[npt.NDArray[np.uint8], Known]:
        """Return pixels (H, W, 3) uint8 and the mask of known pixels (H, W)."""
        pixels = np.asarray(self.image)
        return pixels, np.ones(pixels.shape[:2], np.bool_) if self.known is None else self.known

    def with_mask(self, source: PhotoSource) -> Self:
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


def resize(photograph: Photograph, size: tuple[int, int]) -> tuple[npt.NDArray[np.uint8], Known]:
    """Resize ``photograph`` to ``size`` (w, h): pixels (h, w, 3) uint8 and mask (h, w). Its own size changes no pixel."""
    if photograph.image.size == size:
        return photograph.pixels()
    image, known = resample(photograph, size, Image.Resampling.LANCZOS)
    return np.asarray(image), known >= HALF


def resample(
    photograph: Photograph, size: tuple[int, int], method: Image.Resampling
) -> tuple[Image.Image, npt.NDArray[np.uint8]]:
    """Resize to ``size`` (w, h) without mixing in unknown pixels. Returns RGB and the resized mask (h, w) uint8."""
    if photograph.known is None:
        image = photograph.image.resize(size, method, reducing_gap=3.0)
        return image, np.full(size[::-1], 255, np.uint8)
    both = photograph.image.copy()
    both.putalpha(Image.fromarray(photograph.known.astype(np.uint8) * 255))
    both = both.resize(size, method, reducing_gap=3.0)  # Pillow weights colours with their alpha
    return both.convert("RGB"), np.asarray(both.getchannel("A"))


def unify_profiles(photographs: Sequence[Photograph]) -> list[Photograph]:
    """Convert ``photographs`` (at least one) to the colour profile of the first."""
    first, *others = photographs
    return [first, *(other.in_profile_of(first) for other in others)]


def open_photograph(source: PhotoSource, *, short_px: int = 1, what: str = "photograph") -> Photograph:
    """Open a photograph: a file, a Pillow image, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8.

    Files are read with ``infgen.decoding.decode``. Pixels more than half transparent are not known. Raises InputError,
    which names ``what`` and the file, for a photograph that is damaged, smaller than ``short_px``, fully transparent, or
    over INFGEN_MAX_PHOTO_MB or INFGEN_MAX_SHRUNK_PHOTO_PIXELS.
    """
    if isinstance(source, str | Path):
        name, title, content = str(source), f"{what} {source}", _read_bytes(Path(source), what)
    else:
        name, title, content = ("image" if isinstance(source, Image.Image) else "array"), what, None
    try:
        if content is not None:
            return _split(decode(content, short_px=short_px), name)
        assert not isinstance(source, str | Path)  # files have content
        image = source if isinstance(source, Image.Image) else _from_array(source)
        return _split(decode_image(image, short_px=short_px), name)
    except InputError as error:
        raise type(error)(f"{title}: {error}") from None


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


def _split(decoded: Decoded, name: str) -> Photograph:
    """Split colours and transparency: pixels at least half opaque are known."""
    image = decoded.image
    if image.mode == "RGB":
        return Photograph(
            name, image, known=None, remarks=decoded.remarks, profile=decoded.profile, metadata=decoded.metadata
        )
    known = np.asarray(image.getchannel("A")) >= HALF
    if not known.any():
        raise InputError("it is transparent all over; give one with opaque pixels")
    mask = None if known.all() else known
    return Photograph(
        name,
        image.convert("RGB"),
        known=mask,
        remarks=decoded.remarks,
        profile=decoded.profile,
        metadata=decoded.metadata,
    )


def read_photo(content: bytes, *, short_px: int) -> Photo:
    """Decode ``content``, resize its short side to ``short_px``, and convert it to sRGB.

    Files are read with ``infgen.decoding.decode``. Transparency is blended over white. Raises InputError with the reason
    for a photograph that is damaged, too large, smaller than ``short_px`` or not 8 bits.
    """
    found = decode(content, short_px=short_px, fit_px=short_px)
    small = resize_short_side(_blend_over_white(found.image), short_px)
    if found.profile is not None and not colour.equal_colours(found.profile, None):
        small = colour.convert_profile(small, found.profile)
    return Photo(small, found.width, found.height, found.remarks)


def resize_short_side(rgb: Image.Image, short_px: int) -> Image.Image:
    """Resize the short side to exactly ``short_px``."""
    scale = short_px / min(rgb.size)
    size = (max(short_px, round(rgb.width * scale)), max(short_px, round(rgb.height * scale)))
    return rgb.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _size_text(image: Image.Image) -> str:
    return f"{image.width} x {image.height} px"


def _blend_over_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
