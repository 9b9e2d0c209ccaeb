"""Training views: photographs resized to the short side that patches are cut from, as tensors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from infgen.photo import read_photo, resize_short_side


def read_views(content: bytes, views_px: Sequence[int], *, pre_resize_px: int | None = None) -> list[Tensor | None]:
    """Decode one training view per short side in ``views_px`` (ascending), each as ``read_view`` does.

    A view that is larger than the photograph is None. Raises InputError if even the smallest view is impossible.
    """
    first, (width, height) = _read(content, views_px[0], pre_resize_px)
    views: list[Tensor | None] = [first]
    for view_px in views_px[1:]:
        views.append(read_view(content, view_px) if min(width, height) >= view_px else None)
    return views


def read_view(content: bytes, view_px: int, *, pre_resize_px: int | None = None) -> Tensor:
    """Decode a training view: the photograph resized to short side ``view_px``, (H, W, 3) uint8.

    ``pre_resize_px``: resize to this short side (px) first, as the paper does (128, then 197). The photograph then
    needs only this size. Raises InputError, see ``infgen.photo.read_photo``.
    """
    return _read(content, view_px, pre_resize_px)[0]


def _read(content: bytes, view_px: int, pre_resize_px: int | None) -> tuple[Tensor, tuple[int, int]]:
    """Return the view, and (width, height) in px of the photograph in its file."""
    photo = read_photo(content, short_px=pre_resize_px or view_px)
    image = photo.image if min(photo.image.size) == view_px else resize_short_side(photo.image, view_px)
    view = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(image.height, image.width, 3)
    return view, (photo.width, photo.height)
