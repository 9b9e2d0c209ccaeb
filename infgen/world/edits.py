"""Edits: rectangles of a world whose local latents or noises are resampled from another seed.

An edit is one line of the world document and stores no pixels. The fields look up the edits that touch a window.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import FailFast, Field, model_validator
from torch import Tensor

from infgen.geometry import PX_LIMIT, Span, Window
from infgen.world.document import Document, Seed
from infgen.world.layout import MAX_FLOAT, Float32, Px, Size
from infgen.world.overlaps import positions_in, touches, window_overlaps
from infgen.world.strokes import PointText, Radius, covers

MAX_EDITS = 10_000
MAX_STATISTICS = 8192  # channels

FieldName = Literal["local", "noise"]
FIELDS: tuple[FieldName, ...] = ("local", "noise")

Deviation = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=MAX_FLOAT)]


@dataclass(frozen=True)
class Shape:
    """A rectangle (px), or the part of it within ``radius`` px of the line through ``points``."""

    x: int
    y: int
    w: int
    h: int
    points: str | None = None
    radius: int | None = None


class Edit(Document):
    """A rectangle that is resampled from another seed. It contains the cells and noise positions whose pixel it contains."""

    x: Px
    """Left edge in px."""
    y: Px
    """Upper edge in px; 0 is the horizon."""
    w: Size
    """Width in px; in a cyclic world at most the period."""
    h: Size
    """Height in px; in a world with period_y at most that."""
    fields: Annotated[tuple[FieldName, ...], FailFast(), Field(min_length=1, max_length=len(FIELDS))] = FIELDS
    """Fields to resample: local latents (content), noise (fine detail)."""
    seed: Seed
    """Any 64-bit integer. The world's own seed restores the original."""
    mean: Annotated[tuple[Float32, ...], Field(min_length=1, max_length=MAX_STATISTICS)] | None = None
    """Mean of the local latents, one value per channel; 0 by default."""
    std: Annotated[tuple[Deviation, ...], Field(min_length=1, max_length=MAX_STATISTICS)] | None = None
    """Standard deviation of the local latents, one value per channel; 1 by default."""
    points: PointText | None = None
    """A line as "x y x y ..." in px: only positions within radius of it change. By default the whole rectangle changes."""
    radius: Radius | None = None
    """Distance from the line in px."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.fields)) < len(self.fields):
            raise ValueError("fields names one field twice; give each once")
        for name, low, size in (("x", self.x, self.w), ("y", self.y, self.h)):
            if low + size > PX_LIMIT:
                raise ValueError(f"{name} from {low} to {low + size} px leaves the canvas; allowed is -2^40 to 2^40")
        given = [len(values) for values in (self.mean, self.std) if values is not None]
        if len(given) == 1:
            raise ValueError("mean and std belong together; give both or none")
        if len(set(given)) > 1:
            raise ValueError(f"mean has {given[0]} values and std {given[1]}; give one of each for every channel")
        if given and "local" not in self.fields:
            raise ValueError("mean and std apply to local latents; add local to fields, or leave them out")
        if (self.points is None) != (self.radius is None):
            raise ValueError("points and radius belong together; give both or none")
        return self

    def inside(self, later: "Shape", fields: Collection[FieldName]) -> bool:
        """Return whether a later edit of ``fields`` with the shape ``later`` would replace this edit completely."""
        if later.points is not None and (later.points, later.radius) != (self.points, self.radius):
            return False
        across = later.x <= self.x and self.x + self.w <= later.x + later.w
        down = later.y <= self.y and self.y + self.h <= later.y + later.h
        return across and down and set(self.fields) <= set(fields)

    def mask(self, block: Window, *, spacing: int) -> npt.NDArray[np.bool_] | None:
        """Return which positions of ``block`` on a lattice of ``spacing`` px change, (H, W); None: all of them."""
        if self.points is None or self.radius is None:
            return None
        xs, ys = (range(spacing * span.start, spacing * span.stop, spacing) for span in (block.x, block.y))
        return covers(self.points, self.radius, xs, ys)

    def block(self, *, spacing: int) -> Window:
        """Return its positions on a lattice of ``spacing`` px."""
        return Window(positions_in(self.x, self.w, spacing=spacing), positions_in(self.y, self.h, spacing=spacing))

    def apply_statistics(self, normals: Tensor) -> Tensor:
        """Scale and shift standard normals (C, H, W) to its standard deviation and mean."""
        if self.mean is None or self.std is None:
            return normals
        mean, std = (normals.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return normals.mul(std).add_(mean)


@dataclass(frozen=True, eq=False)
class EditTable:
    """Edits of one field, in order. ``corners`` (N, 4) int64: x, y, w, h in px."""

    edits: tuple[Edit, ...]
    corners: npt.NDArray[np.int64]

    @classmethod
    def of(cls, edits: Sequence[Edit], field: FieldName) -> "EditTable":
        """Make the table of the ``edits`` that resample ``field``."""
        concerned = tuple(edit for edit in edits if field in edit.fields)
        corners = np.array([(e.x, e.y, e.w, e.h) for e in concerned], np.int64).reshape(-1, 4)
        return cls(concerned, corners)

    def touching(self, pixels: Window, *, period: int | None, period_y: int | None = None) -> list[Edit]:
        """Return the edits that share a pixel with the window ``pixels``, in order. Periods of the world in px."""
        x, y, w, h = self.corners.T
        hit = touches(x, x + w - 1, pixels.x, period) & touches(y, y + h - 1, pixels.y, period_y)
        return [self.edits[i] for i in np.flatnonzero(hit)]


Draw = Callable[[Edit, Window], Tensor]


def redraw(
    values: Tensor,
    window: Window,
    edits: EditTable,
    draw: Draw,
    *,
    spacing: int,
    period: int | None,
    period_y: int | None = None,
) -> None:
    """Apply edits to ``values`` (C, H, W) of ``window``. Where edits overlap, the last one wins.

    ``window``: positions on a lattice of ``spacing`` px. ``draw(edit, part)`` returns the values (C, h, w) of an edit in a part
    of the window; it is not called for parts that later edits cover. Periods of the world in px.
    """
    pixels = Window(_pixels(window.x, spacing), _pixels(window.y, spacing))
    if not edits.edits or not (touching := edits.touching(pixels, period=period, period_y=period_y)):
        return
    across, down = (None if each is None else each // spacing for each in (period, period_y))
    free = np.ones(window.shape, np.bool_)
    for edit in reversed(touching):
        block = edit.block(spacing=spacing)
        for (rows, columns), (block_rows, block_columns) in window_overlaps(
            window, block, period=across, period_y=down
        ):
            open_here = free[rows, columns]
            inside = Window(_part(block.x, block_columns), _part(block.y, block_rows))
            shape = edit.mask(inside, spacing=spacing)
            here = open_here if shape is None else open_here & shape
            if not here.any():
                continue
            drawn, target = (
                draw(edit, Window(_part(window.x, columns), _part(window.y, rows))),
                values[:, rows, columns],
            )
            target.copy_(torch.where(torch.from_numpy(here).to(values.device), drawn, target))
            open_here[here] = False


def _pixels(span: Span, spacing: int) -> Span:
    """Return the pixels from the first position of ``span`` to the last."""
    return Span(span.start * spacing, (span.size - 1) * spacing + 1)


def _part(span: Span, part: slice) -> Span:
    return Span(span.start + part.start, part.stop - part.start)
