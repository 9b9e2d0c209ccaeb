"""Composite a photograph into a generated image: match colours outside, feather the open edges, keep the photograph's pixels.

Masks are blurred with integer box sums. So weights of 1 are exact for any image size, and the cost per pixel does not
depend on the feather width.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from infgen.photo import Known
from infgen.pixels import Pixels

# How far colour differences extend outwards, px at working size: coarse differences far, fine ones less.
REACHES_PX = (288, 96, 32, 10)
_STRIP_PX = 512  # rows blended at a time, to bound memory
_WRAPPED_PX = 16  # more than Lanczos reads beyond a border

Values = npt.NDArray[np.float32]  # (H, W, 3)
Weights = npt.NDArray[np.float32]  # (H, W), 0 to 1
Box = tuple[float, float, float, float]  # left, top, right, bottom
_Number = TypeVar("_Number", np.int64, np.float64)


def ramp(known: Known, reach: int) -> Weights:
    """Feather the mask ``known`` (H, W): 0 where False, rising to 1 over ``reach`` px inside, (H, W) float32.

    The weight is exactly 1 if all pixels within ``reach`` px (rows and columns) are known. ``reach`` 0 returns the mask.
    Edge pixels continue beyond the image, so a photograph that ends at the image edge is not feathered there.
    """
    eroded = -(-reach // 2)
    first = (reach - eroded) // 2
    whole = _box_sum(known.astype(np.int64), eroded) == (2 * eroded + 1) ** 2
    counts = whole.astype(np.int64)
    area = 1
    for side in (first, reach - eroded - first):  # two boxes make a ramp without corners
        counts, area = _box_sum(counts, side), area * (2 * side + 1) ** 2
    return (counts / area).astype(np.float32)


def match_colours(
    generated: Pixels, photo: Pixels, known: Known, *, x: int, y: int, reaches: Sequence[int] = REACHES_PX
) -> Pixels:
    """Match the colours of ``generated`` (H, W, 3) uint8 near ``photo`` (h, w, 3), placed at column ``x`` and row ``y``.

    ``known`` (h, w): mask of the photograph. Measures smooth colour differences inside the mask and extends them outwards,
    fading within ``reaches`` (px, falling). This removes the colour step at the edge; pixels farther away do not change.
    Raises ValueError if the photograph does not lie inside.
    """
    rows, columns = _around(generated, known, x=x, y=y, margin=max(reaches) + 1)
    part = generated[rows, columns]
    canvas, mask = _place(photo, known, size=part.shape[:2], x=x - columns.start, y=y - rows.start)
    result = generated.copy()
    result[rows, columns] = to_uint8(
        part + spread(np.where(mask[:, :, None], canvas.astype(np.float32) - part, 0), mask, reaches)
    )
    return result


def paste(background: Pixels, photo: Pixels, known: Known, *, x: int, y: int, feather: int) -> Pixels:
    """Paste ``photo`` (h, w, 3) uint8 with mask ``known`` (h, w) into ``background`` (H, W, 3) uint8 at (``x``, ``y``).

    Blends both over ``feather`` px inside the edges of the mask. Farther inside, the result equals ``photo``. Raises
    ValueError if the photograph does not lie inside.
    """
    result = background.copy()
    # A margin of 1 px shows on which sides the background continues.
    rows, columns = _around(background, known, x=x, y=y, margin=1)
    part = result[rows, columns]
    canvas, mask = _place(photo, known, size=part.shape[:2], x=x - columns.start, y=y - rows.start)
    for top in range(0, len(part), _STRIP_PX):
        bottom = min(top + _STRIP_PX, len(part))
        above, below = max(0, top - feather), min(len(part), bottom + feather)
        weight = ramp(mask[above:below], feather)[top - above : bottom - above, :, None]
        part[top:bottom] = to_uint8(weight * canvas[top:bottom] + (1 - weight) * part[top:bottom])
    return result


def insert(background: Pixels, photo: Pixels, known: Known, *, x: int, y: int, feather: int) -> Pixels:
    """Insert ``photo`` with mask ``known`` into ``background`` at (``x``, ``y``), and blend both over ``feather`` px.

    A whole photograph keeps all pixels and is blended outside its edges, with its mirror image. One with unknown pixels is
    blended inside the edges of its mask.
    """
    if not known.all():
        return paste(background, photo, known, x=x, y=y, feather=feather)
    result = mirror_edges(background, photo, x=x, y=y, reach=feather)
    result[y : y + photo.shape[0], x : x + photo.shape[1]] = photo
    return result


def mirror_edges(picture: Pixels, photo: Pixels, *, x: int, y: int, reach: int) -> Pixels:
    """Blend the mirrored ``photo`` (h, w, 3) at (``x``, ``y``) into the ``reach`` px of ``picture`` around it.

    The weight of the mirror image falls from 1 at the edge to 0. Pixels of the photograph's place do not change.
    """
    result = picture.copy()
    (height, width), (h, w) = picture.shape[:2], photo.shape[:2]
    top, bottom, left, right = (
        max(0, y - reach),
        min(height, y + h + reach),
        max(0, x - reach),
        min(width, x + w + reach),
    )
    strips = ((top, y, left, right), (y + h, bottom, left, right), (y, y + h, left, x), (y, y + h, x + w, right))
    for first, last, start, stop in strips:
        rows, columns = np.arange(first, last) - y, np.arange(start, stop) - x
        if not rows.size or not columns.size:
            continue
        mirrored = photo[_mirror(rows, h)[:, None], _mirror(columns, w)]
        weight = _falling(_outside(rows, h)[:, None], _outside(columns, w), reach)[:, :, None]
        part = result[first:last, start:stop]
        part[:] = to_uint8(weight * mirrored + (1 - weight) * part)
    return result


def mirror_cover(photo: Pixels, reach: int) -> tuple[Pixels, Weights]:
    """Return ``photo`` (h, w, 3) with ``reach`` px of its mirror image around it, and the weights of these pixels.

    Weights are 1 in the photograph, and fall to 0 as in ``mirror_edges``.
    """
    height, width = photo.shape[:2]
    rows, columns = np.arange(-reach, height + reach), np.arange(-reach, width + reach)
    colours = photo[_mirror(rows, height)[:, None], _mirror(columns, width)]
    return colours, _falling(_outside(rows, height)[:, None], _outside(columns, width), reach)


def _falling(down: npt.NDArray[np.int_], across: npt.NDArray[np.int_], reach: int) -> Weights:
    """Weights of the mirror image at distances from the photograph in px: 1 at 0, 0 beyond ``reach``."""
    away = np.hypot(down, across) / (reach + 1)
    return (0.5 + 0.5 * np.cos(np.pi * away.clip(0, 1))).astype(np.float32)


def _mirror(positions: npt.NDArray[np.int_], size: int) -> npt.NDArray[np.int_]:
    """Mirror positions at both ends of 0 .. ``size`` - 1."""
    folded = positions % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def _outside(positions: npt.NDArray[np.int_], size: int) -> npt.NDArray[np.int_]:
    """Distance in px of positions from 0 .. ``size`` - 1."""
    return np.maximum(np.maximum(-positions, positions - size + 1), 0)


def _around(picture: Pixels, known: Known, *, x: int, y: int, margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of the photograph at (``x``, ``y``) plus ``margin`` px, cropped to ``picture``."""
    (height, width), (h, w) = picture.shape[:2], known.shape
    if not (0 <= x <= x + w <= width and 0 <= y <= y + h <= height):
        raise ValueError(f"a photograph of {w} x {h} px at ({x}, {y}) does not lie inside {width} x {height} px")
    return slice(max(0, y - margin), min(height, y + h + margin)), slice(max(0, x - margin), min(width, x + w + margin))


def _place(photo: Pixels, known: Known, *, size: tuple[int, ...], x: int, y: int) -> tuple[Pixels, Known]:
    """Place ``photo`` and ``known`` at (``x``, ``y``) in an empty window of ``size`` (H, W)."""
    height, width = known.shape
    canvas, mask = np.zeros((*size, 3), np.uint8), np.zeros(size, np.bool_)
    canvas[y : y + height, x : x + width] = photo
    mask[y : y + height, x : x + width] = known
    return canvas, mask


def spread(difference: Values, known: Known, reaches: Sequence[int]) -> Values:
    """Extend the smooth parts of ``difference`` (H, W, 3; 0 where not ``known``) beyond the mask, up to ``reaches`` px.

    Returns the change (H, W, 3) that makes the surroundings meet the colours at the mask's edge.
    """
    carried = np.zeros_like(difference)
    for reach in reaches:
        part = local_mean(difference, known, -(-reach // 3)) * (1 - ramp(~known, reach))[:, :, None]
        carried += part
        difference = np.where(known[:, :, None], difference - part, 0)
    return carried


def enlarge(picture: Pixels, box: Box, *, size: tuple[int, int], cyclic: bool = False) -> Pixels:
    """Crop ``box`` (left, top, right, bottom; px) of ``picture`` (H, W, 3) and resize it to ``size`` (w, h) by Lanczos.

    ``cyclic``: the right edge continues at the left edge.
    """
    if cyclic:
        picture = np.pad(picture, ((0, 0), (_WRAPPED_PX, _WRAPPED_PX), (0, 0)), "wrap")
        box = (box[0] + _WRAPPED_PX, box[1], box[2] + _WRAPPED_PX, box[3])
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS, box=box))


def local_mean(values: Values, known: Known, reach: int) -> Values:
    """Blur ``values`` (H, W, 3) over known pixels only; 0 where none is within 3 * ``reach`` px."""
    total, weight = values.astype(np.float64), known.astype(np.float64)
    for _ in range(3):  # three boxes are close to a Gaussian
        total, weight = _box_sum(total, reach), _box_sum(weight, reach)
    enough = weight > 0.5
    return np.where(enough[:, :, None], total / np.where(enough, weight, 1)[:, :, None], 0).astype(np.float32)


def _box_sum(values: npt.NDArray[_Number], reach: int) -> npt.NDArray[_Number]:
    """Box sum over ``reach`` px on each side of the first two axes; edge values continue outside."""
    for _ in range(2):
        padded = np.pad(values, [(reach + 1, reach)] + [(0, 0)] * (values.ndim - 1), "edge")
        sums = padded.cumsum(0)
        values = (sums[2 * reach + 1 :] - sums[: len(values)]).swapaxes(0, 1)
    return values


def to_uint8(values: Values) -> Pixels:
    """Round ``values`` to whole numbers from 0 to 255."""
    return values.round().clip(0, 255).astype(np.uint8)
