"""Zoom levels of tiles: the picture of the model that each level is drawn from.

At zoom level z, 0 or below, a pixel shows 2**-z px of the world. Where the model was trained at that scale, a tile is its
picture. Elsewhere a tile is the mean of tiles of the next finer picture.
"""

from dataclasses import dataclass

from infgen.errors import InputError
from infgen.rendering.studio import Studio

LEAST_OF_ONE_SCALE = -2  # a tile of level -3 would be the mean of 64 tiles: 10 s on one core with the small models


@dataclass(frozen=True)
class ZoomLevel:
    """``studio`` draws the picture, and a tile is the mean of ``block`` x ``block`` tiles of it."""

    studio: Studio
    block: int

    @property
    def is_picture(self) -> bool:
        """Whether a tile is the picture itself."""
        return self.block == 1


def zoom_levels(studio: Studio) -> dict[int, ZoomLevel]:
    """The levels of a server that draws with ``studio``, by z: from 0 outwards, without a gap.

    Models with scales have a level for each of them, and one beyond the coarsest. Raises InputError for a studio that draws
    a coarser scale itself.
    """
    if studio.options.halvings:
        raise InputError(
            f"halvings {studio.options.halvings} is not possible for a server, which draws every scale of the model; leave "
            "it at 0"
        )
    config = studio.generator.config
    pictures = {config.levels - level: studio.coarser(config.levels - level) for level in config.pictures}
    least = -(max(pictures) + 1) if len(pictures) > 1 else LEAST_OF_ONE_SCALE
    levels = {}
    for z in range(0, least - 1, -1):
        halvings = max(k for k in pictures if k <= -z)
        levels[z] = ZoomLevel(pictures[halvings], 1 << (-z - halvings))
    return levels
