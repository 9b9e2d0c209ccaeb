"""Render the frames of a camera: blocks of the world on its own lattices, resampled at positions between the pixels.

Neighbouring frames share blocks, so every world pixel has one value in all frames. Between two scales of a model the
frames blend, so that a change of zoom has no jump.
"""

import math
from functools import lru_cache, partial

import numpy as np
from PIL import Image

from infgen.errors import LimitError
from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.rendering.camera import Pose, octave
from infgen.rendering.studio import Studio

BLOCK_PX = 512
FILTER_PX = 3  # reach of the Lanczos filter
MAX_SHRINK = 4.0  # most px of the coarsest scale per screen px
_BLEND_FROM = 0.5  # share of an octave after which the next scale fades in


class FrameRenderer:
    """Renders frames of ``size`` (w, h) px. ``widest``: most world px per screen px that will be asked.

    Memory is constant: the cache holds the blocks of a frame and their neighbours. Raises LimitError if the coarsest
    scale of the model is too fine for ``widest``.
    """

    def __init__(self, studio: Studio, size: tuple[int, int], *, widest: float = 1.0) -> None:
        self._size = size
        config = studio.generator.config
        self._studios = [studio.coarser(config.levels - level) for level in sorted(config.scales, reverse=True)]
        self._studios = self._studios or [studio]
        shrink = widest / 2 ** (len(self._studios) - 1)
        if shrink > MAX_SHRINK:
            raise LimitError(
                f"zoom {1 / widest:g} shows too much at once: the coarsest scale of this model allows "
                f"{1 / (MAX_SHRINK * 2 ** (len(self._studios) - 1)):g} or more"
            )
        across, down = (math.ceil(max(2.0, shrink) * side / BLOCK_PX) + 2 for side in size)
        self._block = lru_cache(2 * across * down)(self._render_block)

    def frame(self, pose: Pose) -> Pixels:
        """Render the frame (h, w, 3) uint8 at ``pose``."""
        level = min(max(0.0, octave(pose.zoom)), len(self._studios) - 1.0)
        finer = int(level)
        share = max(0.0, (level - finer - _BLEND_FROM) / (1 - _BLEND_FROM))
        picture = self._sample(finer, pose)
        if share:
            picture = Image.blend(picture, self._sample(finer + 1, pose), share)
        return np.asarray(picture)

    def _sample(self, halvings: int, pose: Pose) -> Image.Image:
        """Resample the scale 1 / 2**``halvings`` to the pixels of the frame."""
        step = 2.0**-halvings / pose.zoom  # px of the scale per screen px
        spans = []
        for centre, side in zip((pose.x, pose.y), self._size, strict=True):
            # Pixel j of the scale is centred on world px j * 2**halvings, and fills j to j + 1 in Pillow's coordinates.
            start = centre * 2.0**-halvings + 0.5 - step * (side // 2 + 0.5)
            spans.append((start, start + step * side))
        margin = math.ceil(FILTER_PX * max(1.0, step)) + 1
        (x0, x1), (y0, y1) = spans
        left, top = math.floor(x0) - margin, math.floor(y0) - margin
        region = Region(left, top, math.ceil(x1) + margin - left, math.ceil(y1) + margin - top)
        box = (x0 - left, y0 - top, x1 - left, y1 - top)
        return Image.fromarray(self._window(halvings, region)).resize(self._size, Image.Resampling.LANCZOS, box=box)

    def _window(self, halvings: int, region: Region) -> Pixels:
        """Join the blocks that cover ``region``, and cut it out."""
        columns = range(region.x // BLOCK_PX, (region.x + region.w - 1) // BLOCK_PX + 1)
        rows = range(region.y // BLOCK_PX, (region.y + region.h - 1) // BLOCK_PX + 1)
        block = partial(self._block, halvings)
        joined = np.concatenate([np.concatenate([block(i, j) for i in columns], axis=1) for j in rows], axis=0)
        x, y = region.x - columns[0] * BLOCK_PX, region.y - rows[0] * BLOCK_PX
        return np.ascontiguousarray(joined[y : y + region.h, x : x + region.w])

    def _render_block(self, halvings: int, i: int, j: int) -> Pixels:
        return self._studios[halvings].array(Region(i * BLOCK_PX, j * BLOCK_PX, BLOCK_PX, BLOCK_PX))
