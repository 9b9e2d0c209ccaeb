"""Plan the tiles of a region: a pure function of region, model and options, so every process makes the same plan.

Tiles step by whole cells and own equal rectangles of the region. Their windows overlap by 5 px or more, which are computed
twice.
"""

from dataclasses import KW_ONLY, dataclass

from infgen import geometry
from infgen.checks import check_whole
from infgen.errors import InputError, LimitError
from infgen.geometry import Region
from infgen.limits import MAX_PIXELS
from infgen.model.config import GeneratorConfig
from infgen.rendering.cost import peak_bytes
from infgen.rendering.tile_inputs import TilePosition
from infgen.sinks.grid import Grid

MIN_TILE_CELLS = 7  # smallest tile with a step of a whole cell for any start of the region
MAX_BATCH = 1024
MAX_TILE_PX = 740  # with several tiles: 1060 px would save 1 to 3 % of the work but double the time to the first tile
MAX_ONLY_TILE_PX = 1060  # with one tile along an axis: two tiles of half the size would cost 2 to 6 % more
SPACING_CELLS = 5  # cells of the z_S window minus cells of the step
OVERLAP_PX = 5  # px of a tile of n cells minus px of n - 5 cells


@dataclass(frozen=True)
class Axis:
    """Tiles along one axis: ``count`` tiles of ``cells`` cells, ``step_cells`` apart, the first at ``first_cell``."""

    first_cell: int
    cells: int
    step_cells: int
    count: int
    start: int  # first pixel of the region
    size: int  # pixels of the region
    levels: int

    @property
    def step_px(self) -> int:
        """Pixels that every tile but the last owns."""
        return self.size if self.count == 1 else geometry.cell_px(self.levels) * self.step_cells

    def cell(self, index: int) -> int:
        """Return the first cell of tile ``index``."""
        return self.first_cell + index * self.step_cells

    def owned_pixels(self, index: int) -> tuple[slice, int]:
        """Return the pixels that tile ``index`` owns: (slice from the tile's edge, start from the region's edge)."""
        before = self.start - geometry.first_px(self.first_cell, levels=self.levels)
        position = index * self.step_px
        return slice(before, before + min(self.step_px, self.size - position)), position


@dataclass(frozen=True)
class PlannedTile:
    """Tile ``number``: position of its window, and pixels (``rows``, ``columns``) to write at (``x``, ``y``) of the region."""

    number: int
    position: TilePosition
    _: KW_ONLY
    rows: slice
    columns: slice
    x: int
    y: int


@dataclass(frozen=True)
class Plan:
    """All tiles of a region, row by row, and the number of tiles per batch."""

    region: Region
    across: Axis
    down: Axis
    batch: int

    @property
    def cells(self) -> tuple[int, int]:
        """Size of every tile's z_S window, (rows, columns)."""
        return self.down.cells, self.across.cells

    @property
    def tile_px(self) -> tuple[int, int]:
        """Size of every tile, (height, width) in px."""
        levels = self.across.levels
        return geometry.tile_px(self.down.cells, levels=levels), geometry.tile_px(self.across.cells, levels=levels)

    @property
    def grid(self) -> Grid:
        """Rectangles that the tiles own."""
        return Grid(self.region.w, self.region.h, self.across.step_px, self.down.step_px)

    @property
    def tile_count(self) -> int:
        """Number of tiles. The last batch may repeat a tile to be full."""
        return self.across.count * self.down.count

    @property
    def batch_count(self) -> int:
        return -(-self.tile_count // self.batch)

    def tile(self, index: int) -> PlannedTile:
        """Return tile ``index``, 0 to ``tile_count`` - 1."""
        j, i = divmod(index, self.across.count)
        (columns, x), (rows, y) = self.across.owned_pixels(i), self.down.owned_pixels(j)
        return PlannedTile(
            index, TilePosition(self.across.cell(i), self.down.cell(j)), rows=rows, columns=columns, x=x, y=y
        )

    def batch_tiles(self, index: int) -> list[PlannedTile]:
        """Return the tiles of engine call ``index``; only the last call can have fewer than ``batch``."""
        start = index * self.batch
        return [self.tile(i) for i in range(start, min(start + self.batch, self.tile_count))]


def _axis(start: int, size: int, *, cells: int, only: int, exact: bool, levels: int) -> Axis:
    """Cover ``size`` px from ``start`` with tiles of ``cells`` cells. Shrink the tiles to just cover them unless ``exact``.

    ``only``: most cells of a tile that covers the axis alone.
    """
    s = geometry.cell_px(levels)
    first = geometry.first_cell(start, levels=levels)
    before = start - geometry.first_px(first, levels=levels)
    alone = max(MIN_TILE_CELLS, geometry.cells_covering(before + size, levels=levels))
    if alone <= only:
        return Axis(first, cells if exact else alone, 0, 1, start, size, levels)
    spacing = (
        SPACING_CELLS if before <= OVERLAP_PX else SPACING_CELLS + 1
    )  # every tile begins ``before`` px ahead of what it owns
    count = -(-size // (s * (cells - spacing)))
    if not exact:
        cells = max(MIN_TILE_CELLS, -(-size // (count * s)) + spacing)
    return Axis(first, cells, cells - spacing, count, start, size, levels)


def tile_option_cells(tile_px: int, *, levels: int) -> int:
    """Convert a tile size in px to cells. Raises InputError that names the nearest legal sizes."""
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
    """Return the cells of the largest square tile, up to MAX_ONLY_TILE_PX, whose batch fits ``memory`` bytes."""
    cells = geometry.cells_covering(MAX_ONLY_TILE_PX, levels=config.levels)
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
    fixed_cells: tuple[int, int] | None = None,
    batch: int = 1,
) -> Plan:
    """Plan the tiles for ``region``.

    ``tile_px``: side of every tile. None selects the largest tile whose batch fits ``memory`` bytes, and shrinks it until the
    tiles just cover the region. ``fixed_cells``: (rows, columns) of z_S in every tile, for an engine with one tile size.
    Raises InputError for an illegal tile or batch, LimitError for too many pixels.
    """
    limit = MAX_PIXELS.value()
    if region.pixels > limit:
        raise LimitError(
            f"{region.w} x {region.h} is {region.pixels} pixels, over the limit of {limit}; "
            f"raise it with the environment variable {MAX_PIXELS.name} or render a smaller region"
        )
    check_whole("batch", batch, least=1, most=MAX_BATCH)
    if fixed_cells is not None:
        return _fixed_plan(region, fixed_cells, levels=config.levels, tile_px=tile_px, batch=batch)
    levels, exact = config.levels, tile_px is not None
    if tile_px is None:
        only = largest_tile_cells(config, batch=batch, memory=memory, bytes_per_value=bytes_per_value)
        cells = max(MIN_TILE_CELLS, min(only, geometry.cells_covering(MAX_TILE_PX, levels=levels)))
    else:
        only = cells = tile_option_cells(tile_px, levels=levels)
    across = _axis(region.x, region.w, cells=cells, only=only, exact=exact, levels=levels)
    down = _axis(region.y, region.h, cells=cells, only=only, exact=exact, levels=levels)
    return Plan(region, across, down, min(batch, across.count * down.count) if not exact else batch)


def _fixed_plan(region: Region, cells: tuple[int, int], *, levels: int, tile_px: int | None, batch: int) -> Plan:
    height, width = (geometry.tile_px(n, levels=levels) for n in cells)
    if tile_px not in (None, height) or tile_px not in (None, width):
        raise InputError(
            f"tile {tile_px} px was given, and the engine renders tiles of {width} x {height} px only; leave --tile out, or "
            "export the model with this --tile"
        )
    if min(cells) < MIN_TILE_CELLS:
        least = geometry.tile_px(MIN_TILE_CELLS, levels=levels)
        raise InputError(
            f"the engine renders tiles of {width} x {height} px, too small for a picture of several tiles; export the model "
            f"with a --tile of {least} px or more"
        )
    down, across = (
        _axis(start, size, cells=n, only=n, exact=True, levels=levels)
        for start, size, n in ((region.y, region.h, cells[0]), (region.x, region.w, cells[1]))
    )
    return Plan(region, across, down, min(batch, across.count * down.count))


def same_plan(region: Region, *, tile_px: tuple[int, int], batch: int, levels: int) -> Plan:
    """Rebuild the plan of an earlier render from its region, tile size (height, width) in px and batch.

    Raises InputError if no plan has these values.
    """
    axes = []
    for start, size, px in ((region.x, region.w, tile_px[1]), (region.y, region.h, tile_px[0])):
        cells = tile_option_cells(px, levels=levels)
        axes.append(_axis(start, size, cells=cells, only=cells, exact=True, levels=levels))
    check_whole("batch", batch, least=1, most=MAX_BATCH)
    return Plan(region, axes[0], axes[1], batch)
