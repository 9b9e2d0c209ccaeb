"""A photograph set into a generated picture: its own pixels untouched, a feather along its open edges, colours matched outside.

Masks are softened by counting pixels in squares, in whole numbers: a weight is exactly 1 where it should be, whatever the
size of the picture, and the work per pixel does not grow with the width of a feather.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from infgen.photo import Known
from infgen.pixels import Pixels

REACHES_PX = (96, 32, 10)  # how far differences of colour are carried outwards: the coarse ones far, finer ones less
_STRIP_PX = 512  # rows that are blended together: the whole picture at once would need several times its memory

Values = npt.NDArray[np.float32]  # (H, W, 3)
Weights = npt.NDArray[np.float32]  # (H, W), 0 to 1
_Number = TypeVar("_Number", np.int64, np.float64)


def ramp(known: Known, reach: int) -> Weights:
    """0 where ``known`` (H, W) is False, rising to 1 over ``reach`` px inside it, (H, W) float32.

    Exactly 1 at every pixel from which all within ``reach`` px (rows and columns) are known; ``reach`` 0 is the mask itself.
    Beyond the picture's edges its outermost pixels continue: where a photograph ends with the picture nothing is softened.
    """
    eroded = -(-reach // 2)
    first = (reach - eroded) // 2
    whole = _box_sum(known.astype(np.int64), eroded) == (2 * eroded + 1) ** 2
    counts = whole.astype(np.int64)
    area = 1
    for side in (first, reach - eroded - first):  # two boxes make a ramp without corners
        counts, area = _box_sum(counts, side), area * (2 * side + 1) ** 2
    return (counts / area).astype(np.float32)


def matched(generated: Pixels, photo: Pixels, known: Known, *, x: int, y: int) -> Pixels:
    """``generated`` (H, W, 3) uint8 with its colours led over to those of ``photo`` (h, w, 3) at column ``x`` and row ``y``.

    ``known`` (h, w): where the photograph counts. There, smooth differences between both are found; near it they are carried
    outwards and fade within ``REACHES_PX``, so that no step remains along its edge. Farther away nothing changes. Raises
    ValueError where the photograph does not lie inside.
    """
    rows, columns = _around(generated, known, x=x, y=y, margin=max(REACHES_PX) + 1)
    part = generated[rows, columns]
    canvas, mask = _placed(photo, known, size=part.shape[:2], x=x - columns.start, y=y - rows.start)
    result = generated.copy()
    result[rows, columns] = _rounded(
        part + _carried(np.where(mask[:, :, None], canvas.astype(np.float32) - part, 0), mask)
    )
    return result


def set_into(background: Pixels, photo: Pixels, known: Known, *, x: int, y: int, feather: int) -> Pixels:
    """``background`` (H, W, 3) uint8 with ``photo`` (h, w, 3) uint8 at column ``x`` and row ``y`` where ``known`` (h, w).

    They are mixed inside the known part, over ``feather`` px from where it ends within the picture; farther inside, pixels
    are those of ``photo``. Raises ValueError where the photograph does not lie inside.
    """
    result = background.copy()
    # One px around it says on which sides the picture goes on.
    rows, columns = _around(background, known, x=x, y=y, margin=1)
    part = result[rows, columns]
    canvas, mask = _placed(photo, known, size=part.shape[:2], x=x - columns.start, y=y - rows.start)
    for top in range(0, len(part), _STRIP_PX):
        bottom = min(top + _STRIP_PX, len(part))
        above, below = max(0, top - feather), min(len(part), bottom + feather)
        weight = ramp(mask[above:below], feather)[top - above : bottom - above, :, None]
        part[top:bottom] = _rounded(weight * canvas[top:bottom] + (1 - weight) * part[top:bottom])
    return result


def _around(picture: Pixels, known: Known, *, x: int, y: int, margin: int) -> tuple[slice, slice]:
    """Rows and columns of ``picture`` with the photograph at (``x``, ``y``) and ``margin`` px around it."""
    (height, width), (h, w) = picture.shape[:2], known.shape
    if not (0 <= x <= x + w <= width and 0 <= y <= y + h <= height):
        raise ValueError(f"a photograph of {w} x {h} px at ({x}, {y}) does not lie inside {width} x {height} px")
    return slice(max(0, y - margin), min(height, y + h + margin)), slice(max(0, x - margin), min(width, x + w + margin))


def _placed(photo: Pixels, known: Known, *, size: tuple[int, ...], x: int, y: int) -> tuple[Pixels, Known]:
    """``photo`` and ``known`` at column ``x`` and row ``y`` of an empty window of ``size`` (H, W)."""
    height, width = known.shape
    canvas, mask = np.zeros((*size, 3), np.uint8), np.zeros(size, np.bool_)
    canvas[y : y + height, x : x + width] = photo
    mask[y : y + height, x : x + width] = known
    return canvas, mask


def _carried(difference: Values, known: Known) -> Values:
    """Smooth parts of ``difference`` (H, W, 3; 0 where not ``known``), carried on beyond the known part."""
    carried = np.zeros_like(difference)
    for reach in REACHES_PX:
        part = _local_mean(difference, known, -(-reach // 3)) * (1 - ramp(~known, reach))[:, :, None]
        carried += part
        difference = np.where(known[:, :, None], difference - part, 0)
    return carried


def enlarged(picture: Pixels, box: tuple[float, float, float, float], *, size: tuple[int, int]) -> Pixels:
    """The part ``box`` (left, top, right, bottom; px) of ``picture`` (H, W, 3) as (h, w, 3) for ``size`` (w, h), by Lanczos."""
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS, box=box))


def _local_mean(values: Values, known: Known, reach: int) -> Values:
    """Smooth mean of ``values`` (H, W, 3) over known pixels near each pixel, 0 where none is within 3 * ``reach`` px."""
    total, weight = values.astype(np.float64), known.astype(np.float64)
    for _ in range(3):  # three boxes are close to a Gaussian
        total, weight = _box_sum(total, reach), _box_sum(weight, reach)
    enough = weight > 0.5
    return np.where(enough[:, :, None], total / np.where(enough, weight, 1)[:, :, None], 0).astype(np.float32)


def _box_sum(values: npt.NDArray[_Number], reach: int) -> npt.NDArray[_Number]:
    """Sum over the square of ``reach`` px to each side, along the first two axes; edge values continue outside."""
    for _ in range(2):
        padded = np.pad(values, [(reach + 1, reach)] + [(0, 0)] * (values.ndim - 1), "edge")
        sums = padded.cumsum(0)
        values = (sums[2 * reach + 1 :] - sums[: len(values)]).swapaxes(0, 1)
    return values


def _rounded(values: Values) -> Pixels:
    return values.round().clip(0, 255).astype(np.uint8)
