"""Encode coordinates c for the structure synthesizer (paper Section 3.2 and Table 4).

``scenery``: tanh of the height above or below the horizon, cosine and sine along it. ``texture``: cosine and sine along both
axes. ``object``: a constant. Rates follow the released models: 0.3 per cell inside tanh, one turn per 139 cells.
Integers are reduced modulo the period before conversion to float, so cells far from the origin stay exact.
"""

import math

import torch
from torch import Tensor

from infgen.model.config import COORDINATE_CHANNELS, CoordinateSystem

VERTICAL_RATE = 0.3  # tanh argument per cell
HORIZONTAL_PERIOD = 139  # cells per turn
JITTER_CELLS = 0.5  # training: half-width of the uniform offset, per sample and channel


def turns(period_cells: int) -> int:
    """Return the whole turns of an angle over a cyclic world: the rate closest to 1/139 per cell."""
    return round(period_cells / HORIZONTAL_PERIOD)


def _angle(cells: Tensor, offset: Tensor, period_cells: int | None) -> Tensor:
    """Return 2*pi*k/139 - pi for integer ``cells`` (..., N), shifted by ``offset`` (B, 1) cells: (B, N), float64."""
    if period_cells is None:
        reduced, rate = cells.remainder(HORIZONTAL_PERIOD), 1 / HORIZONTAL_PERIOD
    else:
        count = turns(period_cells)
        reduced, rate = (cells.remainder(period_cells) * count).remainder(period_cells), 1 / period_cells
    return 2 * math.pi * rate * (reduced + offset) - math.pi


def encode(
    cell_x: Tensor,
    cell_y: Tensor,
    *,
    system: CoordinateSystem,
    period_cells: int | None = None,
    period_cells_y: int | None = None,
    jitter: Tensor | None = None,
) -> Tensor:
    """Encode the cells at columns ``cell_x`` (B, W) and rows ``cell_y`` (B, H), both int64, as (B, C, H, W).

    ``period_cells``, ``period_cells_y``: the world repeats along x and y after this many cells; ``scenery``, whose height
    does not repeat, ignores the latter. ``jitter`` (B, C): offset in cells for each channel,
    used in training only; ``texture`` and ``scenery`` shift the channel along its own axis, ``object`` ignores it.
    """
    batch, width, height = cell_x.shape[0], cell_x.shape[1], cell_y.shape[1]
    channels = COORDINATE_CHANNELS[system]
    offsets = torch.zeros(batch, channels, device=cell_x.device) if jitter is None else jitter
    shift = offsets.to(torch.float64).unsqueeze(-1).unbind(1)  # one (B, 1) per channel
    if system == "object":
        return torch.ones(batch, channels, height, width, device=cell_x.device)
    if system == "scenery":
        rows = [torch.tanh(VERTICAL_RATE * (cell_y + shift[0]))]
    else:
        rows = [
            torch.cos(_angle(cell_y, shift[0], period_cells_y)),
            torch.sin(_angle(cell_y, shift[1], period_cells_y)),
        ]
    columns = [torch.cos(_angle(cell_x, shift[-2], period_cells)), torch.sin(_angle(cell_x, shift[-1], period_cells))]
    planes = [r.unsqueeze(2).expand(batch, height, width) for r in rows]
    planes += [c.unsqueeze(1).expand(batch, height, width) for c in columns]
    return torch.stack(planes, dim=1).float()
