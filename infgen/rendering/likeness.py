"""Find the styles nearest to a photograph, by statistics of LPIPS features.

LPIPS compares features position by position. A style does not define positions. So means and standard deviations over the
whole picture are compared, as in AdaIN (Huang and Belongie, 2017), with LPIPS' weights of the channels.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from infgen.errors import InputError
from infgen.geometry import Region
from infgen.model.config import GeneratorConfig
from infgen.perceptual import MIN_PX, Lpips
from infgen.photo import Photograph
from infgen.pixels import Pixels
from infgen.progress import Progress, silent
from infgen.rendering.studio import Studio
from infgen.world.world import World


@dataclass(frozen=True)
class Match:
    """A style's seed, its distance to the photograph (0: the same statistics), and its picture (h, w, 3) uint8."""

    seed: int
    distance: float
    picture: Pixels


class StyleDistance:
    """Distance of pictures (h, w, 3) uint8 to ``target``. Raises InputError for a target with a side under 32 px."""

    def __init__(self, target: Pixels) -> None:
        if min(target.shape[:2]) < MIN_PX:
            height, width = target.shape[:2]
            raise InputError(f"pictures of {width} x {height} px are too small to compare; give at least {MIN_PX} px")
        self._lpips = Lpips.load("alex")
        self._target = self._statistics(target)

    def __call__(self, picture: Pixels) -> float:
        """Return the distance of ``picture``."""
        layers = zip(self._lpips.heads, self._statistics(picture), self._target, strict=True)
        return math.fsum(float((head * (one - other).square()).sum()) for head, one, other in layers)

    @torch.inference_mode()
    def _statistics(self, picture: Pixels) -> list[Tensor]:
        """Mean and standard deviation (2, C) of each layer's unit features."""
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
        maps = [torch.nn.functional.normalize(features[0], dim=0) for features in self._lpips.trunk(image)]
        return [torch.stack([features.mean((1, 2)), features.std((1, 2))]) for features in maps]


def fit_photograph(photograph: Photograph, size: tuple[int, int]) -> Pixels:
    """Crop and scale the middle of ``photograph`` to ``size`` (w, h) in px, as sRGB (h, w, 3) uint8."""
    in_srgb = photograph.in_profile_of(Photograph("", photograph.image))
    return np.asarray(ImageOps.fit(in_srgb.image, size, Image.Resampling.LANCZOS))


def view_halvings(config: GeneratorConfig, height: int) -> int:
    """Return the halvings of the trained scale whose whole view is nearest to ``height`` px; 0 if the model states none."""
    if config.view_px is None:
        return 0
    scales = [config.levels - level for level in config.scales or (config.levels,)]
    return min(scales, key=lambda k: abs(math.log2(config.view_px / 2**k / height)) if config.view_px else 0)


def nearest_styles(
    studio: Studio,
    region: Region,
    target: Pixels,
    *,
    worlds: Sequence[World],
    most: int,
    progress: Progress = silent,
) -> list[Match]:
    """Render ``region`` of ``worlds`` and return the ``most`` styles that are nearest to ``target``, nearest first.

    Calls ``progress(pictures done, pictures in all)``. Raises InputError as ``StyleDistance``.
    """
    distance = StyleDistance(target)

    def matches() -> Iterator[Match]:
        pictures = studio.pictures(worlds, region)
        for done, (world, picture) in enumerate(zip(worlds, pictures, strict=True), 1):
            yield Match(world.style_seed, distance(picture), picture)
            progress(done, len(worlds))

    return heapq.nsmallest(most, matches(), key=lambda match: match.distance)
