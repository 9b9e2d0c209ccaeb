"""Training views: photographs as tensors of the size that patches are cut from."""

from collections.abc import Sequence

import torch
from torch import Tensor

from infgen.photo import read_photo, scaled


def read_views(content: bytes, views_px: Sequence[int], *, pre_resize_px: int | None = None) -> list[Tensor | None]:
    """The training views of rising short sides ``views_px``, each as ``read_view`` gives it; None for what is larger.

    Raises InputError where not even the smallest can be had.
    """
    first, (width, height) = _read(content, views_px[0], pre_resize_px)
    views: list[Tensor | None] = [first]
    for view_px in views_px[1:]:
        views.append(read_view(content, view_px) if min(width, height) >= view_px else None)
    return views


def read_view(content: bytes, view_px: int, *, pre_resize_px: int | None = None) -> Tensor:
    """A training view: the photograph with its short side brought to ``view_px``, (H, W, 3) uint8.

    With ``pre_resize_px`` it passes through that short side first, as the paper's pictures did (128, then 197), and a
    photograph need not be larger than that. Raises InputError, see ``infgen.photo.read_photo``.
    """
    return _read(content, view_px, pre_resize_px)[0]


def _read(content: bytes, view_px: int, pre_resize_px: int | None) -> tuple[Tensor, tuple[int, int]]:
    """The view, and (width, height) of the photograph in its file, px."""
    photo = read_photo(content, short_px=pre_resize_px or view_px)
    image = photo.image if min(photo.image.size) == view_px else scaled(photo.image, view_px)
    view = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(image.height, image.width, 3)
    return view, (photo.width, photo.height)
