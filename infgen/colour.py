"""Colour profiles (ICC) of photographs: which ones can be kept, and pixels brought from one into another.

RGB pixels without a profile are sRGB. A profile is untrusted: it counts as usable once Little CMS has made a transform of it.
"""

import io

import numpy as np
from PIL import Image, ImageCms

from infgen.errors import InputError, LimitError
from infgen.limits import MIB

MAX_PROFILE_MB = 4  # MiB; cameras write up to a few KiB, printers up to 3 MiB
_ALIKE = 1  # of 255: what two descriptions of one colour space differ by
_STEPS = 17  # values of each channel at which profiles are compared


def check_profile(embedded: object, mode: str) -> bytes:
    """The profile ``embedded`` in a file whose pixels have the Pillow ``mode`` "RGB" or "CMYK".

    Raises InputError that says what is wrong with it: damaged, for other pixels, or over 4 MiB (LimitError).
    """
    if not isinstance(embedded, bytes):
        raise InputError("it is damaged")
    if len(embedded) > MAX_PROFILE_MB * MIB:
        raise LimitError(f"it has {len(embedded) / MIB:.1f} MiB, and allowed are {MAX_PROFILE_MB}")
    _transform(embedded, None, mode)
    return embedded


def convert_profile(image: Image.Image, profile: bytes | None, to: bytes | None = None) -> Image.Image:
    """``image`` (RGB or CMYK) as RGB of the profile ``to``; None stands for sRGB.

    Raises InputError where one of the profiles is of other pixels, or lacks this direction.
    """
    return _transform(profile, to, image.mode).apply(image)


def equal_colours(profile: bytes | None, other: bytes | None) -> bool:
    """Whether two usable profiles of RGB give the same colours, to 1 of 255; None stands for sRGB."""
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
    except Exception:  # Pillow raises many kinds, and none of them says what is wrong
        raise InputError(f"it is damaged, or of pixels other than {mode}") from None


def _open_profile(profile: bytes | None) -> ImageCms.ImageCmsProfile:
    if profile is None:
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))
