"""Compute style weights at lattice positions: a nearest-centre map, box-filtered.

A pixel belongs to its nearest centre. The weight of a style at a position is its share of the square of ``transition`` px around
the position (the paper's one-hot map and mean filter, Appendix L). All steps use integers, so weights are bit-identical in every
tile.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from infgen.geometry import Span, Window

BLOCK_PX = 128  # side of the blocks in which several styles are compared pixel by pixel
FAR = 2**61  # differences are clamped to this: no position in a block can change their sign

Labels = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Centre:
    """A position (px) and its style number."""

    x: int
    y: int
    style: int


def nearest_styles(centres: Sequence[Centre], window: Window, *, step: int = 1) -> Labels:
    """Return the style of the nearest centre for every position of ``window``, (H, W) int32; of equally near ones, the first.

    Positions are ``step`` px apart, at most 2^9. Exact for px up to 2^41. Raises ValueError without centres.
    """
    if not centres:
        raise ValueError("nearest_styles needs at least one centre")
    labels = np.empty(window.shape, np.int32)
    places = np.array([(c.x, c.y) for c in centres], np.int64)
    styles = np.array([c.style for c in centres], np.int32)
    parts = [(window, np.arange(len(centres)))]
    while parts:
        part, among = parts.pop()
        found = among[_candidates(places[among], part, step)]
        rows, columns = (
            slice(s.start - w.start, s.stop - w.start) for s, w in ((part.y, window.y), (part.x, window.x))
        )
        if (styles[found] == styles[found[0]]).all():
            labels[rows, columns] = styles[found[0]]
        elif max(part.shape) <= BLOCK_PX:
            labels[rows, columns] = _nearest([centres[i] for i in found], part, step)
        else:
            parts += [(quarter, found) for quarter in _quarters(part)]
    return labels


def _quarters(window: Window) -> Iterator[Window]:
    """Split ``window`` in the middle of each axis that is longer than ``BLOCK_PX``."""
    rows, columns = (
        [Span(s.start, s.size // 2), Span(s.start + s.size // 2, s.size - s.size // 2)] if s.size > BLOCK_PX else [s]
        for s in (window.y, window.x)
    )
    return (Window(x, y) for y in rows for x in columns)


def _candidates(places: npt.NDArray[np.int64], block: Window, step: int) -> npt.NDArray[np.intp]:
    """Return the indices of centres that can be nearest to a position of ``block``, in order.

    A centre is dropped if the one nearest to the block's middle is nearer at all corners, and thus everywhere between. A
    margin covers rounding (float64).
    """
    if len(places) == 1:
        return np.zeros(1, np.intp)
    low = np.array([step * block.x.start, step * block.y.start], np.int64)
    high = np.array([step * (block.x.stop - 1), step * (block.y.stop - 1)], np.int64)
    doubled = 2 * places - (low + high)
    near = places[np.hypot(*doubled.astype(np.float64).T).argmin()]
    # |p - c|^2 - |p - near|^2 = (near - c) (2 p - near - c), a sum over both axes that is linear in p
    away, total = (near - places).astype(np.float64), near + places
    ends = np.stack([away * (2 * low - total), away * (2 * high - total)])
    return np.flatnonzero(ends.min(0).sum(1) <= 1e-12 * np.abs(ends).max(0).sum(1))


def _nearest(centres: Sequence[Centre], block: Window, step: int) -> Labels:
    """Return the styles of the positions of ``block`` by comparing every centre with the first one.

    |p - c|^2 - |p - c0|^2 is linear in p: exact in integers where the squares themselves would overflow.
    """
    origin_x, origin_y = step * block.x.start, step * block.y.start
    first = centres[0]
    x, y = (step * np.arange(span.size, dtype=np.int64) for span in (block.x, block.y))
    best = np.zeros(block.shape, np.int64)
    labels = np.full(block.shape, first.style, np.int32)
    for c in centres[1:]:
        constant = _square(c, origin_x, origin_y) - _square(first, origin_x, origin_y)
        moved = (x * (c.x - first.x))[None, :] + (y * (c.y - first.y))[:, None]
        difference = max(-FAR, min(FAR, constant)) - 2 * moved
        closer = difference < best
        best = np.where(closer, difference, best)
        labels[closer] = c.style
    return labels


def _square(c: Centre, x: int, y: int) -> int:
    return (c.x - x) ** 2 + (c.y - y) ** 2


@dataclass(frozen=True)
class StyleCounts:
    """Summed-area tables of style counts in a window: the sum over any square takes four reads.

    ``styles``: numbers of the styles that occur. ``sums`` (len(styles) - 1, H + 1, W + 1) int32: the last style is the
    remainder of each square.
    """

    window: Window
    styles: tuple[int, ...]
    sums: npt.NDArray[np.int32]

    @classmethod
    def of(cls, labels: Labels, window: Window, *, styles: tuple[int, ...]) -> "StyleCounts":
        """Count ``labels`` (H, W) on the pixels of ``window``; ``styles`` must include every style that occurs."""
        sums = np.zeros((len(styles) - 1, labels.shape[0] + 1, labels.shape[1] + 1), np.int32)
        for i, style in enumerate(styles[:-1]):
            np.cumsum(labels == style, axis=1, dtype=np.int32, out=sums[i, 1:, 1:])
        for above, row in pairwise(
            np.moveaxis(sums, 1, 0)
        ):  # row by row: a cumsum along columns takes ten times as long
            row += above
        return cls(window, styles, sums)

    def weights(self, x: Span, y: Span, *, spacing: int, transition: int) -> Weights:
        """Return weights (len(styles), y.size, x.size) at lattice positions ``spacing`` px apart; they sum to 1.

        ``transition``: side in px of the square that is averaged, odd; 1 is a hard edge. Raises ValueError if a square
        leaves the window.
        """
        reach = transition // 2
        left, right = _edges(x, spacing, reach, self.window.x)
        top, bottom = _edges(y, spacing, reach, self.window.y)
        sums = self.sums
        inside = np.empty((len(self.styles), y.size, x.size), np.int32)
        np.subtract(sums[:, bottom, right], sums[:, top, right], out=inside[:-1])
        inside[:-1] -= sums[:, bottom, left]
        inside[:-1] += sums[:, top, left]
        return _shares(inside, transition)


def coarse_weights(
    labels: Labels, window: Window, x: Span, y: Span, *, styles: tuple[int, ...], spacing: int, transition: int
) -> Weights:
    """Return what ``StyleCounts.of(labels, window, styles=styles).weights(x, y, ...)`` returns, for one coarse lattice.

    Squares are summed row by row and then over the few columns that remain, so no table of the window is made.
    """
    reach = transition // 2
    left, right = _edges(x, spacing, reach, window.x)
    top, bottom = _edges(y, spacing, reach, window.y)
    inside = np.empty((len(styles), y.size, x.size), np.int32)
    along = np.zeros((labels.shape[0], labels.shape[1] + 1), np.int32)
    down = np.zeros((labels.shape[0] + 1, x.size), np.int32)
    for i, style in enumerate(styles[:-1]):
        np.cumsum(labels == style, axis=1, dtype=np.int32, out=along[:, 1:])
        np.cumsum(along[:, right] - along[:, left], axis=0, dtype=np.int32, out=down[1:])
        np.subtract(down[bottom], down[top], out=inside[i])
    return _shares(inside, transition)


def _shares(inside: npt.NDArray[np.int32], transition: int) -> Weights:
    """Divide pixels ``inside`` (K, H, W) the squares by all; the last style gets what the others leave."""
    inside[-1] = transition**2 - inside[:-1].sum(0, dtype=np.int32)
    return np.divide(inside, np.float32(transition**2), dtype=np.float32)


def _edges(span: Span, spacing: int, reach: int, window: Span) -> tuple[slice, slice]:
    """Return the starts and ends of the squares around a span's positions, as slices of sums."""
    first, stop = span.start * spacing - window.start, (span.stop - 1) * spacing - window.start + 1
    if first - reach < 0 or stop + reach > window.size:
        raise ValueError(f"squares around {span} at spacing {spacing} leave the window {window}")
    return slice(first - reach, stop - reach, spacing), slice(first + reach + 1, stop + reach + 1, spacing)


def covering(x: Span, y: Span, *, spacing: int, transition: int) -> Window:
    """Return the window of pixels that ``StyleCounts.weights`` reads for these positions."""
    reach = transition // 2
    return Window(
        Span(x.start * spacing - reach, (x.size - 1) * spacing + 1 + 2 * reach),
        Span(y.start * spacing - reach, (y.size - 1) * spacing + 1 + 2 * reach),
    )
