"""Brush strokes: polylines of one style with a radius and a soft edge, painted over the style map of a layout.

The opacity of a stroke at a position depends only on their exact difference in px. The arithmetic uses +, -, *, / and the square
root of float64, which IEEE 754 rounds correctly. So weights are bit-identical in every tile, at any distance from the origin.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field

from infgen.geometry import PX_LIMIT, Window
from infgen.world.document import Document
from infgen.world.mixing import Weights
from infgen.world.overlaps import touches

MAX_STROKES = 20_000
MAX_POINTS = 2_000  # of one stroke
MAX_RADIUS = 8192  # px
MAX_NAME = 100  # characters of a style's name
BLOCK = 64  # rows and columns that share one choice of segments
MARGIN = 2  # px, covers the rounding of a block's middle and of distances, also over segments as long as the canvas
HIDDEN = 2.0**-40  # a share below this counts as 0
_NUMBER_CHARS = 15  # of a coordinate with sign and space
_PAIRS = re.compile(r"-?[0-9]{1,13} -?[0-9]{1,13}( -?[0-9]{1,13} -?[0-9]{1,13})*")

Points = npt.NDArray[np.int64]
Plane = npt.NDArray[np.float64]


@lru_cache(maxsize=2**15)  # not a field of the document, because documents are compared by their fields
def _decode(text: str) -> Points:
    """Return the points (n, 2) of ``text``, read-only. Raises ValueError."""
    if _PAIRS.fullmatch(text) is None:
        raise ValueError("give whole px as 'x y x y ...', separated by single spaces")
    points = np.array(text.split(" "), np.int64).reshape(-1, 2)
    if np.abs(points).max() > PX_LIMIT:
        raise ValueError("a point leaves the canvas; allowed are px from -2^40 to 2^40")
    if len(points) > MAX_POINTS:
        raise ValueError(f"{len(points)} points; allowed are at most {MAX_POINTS}: split the stroke")
    points.setflags(write=False)
    return points


def _legal(text: str) -> str:
    _decode(text)
    return text


PointText = Annotated[str, Field(max_length=2 * MAX_POINTS * _NUMBER_CHARS), AfterValidator(_legal)]


Radius = Annotated[int, Field(strict=True, ge=1, le=MAX_RADIUS)]


class Stroke(Document):
    """A stroke of the brush: one style, or the eraser, around the line through its points."""

    points: PointText
    """Whole px of the image as "x y x y ...", at most 2,000 points. One point paints a disc."""
    radius: Radius
    """Distance in px from the line to the outer edge."""
    hardness: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)] = 0.5
    """Share of the radius that is covered completely; from there the opacity falls to 0 at the radius."""
    style: Annotated[str, Field(min_length=1, max_length=MAX_NAME)] | None = None
    """Name of the style. Without a name the stroke erases earlier strokes."""

    @property
    def line(self) -> Points:
        """The points, (n, 2) int64, read-only."""
        return _decode(self.points)


def covers(points: str, radius: int, xs: Sequence[int], ys: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return whether positions (px, ascending) lie within ``radius`` px of the line through ``points``, (len(ys), len(xs)).

    >>> from infgen.world.strokes import covers
    >>> covers("0 0 10 0", 2, [-3, -2, 5], [0, 2]).tolist()
    [[False, True, True], [False, False, True]]
    """
    across, down = np.asarray(xs, np.int64), np.asarray(ys, np.int64)
    squares = np.full((len(down), len(across)), np.inf)
    _measure(_decode(points), radius, across, down, squares)
    found: npt.NDArray[np.bool_] = squares <= radius * radius
    return found


def encode_points(points: Sequence[tuple[int, int]]) -> str:
    """Return the text of ``points`` in px.

    >>> from infgen.world.strokes import encode_points
    >>> encode_points([(0, -5), (10, 20)])
    '0 -5 10 20'
    """
    return " ".join(f"{x} {y}" for x, y in points)


@dataclass(frozen=True, eq=False)
class StrokeTable:
    """Strokes in order, and an index of what they reach: ``bounds`` (N, 4) int64, first and last px along x and y."""

    strokes: tuple[Stroke, ...]
    bounds: npt.NDArray[np.int64]

    @classmethod
    def of(cls, strokes: Sequence[Stroke]) -> "StrokeTable":
        """Make the table of ``strokes``."""
        bounds = np.empty((len(strokes), 4), np.int64)
        for row, stroke in zip(bounds, strokes, strict=True):
            row[::2] = stroke.line.min(0) - stroke.radius
            row[1::2] = stroke.line.max(0) + stroke.radius
        return cls(tuple(strokes), bounds)

    def touching(self, pixels: Window, *, period: int | None, period_y: int | None = None) -> list[int]:
        """Return the indices of the strokes that can reach a pixel of ``pixels``, in order. Periods of the world in px."""
        left, right, top, bottom = self.bounds.T
        hit = touches(left, right, pixels.x, period) & touches(top, bottom, pixels.y, period_y)
        return np.flatnonzero(hit).tolist()

    def paint(
        self,
        weights: Weights,
        xs: Sequence[int],
        ys: Sequence[int],
        *,
        found: Sequence[int],
        rows: Mapping[str, int],
        period: int | None = None,
        period_y: int | None = None,
    ) -> Weights:
        """Paint the strokes ``found`` over ``weights`` (K, H, W) where columns ``xs`` cross rows ``ys`` (px, ascending).

        ``rows``: row of ``weights`` of each style. Positions that no stroke reaches keep their weights bit for bit.
        """
        grid = _Grid(np.asarray(xs, np.int64), np.asarray(ys, np.int64), period, period_y)
        free = np.ones(weights.shape[1:])  # share that later strokes leave
        kept = np.zeros(weights.shape[1:])  # share that erasers keep for the layout
        painted: dict[int, Plane] = {}
        for index in reversed(found):
            stroke = self.strokes[index]
            part = grid.part(self.bounds[index])
            if part is None or not free[part].any():
                continue
            opacity = grid.opacity(stroke, part)
            share = kept if stroke.style is None else painted.setdefault(rows[stroke.style], np.zeros_like(free))
            share[part] += free[part] * opacity
            free[part] *= 1 - opacity
            free[part][free[part] < HIDDEN] = 0
        shares = weights * (kept + free)
        for row, share in painted.items():
            shares[row] += share
        return shares.astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Columns ``xs`` and rows ``ys`` (px, ascending) of a world with periods along x and y."""

    xs: Points
    ys: Points
    period: int | None
    period_y: int | None

    def part(self, bounds: npt.NDArray[np.int64]) -> tuple[slice, slice] | None:
        """Return the rows and columns that any copy of ``bounds`` reaches, None if there are none."""
        left, right, top, bottom = bounds.tolist()
        rows = _find_reached(self.ys, top, bottom, self.period_y)
        columns = _find_reached(self.xs, left, right, self.period)
        return None if rows is None or columns is None else (rows, columns)

    def opacity(self, stroke: Stroke, part: tuple[slice, slice]) -> Plane:
        """Return the opacity of ``stroke`` in a part of the grid."""
        rows, columns = part
        ys, xs = self.ys[rows], self.xs[columns]
        squares = np.full((len(ys), len(xs)), np.inf)
        (left, top), (right, bottom) = (
            (stroke.line.min(0) - stroke.radius).tolist(),
            (stroke.line.max(0) + stroke.radius).tolist(),
        )
        for lap in _turns(self.ys, top, bottom, self.period_y):
            for turn in _turns(self.xs, left, right, self.period):
                _measure(stroke.line, stroke.radius, xs - turn, ys - lap, squares)
        return _opacity(squares, stroke.radius, stroke.hardness)


def _turns(positions: Points, low: int, high: int, period: int | None) -> list[int]:
    """Return the shifts in px of the copies of ``low`` to ``high`` that can reach ``positions``, along one axis."""
    if period is None:
        return [0]
    first = -((high - int(positions[0])) // period)
    last = (int(positions[-1]) - low) // period
    return [turn * period for turn in range(first, last + 1)]


def _find_reached(positions: Points, low: int, high: int, period: int | None) -> slice | None:
    """Return the slice of ``positions`` that any copy of ``low`` to ``high`` reaches, None if there are none."""
    spans = [_between(positions, low + turn, high + turn) for turn in _turns(positions, low, high, period)]
    spans = [span for span in spans if span.start < span.stop]
    return slice(min(s.start for s in spans), max(s.stop for s in spans)) if spans else None


def _between(positions: Points, low: int, high: int) -> slice:
    """Return the slice of the ascending ``positions`` from ``low`` to ``high``, both included."""
    start, stop = np.searchsorted(positions, (low, high + 1)).tolist()
    return slice(start, stop)


def _measure(line: Points, radius: int, xs: Points, ys: Points, squares: Plane) -> None:
    """Lower ``squares`` (H, W) to the squared distances in px to ``line``, where these are within the radius.

    Works in blocks and leaves out the segments that are nowhere nearest. That does not change the least distance.
    """
    starts = line[:-1] if len(line) > 1 else line
    ways = (line[1:] - line[:-1] if len(line) > 1 else np.zeros_like(line)).astype(np.float64)
    for top in range(0, len(ys), BLOCK):
        for left in range(0, len(xs), BLOCK):
            rows, columns = slice(top, top + BLOCK), slice(left, left + BLOCK)
            block_xs, block_ys, part = xs[columns], ys[rows], squares[rows, columns]
            for i in _nearest(starts, ways, radius, block_xs, block_ys):
                across, down = block_xs - starts[i, 0], block_ys - starts[i, 1]
                np.minimum(part, _squares(across.astype(np.float64), down.astype(np.float64), *ways[i]), out=part)


def _nearest(starts: Points, ways: Plane, radius: int, xs: Points, ys: Points) -> list[int]:
    """Return the segments that can be nearest to a position of the block, and within the radius."""
    low, high = np.array([xs[0], ys[0]]), np.array([xs[-1], ys[-1]])
    middle = (low + high) // 2
    offsets = (middle - starts).astype(np.float64)
    lengths = (ways * ways).sum(1)
    along = np.clip((offsets * ways).sum(1) / np.where(lengths > 0, lengths, 1), 0, 1)
    distances = np.sqrt(((offsets - along[:, None] * ways) ** 2).sum(1))
    half = float(np.sqrt(((high - low).astype(np.float64) ** 2).sum())) / 2 + MARGIN
    found = distances - half <= min(float(radius), float(distances.min()) + half)
    return np.flatnonzero(found).tolist()


def _squares(across: Plane, down: Plane, dx: float, dy: float) -> Plane:
    """Return squared distances to the segment from the origin to (dx, dy) at columns ``across`` and rows ``down``."""
    if not (length := dx * dx + dy * dy):
        return (across * across)[None, :] + (down * down)[:, None]
    along = (across * (dx / length))[None, :] + (down * (dy / length))[:, None]
    np.clip(along, 0, 1, out=along)
    off_x = across[None, :] - along * dx
    off_y = down[:, None] - along * dy
    off_x *= off_x
    off_y *= off_y
    off_x += off_y
    return off_x


def _opacity(squares: Plane, radius: int, hardness: float) -> Plane:
    """Return 1 up to ``hardness`` of the radius, 0 beyond the radius, and the smoothstep 3t^2 - 2t^3 between them."""
    soft = radius * (1 - hardness)
    if soft == 0:
        return (squares <= radius * radius).astype(np.float64)
    rise = np.clip((radius - np.sqrt(squares)) / soft, 0, 1)
    return rise * rise * (3 - 2 * rise)
