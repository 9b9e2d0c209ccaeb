"""Photographs in a world: where uploads are placed, and what the world becomes once their latents are known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from infgen.errors import InputError
from infgen.inversion.arrangement import SIDES, Arrangement, Extension, inbetweening, outpainting
from infgen.inversion.invert import SMALLEST_PX
from infgen.inversion.placing import Placed, place, working_scale
from infgen.inversion.window import Cover
from infgen.limits import MAX_REQUEST_TRANSITION
from infgen.model.config import GeneratorConfig
from infgen.photo import open_photograph
from infgen.serve.layouts import check_counts
from infgen.world.document import cut
from infgen.world.layout import ResolvedLayout
from infgen.world.world import StyleSource, World

APART_PX = 512  # between photographs that are not placed by hand
TRANSITION_PX = 127  # around a single photograph
NOTHING_AROUND = Extension()
_NAME_CHARS = 40


@dataclass(frozen=True)
class Upload:
    """A photograph that was sent: the file ``path``, and the ``name`` that its sender calls it."""

    path: Path
    name: str


@dataclass(frozen=True)
class Placing:
    """Where photographs lie, in px of the world. ``x``: the first one's left edge; None: beside others.

    ``extension``: what is drawn around a single one. ``gap``: from one of several to the next.
    """

    x: int | None
    extension: Extension = NOTHING_AROUND
    gap: int = 0


def arrange(uploads: Sequence[Upload], placing: Placing, *, world: World, config: GeneratorConfig) -> Arrangement:
    """The photographs at their places in ``world``, from left to right, and the region that is drawn around them.

    They are placed on whole px of the scale at which they are inverted. ``config``: of the model. The files are not needed
    any more afterwards. Raises InputError, or LimitError, where a photograph cannot be read, placed or inverted, or the
    region is too large.
    """
    _check_room(world, len(uploads))
    working = config.coarser(working_scale(config).halvings)
    placed: list[Placed] = []
    x = (_beside(world) if placing.x is None else placing.x) >> working.halvings
    for upload in uploads:
        placed.append(_opened(upload, x=x))
        x += placed[-1].region.w + (placing.gap >> working.halvings)
    arrangement = _arranged(placed, placing, config=working)
    arrangement.check_size()
    _check_period(arrangement, world.period, working)
    return arrangement


def _opened(upload: Upload, *, x: int) -> Placed:
    """The photograph at working size alone, for what waits in line holds no picture of full size; sRGB as all tiles are."""
    name = cut(upload.name)
    try:
        photograph = open_photograph(upload.path, short_px=SMALLEST_PX)
    except InputError as error:  # does not tell where uploads lie
        raise type(error)(str(error).replace(str(upload.path), name)) from None
    placed = place(replace(photograph, name=name), x=x)
    known = None if placed.known.all() else placed.known
    small = replace(placed.photograph, image=Image.fromarray(placed.pixels), known=known)
    small = small.in_profile_of(replace(small, profile=None))
    return replace(placed, photograph=small, pixels=np.asarray(small.image))


def _arranged(placed: Sequence[Placed], placing: Placing, *, config: GeneratorConfig) -> Arrangement:
    halvings = config.halvings
    if len(placed) > 1:
        joined = inbetweening(placed, config=config)
        widest = ((MAX_REQUEST_TRANSITION.value() >> halvings) - 1) | 1  # it is odd
        return replace(joined, transition=min(joined.transition, widest))
    (photo,) = placed
    transition = (TRANSITION_PX >> halvings) | 1
    if placing.extension == NOTHING_AROUND:
        return Arrangement((photo,), photo.region, transition=transition, halvings=halvings)
    around = Extension(**{side: getattr(placing.extension, side) >> halvings for side in SIDES})
    return replace(outpainting(photo, around, halvings=halvings), transition=transition)


def _check_room(world: World, photographs: int) -> None:
    """Raise InputError where the styles of so many ``photographs`` find no place in the world's layout, or LimitError."""
    layout = world.layout
    if layout is not None and layout.painting is not None:
        raise InputError(
            "this world's styles are painted, which leaves no place for a photograph's; use a world with style centres"
        )
    styles, centres = (len(layout.styles), len(layout.centres)) if layout is not None and layout.centres else (0, 0)
    own = 1 if photographs == 1 else 2 * photographs  # one centre in the middle, or one on each side
    check_counts(styles=styles + photographs, centres=centres + own, transition=0)


def _check_period(arrangement: Arrangement, period: int | None, config: GeneratorConfig) -> None:
    """Raise InputError where a cyclic world is too short for the photographs."""
    for photo in arrangement.photographs:
        Cover.of(photo.target(), config, period=period)
    first, last = arrangement.photographs[0].region, arrangement.photographs[-1].region
    reach = (last.x + last.w - first.x) << arrangement.halvings
    if period is not None and reach > period:
        raise InputError(
            f"the photographs reach over {reach} px and this world repeats after {period} px; give a smaller gap"
        )


def _beside(world: World) -> int:
    """Where a photograph lies beside the others: right of them, the first one at 0."""
    edges = [anchor.pixels.x.stop for anchor in world.placed_anchors]
    return max(edges) + APART_PX if edges else 0


def with_photographs(world: World, latents: Sequence[Path], arrangement: Arrangement) -> World:
    """``world`` with the anchors ``latents``, one for each photograph of ``arrangement``, and their styles.

    A style rules everywhere, or where it is nearest if there are others; the transition of a world with style centres stays.
    """
    _check_room(world, len(latents))
    alone = arrangement.world(latents, seed=world.seed)
    assert alone.layout is not None
    there = world.layout if world.layout is not None and world.layout.centres else None
    names = _names(arrangement, alone.layout, taken=() if there is None else [style.name for style in there.styles])
    truncation = None if world.truncation == 1 else 1.0
    styles = tuple(
        style.model_copy(update={"name": names[style.name], "truncation": truncation}) for style in alone.layout.styles
    )
    centres = tuple(centre.model_copy(update={"style": names[centre.style]}) for centre in alone.layout.centres)
    if there is None:
        layout = alone.layout.model_copy(update={"styles": styles, "centres": centres})
    else:
        both = {"styles": (*there.styles, *styles), "centres": (*there.centres, *centres)}
        layout = there.model_copy(update=both)
    checked = ResolvedLayout.from_json(layout.to_json())
    anchors = (*world.anchors, *alone.anchors)
    return world.changed(layout=checked, style=StyleSource(), anchors=anchors).in_folder(latents[0].parent)


def _names(arrangement: Arrangement, layout: ResolvedLayout, *, taken: Sequence[str]) -> dict[str, str]:
    """What each style of ``layout`` is called after its photograph; no name twice, and none of those ``taken``."""
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
