"""Which tiles draw a region: a pure function of region, model and options, so every process makes the same plan.

Tiles step by S*(n - 5) px and each owns the pixels of one step; the 5 px by which neighbours overlap are computed twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from infgen.errors import InputError, LimitError
from infgen.limits import MAX_PIXELS
from infgen.model.config import GeneratorConfig
from infgen.rendering.cost import peak_bytes
from infgen.world import geometry
from infgen.world.tile_inputs import TilePosition
from infgen.world.world import PX_LIMIT

MIN_TILE_CELLS = 6  # the smallest tile that moves on by a whole cell
MAX_TILE_PX = 1060  # tiles twice as large would save 2 % more of the work and take four times the memory
SPACING_CELLS = 5  # cells by which a tile's step is smaller than its z_S window


@dataclass(frozen=True)
class Region:
    """A rectangle of the implicit image, px: left edge ``x``, top edge ``y``, width ``w``, height ``h``."""

    x: int
    y: int
    w: int
    h: int

    def __post_init__(self) -> None:
        for name, size in (("width", self.w), ("height", self.h)):
            if size < 1:
                raise InputError(f"{name} {size} px is not possible; give 1 or more")
        for name, low, size in (("x", self.x, self.w), ("y", self.y, self.h)):
            if not (low >= -PX_LIMIT and low + size <= PX_LIMIT):
                raise LimitError(f"{name} from {low} to {low + size} px leaves the canvas; allowed is -2^40 to 2^40")

    @property
    def pixels(self) -> int:
        """Pixels in the region."""
        return self.w * self.h


@dataclass(frozen=True)
class Axis:
    """Tiles along one axis: ``count`` tiles of ``cells`` cells, the first at ``first_cell``."""

    first_cell: int
    cells: int
    count: int
    start: int  # first pixel of the region
    size: int  # pixels of the region
    levels: int

    @property
    def step_px(self) -> int:
        """Distance of neighbouring tiles."""
        return geometry.cell_px(self.levels) * (self.cells - SPACING_CELLS)

    def cell(self, index: int) -> int:
        """First cell of tile ``index``."""
        return self.first_cell + index * (self.cells - SPACING_CELLS)

    def owned(self, index: int) -> tuple[slice, int]:
        """(pixels of tile ``index`` that it owns, counted from the tile's edge; where they begin, counted from the region's)."""
        tile_start = geometry.first_px(self.cell(index), levels=self.levels)
        first = max(self.start, tile_start)
        tile_stop = tile_start + (
            self.step_px if index + 1 < self.count else geometry.tile_px(self.cells, levels=self.levels)
        )
        stop = min(self.start + self.size, tile_stop)
        return slice(first - tile_start, stop - tile_start), first - self.start


@dataclass(frozen=True)
class PlannedTile:
    """One tile: where its window begins and which of its pixels (``rows``, ``columns``) go to (``x``, ``y``) of the region."""

    position: TilePosition
    rows: slice
    columns: slice
    x: int
    y: int


@dataclass(frozen=True)
class Plan:
    """All tiles of a region, row by row, and how many share a batch."""

    region: Region
    across: Axis
    down: Axis
    batch: int

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of every tile's z_S window."""
        return self.down.cells, self.across.cells

    @property
    def tile_px(self) -> tuple[int, int]:
        """(height, width) of every tile."""
        levels = self.across.levels
        return geometry.tile_px(self.down.cells, levels=levels), geometry.tile_px(self.across.cells, levels=levels)

    @property
    def tile_count(self) -> int:
        """Tiles that hold pixels of the region; the last batch may compute some of them again to be full."""
        return self.across.count * self.down.count

    @property
    def batch_count(self) -> int:
        """Engine calls."""
        return -(-self.tile_count // self.batch)

    def tile(self, index: int) -> PlannedTile:
        """Tile ``index``, 0 to ``tile_count`` - 1."""
        j, i = divmod(index, self.across.count)
        (columns, x), (rows, y) = self.across.owned(i), self.down.owned(j)
        return PlannedTile(TilePosition(self.across.cell(i), self.down.cell(j)), rows, columns, x, y)

    def batches(self) -> Iterator[list[PlannedTile]]:
        """The tiles of each engine call in order; only the last list can be shorter than ``batch``."""
        for start in range(0, self.tile_count, self.batch):
            yield [self.tile(i) for i in range(start, min(start + self.batch, self.tile_count))]


def _axis(start: int, size: int, *, cells: int, exact: bool, levels: int) -> Axis:
    """Cover ``size`` px from ``start`` with tiles of ``cells`` cells, or with as many, as small as will do, unless ``exact``."""
    s = geometry.cell_px(levels)
    first = geometry.first_cell(start, levels=levels)
    needed = start - geometry.first_px(first, levels=levels) + size
    overlap = geometry.tile_px(cells, levels=levels) - s * (cells - SPACING_CELLS)
    count = max(1, -(-(needed - overlap) // (s * (cells - SPACING_CELLS))))
    if not exact:
        cells = max(MIN_TILE_CELLS, -(-(needed - overlap) // (count * s)) + SPACING_CELLS)
    return Axis(first, cells, count, start, size, levels)


def tile_option_cells(tile_px: int, *, levels: int) -> int:
    """Cells of a tile asked for as ``tile_px`` px. Raises InputError naming the nearest legal sizes."""
    cells = geometry.tile_cells(tile_px, levels=levels)
    if cells is not None and cells >= MIN_TILE_CELLS:
        return cells
    above = max(MIN_TILE_CELLS, geometry.cells_covering(max(tile_px, 1), levels=levels))
    near = [geometry.tile_px(c, levels=levels) for c in (above - 1, above) if c >= MIN_TILE_CELLS]
    raise InputError(
        f"tile {tile_px} px is not a size of this model (a multiple of {geometry.cell_px(levels)} plus 5, "
        f"from {geometry.tile_px(MIN_TILE_CELLS, levels=levels)}); nearest: {' and '.join(map(str, near))}"
    )


def largest_tile_cells(config: GeneratorConfig, *, batch: int, memory: int, bytes_per_value: int) -> int:
    """Cells of the largest square tile up to MAX_TILE_PX whose batch stays within ``memory`` bytes (at least the smallest)."""
    cells = geometry.cells_covering(MAX_TILE_PX, levels=config.levels)
    while (
        cells > MIN_TILE_CELLS and batch * peak_bytes(config, (cells, cells), bytes_per_value=bytes_per_value) > memory
    ):
        cells -= 1
    return max(cells, MIN_TILE_CELLS)


def make_plan(
    region: Region,
    config: GeneratorConfig,
    *,
    memory: int,
    bytes_per_value: int = 4,
    tile_px: int | None = None,
    batch: int = 1,
) -> Plan:
    """The tiles for ``region``.

    ``tile_px``: side of every tile; None chooses the largest whose batch fits ``memory`` bytes and shrinks it until the
    tiles just cover the region. Raises InputError for an illegal tile or batch, LimitError for too many pixels.
    """
    limit = MAX_PIXELS.value()
    if region.pixels > limit:
        raise LimitError(
            f"{region.w} x {region.h} is {region.pixels} pixels, over the limit of {limit}; "
            f"raise it with the environment variable {MAX_PIXELS.name} or render a smaller region"
        )
    if not 1 <= batch <= 1024:
        raise InputError(f"batch {batch} is out of range; allowed are 1 to 1024")
    if tile_px is None:
        cells = largest_tile_cells(config, batch=batch, memory=memory, bytes_per_value=bytes_per_value)
    else:
        cells = tile_option_cells(tile_px, levels=config.levels)
    exact = tile_px is not None
    across = _axis(region.x, region.w, cells=cells, exact=exact, levels=config.levels)
    down = _axis(region.y, region.h, cells=cells, exact=exact, levels=config.levels)
    return Plan(region, across, down, min(batch, across.count * down.count) if not exact else batch)
