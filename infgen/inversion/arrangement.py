"""Plan where photographs lie in a world and which region to render around them.

``outpainting``, ``inbetweening`` and ``panorama`` differ only in this plan. It allows all checks before any work starts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from infgen import geometry
from infgen.checks import check_whole
from infgen.errors import InputError, LimitError
from infgen.geometry import PX_LIMIT, STRUCTURE_HALO, Region
from infgen.inversion.detail import match_detail
from infgen.inversion.framing import Frame, frame_circle, frame_one, frame_row
from infgen.inversion.joins import blend_lights, close_steps
from infgen.inversion.patches import draw_with_patches
from infgen.inversion.placing import WORKING_HEIGHT_PX, Placed, place, working_config
from infgen.limits import MAX_JOINED_PIXELS
from infgen.metadata import Metadata
from infgen.model.config import GeneratorConfig
from infgen.photo import Known, Photograph, resize
from infgen.pixels import Pixels
from infgen.rendering.compositing import REACHES_PX, Box, enlarge, insert, match_colours
from infgen.world.layout import MAX_TRANSITION, ResolvedCentre
from infgen.world.world import World

Scale = Literal["work", "source"]
FEATHER_PX = 1  # at working size
REACH_CELLS = 24  # about two view heights: how far surroundings resemble a photograph
_MARGIN_PX = 1  # of the working scale
SIDES = ("left", "top", "right", "bottom")
# Reach of a style around its own cell, in cells: the halo of G_S plus the halo of G_T (just under 2 cells).
_STYLE_REACH_CELLS = STRUCTURE_HALO + 2


def _check_scale(scale: str) -> None:
    if scale not in get_args(Scale):
        raise InputError(f"scale {scale!r} is unknown; choose one of {', '.join(get_args(Scale))}")


@dataclass(frozen=True, kw_only=True)
class Extension:
    """Width in px of the output to add on each side of the photograph."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        for side in SIDES:
            if not 0 <= (size := check_whole(side, getattr(self, side))) <= PX_LIMIT:
                raise InputError(f"{side} {size} px is not possible; give 0 to 2^40 px to add on that side")


@dataclass(frozen=True)
class Arrangement:
    """Placed ``photographs`` and the ``region`` to render around them, in px of the working scale.

    A px of the working scale covers 2**``halvings`` px of the world. ``transition``: width in px of the blend between
    styles. ``period``: of a cyclic world, in px of the world. ``source``: the output at the photographs' own size; None:
    the region itself.
    """

    photographs: tuple[Placed, ...]
    region: Region
    _: KW_ONLY
    transition: int = 1
    period: int | None = None
    source: Frame | None = None
    halvings: int = 0

    @property
    def world_region(self) -> Region:
        """``region`` in px of the world."""
        return self.region.finer(self.halvings)

    @property
    def rendered_halvings(self) -> int:
        """The generated pixels are rendered at scale 1 / 2**``rendered_halvings`` of the world."""
        return self.halvings - self._doublings

    @property
    def rendered_region(self) -> Region:
        """``region`` in px of the scale at which it is rendered, with a margin that resampling reads.

        The pixel of a coarse scale lies on the first of the finer pixels that it covers, not in their middle.
        """
        if not self._doublings:
            return self.region
        x, y, w, h = self.region.x, self.region.y, self.region.w, self.region.h
        margin = 0 if self.period is not None else _MARGIN_PX
        return Region(x - margin, y - _MARGIN_PX, w + margin, h + _MARGIN_PX).finer(self._doublings)

    @property
    def _doublings(self) -> int:
        return 0 if self.source is None else self.source.doublings

    @property
    def output_transition(self) -> int:
        """``transition`` in px of the output."""
        return self.transition if self.source is None else round(self.transition * self.source.scale)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the output, px."""
        return (self.region.w, self.region.h) if self.source is None else self.source.size

    @property
    def profile(self) -> bytes | None:
        """ICC profile of the output, if all photographs share one; None: sRGB."""
        profiles = {photo.photograph.profile for photo in self.photographs}
        return profiles.pop() if len(profiles) == 1 else None

    @property
    def metadata(self) -> Metadata:
        """Metadata of the photograph; none if there are several."""
        return self.photographs[0].photograph.metadata if len(self.photographs) == 1 else Metadata()

    def world(self, files: Sequence[Path], *, seed: int) -> World:
        """Build the world with the latents in ``files`` as anchors, one per photograph; ``seed`` determines the rest.

        Raises WorldError if the files cannot be read or do not fit together.
        """
        transition = min(self.transition << self.halvings, MAX_TRANSITION) | 1
        world = World.from_inversions(files, seed=seed, transition=transition, reach=REACH_CELLS)
        if world.layout is None or len(self.photographs) == 1:
            return world
        # Two centres per style, at the photograph's sides, so that styles meet in the middle of each gap.
        centres = tuple(
            ResolvedCentre(style=style.name, x=x << self.halvings, y=0)
            for style, photo in zip(world.layout.styles, self.photographs, strict=True)
            for x in (photo.x, photo.x + photo.region.w - 1)
        )
        return world.replace(layout=world.layout.model_copy(update={"centres": centres}))

    def compose(self, generated: Pixels, *, keep: bool = True, feather: int | None = None, seed: int = 0) -> Pixels:
        """Compose the output (h, w, 3) uint8 from the ``rendered_region`` (H, W, 3) uint8.

        ``keep``: draw the generated part with patches of the photographs, and insert their own pixels; otherwise return the
        model's pixels. ``feather``: width in px of the output of the blend around the photographs; None: 1 px at working
        size. ``seed``: of the search for patches and of the grain at source size.
        """
        frame = self.source
        if not keep:
            return generated if frame is None else self._crop(generated, frame.box, size=frame.size)
        picture = self._match_colours(generated).copy()
        copies, owners = list(self._copies()), np.full(picture.shape[:2], -1, np.int16)
        for index, (pixels, known, spot) in enumerate(copies):
            place = slice(spot.y, spot.y + spot.h), slice(spot.x, spot.x + spot.w)
            picture[place][known] = pixels[known]
            owners[place][known] = index
        mask, cyclic = owners >= 0, self.period is not None
        guide = picture
        picture, owners = draw_with_patches(guide, owners, seed=seed, cyclic=cyclic)
        if len(copies) > 1:
            picture = blend_lights(picture, guide, owners, mask)
        picture = close_steps(picture, mask, cyclic=cyclic)
        width = round(FEATHER_PX * (1 if frame is None else frame.scale)) if feather is None else feather
        for pixels, known, spot in copies:
            picture = insert(picture, pixels, known, x=spot.x, y=spot.y, feather=width)
        if frame is None:
            return picture
        return match_detail(picture, mask, px=frame.scale / 2**frame.doublings, seed=seed, cyclic=cyclic)

    def _crop(self, picture: Pixels, box: Box, *, size: tuple[int, int]) -> Pixels:
        """Crop ``box``, in px of the working scale from the region's corner, of the rendered ``picture``; resize it."""
        factor, off = 1 << self._doublings, ((1 << self._doublings) - 1) / 2
        x = ((self.region.x << self._doublings) - self.rendered_region.x) - off
        y = ((self.region.y << self._doublings) - self.rendered_region.y) - off
        left, top, right, bottom = box
        box = left * factor + x, top * factor + y, right * factor + x, bottom * factor + y
        return enlarge(picture, box, size=size, cyclic=self.period is not None)

    def _match_colours(self, generated: Pixels) -> Pixels:
        """Match colours at the working scale, since the search for patches reads no finer ones, and resize to the output."""
        width, height = self.region.w, self.region.h
        picture = self._crop(generated, (0, 0, width, height), size=(width, height)) if self._doublings else generated
        for photo in self.photographs:
            most = max(REACHES_PX) if self.period is None else max(1, (width - photo.region.w) // 2)
            reaches = tuple(min(reach, most) for reach in REACHES_PX)  # colours at the ends of a circle must meet
            x, y = photo.x - self.region.x, photo.y - self.region.y
            picture = match_colours(picture, photo.pixels, photo.known, x=x, y=y, reaches=reaches)
        frame = self.source
        if frame is None:
            return picture
        return enlarge(picture, frame.box, size=frame.size, cyclic=self.period is not None)

    def _copies(self) -> Iterator[tuple[Pixels, Known, Region]]:
        """Yield the pixels, mask and place of each photograph in the output."""
        if self.source is None:
            for photo in self.photographs:
                x, y = photo.x - self.region.x, photo.y - self.region.y
                yield photo.pixels, photo.known, Region(x, y, photo.region.w, photo.region.h)
            return
        for photo, spot in zip(self.photographs, self.source.places, strict=True):
            yield *resize(photo.photograph, (spot.w, spot.h)), spot

    def check_size(self) -> None:
        """Raise LimitError if the output has more px than INFGEN_MAX_JOINED_PIXELS, since it is held in memory."""
        width, height = self.size
        limit = MAX_JOINED_PIXELS.value()
        if max(width * height, self.rendered_region.pixels) > limit:
            raise LimitError(
                f"{width} x {height} px are over the limit of {limit} px for pictures made of photographs; give "
                f"--output-size work, request less, or raise {MAX_JOINED_PIXELS.name} (infgen render can render "
                "the world of a smaller picture at any size)"
            )


def outpainting(
    photo: Placed, extension: Extension, *, scale: Scale = "work", config: GeneratorConfig | None = None
) -> Arrangement:
    """Plan to extend one photograph. ``scale`` "source": the output has the photograph's own resolution.

    ``config``: of the whole model; None: of a model with one scale. Raises InputError if there is nothing to add.
    """
    if extension == Extension() and photo.known.all():
        raise InputError(
            "nothing to add to the photograph; give px for at least one of --left, --top, --right and --bottom, or a mask"
        )
    _check_scale(scale)
    across, down = photo.scale if scale == "source" else (1.0, 1.0)
    left, right = (-int(-px // across) for px in (extension.left, extension.right))
    top, bottom = (-int(-px // down) for px in (extension.top, extension.bottom))
    window = photo.region
    region = Region(window.x - left, window.y - top, left + window.w + right, top + window.h + bottom)
    added = extension.left, extension.top, extension.right, extension.bottom
    source = frame_one(photo, region, added=added, config=config) if scale == "source" else None
    return Arrangement((photo,), region, source=source, halvings=_working_halvings(config))


def _working_halvings(config: GeneratorConfig | None) -> int:
    return 0 if config is None else working_config(config).halvings


def place_row(
    photographs: Sequence[Photograph],
    *,
    gap: int,
    scale: Scale = "work",
    height: int = WORKING_HEIGHT_PX,
    horizon: float | None = None,
) -> list[Placed]:
    """Place ``photographs`` from left to right, ``gap`` px of the output apart.

    ``height``, ``horizon`` and errors as for ``place``. The output at ``scale`` "source" has the height of the largest file.
    """
    _check_scale(scale)
    px = max(photograph.image.height for photograph in photographs) / height if scale == "source" else 1.0
    placed: list[Placed] = []
    x = 0.0
    for photograph in photographs:
        placed.append(place(photograph, height=height, horizon=horizon, x=round(x)))
        x = placed[-1].x + placed[-1].region.w + gap / px
    return placed


def inbetweening(
    photos: Sequence[Placed], *, config: GeneratorConfig, scale: Scale = "work", gap: int | None = None
) -> Arrangement:
    """Plan to join photographs in a row. The region spans the rows of all photographs.

    ``config``: of the whole model. ``scale`` "source": the output has the height of the largest file, and photographs are
    ``gap`` px of the output apart. The style transition is as wide as the narrowest gap allows without reaching into the
    photographs, and at least half that gap.
    """
    working = working_config(config)
    right = max(p.x + p.region.w for p in photos)
    top, bottom = min(p.y for p in photos), max(p.y + p.region.h for p in photos)
    between = min(after.x - before.x - before.region.w for before, after in pairwise(photos))
    reach = _STYLE_REACH_CELLS * geometry.cell_px(working.levels)
    transition = min(max(between - 2 * reach, between // 2, 1), MAX_TRANSITION >> working.halvings) | 1
    left = photos[0].x
    region = Region(left, top, right - left, bottom - top)
    frame = None
    _check_scale(scale)
    if scale == "source" and gap is not None:
        frame = frame_row(photos, region, gap=gap, config=config)
        region = Region(left, top, math.ceil(frame.box[2]), math.ceil(frame.box[3]))
    return Arrangement(tuple(photos), region, transition=transition, source=frame, halvings=working.halvings)


def cyclic_period(width: int, *, cell_px: int) -> int:
    """Round ``width`` px to whole cells, at least one."""
    return max(1, (width + cell_px // 2) // cell_px) * cell_px


def panorama(photo: Placed, *, width: int, config: GeneratorConfig, scale: Scale = "work") -> Arrangement:
    """Plan a seamless 360 degree image, ``width`` px of the output rounded to whole cells, around the photograph.

    ``config``: of the whole model. Raises InputError if the photograph is wider than the image.
    """
    working = working_config(config)
    window = photo.region
    _check_scale(scale)
    px = photo.scale[1] if scale == "source" else 1.0
    working_width = width if scale == "work" else width * window.h // photo.photograph.image.height
    period = cyclic_period(working_width, cell_px=geometry.cell_px(working.levels))
    if period < window.w:
        shown = f"{round(period * px)} px"
        raise InputError(
            f"width {shown} is too short for a panorama: the photograph alone is {round(window.w * px)} px wide; "
            "give a larger --w or a smaller --working-height"
        )
    region = Region(window.x - (period - window.w) // 2, window.y, period, window.h)
    source = frame_circle(photo, region, config=config) if scale == "source" else None
    return Arrangement((photo,), region, period=period << working.halvings, source=source, halvings=working.halvings)
