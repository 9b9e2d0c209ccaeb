"""Photographs in a world and the window of it that is asked for: what outpainting, inbetweening and panoramas differ in.

``outpainting``, ``inbetweening`` and ``panorama`` plan; everything is known, and can be refused, before any work is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from infgen import geometry
from infgen.errors import InputError, LimitError
from infgen.geometry import PX_LIMIT, STRUCTURE_HALO, Region
from infgen.inversion.compositing import enlarged, matched, set_into
from infgen.inversion.placing import Placed
from infgen.limits import MAX_JOINED_PIXELS
from infgen.model.config import GeneratorConfig
from infgen.pixels import Pixels
from infgen.world.layout import MAX_TRANSITION, ResolvedCentre
from infgen.world.world import World

Scale = Literal["work", "source"]
FEATHER_PX = 32  # of working size
SIDES = ("left", "top", "right", "bottom")
# Cells beyond a pixel's own that styles act on: the halo of G_S, and that of G_T (2 cells, less a fraction).
_STYLE_REACH_CELLS = STRUCTURE_HALO + 2


@dataclass(frozen=True)
class Extension:
    """How far a picture grows beyond the photograph, px of the output on each side."""

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

    ``box``: the part of the working window (left, top, right, bottom; its px) that ``size`` (w, h) px show. ``x``, ``y``: the
    photograph's upper left corner in them.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    x: int
    y: int


@dataclass(frozen=True)
class Arrangement:
    """``photographs`` at their places, and the ``region`` that is drawn around them, all in px of the working scale.

    One of these covers 2**``halvings`` px of the world. ``transition``: px over which styles fade into each other.
    ``period``: of a cyclic world, px of the world. ``source``: how the output is cut and enlarged; None: the region itself.
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
        """The colour profile (ICC) of the output: the one that all photographs have; None: sRGB."""
        profiles = {photo.photograph.profile for photo in self.photographs}
        return profiles.pop() if len(profiles) == 1 else None

    def world(self, files: Sequence[Path], *, seed: int) -> World:
        """The world whose anchors are the latents in ``files``, in the order of the photographs; ``seed``: all else.

        Raises WorldError where the files cannot be read or do not go together.
        """
        transition = min(self.transition << self.halvings, MAX_TRANSITION) | 1
        world = World.from_inversions(files, seed=seed, transition=transition)
        if world.layout is None or len(self.photographs) == 1:
            return world
        # Two centres for each style, at the photograph's sides: styles meet in the middle of a gap, whatever the widths.
        centres = tuple(
            ResolvedCentre(style=style.name, x=x << self.halvings, y=0)
            for style, photo in zip(world.layout.styles, self.photographs, strict=True)
            for x in (photo.x, photo.x + photo.region.w - 1)
        )
        return world.changed(layout=world.layout.model_copy(update={"centres": centres}))

    def finished(self, generated: Pixels, *, keep: bool = True, feather: int | None = None) -> Pixels:
        """The output, (h, w, 3) uint8, made of the ``generated`` region (H, W, 3) uint8.

        ``keep``: the photographs' own pixels stand in it, led over within ``feather`` px of the output (None: 32 px of working
        size); otherwise all is as the model drew it.
        """
        picture = generated
        for photo in self.photographs if keep else ():
            picture = matched(picture, photo.pixels, photo.known, x=photo.x - self.region.x, y=photo.y - self.region.y)
        if self.source is not None:
            return self._at_source(picture, self.source, keep=keep, feather=feather)
        for photo in self.photographs if keep else ():
            x, y = photo.x - self.region.x, photo.y - self.region.y
            width = FEATHER_PX if feather is None else feather
            picture = set_into(picture, photo.pixels, photo.known, x=x, y=y, feather=width)
        return picture

    def _at_source(self, picture: Pixels, source: SourceFrame, *, keep: bool, feather: int | None) -> Pixels:
        large = enlarged(picture, source.box, size=source.size)
        if not keep:
            return large
        (photo,) = self.photographs
        pixels, known = photo.photograph.pixels()
        width = round(FEATHER_PX * max(photo.scale)) if feather is None else feather
        return set_into(large, pixels, known, x=source.x, y=source.y, feather=width)

    def check_size(self) -> None:
        """Raise LimitError where the output, which is held in memory, has more px than INFGEN_MAX_JOINED_PIXELS."""
        width, height = self.size
        limit = MAX_JOINED_PIXELS.value()
        if max(width * height, self.region.pixels) > limit:
            raise LimitError(
                f"{width} x {height} px are over the limit of {limit} px for pictures made of photographs; ask for less, "
                f"or raise {MAX_JOINED_PIXELS.name} (infgen render draws any size of the world of a smaller picture)"
            )


def outpainting(photo: Placed, extension: Extension, *, scale: Scale = "work", halvings: int = 0) -> Arrangement:
    """One photograph and what lies around it. ``scale`` "source": the output has the photograph's own resolution.

    ``halvings``: of the working scale.

    Raises InputError where there is nothing to add.
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
    """Photographs in a row and what lies between them: the rows that any of them has.

    ``config``: of the generator that draws the working scale.

    Styles fade over as much of the narrowest gap as leaves the photographs to their own ones, or over half of it.
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
    """The multiple of a cell that is nearest to ``width`` px."""
    return max(1, (width + cell_px // 2) // cell_px) * cell_px


def panorama(photo: Placed, *, period: int, halvings: int = 0) -> Arrangement:
    """A photograph once on a circle of ``period`` px, in the middle of the picture. ``halvings``: of the working scale.

    Raises InputError where the photograph is longer than the circle.
    """
    window = photo.region
    if period < window.w:
        raise InputError(
            f"width {period} px is too short for a panorama: the photograph alone is {window.w} px wide at its working height "
            f"of {window.h} px; give a larger --w or a smaller --height"
        )
    region = Region(window.x - (period - window.w) // 2, window.y, period, window.h)
    return Arrangement((photo,), region, period=period << halvings, halvings=halvings)
