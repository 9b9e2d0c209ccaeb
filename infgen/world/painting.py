"""Decode the painted pictures of layouts: PNG files of a person, and the style numbers that a world stores."""

import base64
import io
import struct
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from infgen.errors import one_line
from infgen.limits import MAX_PHOTO_PIXELS

MAX_PAINTING_PX = 2**26  # stays below the number of pixels at which Pillow warns
_PNG = b"\x89PNG\r\n\x1a\n"


@lru_cache(maxsize=4)  # not a field of the document, because documents are compared by their fields
def decode_numbers(png: str) -> npt.NDArray[np.uint8]:
    """Decode the style numbers of a painting, a grey PNG in base64: (H, W) uint8. Raises ValueError as ``decode_png``."""
    return np.asarray(decode_png(base64.b64decode(png, validate=True), mode="L"))


def decode_png(content: bytes, *, mode: str) -> Image.Image:
    """Decode a PNG after checking its size. Raises ValueError with the reason if this fails."""
    if len(content) < 33 or not content.startswith(_PNG) or content[12:16] != b"IHDR":
        raise ValueError("is not a PNG picture; save it as PNG")
    width, height, depth, kind = struct.unpack(">IIBB", content[16:26])
    limit = min(MAX_PAINTING_PX, MAX_PHOTO_PIXELS.value())
    if width * height > limit:
        raise ValueError(
            f"has {width} x {height} px, over the limit of {limit}; scale it down: the region stretches it"
        )
    if depth == 16:
        raise ValueError("has 16 bits per channel; save it with 8")
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
    except Exception as error:  # Pillow raises many kinds for damaged files
        reason = one_line(error)
        raise ValueError(f"cannot be decoded ({reason}); save it again as PNG") from None
    if kind & 4 or "transparency" in image.info:
        raise ValueError("has transparency; save it without an alpha channel")
    return image.convert(mode)
