"""Measure continued photographs: squares beyond the join for Frechet distances, the step and the spectrum at the join."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.pixels import Pixels

LARGEST_PX = 200  # larger squares are reduced to this side before a feature network sees them
OCTAVES = 4


def squares(picture: Pixels, *, column: int, side: int) -> Iterator[Tensor]:
    """Yield squares (3, s, s) uint8 of the first ``side`` px from ``column`` on, one below the other.

    s is ``side``, at most ``LARGEST_PX``. ``picture``: (H, W, 3) uint8.
    """
    height = picture.shape[0]
    for top in range(0, height - side + 1, side):
        part = torch.from_numpy(np.ascontiguousarray(picture[top : top + side, column : column + side]))
        square = part.permute(2, 0, 1)
        if side > LARGEST_PX:
            square = F.interpolate(square[None].float(), size=(LARGEST_PX, LARGEST_PX), mode="area")[0].round().byte()
        yield square


def join_step(picture: Pixels, column: int) -> float:
    """Return the mean absolute step into ``column`` over the median of such steps: about 1 without a visible join."""
    steps = np.abs(np.diff(picture.astype(np.float64), axis=1)).mean((0, 2))
    return float(steps[column - 1] / max(float(np.median(steps)), 1e-9))


def octave_powers(part: Pixels) -> list[float]:
    """Return the power of the luminance of ``part`` (h, w, 3) in octave bands, the finest first."""
    luma = torch.from_numpy(part @ np.array([0.299, 0.587, 0.114])).float()[None, None]
    powers = []
    for _ in range(OCTAVES):
        small = F.avg_pool2d(luma, 2)
        back = F.interpolate(small, scale_factor=2, mode="bilinear")
        powers.append(float((luma[..., : back.shape[2], : back.shape[3]] - back).square().mean()))
        luma = small
    return powers
