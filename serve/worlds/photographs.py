"""Place uploaded photographs in a world, and add their latents to it."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from infgen.errors import InputError
from infgen.inversion.arrangement import SIDES, Arrangement, Extension, inbetweening, outpainting
from infgen.inversion.invert import SMALLEST_PX
from infgen.inversion.placing import Placed, place, working_config
from infgen.inversion.window import Cover
from infgen.limits import MAX_REQUEST_TRANSITION
from infgen.model.config import GeneratorConfig
from infgen.photo import open_photograph
from infgen.serve.worlds.limits import check_counts
from infgen.world.document import cut
from infgen.world.layout import ResolvedLayout
from infgen.world.world import StyleSource, World

APART_PX = 512  # gap between photographs without a given place
TRANSITION_PX = 127  # around a single photograph
NOTHING_AROUND = Extension()
_NAME_CHARS = 40


@dataclass(frozen=True)
class Upload:
    """An uploaded photograph: its temporary file ``path`` and the client's file ``name``."""

    path: Path
    name: str


@dataclass(frozen=True)
class Placing:
    """Place of photographs, px of the world.

    ``x``: left edge of the first one; None places it right of all others. ``extension``: px rendered around a single
    photograph. ``gap``: px between neighbours.
    """

    x: int | None
    _: KW_ONLY
    extension: Extension = NOTHING_AROUND
    gap: int = 0


def arrange(uploads: Sequence[Upload], placing: Placing, *, world: World, config: GeneratorConfig) -> Arrangement:
    """Arrange photographs in ``world`` from left to right, with the region to render around them.

    Places are whole px of the scale used for inversion. ``config``: of the model. The files can be deleted afterwards.
    Raises InputError or LimitError if a photograph cannot be read, placed or inverted, or the region is too large.
    """
    _check_room(world, len(uploads))
    working = working_config(config)
    placed: list[Placed] = []
    x = (_next_free_x(world) if placing.x is None else placing.x) >> working.halvings
    for upload in uploads:
        placed.append(_open_upload(upload, x=x))
        x += placed[-1].region.w + (placing.gap >> working.halvings)
    arrangement = _arrange_placed(placed, placing, config=config)
    arrangement.check_size()
    _check_period(arrangement, world.period, working)
    return arrangement


def _open_upload(upload: Upload, *, x: int) -> Placed:
    """Open and place a photograph. Keeps only its working size, in sRGB like all tiles, to save memory in the queue."""
    name = cut(upload.name)
    try:
        photograph = open_photograph(upload.path, short_px=SMALLEST_PX)
    except InputError as error:  # hides the server's path from the client
        raise type(error)(str(error).replace(str(upload.path), name)) from None
    placed = place(replace(photograph, name=name), x=x)
    known = None if placed.known.all() else placed.known
    small = replace(placed.photograph, image=Image.fromarray(placed.pixels), known=known)
    small = small.in_profile_of(replace(small, profile=None))
    return replace(placed, photograph=small, pixels=np.asarray(small.image))


def _arrange_placed(placed: Sequence[Placed], placing: Placing, *, config: GeneratorConfig) -> Arrangement:
    halvings = working_config(config).halvings
    if len(placed) > 1:
        joined = inbetweening(placed, config=config)
        widest = ((MAX_REQUEST_TRANSITION.value() >> halvings) - 1) | 1  # transitions are odd
        return replace(joined, transition=min(joined.transition, widest))
    (photo,) = placed
    transition = (TRANSITION_PX >> halvings) | 1
    if placing.extension == NOTHING_AROUND:
        return Arrangement((photo,), photo.region, transition=transition, halvings=halvings)
    around = Extension(**{side: getattr(placing.extension, side) >> halvings for side in SIDES})
    return replace(outpainting(photo, around, config=config), transition=transition)


def _check_room(world: World, photographs: int) -> None:
    """Raise InputError or LimitError if the world's layout cannot take the styles of this many ``photographs``."""
    layout = world.layout
    if layout is not None and layout.painting is not None:
        raise InputError(
            "this world has a painted style map, which cannot hold a photograph's style; use a world with style centres"
        )
    styles, centres = (len(layout.styles), len(layout.centres)) if layout is not None and layout.centres else (0, 0)
    own = 1 if photographs == 1 else 2 * photographs  # one centre in the middle, or one on each side
    check_counts(styles=styles + photographs, centres=centres + own, transition=0)


def _check_period(arrangement: Arrangement, period: int | None, config: GeneratorConfig) -> None:
    """Raise InputError if a cyclic world is too short for the photographs."""
    for photo in arrangement.photographs:
        Cover.of(photo.target(), config, period=period)
    first, last = arrangement.photographs[0].region, arrangement.photographs[-1].region
    reach = (last.x + last.w - first.x) << arrangement.halvings
    if period is not None and reach > period:
        raise InputError(
            f"the photographs span {reach} px but this world repeats after {period} px; give a smaller gap"
        )


def _next_free_x(world: World) -> int:
    """Return the left edge in px for a new photograph: right of the others, or 0 for the first."""
    edges = [anchor.pixels.x.stop for anchor in world.placed_anchors]
    return max(edges) + APART_PX if edges else 0


def add_photographs(world: World, latents: Sequence[Path], arrangement: Arrangement) -> World:
    """Return ``world`` with the anchors ``latents``, one per photograph of ``arrangement``, and their styles.

    A single style applies everywhere; otherwise the nearest style centre decides. A world with style centres keeps its
    transition.
    """
    _check_room(world, len(latents))
    alone = arrangement.world(latents, seed=world.seed)
    assert alone.layout is not None
    there = world.layout if world.layout is not None and world.layout.centres else None
    names = _name_styles(
        arrangement, alone.layout, taken=() if there is None else [style.name for style in there.styles]
    )
    styles = tuple(style.model_copy(update={"name": names[style.name]}) for style in alone.layout.styles)
    centres = tuple(centre.model_copy(update={"style": names[centre.style]}) for centre in alone.layout.centres)
    if there is None:
        layout = alone.layout.model_copy(update={"styles": styles, "centres": centres})
    else:
        both = {"styles": (*there.styles, *styles), "centres": (*there.centres, *centres)}
        layout = there.model_copy(update=both)
    checked = ResolvedLayout.from_json(layout.to_json())
    anchors = (*world.anchors, *alone.anchors)
    return world.replace(layout=checked, style=StyleSource(), anchors=anchors).in_folder(latents[0].parent)


def _name_styles(arrangement: Arrangement, layout: ResolvedLayout, *, taken: Sequence[str]) -> dict[str, str]:
    """Map each style of ``layout`` to a unique name from its photograph, excluding the names in ``taken``."""
    names: dict[str, str] = {}
    for style, photo in zip(layout.styles, arrangement.photographs, strict=True):
        names[style.name] = _free_name(cut(photo.photograph.name, _NAME_CHARS), {*taken, *names.values()})
    return names


def _free_name(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} {number}"
    return found
