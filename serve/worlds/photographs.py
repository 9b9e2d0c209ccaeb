"""Place uploaded photographs in a world, and add their latents to it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

from infgen.errors import InputError
from infgen.geometry import cell_px
from infgen.inversion.arrangement import Arrangement, Extension, Scale, inbetweening, outpainting
from infgen.inversion.framing import frame_one
from infgen.inversion.invert import SMALLEST_PX
from infgen.inversion.placing import WORKING_HEIGHT_PX, Horizon, Placed, place, working_config
from infgen.inversion.window import Cover
from infgen.limits import MAX_REQUEST_TRANSITION
from infgen.model.config import GeneratorConfig
from infgen.photo import Photograph, open_photograph, resize
from infgen.rendering.photographs import open_srgb
from infgen.serve.worlds.files import AnchorFile, Upload
from infgen.serve.worlds.limits import check_counts
from infgen.world.anchoring import AnchorPhotograph
from infgen.world.document import cut
from infgen.world.layout import ResolvedLayout
from infgen.world.world import StyleSource, World

APART_PX = 512  # gap between photographs without a given place
TRANSITION_PX = 127  # around a single photograph
NOTHING_AROUND = Extension()
_NAME_CHARS = 40


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a picture shows around a photograph. ``anchor``: the photograph's file of latents; "" for one not yet placed.

    ``left`` to ``bottom``: px of the picture. ``scale``: "source" for a picture at the photograph's own size.
    """

    anchor: str = ""
    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0
    scale: Scale = "source"

    @property
    def extension(self) -> Extension:
        """The px to add on each side."""
        return Extension(left=self.left, top=self.top, right=self.right, bottom=self.bottom)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Surroundings":
        """Read what ``dataclasses.asdict`` has written."""
        return cls(**values)


@dataclass(frozen=True)
class Placing:
    """Place of photographs. ``x``: left edge of the first one, px of the world; None places it right of all others.

    ``y``: upper edge of a single photograph, px of the world; None puts its horizon at row 0. ``gap``: px between
    neighbours, of the picture at ``around.scale``. ``around``: what the picture shows around a single photograph.
    """

    x: int | None
    _: KW_ONLY
    y: int | None = None
    gap: int = 0
    around: Surroundings = Surroundings()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Placing":
        """Read what ``dataclasses.asdict`` has written."""
        around = Surroundings.from_json(values["around"])
        return cls(values["x"], y=values["y"], gap=values["gap"], around=around)

    def settle(self, world: World) -> "Placing":
        """Return the placing with a left edge: beside the other photographs of ``world``, if none is given."""
        return self if self.x is not None else replace(self, x=_next_free_x(world))


def arrange(uploads: Sequence[Upload], placing: Placing, *, world: World, config: GeneratorConfig) -> Arrangement:
    """Arrange photographs in ``world`` from left to right, with the region to render around them.

    Places are whole px of the scale used for inversion. ``config``: of the model. Raises InputError or LimitError if a
    photograph cannot be read, placed or inverted, or the region is too large.
    """
    _check_room(world, len(uploads))
    working = working_config(config)
    photographs = [_open_upload(upload) for upload in uploads]
    left = (placing.settle(world).x or 0) >> working.halvings
    px = max(photograph.image.height for photograph in photographs) / WORKING_HEIGHT_PX
    gap = placing.gap / (px if placing.around.scale == "source" else 1)
    horizon = None if placing.y is None else -(placing.y >> working.halvings) / WORKING_HEIGHT_PX
    placed: list[Placed] = []
    x = float(left)
    for photograph in photographs:
        placed.append(place(photograph, x=round(x), horizon=horizon))
        x = placed[-1].x + placed[-1].region.w + gap
    arrangement = _arrange_placed(placed, placing, config=config)
    arrangement.check_size()
    _check_period(arrangement, world.period, working)
    return arrangement


def arrange_placed_photograph(world: World, wanted: Surroundings, *, config: GeneratorConfig) -> Arrangement:
    """Arrange a photograph that lies in ``world``. Raises InputError or LimitError like ``arrange``."""
    for anchor, placed in zip(world.anchors, world.placed_anchors, strict=True):
        found = anchor.photograph
        if anchor.file != wanted.anchor or found is None or world.folder is None:
            continue
        photograph = open_srgb(world.folder / found.file)
        pixels, known = resize(photograph, (found.w, found.h))
        moved = (anchor.cell_x - placed.latents.cell_x) * cell_px(placed.latents.levels)
        photo = Placed(
            photograph, pixels, known=known, x=found.x + moved, y=found.y, horizon=Horizon(-found.y / found.h)
        )
        arrangement = _arrange_one(photo, wanted, config=config)
        arrangement.check_size()
        return arrangement
    raise InputError(f"this world has no photograph of the latents {cut(wanted.anchor)}; read the world again")


def _open_upload(upload: Upload) -> Photograph:
    """Open a photograph in sRGB, like all tiles."""
    name = cut(upload.name)
    try:
        photograph = open_photograph(upload.path, short_px=SMALLEST_PX)
    except InputError as error:  # hides the server's path from the client
        raise type(error)(str(error).replace(str(upload.path), name)) from None
    photograph = replace(photograph, name=name)
    return photograph.in_profile_of(replace(photograph, profile=None))


def _arrange_placed(placed: Sequence[Placed], placing: Placing, *, config: GeneratorConfig) -> Arrangement:
    halvings = working_config(config).halvings
    if len(placed) > 1:
        joined = inbetweening(placed, config=config, scale=placing.around.scale, gap=placing.gap)
        widest = ((MAX_REQUEST_TRANSITION.value() >> halvings) - 1) | 1  # transitions are odd
        return replace(joined, transition=min(joined.transition, widest))
    return _arrange_one(placed[0], placing.around, config=config)


def _arrange_one(photo: Placed, around: Surroundings, *, config: GeneratorConfig) -> Arrangement:
    halvings = working_config(config).halvings
    transition = (TRANSITION_PX >> halvings) | 1
    if around.extension == NOTHING_AROUND:
        frame = frame_one(photo, photo.region, added=(0, 0, 0, 0), config=config) if around.scale == "source" else None
        return Arrangement((photo,), photo.region, transition=transition, source=frame, halvings=halvings)
    return replace(outpainting(photo, around.extension, scale=around.scale, config=config), transition=transition)


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


def add_photographs(
    world: World, latents: Sequence[Path], arrangement: Arrangement, *, copies: Sequence[AnchorFile]
) -> World:
    """Return ``world`` with the anchors ``latents``, one per photograph of ``arrangement``, and their styles.

    ``copies``: the files of the photographs, next to the world.

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
    own = (
        anchor.model_copy(update={"photograph": _entry(photo, copy)})
        for anchor, photo, copy in zip(alone.anchors, arrangement.photographs, copies, strict=True)
    )
    anchors = (*world.anchors, *own)
    return world.replace(layout=checked, style=StyleSource(), anchors=anchors).in_folder(latents[0].parent)


def _entry(photo: Placed, copy: AnchorFile) -> AnchorPhotograph:
    region = photo.region
    return AnchorPhotograph(file=copy.name, sha256=copy.sha256, x=region.x, y=region.y, w=region.w, h=region.h)


def with_seed(world: World, names: Collection[str], seed: int) -> World:
    """Return ``world`` with another continuation: ``seed`` for the surroundings of the anchors with the files ``names``."""
    own = None if seed == world.seed else seed
    anchors = [anchor.model_copy(update={"seed": own}) if anchor.file in names else anchor for anchor in world.anchors]
    return world.replace(anchors=tuple(anchors))


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
