"""Even out colours of generated parts: at the edges of photographs, and where patches of two photographs meet."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from infgen.photo import Known
from infgen.pixels import Pixels
from infgen.rendering.compositing import local_mean, ramp, to_uint8

Owners = npt.NDArray[np.int16]  # (H, W): the photograph that each pixel comes from; -1: none
Values = npt.NDArray[np.float32]

SHORT_SIDE_PX = 200  # of the picture in which colours are compared
FADE_PX = 72  # the change at an edge fades over it, px of that picture
SMALL_STEP = 60.0  # of 255; larger steps are edges of things, and stay
LIGHT_PX = 24  # reach of the mean that the colours of two photographs are compared by
BORDER_PX = 6  # the same, near the border between two
BLENDED_PX = 48  # distance from the photographs at which the model's colours hold
_BAND_PX = 2
_STRIP_PX = 512  # rows that are changed at a time, to bound memory


def close_steps(picture: Pixels, known: Known, *, cyclic: bool = False) -> Pixels:
    """Remove small steps of colour at the edges of the ``known`` part of ``picture`` (H, W, 3) uint8.

    Changes the unknown part only: by the step at the edge, fading outwards. Sharp borders of objects are large steps and
    stay. ``cyclic``: the right edge continues at the left edge.
    """
    factor = _factor(known)
    small, share = _shrink(picture, factor), _shrink(known[:, :, None].astype(np.float32), factor)[:, :, 0]
    inside, outside = share == 1, share == 0
    band = _near(inside) & _near(outside)
    step = local_mean(_keep_where(small, inside), inside, 1) - local_mean(_keep_where(small, outside), outside, 1)
    step *= (band / (1 + (np.abs(step).max(2) / SMALL_STEP) ** 4))[:, :, None]
    fade = min(FADE_PX, (small.shape[1] - int(inside.any(0).sum())) // 2) if cyclic else FADE_PX
    change = _extend(step, band) * (1 - ramp(outside, max(1, fade)))[:, :, None]
    return _add(picture, _grow(change, factor, known.shape), where=~known)


def blend_lights(picture: Pixels, guide: Pixels, owners: Owners, known: Known) -> Pixels:
    """Give the unknown part of ``picture`` (H, W, 3) the smooth colours of ``guide``, far from the known part.

    ``owners``: index of the photograph that the pixels come from. Each photograph's part is changed on its own, so that
    the border between two disappears in the smooth colours of the guide, the model's picture.
    """
    factor = _factor(known)
    small, aim = _shrink(picture, factor), _shrink(guide, factor)
    size = small.shape[:2]
    part = np.ix_(
        *(np.minimum(np.arange(n) * factor + factor // 2, m - 1) for n, m in zip(size, known.shape, strict=True))
    )
    owner, unknown = owners[part], ~known[part]
    weight = ramp(unknown, BLENDED_PX)[:, :, None]
    total = np.zeros(picture.shape, np.float32)
    for index in np.unique(owner[unknown]):
        own = unknown & (owner == index)
        change = local_mean(_keep_where(aim - small, own), own, LIGHT_PX // 3)
        rest = local_mean(_keep_where(aim - small - change, own), own, BORDER_PX // 3)
        change = weight * (change + rest * (1 - ramp(own | ~unknown, LIGHT_PX)[:, :, None]))
        total += _grow(change, factor, known.shape) * _share(owners == index, max(2, factor // 2))
    return _add(picture, total, where=~known)


def _add(picture: Pixels, change: Values, *, where: Known) -> Pixels:
    """Add ``change`` (H, W, 3) to the pixels of ``picture`` that ``where`` (H, W) selects, few rows at a time."""
    result = picture.copy()
    for top in range(0, len(picture), _STRIP_PX):
        rows = slice(top, top + _STRIP_PX)
        result[rows] = np.where(where[rows, :, None], to_uint8(picture[rows] + change[rows]), picture[rows])
    return result


def _extend(values: Values, known: Known) -> Values:
    """Extend ``values`` (h, w, 3) of ``known`` pixels to all, the smoother the farther (Gortler et al., 1996: push-pull)."""
    mask = torch.from_numpy(known.astype(np.float32))[None, None]
    levels = [(torch.from_numpy(values * known[:, :, None]).permute(2, 0, 1)[None], mask)]
    while max(levels[-1][1].shape[2:]) > 1:
        pad = [0, levels[-1][1].shape[3] % 2, 0, levels[-1][1].shape[2] % 2]
        total, weight = (4 * F.avg_pool2d(F.pad(part, pad), 2) for part in levels[-1])
        share = weight.clamp_max(1)
        levels.append((total * (share / weight.clamp_min(1e-6)), share))
    filled = levels.pop()[0]
    for total, weight in reversed(levels):
        wide = F.interpolate(filled, scale_factor=2, mode="bilinear")[:, :, : total.shape[2], : total.shape[3]]
        filled = total + (1 - weight) * wide
    return filled[0].permute(1, 2, 0).numpy()


def _factor(known: Known) -> int:
    return max(1, round(min(known.shape) / SHORT_SIDE_PX))


def _shrink(picture: npt.NDArray[np.uint8] | Values, factor: int) -> Values:
    """Return means of ``factor`` x ``factor`` px of ``picture`` (H, W, C); the last rows and columns repeat."""
    height, width = picture.shape[:2]
    image = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]
    image = F.avg_pool2d(F.pad(image, (0, -width % factor, 0, -height % factor), "replicate"), factor)
    return image[0].permute(1, 2, 0).numpy()


def _grow(change: Values, factor: int, size: tuple[int, ...]) -> Values:
    """Enlarge ``change`` (h, w, 3) smoothly to ``size`` (H, W)."""
    image = F.interpolate(torch.from_numpy(change).permute(2, 0, 1)[None], scale_factor=factor, mode="bilinear")
    return image[0, :, : size[0], : size[1]].permute(1, 2, 0).numpy()


def _share(mask: Known, reach: int) -> Values:
    """Return the share (H, W, 1) of ``mask`` within ``reach`` px: patches overlap about so far, and their mean is drawn."""
    share = torch.from_numpy(mask.astype(np.float32))[None, None]
    for size, pad in (((1, 2 * reach + 1), [reach, reach, 0, 0]), ((2 * reach + 1, 1), [0, 0, reach, reach])):
        share = F.avg_pool2d(F.pad(share, pad, "replicate"), size, 1)
    return share[0, 0, :, :, None].numpy()


def _keep_where(values: Values, mask: Known) -> Values:
    return np.where(mask[:, :, None], values, np.float32(0))


def _near(mask: Known) -> Known:
    """Return which pixels have one of ``mask`` (H, W) within the band's px."""
    wide = F.max_pool2d(torch.from_numpy(mask.astype(np.float32))[None, None], 2 * _BAND_PX + 1, 1, _BAND_PX)
    return wide[0, 0].numpy() > 0
