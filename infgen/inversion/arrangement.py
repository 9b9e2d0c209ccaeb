"""Plan where photographs lie in a world and which region to render around them.

``outpainting``, ``inbetweening`` and ``panorama`` differ only in this plan. It allows all checks before any work starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from infgen import geometry
from infgen.errors import InputError, LimitError
from infgen.geometry import PX_LIMIT, STRUCTURE_HALO, Region
from infgen.inversion.compositing import enlarge, match_colours, paste
from infgen.inversion.placing import Placed
from infgen.limits import MAX_JOINED_PIXELS
from infgen.model.config import GeneratorConfig
from infgen.pixels import Pixels
from infgen.world.layout import MAX_TRANSITION, ResolvedCentre
from infgen.world.world import World

Scale = Literal["work", "source"]
FEATHER_PX = 32  # at working size
SIDES = ("left", "top", "right", "bottom")
# Reach of a style around its own cell, in cells: the halo of G_S plus the halo of G_T (just under 2 cells).
_STYLE_REACH_CELLS = STRUCTURE_HALO + 2


@dataclass(frozen=True)
class Extension:
    """Width in px of the output to add on each side of the photograph."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        for side in SIDES:
            if not 0 <= (size := getattr(self, side)) <= PX_LIMIT:
                raise InputError(f"{side} {size} px is not possible; give 0 to 2^40 px to add on that side")


@dataclass(frozen=True)
class SourceFrame:
    """The output at the photograph's own resolution.

    ``box``: crop of the working window (left, top, right, bottom; px of the window). ``size``: (w, h) of the output in px.
    ``x``, ``y``: the photograph's upper left corner in the output.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    x: int
    y: int


@dataclass(frozen=True)
class Arrangement:
    """Placed ``photographs`` and the ``region`` to render around them, in px of the working scale.

    A px of the working scale covers 2**``halvings`` px of the world. ``transition``: width in px of the blend between
    styles. ``period``: of a cyclic world, in px of the world. ``source``: crop and size of the output; None: the region.
    """

    photographs: tuple[Placed, ...]
    region: Region
    transition: int = 1
    period: int | None = None
    source: SourceFrame | None = None
    halvings: int = 0

    @property
    def world_region(self) -> Region:
        """``region`` in px of the world."""
        region, halvings = self.region, self.halvings
        return Region(region.x << halvings, region.y << halvings, region.w << halvings, region.h << halvings)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the output, px."""
        return (self.region.w, self.region.h) if self.source is None else self.source.size

    @property
    def profile(self) -> bytes | None:
        """ICC profile of the output, if all photographs share one; None: sRGB."""
        profiles = {photo.photograph.profile for photo in self.photographs}
        return profiles.pop() if len(profiles) == 1 else None

    def world(self, files: Sequence[Path], *, seed: int) -> World:
        """Build the world with the latents in ``files`` as anchors, one per photograph; ``seed`` determines the rest.

        Raises WorldError if the files cannot be read or do not fit together.
        """
        transition = min(self.transition << self.halvings, MAX_TRANSITION) | 1
        world = World.from_inversions(files, seed=seed, transition=transition)
        if world.layout is None or len(self.photographs) == 1:
            return world
        # Two centres per style, at the photograph's sides, so that styles meet in the middle of each gap.
        centres = tuple(
            ResolvedCentre(style=style.name, x=x << self.halvings, y=0)
            for style, photo in zip(world.layout.styles, self.photographs, strict=True)
            for x in (photo.x, photo.x + photo.region.w - 1)
        )
        return world.changed(layout=world.layout.model_copy(update={"centres": centres}))

    def compose(self, generated: Pixels, *, keep: bool = True, feather: int | None = None) -> Pixels:
        """Compose the output (h, w, 3) uint8 from the ``generated`` region (H, W, 3) uint8.

        ``keep``: insert the photographs' own pixels; otherwise return the model's pixels. ``feather``: width in px of the
        output of the blend at open edges; None: 32 px at working size.
        """
        picture = generated
        for photo in self.photographs if keep else ():
            picture = match_colours(
                picture, photo.pixels, photo.known, x=photo.x - self.region.x, y=photo.y - self.region.y
            )
        if self.source is not None:
            return self._at_source(picture, self.source, keep=keep, feather=feather)
        for photo in self.photographs if keep else ():
            x, y = photo.x - self.region.x, photo.y - self.region.y
            width = FEATHER_PX if feather is None else feather
            picture = paste(picture, photo.pixels, photo.known, x=x, y=y, feather=width)
        return picture

    def _at_source(self, picture: Pixels, source: SourceFrame, *, keep: bool, feather: int | None) -> Pixels:
        large = enlarge(picture, source.box, size=source.size)
        if not keep:
            return large
        (photo,) = self.photographs
        pixels, known = photo.photograph.pixels()
        width = round(FEATHER_PX * max(photo.scale)) if feather is None else feather
        return paste(large, pixels, known, x=source.x, y=source.y, feather=width)

    def check_size(self) -> None:
        """Raise LimitError if the output has more px than INFGEN_MAX_JOINED_PIXELS, since it is held in memory."""
        width, height = self.size
        limit = MAX_JOINED_PIXELS.value()
        if max(width * height, self.region.pixels) > limit:
            raise LimitError(
                f"{width} x {height} px are over the limit of {limit} px for pictures made of photographs; request less, "
                f"or raise {MAX_JOINED_PIXELS.name} (infgen render can render the world of a smaller picture at any size)"
            )


def outpainting(photo: Placed, extension: Extension, *, scale: Scale = "work", halvings: int = 0) -> Arrangement:
    """Plan to extend one photograph. ``scale`` "source": the output has the photograph's own resolution.

    ``halvings``: of the working scale. Raises InputError if there is nothing to add.
    """
    if extension == Extension() and photo.known.all():
        raise InputError(
            "nothing to add to the photograph; give px for at least one of --left, --top, --right and --bottom, or a mask"
        )
    across, down = photo.scale if scale == "source" else (1.0, 1.0)
    left, right = (-int(-px // across) for px in (extension.left, extension.right))
    top, bottom = (-int(-px // down) for px in (extension.top, extension.bottom))
    window = photo.region
    region = Region(window.x - left, window.y - top, left + window.w + right, top + window.h + bottom)
    if scale == "work":
        return Arrangement((photo,), region, halvings=halvings)
    box = (
        left - extension.left / across,
        top - extension.top / down,
        left + window.w + extension.right / across,
        top + window.h + extension.bottom / down,
    )
    image = photo.photograph.image
    size = extension.left + image.width + extension.right, extension.top + image.height + extension.bottom
    source = SourceFrame(box, size, extension.left, extension.top)
    return Arrangement((photo,), region, source=source, halvings=halvings)


def inbetweening(photos: Sequence[Placed], *, config: GeneratorConfig) -> Arrangement:
    """Plan to join photographs in a row. The region spans the rows of all photographs.

    ``config``: of the generator at the working scale. The style transition is as wide as the narrowest gap allows without
    reaching into the photographs, and at least half that gap.
    """
    right = max(p.x + p.region.w for p in photos)
    top, bottom = min(p.y for p in photos), max(p.y + p.region.h for p in photos)
    gap = min(after.x - before.x - before.region.w for before, after in pairwise(photos))
    reach = _STYLE_REACH_CELLS * geometry.cell_px(config.levels)
    transition = min(max(gap - 2 * reach, gap // 2, 1), MAX_TRANSITION >> config.halvings) | 1
    left = photos[0].x
    region = Region(left, top, right - left, bottom - top)
    return Arrangement(tuple(photos), region, transition=transition, halvings=config.halvings)


def cyclic_period(width: int, *, cell_px: int) -> int:
    """Round ``width`` px to whole cells, at least one."""
    return max(1, (width + cell_px // 2) // cell_px) * cell_px


def panorama(photo: Placed, *, period: int, halvings: int = 0) -> Arrangement:
    """Plan a seamless 360 degree image of ``period`` px with the photograph in the middle.

    ``halvings``: of the working scale. Raises InputError if the photograph is wider than the image.
    """
    window = photo.region
    if period < window.w:
        raise InputError(
            f"width {period} px is too short for a panorama: the photograph alone is {window.w} px wide at its working height "
            f"of {window.h} px; give a larger --w or a smaller --height"
        )
    region = Region(window.x - (period - window.w) // 2, window.y, period, window.h)
    return Arrangement((photo,), region, period=period << halvings, halvings=halvings)
