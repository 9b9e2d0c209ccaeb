"""Move a camera over a world: a smooth path through way points, eased at both ends, with a change of zoom."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from infgen.errors import InputError
from infgen.geometry import PX_LIMIT

ZOOMS = (1 / 64, 64.0)  # smallest and largest zoom
_SAMPLES = 256  # of each piece of a curved path, to measure its length
_NUMBER = r"(-?[0-9]{1,14}(?:\.[0-9]{1,6})?)"
_POINT = re.compile(rf"\s*{_NUMBER}\s*,\s*{_NUMBER}\s*")
_ZOOM = re.compile(r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)(?:\s*:\s*([0-9]{1,3}(?:\.[0-9]{1,6})?))?\s*")

Points = npt.NDArray[np.float64]  # (n, 2)


@dataclass(frozen=True)
class Pose:
    """The world position (x, y) in px of the frame's middle pixel, and screen px per world px."""

    x: float
    y: float
    zoom: float


@dataclass(frozen=True)
class Camera:
    """A camera that moves through ``points`` (x, y) in world px, while its zoom changes from ``zoom[0]`` to ``zoom[1]``.

    Raises InputError for fewer than two points, for values out of range, and for a camera that does not move.
    """

    points: tuple[tuple[float, float], ...]
    zoom: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.points) < 2:
            raise InputError("a camera needs two points or more; give --from and --to")
        for x, y in self.points:
            if not (abs(x) <= PX_LIMIT and abs(y) <= PX_LIMIT):
                raise InputError(f"point {x:g},{y:g} is out of range; allowed are +-2^40 px")
        for zoom in self.zoom:
            if not ZOOMS[0] <= zoom <= ZOOMS[1]:
                raise InputError(f"zoom {zoom:g} is out of range; allowed are {ZOOMS[0]:g} to {ZOOMS[1]:g}")
        if len(set(self.points)) == 1 and self.zoom[0] == self.zoom[1]:
            raise InputError(
                "the camera does not move: all points are equal, and so is the zoom; give another --to or --zoom"
            )

    def pose(self, time: float) -> Pose:
        """Return the pose at ``time``, 0 to 1. Speed and acceleration are 0 at both ends, and the speed has no steps."""
        share = ease(time)
        x, y = self._place(share)
        return Pose(x, y, self.zoom[0] * (self.zoom[1] / self.zoom[0]) ** share)

    def _place(self, share: float) -> tuple[float, float]:
        """Return the point at the share ``share`` of the path's length."""
        if len(self.points) == 2:
            (x0, y0), (x1, y1) = self.points
            return x0 + (x1 - x0) * share, y0 + (y1 - y0) * share
        curve, lengths = self._curve
        at = share * lengths[-1]
        (x0, y0) = self.points[0]
        return x0 + float(np.interp(at, lengths, curve[:, 0])), y0 + float(np.interp(at, lengths, curve[:, 1]))

    @cached_property
    def _curve(self) -> tuple[Points, Points]:
        """Samples of the path relative to its start, and the length of the path up to each."""
        curve = smooth_curve(np.array(self.points) - np.array(self.points[0]))
        steps = np.hypot(*np.diff(curve, axis=0).T)
        return curve, np.concatenate([[0.0], np.cumsum(steps)])

    def to_dict(self) -> dict[str, Any]:
        return {"points": [list(point) for point in self.points], "zoom": list(self.zoom)}


def ease(time: float) -> float:
    """Map 0..1 to 0..1, with first and second derivatives of 0 at both ends (smootherstep, Perlin 2002)."""
    return time**3 * (time * (6 * time - 15) + 10)


def smooth_curve(points: Points) -> Points:
    """Sample a centripetal Catmull-Rom curve (Yuksel et al. 2011) through ``points`` (n, 2). It has no loops or cusps."""
    points = points[np.concatenate([[True], np.any(np.diff(points, axis=0) != 0, axis=1)])]
    if len(points) < 2:
        return points
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    pieces = [_piece(padded[i : i + 4]) for i in range(len(points) - 1)]
    return np.concatenate([*pieces, points[-1:]])


def _piece(p: Points) -> Points:
    """Sample the curve from ``p[1]`` to ``p[2]``, without its end, by the pyramid of Barry and Goldman."""
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(np.hypot(*np.diff(p, axis=0).T)))])
    t = np.linspace(knots[1], knots[2], _SAMPLES, endpoint=False)[:, None]

    def mix(one: Points, other: Points, start: float, end: float) -> Points:
        return ((end - t) * one + (t - start) * other) / (end - start)

    first = [mix(p[i], p[i + 1], knots[i], knots[i + 1]) for i in range(3)]
    second = [mix(first[i], first[i + 1], knots[i], knots[i + 2]) for i in range(2)]
    return mix(second[0], second[1], knots[1], knots[2])


def parse_point(text: str, option: str) -> tuple[float, float]:
    """Parse the point "X,Y" in px. Raises InputError, with the name of ``option``, for anything else."""
    match = _POINT.fullmatch(text)
    if match is None:
        raise InputError(f"{option} {text[:60]!r} is not a point; give X,Y in px, such as 0,-64")
    return float(match[1]), float(match[2])


def parse_zoom(text: str) -> tuple[float, float]:
    """Parse the zoom "a" or "a:b". Raises InputError for anything else."""
    match = _ZOOM.fullmatch(text)
    if match is None:
        raise InputError(f"--zoom {text[:40]!r} is not a zoom; give one number, or two such as 1:0.25")
    return float(match[1]), float(match[2] or match[1])


def frame_times(count: int) -> Sequence[float]:
    """Return the times of ``count`` (2 or more) frames, from 0 to 1."""
    return [i / (count - 1) for i in range(count)]


def coarsest_spacing(camera: Camera) -> float:
    """Return the most world px per screen px on the path."""
    return 1 / min(camera.zoom)


def octave(zoom: float) -> float:
    """Return log2 of the world px per screen px at ``zoom``: 0 at full size, 1 at half the size."""
    return -math.log2(zoom)
