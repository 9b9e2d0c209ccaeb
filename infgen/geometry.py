"""Integer algebra of the network without padding: cells, features and pixels of each window.

Level ``l`` has its own lattice with spacing ``S / 2**l`` px (``S = 2**levels`` px per cell): position ``j`` lies exactly on
pixel ``j * S / 2**l``. Level 0 is the cell lattice, level ``levels`` the pixel lattice. Positions are Python ints
and therefore exact at any distance from the origin.
"""

from dataclasses import dataclass

from infgen.checks import check_whole
from infgen.errors import InputError, LimitError

PX_LIMIT = 2**40  # corners of every window lie within +-2**40 px of the world
STRUCTURE_HALO = 12  # cells that the four 7x7 convolutions of G_S remove on each side: 4 * 3
TEXTURE_HALO = 3  # upper bound of the cells that the convolutions of G_T reach


@dataclass(frozen=True)
class Span:
    """A run of ``size`` consecutive lattice positions that begins at ``start``, along one axis."""

    start: int
    size: int

    @property
    def stop(self) -> int:
        """First position after the span."""
        return self.start + self.size

    def contains(self, other: "Span") -> bool:
        """Return whether every position of ``other`` lies in this span."""
        return self.start <= other.start and other.stop <= self.stop


@dataclass(frozen=True)
class Window:
    """A rectangle on one lattice: ``x`` to the right, ``y`` down."""

    x: Span
    y: Span

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)`` in lattice positions."""
        return self.y.size, self.x.size


@dataclass(frozen=True)
class Region:
    """A rectangle of the implicit image, px: left edge ``x``, top edge ``y``, width ``w``, height ``h``.

    >>> from infgen import Region
    >>> Region(-256, -128, 512, 256).pixels
    131072
    """

    x: int
    y: int
    w: int
    h: int

    def __post_init__(self) -> None:
        for name in ("x", "y", "w", "h"):
            object.__setattr__(self, name, check_whole(name, getattr(self, name)))
        for name, size in (("width", self.w), ("height", self.h)):
            if size < 1:
                raise InputError(f"{name} {size} px is not possible; give 1 or more")
        for name, low, size in (("x", self.x, self.w), ("y", self.y, self.h)):
            if not (low >= -PX_LIMIT and low + size <= PX_LIMIT):
                raise LimitError(f"{name} from {low} to {low + size} px leaves the canvas; allowed is -2^40 to 2^40")

    @property
    def pixels(self) -> int:
        """Number of pixels in the region."""
        return self.w * self.h

    def coarser(self, halvings: int) -> "Region":
        """Return the smallest region of pixels 2**halvings px apart that covers this one."""
        left, top = self.x >> halvings, self.y >> halvings
        right, bottom = -(-(self.x + self.w) >> halvings), -(-(self.y + self.h) >> halvings)
        return Region(left, top, right - left, bottom - top)

    def finer(self, doublings: int) -> "Region":
        """Return the region in pixels of 1 / 2**doublings the size."""
        return Region(*(value << doublings for value in (self.x, self.y, self.w, self.h)))


@dataclass(frozen=True)
class LayerSpans:
    """Lattice spans, along one axis, that one tile of the network reads and writes.

    ``local``: cells of z_l and coordinates that G_S reads. ``structure``: cells of z_S. ``noise[i]``: output positions of
    texture convolution ``i`` on the lattice of level ``i // 2 + 1``. ``pixels``: pixels of the image.
    """

    local: Span
    structure: Span
    noise: tuple[Span, ...]
    pixels: Span


def cell_px(levels: int) -> int:
    """Return the pixels per cell, S = 2**levels."""
    return 1 << levels


def tile_px(cells: int, *, levels: int) -> int:
    """Return the pixels of a tile of ``cells`` cells of z_S: S*n - 5*(S - 1). 0 or less: no pixels."""
    s = cell_px(levels)
    return s * cells - 5 * (s - 1)


def tile_cells(px: int, *, levels: int) -> int | None:
    """Return the cells of z_S that give exactly ``px`` pixels, or None if there is no such number."""
    s = cell_px(levels)
    cells, rest = divmod(px + 5 * (s - 1), s)
    return cells if rest == 0 and px > 0 else None


def cells_covering(px: int, *, levels: int) -> int:
    """Return the fewest cells of z_S whose tile has at least ``px`` pixels."""
    s = cell_px(levels)
    return -(-(px + 5 * (s - 1)) // s)


def first_px(cell: int, *, levels: int) -> int:
    """Return the first pixel of a tile whose z_S begins at ``cell``: S*k + 2*(S - 1)."""
    s = cell_px(levels)
    return s * cell + 2 * (s - 1)


def first_cell(px: int, *, levels: int) -> int:
    """Return the last cell whose tile begins at or before pixel ``px``."""
    s = cell_px(levels)
    return (px - 2 * (s - 1)) // s


def upsample_span(span: Span) -> Span:
    """Return the output span of an upsampling block on the next lattice: transposed conv 2n+1, crop to 2n-1, blur to 2n-3."""
    return Span(2 * span.start + 1, 2 * span.size - 3)


def convolve_span(span: Span) -> Span:
    """Return the output span of a 3x3 convolution without padding."""
    return Span(span.start + 1, span.size - 2)


def layer_spans(cell: int, cells: int, *, levels: int) -> LayerSpans:
    """Return the spans of every layer, along one axis, for a tile whose z_S has ``cells`` cells from ``cell`` on.

    Raises ValueError if the tile would have no pixels.
    """
    if tile_px(cells, levels=levels) <= 0:
        raise ValueError(f"{cells} cells give no pixels at {levels} levels")
    structure = Span(cell, cells)
    noise: list[Span] = []
    span = structure
    for _ in range(levels):
        up = upsample_span(span)
        span = convolve_span(up)
        noise += [up, span]
    local = Span(cell - STRUCTURE_HALO, cells + 2 * STRUCTURE_HALO)
    return LayerSpans(local=local, structure=structure, noise=tuple(noise), pixels=span)


def lattice_period(period_px: int, level: int, *, levels: int) -> int:
    """Return the period of a cyclic world on the lattice of ``level``: P * 2**l / S. ``period_px`` is a multiple of S."""
    return (period_px << level) >> levels
