"""Map zoom levels of tiles to scales of the model.

At zoom level z <= 0, a pixel shows 2**-z px of the world. If the model was trained at that scale, it renders the tile
directly. Otherwise the tile averages tiles of the next finer scale.
"""

from dataclasses import dataclass

from infgen.errors import InputError
from infgen.rendering.studio import Studio

LEAST_OF_ONE_SCALE = -2  # a tile of level -3 would average 64 tiles: 10 s on one core with the small models


@dataclass(frozen=True)
class ZoomLevel:
    """``studio`` renders the scale; a tile averages ``block`` x ``block`` of its tiles."""

    studio: Studio
    block: int

    @property
    def is_picture(self) -> bool:
        """Whether the model renders tiles directly, without averaging."""
        return self.block == 1


def zoom_levels(studio: Studio) -> dict[int, ZoomLevel]:
    """Return the zoom levels for ``studio`` by z, from 0 outwards without gaps.

    Models with several scales have a level for each scale, and one beyond the coarsest. Raises InputError for a studio
    that already renders a coarser scale.
    """
    if studio.options.halvings:
        raise InputError(
            f"halvings {studio.options.halvings} is not possible for a server, which renders all scales; leave it at 0"
        )
    config = studio.generator.config
    pictures = {config.levels - level: studio.coarser(config.levels - level) for level in config.pictures}
    least = -(max(pictures) + 1) if len(pictures) > 1 else LEAST_OF_ONE_SCALE
    levels = {}
    for z in range(0, least - 1, -1):
        halvings = max(k for k in pictures if k <= -z)
        levels[z] = ZoomLevel(pictures[halvings], 1 << (-z - halvings))
    return levels
