"""Plan the output at the photographs' own size: the crop, the scale to render at, and the place of each photograph."""

from collections.abc import Sequence
from dataclasses import dataclass

from infgen.geometry import Region
from infgen.inversion.placing import Placed, working_scale
from infgen.model.config import GeneratorConfig
from infgen.model.scales import judged_scales
from infgen.rendering.compositing import Box

MOST_ENLARGED = 1.25  # a finer scale is rendered rather than enlarging more than this


@dataclass(frozen=True)
class Frame:
    """The output at the size of the photographs' files.

    ``box``: crop of the region, px of the working scale. ``size``: (w, h) of the output in px. ``places``: each photograph
    in the output. ``doublings``: the region is rendered 2**``doublings`` times finer than the working scale.
    """

    box: Box
    size: tuple[int, int]
    places: tuple[Region, ...]
    doublings: int = 0

    @property
    def scale(self) -> float:
        """Px of the output per px of the working scale."""
        return self.size[1] / (self.box[3] - self.box[1])


def rendering_doublings(config: GeneratorConfig | None, px: float) -> int:
    """Return how many doublings of the working scale to render for an output of ``px`` px per working px.

    The result is the coarsest scale of the model that needs little enlargement, or the finest. ``config``: of the whole
    model; None: it has the working scale only.
    """
    if config is None:
        return 0
    working = working_scale(config).halvings
    finer = sorted(working - s.halvings for s in judged_scales(config) if s.halvings <= working)
    return next((d for d in finer if px <= MOST_ENLARGED * 2**d), finer[-1])


def frame_one(
    photo: Placed, region: Region, *, added: tuple[int, int, int, int], config: GeneratorConfig | None
) -> Frame:
    """Plan the output of one photograph with ``added`` (left, top, right, bottom) px of the output around it."""
    left, top, right, bottom = added
    across, down = photo.scale
    image, x, y = photo.photograph.image, photo.x - region.x, photo.y - region.y
    width, height = photo.region.w, photo.region.h
    box = x - left / across, y - top / down, x + width + right / across, y + height + bottom / down
    size = left + image.width + right, top + image.height + bottom
    return Frame(box, size, (Region(left, top, *image.size),), rendering_doublings(config, down))


def frame_row(photos: Sequence[Placed], region: Region, *, gap: int, config: GeneratorConfig | None) -> Frame:
    """Plan the output of a row of photographs in ``region``, ``gap`` px of the output apart.

    All have the height of the largest file.
    """
    height, places = tallest(photos), []
    px = height / photos[0].region.h
    x = 0
    for photo in photos:
        image = photo.photograph.image
        width = round(image.width * height / image.height)
        places.append(Region(x, round((photo.y - region.y) * px), width, height))
        x += width + gap
    size = x - gap, max(place.y for place in places) + height
    return Frame((0, 0, size[0] / px, size[1] / px), size, tuple(places), rendering_doublings(config, px))


def frame_circle(photo: Placed, region: Region, *, config: GeneratorConfig | None) -> Frame:
    """Plan the output of a panorama: ``region`` is its whole circle."""
    image = photo.photograph.image
    px = photo.scale[1]
    width = max(round(region.w * px), image.width)
    x = min(round((photo.x - region.x) * px), width - image.width)
    place = Region(x, 0, *image.size)
    box = (0, 0, region.w, region.h)
    return Frame(box, (width, image.height), (place,), rendering_doublings(config, px))


def tallest(photos: Sequence[Placed]) -> int:
    """Return the height in px of the largest file."""
    return max(photo.photograph.image.height for photo in photos)
