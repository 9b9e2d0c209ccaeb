"""Find nearest centres and samples for single pixels, and for images that repeat along x or y."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from infgen.geometry import Span, Window
from infgen.world.mixing import Centre, Labels

BLOCK = 32  # columns and rows that share one search for candidate centres
ROUNDING = 1e-14  # upper bound of the relative rounding error of squared distances in float64


def copy_over_periods(places: Sequence[Centre], period: int | None, period_y: int | None = None) -> Sequence[Centre]:
    """Return three copies of every centre along each axis with a period, in px.

    A pixel of the first period is at most half a period from one of them.
    """
    if period is not None:
        places = [Centre(c.x % period + turn, c.y, c.style) for c in places for turn in (-period, 0, period)]
    if period_y is not None:
        places = [Centre(c.x, c.y % period_y + turn, c.style) for c in places for turn in (-period_y, 0, period_y)]
    return places


def repeat_labels(
    window: Window, period: int | None, period_y: int | None, labels: Callable[[Window], Labels]
) -> Labels:
    """Return labels (H, W) of a window of the image that repeats ``labels`` of the first period along each axis."""
    columns, rows = _fold(window.x, period), _fold(window.y, period_y)
    found = np.vstack([np.hstack([labels(Window(x, y)) for x in columns]) for y in rows])
    if period is not None and window.x.size > period:
        found = found[:, np.arange(window.x.size) % period]
    if period_y is not None and window.y.size > period_y:
        found = found[np.arange(window.y.size) % period_y]
    return found


def _fold(span: Span, period: int | None) -> list[Span]:
    """Return the one or two spans of the first period that ``span``, or its first ``period`` positions, repeats."""
    if period is None:
        return [span]
    start, size = span.start % period, min(span.size, period)
    first = min(size, period - start)
    return [Span(start, first)] if first == size else [Span(start, first), Span(0, size - first)]


def nearest_at(centres: Sequence[Centre], xs: Sequence[int], ys: Sequence[int]) -> Labels:
    """Return the styles of single pixels, (len(ys), len(xs)). Works in blocks, which have few candidate centres each."""
    places = np.array([(c.x, c.y) for c in centres], np.int64)
    labels = np.empty((len(ys), len(xs)), np.int32)
    for top in range(0, len(ys), BLOCK):
        for left in range(0, len(xs), BLOCK):
            block_xs, block_ys = xs[left : left + BLOCK], ys[top : top + BLOCK]
            found = [centres[i] for i in _candidates(places, block_xs, block_ys)]
            for row, y in enumerate(block_ys, start=top):
                labels[row, left : left + len(block_xs)] = _nearest_in_row(found, block_xs, y)
    return labels


def _candidates(places: npt.NDArray[np.int64], xs: Sequence[int], ys: Sequence[int]) -> list[int]:
    """Return the indices of centres that can be nearest to any of the pixels, in order.

    A centre is dropped if its distance to the middle exceeds the least distance by more than the diagonal.
    """
    low, high = np.array([min(xs), min(ys)], np.int64), np.array([max(xs), max(ys)], np.int64)
    distance = np.hypot(*(places - (low + high) // 2).astype(np.float64).T)
    reach = distance.min() + np.hypot(*(high - low).astype(np.float64)) + 2
    kept: list[int] = np.flatnonzero(distance <= reach * (1 + 1e-12)).tolist()
    return kept


def _nearest_in_row(centres: Sequence[Centre], xs: Sequence[int], y: int) -> list[int]:
    """Return the styles at ``xs``, compared in float64, and in integers where float64 cannot decide."""
    places = np.array([(c.x, c.y) for c in centres], np.int64)
    away = (places - np.array([(x, y) for x in xs], np.int64)[:, None]).astype(np.float64)
    squares = (away**2).sum(axis=-1)
    near = squares <= squares.min(axis=1, keepdims=True) * (1 + ROUNDING)
    styles = [centres[i].style for i in near.argmax(axis=1).tolist()]
    for i in np.flatnonzero(near.sum(axis=1) > 1).tolist():
        styles[i] = _nearest_exactly([centres[j] for j in np.flatnonzero(near[i]).tolist()], xs[i], y).style
    return styles


def _nearest_exactly(centres: Iterable[Centre], x: int, y: int) -> Centre:
    return min(centres, key=lambda c: (c.x - x) ** 2 + (c.y - y) ** 2)


def sample_indices(positions: Iterable[int], start: int, size: int, *, count: int, period: int | None) -> list[int]:
    """Return the sample index of each of ``positions``, where ``count`` samples cover ``size`` px from ``start``."""

    def sample(position: int) -> int:
        offset = position - start
        if period is not None:
            offset %= period
            if offset >= size and period - offset < offset - (size - 1):
                offset = 0  # the start of the next copy is nearer than the end of this one
        return min(max(offset, 0), size - 1) * count // size

    return [sample(position) for position in positions]  # Python's integers: no overflow
