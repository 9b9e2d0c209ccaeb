"""Convert the styles of a region to a painted map: a picture with one colour per style, and the layout that reads it."""

from infgen.errors import InputError
from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.rendering.preview import style_colours, style_map
from infgen.world.document import cut
from infgen.world.layout import Layout, ResolvedStyle
from infgen.world.world import World


def paint_map(world: World, region: Region, *, side: int, image: str) -> tuple[Pixels, Layout]:
    """Return the map of ``region`` (h, w, 3) uint8, and a layout that paints it over a region again.

    ``side``: longest side of the map in pixels; ``image``: file name of the map in the layout. The map has hard edges: soft
    strokes become their middle line. Raises InputError for a world without layout, or with styles of photographs.
    """
    layout = world.layout
    if layout is None:
        raise InputError("the world has one style everywhere; there is no map to write: place styles or strokes first")
    longest = max(region.w, region.h)
    size = (max(1, min(region.w, region.w * side // longest)), max(1, min(region.h, region.h * side // longest)))
    numbers = style_map(layout, region, size=size, period=world.period, period_y=world.period_y)
    palette = style_colours(layout, {})
    colours = {f"#{palette[i].tobytes().hex()}": style.name for i, style in enumerate(layout.styles)}
    styles = {style.name: _source_of(style) for style in layout.styles}
    painting = {"image": image, "colours": colours}
    return palette[numbers], Layout.model_validate(
        {"styles": styles, "painting": painting, "transition": layout.transition}
    )


def _source_of(style: ResolvedStyle) -> dict[str, object]:
    parts = [style, *([] if style.texture is None else [style.texture])]
    if any(part.latent is not None for part in parts):
        raise InputError(
            f"style {cut(repr(style.name))} comes from stored latents, which a layout file cannot hold; keep the world file"
        )
    return style.model_dump(exclude={"name"}, exclude_none=True)
