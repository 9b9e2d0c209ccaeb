"""Draw generated parts again with patches of the photographs, guided by the model's picture.

The model's picture gives the composition; the photographs give shapes and detail. From coarse to fine, each patch of the
generated part is replaced by a similar patch of the photographs. Patches across an edge of a photograph must fit both
sides, so lines and shores continue (Wexler, Shechtman and Irani, "Space-Time Completion of Video", 2007; guided as in
Hertzmann et al., "Image Analogies", 2001).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.inversion.joins import Owners
from infgen.inversion.patch_match import SIDE, Level
from infgen.photo import Known
from infgen.pixels import Pixels

COARSEST_PX = 72  # longest allowed short side of the coarsest level
SEARCHED_PX = 500  # levels with a longer short side inherit the matches of the last one that was searched
COLOUR = 2.0 * SIDE**0.5  # weight of the smooth colours of the model's picture at the coarsest level
HEIGHT = 1.0 * SIDE  # weight of the height in the picture, 0 to 1: sky stays above
ROUNDS_TIMES_PX = 1600  # rounds of search and vote at a level, times its short side in px
_FEWEST_ROUNDS, _MOST_ROUNDS = 4, 8
_FEWEST_SOURCES = 64
_COARSEST_ROUNDS = 6
_GUIDED_ROUNDS = 2
_GUIDED_PX = 150  # levels up to this short side still follow the model's colours


@torch.inference_mode()
def draw_with_patches(picture: Pixels, owners: Owners, *, seed: int, cyclic: bool = False) -> tuple[Pixels, Owners]:
    """Replace the unknown part of ``picture`` (H, W, 3) uint8 by patches of the known part.

    ``owners`` (H, W): index of the photograph that a pixel belongs to, -1: unknown. ``cyclic``: the right edge continues at
    the left edge. Equal arguments give equal results. Returns the picture and the owners of the patches; the arguments
    themselves if no whole patch is known.
    """
    known = owners >= 0
    levels = _pyramid(picture, known, cyclic=cyclic)
    if not len(levels[0].sources) or known.all():
        return picture, owners
    random = torch.Generator().manual_seed(seed % 2**63)
    before = levels.pop()
    matches, copied = _compose(before, random), 1
    while levels:
        level = levels.pop()
        matches = level.inherit(before, matches)
        if _short_side(level) <= SEARCHED_PX:
            matches = _refine(level, matches, random)
        else:
            copied *= 2
        before = level
    if copied > 1:
        before.vote(matches, step=copied // 2)
    result = before.pixels.view(*known.shape, 3).numpy()
    places = torch.from_numpy(owners).flatten()
    drawn = places.clone()
    drawn[before.targets] = places[matches]
    found = np.where(known, owners, drawn.view(*known.shape).numpy())
    return np.where(known[:, :, None], picture, result), found


def _pyramid(picture: Pixels, known: Known, *, cyclic: bool) -> list[Level]:
    """Return levels of falling size, down to the coarsest that still has sources."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture).reshape(-1, 3).copy())
    levels = [Level(pixels, torch.from_numpy(known.copy()), cyclic=cyclic)]
    while _short_side(levels[-1]) > COARSEST_PX:
        smaller = levels[-1].halve()
        if len(smaller.sources) < _FEWEST_SOURCES:
            break
        levels.append(smaller)
    return levels


def _short_side(level: Level) -> int:
    return min(level.height, level.width)


def _compose(level: Level, random: torch.Generator) -> Tensor:
    """Return matches for the coarsest level. The first ones follow colour and height alone: the model's detail is smooth."""
    guide = torch.cat([COLOUR * _blur(level.image, 2), HEIGHT * _rows(level)])
    matches = level.find(level.describe(guide, components=False), random)
    for _ in range(_COARSEST_ROUNDS - 1):
        level.vote(matches)
        matches = level.find(level.describe(guide), random)
    level.vote(matches)
    return matches


def _refine(level: Level, matches: Tensor, random: torch.Generator) -> Tensor:
    """Improve the inherited ``matches`` and draw the level with them."""
    height = HEIGHT / 2 * _rows(level)
    guide = torch.cat([height, COLOUR / 2 * _blur(level.image, 4)]) if _short_side(level) <= _GUIDED_PX else height
    weights = None
    for number in range(min(_MOST_ROUNDS, max(_FEWEST_ROUNDS, ROUNDS_TIMES_PX // _short_side(level)))):
        level.vote(matches, weights=weights)
        descriptors = level.describe(guide if number < _GUIDED_ROUNDS else height)
        matches = level.improve(descriptors, matches, random, rounds=2)
        weights = level.weigh(descriptors, matches)
    level.vote(matches, weights=weights)
    return matches


def _rows(level: Level) -> Tensor:
    """Return the height of each pixel in the picture, (1, h, w), 0 to 1."""
    return torch.linspace(0, 1, level.height)[:, None].expand(1, level.height, level.width)


def _blur(image: Tensor, reach: int) -> Tensor:
    """Blur (3, h, w) by three boxes, which are close to a Gaussian."""
    for _ in range(3):
        image = F.avg_pool2d(F.pad(image[None], [reach] * 4, "replicate"), 2 * reach + 1, 1)[0]
    return image
