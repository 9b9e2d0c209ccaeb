"""Check colour profiles (ICC) of photographs, and convert pixels between them.

RGB pixels without a profile are sRGB. Profiles are untrusted: a profile is usable if Little CMS can make a transform of it.
"""

import io

import numpy as np
from PIL import Image, ImageCms

from infgen.errors import InputError, LimitError
from infgen.limits import MIB

MAX_PROFILE_MB = 4  # MiB; cameras write up to a few KiB, printers up to 3 MiB
_ALIKE = 1  # largest difference of 255 between two descriptions of one colour space
_STEPS = 17  # values of each channel at which profiles are compared


def check_profile(embedded: object, mode: str) -> bytes:
    """Check and return the profile ``embedded`` in a file of Pillow ``mode`` "RGB" or "CMYK".

    Raises InputError for a damaged profile or one for other pixels, LimitError for one over 4 MiB.
    """
    if not isinstance(embedded, bytes):
        raise InputError("it is damaged")
    if len(embedded) > MAX_PROFILE_MB * MIB:
        raise LimitError(f"it has {len(embedded) / MIB:.1f} MiB, and allowed are {MAX_PROFILE_MB}")
    _transform(embedded, None, mode)
    return embedded


def convert_profile(image: Image.Image, profile: bytes | None, to: bytes | None = None) -> Image.Image:
    """Convert ``image`` (RGB or CMYK) from ``profile`` to RGB of the profile ``to``; None stands for sRGB.

    Raises InputError if a profile is for other pixels or does not support this direction.
    """
    return _transform(profile, to, image.mode).apply(image)


def equal_colours(profile: bytes | None, other: bytes | None) -> bool:
    """Return whether two usable RGB profiles give the same colours, within 1 of 255; None stands for sRGB."""
    if profile == other:
        return True
    values = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(_STEPS, -1, 3)
    try:
        found = convert_profile(Image.fromarray(cube), profile, other)
    except InputError:
        return False
    return int(np.abs(np.asarray(found, np.int16) - cube).max()) <= _ALIKE


def _transform(profile: bytes | None, to: bytes | None, mode: str) -> ImageCms.ImageCmsTransform:
    try:
        return ImageCms.buildTransform(_open_profile(profile), _open_profile(to), mode, "RGB")
    except Exception:  # Pillow raises many kinds, without a useful message
        raise InputError(f"it is damaged, or of pixels other than {mode}") from None


def _open_profile(profile: bytes | None) -> ImageCms.ImageCmsProfile:
    if profile is None:
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))
