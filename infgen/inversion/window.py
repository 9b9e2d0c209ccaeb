"""Define the target picture, the smallest window of cells that covers it, and its latents and coordinates."""

from dataclasses import KW_ONLY, dataclass, replace
from typing import Self

import torch
import torch.nn.functional as functional
from torch import Tensor

from infgen.errors import InputError
from infgen.geometry import (
    LayerSpans,
    Region,
    Window,
    cells_covering,
    first_cell,
    first_px,
    lattice_period,
    layer_spans,
)
from infgen.model.config import GeneratorConfig
from infgen.perceptual import MIN_PX
from infgen.world import coordinates, fields


@dataclass(frozen=True, eq=False)
class Target:
    """A picture at its place in the world.

    ``picture`` (3, h, w) in [-1, 1]. ``mask`` (h, w) bool: True for known pixels; None: all. ``x``, ``y``: upper left
    corner in world px, with y = 0 at the horizon. Raises InputError for an unusable picture, LimitError for a place
    outside the canvas.
    """

    picture: Tensor
    mask: Tensor | None
    x: int
    y: int

    def __post_init__(self) -> None:
        shape = tuple(self.picture.shape)
        if len(shape) != 3 or shape[0] != 3:
            raise InputError(f"the picture has shape {shape}; allowed is (3, height, width)")
        if min(shape[1:]) < MIN_PX:
            raise InputError(f"the picture is {shape[2]} x {shape[1]} px; allowed are sides from {MIN_PX} px")
        if not bool(self.picture.isfinite().all()) or float(self.picture.abs().max()) > 1:
            raise InputError("the picture holds values outside -1 to 1; divide 8-bit values by 127.5 and subtract 1")
        if self.mask is not None and (self.mask.shape != self.picture.shape[1:] or self.mask.dtype != torch.bool):
            raise InputError(
                f"the mask is {self.mask.dtype} {tuple(self.mask.shape)}; allowed is bool {shape[1:]}, as the picture"
            )
        if self.mask is not None and not bool(self.mask.any()):
            raise InputError("the mask is false everywhere; mark the known pixels as true")
        Region(self.x, self.y, shape[2], shape[1])

    def coarser(self) -> "Target":
        """Return the target at half the size, on the positions of the next coarser lattice. Unknown pixels are not mixed in."""
        x, y = self.x & 1, self.y & 1  # px before the first position of the coarse lattice
        known = torch.ones_like(self.picture[:1]) if self.mask is None else self.mask[None].float()
        parts = [_halve(part, before=(y, x)) for part in (self.picture * known, known)]
        weight = parts[1].clamp_min(1e-6)
        mask = None if self.mask is None else parts[1][0] > 0.5
        return Target((parts[0] / weight).clamp(-1, 1), mask, self.x >> 1, self.y >> 1)


def _halve(values: Tensor, *, before: tuple[int, int]) -> Tensor:
    """Reduce (C, h, w) by Lanczos and keep every second position, the first one ``before`` positions in front."""
    offsets = torch.arange(-5, 6, dtype=torch.float32) / 2
    kernel = torch.sinc(offsets) * torch.sinc(offsets / 3)
    kernel /= kernel.sum()
    top, left = before
    padded = functional.pad(values[:, None], (5 + left, 6, 5 + top, 6), "replicate")
    across = functional.conv2d(padded, kernel.view(1, 1, 1, -1), stride=(1, 2))
    halved = functional.conv2d(across, kernel.view(1, 1, -1, 1), stride=(2, 1))[:, 0]
    height, width = ((size + first + 1) // 2 for size, first in zip(values.shape[1:], before, strict=True))
    return halved[:, :height, :width]


@dataclass(frozen=True, eq=False)
class Latents:
    """Inputs of the generator for a window of cells, a batch of one.

    ``z_l`` (1, C, n+24, m+24), ``z_g`` (1, D), ``w_plus`` (1, rows, D), ``noises[i]`` (1, 1, h_i, w_i).
    """

    z_l: Tensor
    z_g: Tensor
    w_plus: Tensor
    noises: tuple[Tensor, ...]


@dataclass(frozen=True)
class Cover:
    """The smallest window of cells that covers a target. The target starts at (``left``, ``top``) px of the window.

    Positions are px of the network's scale, each 2**``halvings`` px of the world. ``period``: px of the world.
    """

    x: LayerSpans
    y: LayerSpans
    _: KW_ONLY
    left: int
    top: int
    world_levels: int
    halvings: int
    period: int | None

    @classmethod
    def of(cls, target: Target, config: GeneratorConfig, *, period: int | None) -> Self:
        """Cover ``target`` in a world of ``period`` px. Raises InputError if the window is longer than the period."""
        height, width = target.picture.shape[1:]
        x, left = _cover_axis(target.x, width, levels=config.levels)
        y, top = _cover_axis(target.y, height, levels=config.levels)
        needed = x.local.size * config.cell_px
        if period is not None and (period % config.cell_px or period < needed):
            raise InputError(
                f"period {period} px does not fit a picture {width} px wide; allowed are multiples of {config.cell_px} px "
                f"from {needed}"
            )
        return cls(x, y, left=left, top=top, world_levels=config.world_levels, halvings=config.halvings, period=period)

    def coarser(self, target: Target) -> "Cover":
        """Return the same window of cells at half the size, around the coarser ``target``."""
        levels = len(self.x.noise) // 2 - 1
        x, y = (layer_spans(axis.structure.start, axis.structure.size, levels=levels) for axis in (self.x, self.y))
        left, top = target.x - x.pixels.start, target.y - y.pixels.start
        return replace(self, x=x, y=y, left=left, top=top, halvings=self.halvings + 1)

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of z_S."""
        return self.y.structure.size, self.x.structure.size

    def cut(self, image: Tensor, target: Target) -> Tensor:
        """Crop the rendered window to the target: (1, 3, H, W) -> (1, 3, h, w)."""
        height, width = target.picture.shape[1:]
        return image[..., self.top : self.top + height, self.left : self.left + width]

    def coordinates(self, config: GeneratorConfig, device: torch.device) -> Tensor:
        """Return the coordinates (1, K, n+24, m+24) of the window."""
        columns = torch.arange(self.x.local.start, self.x.local.stop)[None]
        rows = torch.arange(self.y.local.start, self.y.local.stop)[None]
        encoded = coordinates.encode(columns, rows, system=config.coordinates, period_cells=self._period(0))
        return encoded.to(device)

    def local_latent(self, seed: int, config: GeneratorConfig, device: torch.device) -> Tensor:
        """Return z_l (1, C, n+24, m+24) of the world of ``seed``."""
        window = Window(self.x.local, self.y.local)
        return fields.local_latent(
            seed, window, channels=config.local_channels, period=self._period(0), device=device
        ).unsqueeze(0)

    def noises(self, seed: int, device: torch.device) -> tuple[Tensor, ...]:
        """Return noises (1, 1, h_i, w_i) of the world of ``seed``, one per texture convolution."""
        windows = [Window(x, y) for x, y in zip(self.x.noise, self.y.noise, strict=True)]
        return tuple(
            fields.noise(seed, window, conv=i, period=self._period(i // 2 + 1), device=device).unsqueeze(0)
            for i, window in enumerate(windows)
        )

    def _period(self, level: int) -> int | None:
        return None if self.period is None else lattice_period(self.period, level, levels=self.world_levels)


def _cover_axis(start: int, size: int, *, levels: int) -> tuple[LayerSpans, int]:
    """Return the spans of the fewest cells covering ``size`` px from ``start`` along one axis, and the px before it."""
    cell = first_cell(start, levels=levels)
    before = start - first_px(cell, levels=levels)
    return layer_spans(cell, cells_covering(before + size, levels=levels), levels=levels), before
