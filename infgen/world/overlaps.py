"""Find the overlaps of a block of lattice positions with a window: once, or once per period of a cyclic world."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from infgen.geometry import Span, Window

Part = tuple[slice, slice]  # rows, columns


def span_overlaps(window: Span, block: Span, *, period: int | None = None) -> Iterator[tuple[slice, slice]]:
    """Yield the overlaps of ``block`` with ``window`` along one axis: (slice of the window, slice of the block).

    ``period``: the block repeats after this many positions. Copies do not overlap if the block is not wider than this.
    """
    first, last = 0, 0
    if period is not None:
        first = (window.start - block.stop) // period + 1
        last = (window.stop - 1 - block.start) // period
    for copy in range(first, last + 1):
        shifted = block.start + copy * (period or 0)
        start, stop = max(window.start, shifted), min(window.stop, shifted + block.size)
        if start < stop:
            yield slice(start - window.start, stop - window.start), slice(start - shifted, stop - shifted)


def window_overlaps(
    window: Window, block: Window, *, period: int | None = None, period_y: int | None = None
) -> Iterator[tuple[Part, Part]]:
    """Yield the overlaps of rectangles: (part of the window, part of the block). The periods are along x and y."""
    for rows, block_rows in span_overlaps(window.y, block.y, period=period_y):
        for columns, block_columns in span_overlaps(window.x, block.x, period=period):
            yield (rows, columns), (block_rows, block_columns)


def touches(
    first: npt.NDArray[np.int64], last: npt.NDArray[np.int64], span: Span, period: int | None
) -> npt.NDArray[np.bool_]:
    """Return which runs of px from ``first`` to ``last`` share a pixel with ``span``, along one axis."""
    if period is None:
        return (first < span.stop) & (last >= span.start)
    return ((first - span.start) % period < span.size) | ((span.start - first) % period <= last - first)


def positions_in(px: int, size: int, *, spacing: int) -> Span:
    """Return the lattice positions j whose pixel ``spacing * j`` lies in the ``size`` px from ``px``; may be empty."""
    start = -(-px // spacing)
    return Span(start, -(-(px + size) // spacing) - start)
