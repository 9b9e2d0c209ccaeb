"""Continue the local latents of an anchor beyond its photograph, along the horizon.

G_S is a convolution: equal neighbourhoods of local latents give equal structure. So a shore continues as a shore. A column
of cells outside the photograph is

    sqrt(r) * a column of the photograph + sqrt(1 - r) * the world's own column,    r = SHARE * (1 - (d / reach)^2)

at a distance of d cells, which keeps the variance. The columns of the photograph are copied in patches of PATCH_CELLS, at
positions that depend on the seed. Changing these numbers changes every world with surroundings.
"""

import hashlib
from collections.abc import Callable

from torch import Tensor

from infgen.geometry import Span, Window, cell_px
from infgen.world.anchoring import PlacedAnchor

SHARE = 0.75
PATCH_CELLS = 6
KEPT_CELLS = 1  # columns beyond the photograph on each side that keep the latents of the inversion

Draw = Callable[[Window], Tensor]  # window of cells -> local latents of the world


def columns_of_photograph(anchor: PlacedAnchor) -> Span:
    """Return the columns of cells whose centres lie in the pixels of ``anchor``."""
    spacing = cell_px(anchor.latents.world_levels)
    start = -(-anchor.pixels.x.start // spacing)
    return Span(start, max(1, (anchor.pixels.x.stop - 1) // spacing - start + 1))


def continued_latents(anchor: PlacedAnchor, draw: Draw, *, seed: int, period: int | None) -> tuple[Tensor, Window]:
    """Return the local latents (C, h, w) of ``anchor`` with its surroundings, and their window of cells.

    ``draw`` gives the latents of the seed. ``period``: of the world in cells; the window is at most that wide.
    """
    stored, block = anchor.local
    own = columns_of_photograph(anchor)
    kept = Span(own.start - KEPT_CELLS, own.size + 2 * KEPT_CELLS)
    reach = anchor.reach if period is None else min(anchor.reach, max(0, (period - kept.size) // 2))
    window = Window(Span(kept.start - reach, kept.size + 2 * reach), block.y)
    values = draw(window)
    inside = stored[:, :, kept.start - block.x.start :][:, :, : kept.size].to(values)
    values[:, :, reach : reach + kept.size] = inside
    inside = inside[:, :, KEPT_CELLS : KEPT_CELLS + own.size]
    for side in (-1, 1):
        for distance in range(reach):
            column = reach + kept.size + distance if side > 0 else reach - 1 - distance
            share = SHARE * (1 - (distance / reach) ** 2)
            source = _source(seed, anchor.x.structure.start, side, distance, size=own.size)
            values[:, :, column] = share**0.5 * inside[:, :, source] + (1 - share) ** 0.5 * values[:, :, column]
    return values, window


def _source(seed: int, cell_x: int, side: int, distance: int, *, size: int) -> int:
    """Return the column of the photograph, from 0, for a column ``distance`` cells beyond its ``side``."""
    width = min(PATCH_CELLS, size)
    patch, inside = divmod(distance, width)
    text = f"{seed % 2**64},{cell_x},{side},{patch}"
    start = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % (size - width + 1)
    return start + (inside if side > 0 else width - 1 - inside)
