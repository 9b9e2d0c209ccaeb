"""Select the seed whose continuation looks most like the photographs, among several, at the model's coarsest scale.

Compared are the features of LPIPS (Zhang et al., CVPR 2018) row by row: their mean and deviation over the columns of the
photographs, and over the generated columns near them. So rocks count against a seed in the sky, and not on the ground.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from infgen.geometry import Region
from infgen.inversion.arrangement import Arrangement
from infgen.model.scales import judged_scales
from infgen.perceptual import MIN_PX, Lpips
from infgen.pixels import Pixels
from infgen.rendering.studio import Studio

CANDIDATES = 8
SEED_STEP = 1 << 32  # between the candidates of a sample
_NEAR_VIEWS = 1.5  # width of the generated columns that count, in view heights
_FEWEST_COLUMNS = 8


def select_seed(
    arrangement: Arrangement, files: Sequence[Path], *, studio: Studio, seed: int, candidates: int = CANDIDATES
) -> int:
    """Return ``seed`` plus a multiple of ``SEED_STEP``, modulo 2**64: the best of ``candidates``.

    ``files``: latents, one per photograph. ``studio``: at the full scale. Returns ``seed`` if there is little to compare.
    """
    if candidates == 1:
        return seed
    scale = judged_scales(studio.generator.config)[0]
    doublings = scale.halvings - arrangement.halvings
    region, masks = _columns(arrangement, doublings, near=round(_NEAR_VIEWS * scale.view_px))
    if min(region.h, region.w) < MIN_PX or min(int(mask.sum()) for mask in masks) < _FEWEST_COLUMNS:
        return seed
    coarse = studio.coarser(scale.halvings)
    with torch.random.fork_rng(devices=[]):  # building layers uses random numbers
        metric = Lpips.load("alex", None)
    seeds = [(seed + i * SEED_STEP) % 2**64 for i in range(candidates)]
    pictures = (coarse.with_world(arrangement.world(files, seed=each)).array(region) for each in seeds)
    scores = [_unlikeness(_insert(picture, arrangement, region, doublings), masks, metric) for picture in pictures]
    return seeds[int(np.argmin(scores))]


def _columns(
    arrangement: Arrangement, doublings: int, *, near: int
) -> tuple[Region, tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """Return the rows of the photographs with the columns near them, and masks of its columns: known, generated."""
    whole = arrangement.region.coarser(doublings)
    photos = [photo.region.coarser(doublings) for photo in arrangement.photographs]
    left, right = max(whole.x, photos[0].x - near), min(whole.x + whole.w, photos[-1].x + photos[-1].w + near)
    top, bottom = max(p.y for p in photos), min(p.y + p.h for p in photos)
    region = Region(left, top, right - left, max(1, bottom - top))
    known = np.zeros(region.w, np.bool_)
    for photo in photos:
        known[photo.x - left : photo.x - left + photo.w] = True
    return region, (known, ~known)


def _insert(picture: Pixels, arrangement: Arrangement, region: Region, doublings: int) -> Pixels:
    """Insert the photographs, reduced to the scale of ``picture``."""
    result = picture.copy()
    step = 1 << doublings
    for photo in arrangement.photographs:
        small = photo.pixels[::step, ::step] if doublings == 0 else _reduce(photo.pixels, step)
        place = photo.region.coarser(doublings)
        rows = slice(region.y - place.y, region.y - place.y + region.h)
        part = small[rows][: region.h, : place.w]
        result[: part.shape[0], place.x - region.x : place.x - region.x + part.shape[1]] = part
    return result


def _reduce(pixels: Pixels, step: int) -> Pixels:
    padded = np.pad(pixels, ((0, -pixels.shape[0] % step), (0, -pixels.shape[1] % step), (0, 0)), "edge")
    height, width = padded.shape[0] // step, padded.shape[1] // step
    return padded.reshape(height, step, width, step, 3).mean((1, 3)).round().astype(np.uint8)


@torch.inference_mode()
def _unlikeness(picture: Pixels, masks: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]], metric: Lpips) -> float:
    """Return the distance of the generated columns from the known ones, summed over the layers of features."""
    image = torch.from_numpy(picture.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    total = 0.0
    for features in metric.trunk(image):
        features = features[0] / features[0].norm(dim=0, keepdim=True).clamp_min(1e-6)
        known, generated = (features[:, :, _sample_columns(mask, features.shape[2])] for mask in masks)
        if min(known.shape[2], generated.shape[2]) < 2:
            continue
        total += float(
            (known.mean(2) - generated.mean(2)).abs().mean() + (known.std(2) - generated.std(2)).abs().mean()
        )
    return total


def _sample_columns(mask: npt.NDArray[np.bool_], size: int) -> Tensor:
    """Sample a mask of columns at ``size`` places."""
    places = ((np.arange(size) + 0.5) * len(mask) / size).astype(int)
    return torch.from_numpy(mask[places])
