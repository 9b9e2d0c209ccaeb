"""Convert the styles of a region to a painted map: a picture with one colour per style, and the layout that reads it."""

from infgen.errors import InputError, WorldError
from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.rendering.preview import style_colours, style_map
from infgen.world.document import cut
from infgen.world.layout import Layout, ResolvedLayout, ResolvedStyle
from infgen.world.layout_files import decode_painting
from infgen.world.world import World


def paint_map(world: World, region: Region, *, side: int, image: str) -> tuple[Pixels, Layout]:
    """Return the map of ``region`` (h, w, 3) uint8, and a layout that paints it over a region again.

    ``side``: longest side of the map in pixels; ``image``: file name of the map in the layout. The map has hard edges: soft
    strokes become their middle line. Raises InputError for a world without layout, or with styles of photographs.
    """
    layout, pixels = _layout_of(world), map_pixels(world, region, side=side)
    palette = style_colours(layout, {})
    colours = {f"#{palette[i].tobytes().hex()}": style.name for i, style in enumerate(layout.styles)}
    styles = {style.name: _source_of(style) for style in layout.styles}
    painting = {"image": image, "colours": colours}
    return pixels, Layout.model_validate({"styles": styles, "painting": painting, "transition": layout.transition})


def map_pixels(world: World, region: Region, *, side: int) -> Pixels:
    """Return the map of ``region`` alone, (h, w, 3) uint8. Raises InputError for a world without layout."""
    layout = _layout_of(world)
    longest = max(region.w, region.h)
    size = (max(1, min(region.w, region.w * side // longest)), max(1, min(region.h, region.h * side // longest)))
    numbers = style_map(layout, region, size=size, period=world.period, period_y=world.period_y)
    return style_colours(layout, {})[numbers]


def apply_map(world: World, png: bytes, region: Region) -> World:
    """Return ``world`` with its styles as a map of ``region`` paints them, instead of its centres and strokes.

    ``png``: a map with the colours of ``map_pixels``. Raises InputError for a world without layout, WorldError for a map
    that cannot be used.
    """
    layout = _layout_of(world)
    meanings = {int(colour.tobytes().hex(), 16): i for i, colour in enumerate(style_colours(layout, {}))}
    try:
        painting = decode_painting(png, meanings, region)
    except ValueError as error:
        raise WorldError(f"the map {error}") from None
    return world.replace(layout=ResolvedLayout(styles=layout.styles, painting=painting, transition=layout.transition))


def _layout_of(world: World) -> ResolvedLayout:
    if world.layout is None:
        raise InputError("the world has one style everywhere and no map: place styles or strokes first")
    return world.layout


def _source_of(style: ResolvedStyle) -> dict[str, object]:
    parts = [style, *([] if style.texture is None else [style.texture])]
    if any(part.latent is not None for part in parts):
        raise InputError(
            f"style {cut(repr(style.name))} comes from stored latents, which a layout file cannot hold; keep the world file"
        )
    return style.model_dump(exclude={"name"}, exclude_none=True)
