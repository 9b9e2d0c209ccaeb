"""Training views: photographs as tensors of the size that patches are cut from."""

import torch
from torch import Tensor

from infgen.photo import FORMATS, SUFFIXES, read_photo, scaled

__all__ = ["FORMATS", "SUFFIXES", "read_photo", "read_view"]


def read_view(content: bytes, view_px: int, *, pre_resize_px: int | None = None) -> Tensor:
    """A training view: the photograph with its short side brought to ``view_px``, (H, W, 3) uint8.

    With ``pre_resize_px`` it passes through that short side first, as the paper's pictures did (128, then 197), and a
    photograph need not be larger than that. Raises InputError, see ``infgen.photo.read_photo``.
    """
    image = read_photo(content, short_px=pre_resize_px or view_px).image
    if min(image.size) != view_px:
        image = scaled(image, view_px)
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(image.height, image.width, 3)
