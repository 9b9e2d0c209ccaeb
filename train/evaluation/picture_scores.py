"""What single pictures show without any photograph beside them: seams, repetition, diversity."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from infgen import geometry
from infgen.geometry import Region
from infgen.perceptual import Lpips
from infgen.pixels import Pixels
from infgen.progress import Progress, silent
from infgen.rendering.plan import SPACING_CELLS
from infgen.train.evaluation.painter import Painter
from infgen.train.evaluation.places import place, sample
from infgen.world.world import World

SEAM_WORLDS = 4
SEAM_TILES = 5  # along each side of a picture
REPETITION_PX = (256, 9984)  # height, width of the strip in the paper's Figure 31
ROWS_AT_A_TIME = 64  # of the strip that are transformed together: 64 MiB
DIVERSITY_PAIRS = 100

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Repetition:
    """The largest peak of the autocorrelation, and the shift in px at which it stands."""

    peak: float
    shift_px: int


@dataclass(frozen=True)
class Diversity:
    """Mean LPIPS (AlexNet) of pairs at the same place: ``same_style`` other z_l and noise only, ``other_style`` all other."""

    same_style: float
    other_style: float
    pairs: int


def seam_score(painter: Painter, *, seed: int, progress: Progress = silent) -> float:
    """Mean step of brightness across tile borders, divided by that at the same places without a border: 1 without seams.

    Four worlds, each drawn twice: in 5 x 5 tiles of one training window, and in tiles one cell larger, whose borders lie
    elsewhere. Comparing places with themselves leaves out what a picture happens to show there, and the network's own rhythm
    of one cell, which borders share.
    """
    levels, cells = painter.config.levels, painter.own.cells
    step = geometry.cell_px(levels) * (cells - SPACING_CELLS)
    tiles = [geometry.tile_px(n, levels=levels) for n in (cells, cells + 1)]
    side, top = SEAM_TILES * step, -(SEAM_TILES * (cells - SPACING_CELLS) // 2)
    sums = [0.0, 0.0]
    for i in range(SEAM_WORLDS):
        found = sample(seed, i, purpose="seam")
        x, y = (geometry.first_px(cell, levels=levels) for cell in (found.cell_x, top))
        for k, tile in enumerate(tiles):
            sums[k] += border_step(painter.draw(found.world, Region(x, y, side, side), tile_px=tile), step=step)
        progress(i + 1, SEAM_WORLDS)
    return sums[0] / sums[1] if sums[1] else 1.0


def border_step(picture: Pixels, *, step: int) -> float:
    """Mean absolute difference of the pixels on both sides of every multiple of ``step`` px, 0 excepted, along x and y.

    ``picture`` (H, W, 3) uint8, more than ``step`` px a side.
    """
    exact = picture.astype(np.float64)
    across = np.abs(exact[:, step::step] - exact[:, step - 1 : -1 : step]).mean()
    down = np.abs(exact[step::step] - exact[step - 1 : -1 : step]).mean()
    return float(across + down) / 2


def repetition(painter: Painter, *, seed: int) -> Repetition:
    """How much a strip of 256 x 9984 px at the horizon repeats itself (paper, Figure 31): see ``self_similarity``."""
    height, width = REPETITION_PX
    found = sample(seed, 0, purpose="repetition")
    x = geometry.first_px(found.cell_x, levels=painter.config.levels)
    strip = painter.draw(found.world, Region(x, -(height // 2), width, height))
    return self_similarity(strip, shortest=painter.patch_px)


def self_similarity(strip: Pixels, *, shortest: int) -> Repetition:
    """Largest normalised autocorrelation along x at shifts from ``shortest`` px to half of the width.

    ``strip`` (H, W, 3) uint8. From each row its moving average over ``shortest`` px is taken off first, so that broad
    light and shade do not count. 1 for a strip that repeats exactly, about 0 where nothing does; 0 for a flat one.
    Raises ValueError where the strip is under four times ``shortest`` px wide.
    """
    if strip.shape[1] < 4 * shortest:
        raise ValueError(f"strip is {strip.shape[1]} px wide; needed are four times {shortest} px")
    correlation: Floats = np.zeros(0)
    energy: Floats = np.zeros(0)
    for top in range(0, strip.shape[0], ROWS_AT_A_TIME):
        rows = _high_pass(strip[top : top + ROWS_AT_A_TIME].transpose(0, 2, 1).reshape(-1, strip.shape[1]), shortest)
        size = 1 << (2 * rows.shape[1] - 1).bit_length()
        power = np.square(np.abs(np.fft.rfft(rows, n=size, axis=1))).sum(axis=0)
        part = np.fft.irfft(power, n=size)[: rows.shape[1]]
        squares = np.square(rows).sum(axis=0)
        correlation = part if top == 0 else correlation + part
        energy = squares if top == 0 else energy + squares
    shifts = np.arange(shortest, len(energy) // 2)
    total = np.concatenate([[0.0], np.cumsum(energy)])
    left, right = total[len(energy) - shifts], total[-1] - total[shifts]  # energies of the parts that overlap
    scale = np.sqrt(left * right)
    values = np.divide(correlation[shifts], scale, out=np.zeros(len(shifts)), where=scale > 1e-6 * max(total[-1], 1.0))
    best = int(values.argmax())
    return Repetition(float(values[best]), int(shifts[best]))


def _high_pass(rows: npt.NDArray[np.uint8], width: int) -> Floats:
    """Rows (R, W) less their centred moving average over ``width`` px, where it exists: (R, W - width + 1)."""
    exact = rows.astype(np.float64)
    sums = np.cumsum(np.pad(exact, ((0, 0), (1, 0))), axis=1)
    average = (sums[:, width:] - sums[:, :-width]) / width
    first = (width - 1) // 2
    return exact[:, first : first + average.shape[1]] - average


def diversity(painter: Painter, *, n: int, seed: int, progress: Progress = silent) -> Diversity:
    """LPIPS of pairs of training patches at the same coordinates, ``n`` pairs of each kind.

    A low ``same_style`` says that the local latents hardly change the picture (what Eq. 2 of the paper works against), a
    low ``other_style`` that all styles look alike.
    """
    metric = Lpips.load().to(painter.device)
    sums = [0.0, 0.0]
    for i in range(n):
        first, second, third = (_draw_pair(painter, seed, i, variant) for variant in ("a", "same style", "other style"))
        for k, other in enumerate((second, third)):
            sums[k] += float(metric(first, other))
        progress(i + 1, n)
    return Diversity(sums[0] / n, sums[1] / n, n)


def _draw_pair(painter: Painter, seed: int, index: int, variant: str) -> torch.Tensor:
    """Patch (1, 3, patch, patch) in [-1, 1] of pair ``index``: world "a", or another one at its place."""
    first = place(painter.config, painter.scale, index, seed=seed, purpose="diversity a")
    world: World = sample(seed, index, purpose=f"diversity {variant}").world
    if variant == "same style":
        world = world.replace(style_seed=first.world.style_seed)
    pixels = torch.from_numpy(painter.draw(world, first.region)).to(painter.device)
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1
