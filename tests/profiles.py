"""Colour profiles for tests: those that libvips brings with it."""

from functools import cache
from typing import Any

import pyvips


@cache
def profile(name: str) -> bytes:
    """The ICC profile "srgb", "p3" (Display P3) or "cmyk"."""
    pixel: Any = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    content: bytes = pixel.icc_transform(name, input_profile="srgb").get("icc-profile-data")
    return content
