"""Give generated pixels the sharpness and grain of the photographs beside them.

Both pictures are split into octave bands of luminance (Burt and Adelson 1983). In each band the generated part gets the local
power of the photograph, given the power of the coarsest bands (statistics as in Heeger and Bergen 1995): existing detail is
amplified, and missing detail is seeded noise of the same band.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.geometry import Span, Window
from infgen.photo import Known
from infgen.pixels import Pixels
from infgen.world import fields

TILE_PX = 512
MOST_GAIN = 1.7  # of existing detail
_FINEST_SIGMA = 0.8  # px; the finest band is what this blur removes
_COARSE_BANDS = 2  # bands that are amplified only, and whose power predicts the others
_GRID_PX = 8  # local power is computed on this grid
_LEVELS = 12  # of activity, with equal numbers of points
_LEAST_POWER = 1e-4
_SAMPLED_TILES = 12  # of each kind, nearest to each other
_NOISE_STREAM = 4095  # no texture convolution has this number
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class _Canvas:
    """A picture (H, W, 3) uint8 with its mask of photographs (H, W). ``cyclic``: the right edge continues at the left."""

    picture: Pixels
    known: Known
    cyclic: bool

    def at(self, window: Window) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
        """Return the rows (h, 1) and columns (w,) of a window; edge pixels continue outside."""
        height, width = self.known.shape
        rows = np.arange(window.y.start, window.y.stop).clip(0, height - 1)
        columns = np.arange(window.x.start, window.x.stop)
        return rows[:, None], columns % width if self.cyclic else columns.clip(0, width - 1)

    def noise(self, window: Window, seed: int) -> Tensor:
        """Standard normals (1, 1, h, w) that depend on seed and position only."""
        width = self.picture.shape[1]
        spans = _wrap(window.x, width) if self.cyclic else (window.x,)
        parts = [fields.noise(seed, Window(span, window.y), conv=_NOISE_STREAM) for span in spans]
        return torch.cat(parts, -1)[None]

    def tiles(self) -> Iterator[Window]:
        """Yield windows that cover the picture."""
        height, width, _ = self.picture.shape
        for y in range(0, height, TILE_PX):
            for x in range(0, width, TILE_PX):
                yield Window(Span(x, min(TILE_PX, width - x)), Span(y, min(TILE_PX, height - y)))


def _wrap(span: Span, period: int) -> list[Span]:
    """Split ``span`` into parts inside 0 to ``period``."""
    parts, at = [], span.start
    while at < span.stop:
        size = min(span.stop - at, period - at % period)
        parts.append(Span(at % period, size))
        at += size
    return parts


@dataclass(frozen=True)
class _Bands:
    """Octave bands of a tile with its halo, finest first. ``powers``: their local power on a coarse grid."""

    values: tuple[Tensor, ...]  # (1, 1, h, w)
    powers: tuple[Tensor, ...]  # (1, 1, h / 8, w / 8)

    @classmethod
    def of(cls, luma: Tensor, count: int) -> "_Bands":
        blurred = [luma, *(_blur(luma, _FINEST_SIGMA * 2**i) for i in range(count))]
        values = tuple(fine - coarse for fine, coarse in pairwise(blurred))
        return cls(values, tuple(_local_power(value) for value in values))

    def activity(self) -> Tensor:
        """Local power of the coarsest bands."""
        return torch.stack(self.powers[-_COARSE_BANDS:]).sum(0)


@dataclass(frozen=True)
class _Model:
    """How the photograph's bands depend on its activity: ``powers[i]`` of band i at the ``activities``, rising.

    ``gains``, one per band, amplify existing detail.
    """

    activities: npt.NDArray[np.float64]
    powers: tuple[npt.NDArray[np.float64], ...]
    gains: tuple[float, ...]

    def power(self, band: int, activity: Tensor) -> Tensor:
        """Power of ``band`` where the coarsest bands have the power ``activity``; in proportion beyond what was measured."""
        values = activity.double().numpy()
        first = self.powers[band][0] * np.minimum(1.0, values / max(float(self.activities[0]), _LEAST_POWER))
        found = np.interp(values, self.activities, self.powers[band])
        return torch.from_numpy(np.where(values < self.activities[0], first, found)).float()


def match_detail(picture: Pixels, known: Known, *, px: float, seed: int, cyclic: bool = False) -> Pixels:
    """Return ``picture`` (H, W, 3) uint8 with the sharpness and grain of its photographs everywhere.

    ``known`` (H, W): pixels of photographs, which do not change. ``px``: px of the picture per rendered px. ``seed``: of the
    grain. ``cyclic``: the right edge continues at the left edge. Needs memory for one more picture.
    """
    canvas = _Canvas(picture, known, cyclic)
    count = math.ceil(max(0.0, math.log2(px) - 0.1)) + 1 + _COARSE_BANDS
    model = _fit(canvas, count)
    if model is None:
        return picture
    result = picture.copy()
    for tile in canvas.tiles():
        rows, columns = slice(tile.y.start, tile.y.stop), slice(tile.x.start, tile.x.stop)
        unknown = ~known[rows, columns]
        if unknown.any():
            changed = _refine(canvas, tile, model, seed=seed)
            result[rows, columns][unknown] = changed[unknown]
    return result


def _halo(count: int) -> int:
    return _GRID_PX * math.ceil(5 * _FINEST_SIGMA * 2 ** (count - 1) / _GRID_PX)


def _luma(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels @ np.asarray(_LUMA, np.float32)).float()[None, None]


def _tile_bands(canvas: _Canvas, tile: Window, count: int) -> tuple[Pixels, _Bands, Window]:
    """Return the pixels of a tile with its halo, their bands, and the window of both. Sides are multiples of the grid."""
    halo = _halo(count)
    spans = [Span(s.start - halo, 2 * halo + _GRID_PX * -(-s.size // _GRID_PX)) for s in (tile.x, tile.y)]
    window = Window(*spans)
    pixels = canvas.picture[canvas.at(window)]
    return pixels, _Bands.of(_luma(pixels), count), window


def _fit(canvas: _Canvas, count: int) -> _Model | None:
    """Measure the bands of photograph and generated part near each other. None: one of them is missing."""
    own, other = _nearest_tiles(canvas)
    if not own or not other:
        return None
    photo, generated = (_sample(canvas, tiles, count, known=kind) for tiles, kind in ((own, True), (other, False)))
    if min(photo.shape[1], generated.shape[1]) < 2:
        return None
    gains = tuple(_gain(photo[i].mean(), generated[i].mean()) for i in range(count))
    activity = photo[-_COARSE_BANDS:].sum(0)
    parts = np.array_split(np.argsort(activity), min(_LEVELS, activity.size))
    middle = [np.median(photo[:, part], 1) for part in parts]
    return _Model(
        np.maximum.accumulate([np.median(activity[part]) for part in parts]),
        tuple(np.array([m[i] for m in middle]) for i in range(count)),
        gains,
    )


def _gain(wanted: float, found: float) -> float:
    return float(np.clip(math.sqrt(wanted / max(found, _LEAST_POWER)), 1.0, MOST_GAIN))


def _nearest_tiles(canvas: _Canvas) -> tuple[list[Window], list[Window]]:
    """Return tiles with pixels of photographs, and tiles with generated ones, those nearest to the other kind first."""
    tiles = list(canvas.tiles())
    shares = [float(canvas.known[t.y.start : t.y.stop, t.x.start : t.x.stop].mean()) for t in tiles]
    centres = np.array([(t.x.start + t.x.size / 2, t.y.start + t.y.size / 2) for t in tiles])
    kinds = [[i for i, s in enumerate(shares) if (s > 0.1 if own else s < 0.9)] for own in (True, False)]
    if not all(kinds):
        return [], []

    def nearest(of: list[int], to: list[int]) -> list[Window]:
        distances = [float(np.abs(centres[to] - centres[i]).max(1).min()) for i in of]
        order = sorted(range(len(of)), key=lambda i: distances[i])
        return [tiles[of[i]] for i in order[:_SAMPLED_TILES]]

    return nearest(kinds[0], kinds[1]), nearest(kinds[1], kinds[0])


def _sample(canvas: _Canvas, tiles: list[Window], count: int, *, known: bool) -> npt.NDArray[np.float64]:
    """Local power of each band at points whose surroundings are ``known`` or not, (bands, points)."""
    found = []
    for tile in tiles:
        _, bands, window = _tile_bands(canvas, tile, count)
        same = torch.from_numpy(canvas.known[canvas.at(window)] == known)[None, None].float()
        whole = F.avg_pool2d(same, _GRID_PX)
        whole = -F.max_pool2d(-whole, 3, 1, 1)
        margin = _halo(count) // _GRID_PX
        inner = whole[0, 0, margin:-margin, margin:-margin] >= 1
        powers = torch.cat([p[0, :, margin:-margin, margin:-margin] for p in bands.powers])
        found.append(powers[:, inner].double().numpy())
    return np.concatenate(found, 1)


def _refine(canvas: _Canvas, tile: Window, model: _Model, *, seed: int) -> Pixels:
    """Return the pixels of ``tile`` with more detail."""
    count = len(model.powers)
    pixels, bands, window = _tile_bands(canvas, tile, count)
    noise = _Bands.of(canvas.noise(window, seed), count - _COARSE_BANDS)
    gains, activity = model.gains, bands.activity()
    activity = activity * float(np.mean([gain**2 for gain in gains[-_COARSE_BANDS:]]))
    change = torch.zeros_like(bands.values[0])
    for i, (value, power) in enumerate(zip(bands.values, bands.powers, strict=True)):
        change += (gains[i] - 1) * value
        if i < count - _COARSE_BANDS:
            missing = (model.power(i, activity) - gains[i] ** 2 * power).clamp_min(0).sqrt()
            amplitude = F.interpolate(missing, size=value.shape[-2:], mode="bilinear")
            change += amplitude * noise.values[i] / noise.values[i].std()
    halo = _halo(count)
    rows, columns = slice(halo, halo + tile.y.size), slice(halo, halo + tile.x.size)
    changed = pixels[rows, columns] + change[0, 0, rows, columns, None].numpy()
    return np.asarray(changed.round().clip(0, 255), np.uint8)


def _blur(values: Tensor, sigma: float) -> Tensor:
    """Blur (1, 1, h, w) with a Gaussian; edge values continue outside."""
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    across = F.conv2d(F.pad(values, (reach, reach, 0, 0), "replicate"), kernel.view(1, 1, 1, -1))
    return F.conv2d(F.pad(across, (0, 0, reach, reach), "replicate"), kernel.view(1, 1, -1, 1))


def _local_power(band: Tensor) -> Tensor:
    """Mean square around each point of the grid, (1, 1, h / 8, w / 8)."""
    return _blur(F.avg_pool2d(band.square(), _GRID_PX), 1.5)
