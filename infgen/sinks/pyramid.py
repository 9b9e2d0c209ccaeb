"""The smaller copies of a picture that viewers show when zoomed out: sizes, pixels and OME-Zarr metadata."""

from typing import Any

import numpy as np
import numpy.typing as npt

from infgen.sinks.grid import Box, Grid

Planes = npt.NDArray[np.uint8]  # (C, H, W)
SMALLEST_PX = 512  # a picture of at most this many px per side has no smaller copy
_COLOURS = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
_MEAN = "mean of 2 x 2 pixels, rounded half up; at odd edges of those that exist"


def levels(grid: Grid) -> list[Grid]:
    """List the grids of the picture and its copies. Each has half the size of the one before (px, rounded up).

    All have tiles of the same size.
    """
    sizes = [grid]
    while max(sizes[-1].width, sizes[-1].height) > SMALLEST_PX:
        last = sizes[-1]
        sizes.append(Grid(-(-last.width // 2), -(-last.height // 2), grid.step_x, grid.step_y))
    return sizes


def source(below: Grid, box: Box) -> Box:
    """Return the rectangle of the level ``below`` whose means are the pixels ``box`` of the next level."""
    x, y = 2 * box.x, 2 * box.y
    return Box(x, y, min(2 * box.w, below.width - x), min(2 * box.h, below.height - y))


def halve(planes: Planes) -> Planes:
    """Average 2 x 2 pixels, rounded half up: (C, H, W) uint8 -> (C, ceil(H / 2), ceil(W / 2))."""
    _, height, width = planes.shape
    # A repeated edge gives the mean of the existing pixels, including the rounding: (2s + 2) // 4 = (s + 1) // 2.
    even = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge").astype(np.uint16)
    sums = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return ((sums + 2) >> 2).astype(np.uint8)


def ome_metadata(name: str, *, level_count: int, version: str = "0.5") -> dict[str, Any]:
    """Build the group attributes of OME-Zarr 0.5 or 0.4 (``version``) for an RGB picture in the arrays "0", "1", ...

    Positions are px of level 0, at pixel centres: pixel 0 of level k lies at (2^k - 1) / 2.
    """
    multiscale = {
        "name": name,
        "type": "mean",
        "metadata": {"description": _MEAN},
        "axes": [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [
            {"path": str(level), "coordinateTransformations": _transform(level)} for level in range(level_count)
        ],
    }
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    channels = [{"label": label, "color": colour, "active": True, "window": window} for label, colour in _COLOURS]
    omero = {"channels": channels, "rdefs": {"model": "color"}}
    if version == "0.4":
        return {"multiscales": [{"version": version, **multiscale}], "omero": {"version": version, **omero}}
    return {"ome": {"version": version, "multiscales": [multiscale], "omero": omero}}


def _transform(level: int) -> list[dict[str, Any]]:
    factor = float(2**level)
    scale = {"type": "scale", "scale": [1.0, factor, factor]}
    if level == 0:
        return [scale]
    shift = (factor - 1) / 2
    return [scale, {"type": "translation", "translation": [0.0, shift, shift]}]
