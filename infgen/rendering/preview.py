"""Render a small preview of a region: the image, and a map of its styles.

The style map is exact at the pixels it shows and has hard edges. A region too large for a preview is shown by samples:
windows at full scale on a regular grid.
"""

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.rendering.sheet import LABEL_PX, text_strip
from infgen.rendering.studio import Studio
from infgen.world.document import cut
from infgen.world.layout import ResolvedLayout
from infgen.world.mixing import Labels

WHOLE_PX = 2**21  # regions up to this many px are rendered whole and scaled down
SAMPLES = 4  # windows along the longer side of a larger region
GAP_PX = 4
MAX_LEGEND = 24  # most styles in the legend
_ENTRY_PX = 128
_GOLDEN = (5**0.5 - 1) / 2  # fraction of a turn between successive hues, which spreads any number of hues
_SHADES = ((0.75, 0.9), (0.9, 0.65), (0.55, 1.0))  # (saturation, value): styles with similar hues differ in these


def preview(studio: Studio, region: Region, *, side: int = 512, named: Mapping[str, str] | None = None) -> Pixels:
    """Render a preview (h, w, 3) uint8 of ``region`` (px): with a layout also a style map, and a legend below.

    ``side``: longer side in px of the image and of the map. ``named``: colours of styles by name, such as "#ff0000"; the
    others get distinct ones. Takes at most the time of rendering about 2 Mpx.
    """
    image = _render_whole(studio, region, side) if region.pixels <= WHOLE_PX else _render_samples(studio, region, side)
    world = studio.scene.world
    layout = world.layout
    if layout is None:
        return image
    height, width, _ = image.shape
    step = 1 << studio.options.halvings
    labels = style_map(layout, region, size=(width, height), period=world.period, period_y=world.period_y, step=step)
    palette = style_colours(layout, named or {})
    panels = [palette[labels], image]
    both = _join(panels, axis=0 if width > height else 1)  # side by side, unless both are wide
    both = np.pad(both, ((0, 0), (0, max(0, _ENTRY_PX - both.shape[1])), (0, 0)), constant_values=255)
    return _join([both, _draw_legend(layout, np.unique(labels).tolist(), both.shape[1], palette)], axis=0)


def style_map(
    layout: ResolvedLayout,
    region: Region,
    *,
    size: tuple[int, int],
    period: int | None = None,
    period_y: int | None = None,
    step: int = 1,
) -> Labels:
    """Return the style number at the middle of each of ``size`` (columns, rows) equal parts of ``region``, (rows, columns) int32.

    ``step``: px of the world per pixel of ``region``.
    """
    columns, rows = size
    xs = [step * (region.x + (2 * i + 1) * region.w // (2 * columns)) for i in range(columns)]
    ys = [step * (region.y + (2 * i + 1) * region.h // (2 * rows)) for i in range(rows)]
    return layout.labels_at(xs, ys, period=period, period_y=period_y)


def colours(count: int) -> Pixels:
    """Return ``count`` distinct colours, (count, 3) uint8. A larger ``count`` keeps the first colours."""
    shades = [_SHADES[i % len(_SHADES)] for i in range(count)]
    found = [colorsys.hsv_to_rgb(i * _GOLDEN % 1, *shade) for i, shade in enumerate(shades)]
    return np.array([[round(255 * c) for c in colour] for colour in found], np.uint8).reshape(count, 3)


def style_colours(layout: ResolvedLayout, named: Mapping[str, str]) -> Pixels:
    """Return the colour of each style of ``layout``, (styles, 3) uint8: that of ``named``, or else a distinct one."""
    found = colours(len(layout.styles)).copy()
    for i, style in enumerate(layout.styles):
        if style.name in named:
            found[i] = tuple(bytes.fromhex(named[style.name].removeprefix("#")))
    return found


def _render_whole(studio: Studio, region: Region, side: int) -> Pixels:
    pixels = studio.array(region)
    longer = max(region.w, region.h)
    if longer <= side:
        return pixels
    size = max(1, round(region.w * side / longer)), max(1, round(region.h * side / longer))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _render_samples(studio: Studio, region: Region, side: int) -> Pixels:
    """Render windows at full scale from the middles of equal parts of ``region``, as a grid (h, w, 3) uint8."""
    longer = max(region.w, region.h)
    columns, rows = (max(1, round(SAMPLES * size / longer)) for size in (region.w, region.h))
    w, h = (min(side // SAMPLES, size) for size in (region.w, region.h))
    grid = np.empty((rows * h, columns * w, 3), np.uint8)
    for row in range(rows):
        for column in range(columns):
            x = region.x + (2 * column + 1) * region.w // (2 * columns) - w // 2
            y = region.y + (2 * row + 1) * region.h // (2 * rows) - h // 2
            grid[row * h : (row + 1) * h, column * w : (column + 1) * w] = studio.array(Region(x, y, w, h))
    grid[h::h] = grid[:, w::w] = 255  # white lines between windows that are not neighbours
    return grid


def _draw_legend(layout: ResolvedLayout, numbers: Sequence[int], width: int, palette: Pixels) -> Pixels:
    """Draw name and colour of each of the styles ``numbers`` in rows, (h, ``width``, 3) uint8."""
    across = max(1, width // _ENTRY_PX)
    entries = [_draw_entry(cut(layout.styles[i].name, 40), palette[i], width // across) for i in numbers[:MAX_LEGEND]]
    if len(numbers) > MAX_LEGEND:
        entries.append(np.asarray(text_strip(f"and {len(numbers) - MAX_LEGEND} more", width // across)))
    rows = [np.concatenate(entries[i : i + across], axis=1) for i in range(0, len(entries), across)]
    legend = np.full((len(rows) * LABEL_PX, width, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        legend[i * LABEL_PX : (i + 1) * LABEL_PX, : row.shape[1]] = row
    return legend


def _draw_entry(name: str, colour: Pixels, width: int) -> Pixels:
    swatch = np.full((LABEL_PX, LABEL_PX, 3), 255, np.uint8)
    swatch[2:-2, 2:-2] = colour
    text = np.asarray(text_strip(name, max(1, width - LABEL_PX)))
    return np.concatenate([swatch, text], axis=1)[:, :width]


def _join(panels: Sequence[Pixels], *, axis: int) -> Pixels:
    """Join panels along ``axis`` with white gaps."""
    shape = list(panels[0].shape)
    shape[axis] = GAP_PX
    gap = np.full(shape, 255, np.uint8)
    parts = [part for panel in panels for part in (gap, panel)][1:]
    return np.concatenate(parts, axis=axis)
