"""Make the tiles of a picture and of its smaller copies in one pass from top to bottom, in constant memory.

Each smaller copy keeps only its current row of tiles, in a file. So memory depends on neither width nor height.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from infgen.pixels import Pixels
from infgen.sinks.files.row_reader import RowReader
from infgen.sinks.files.work_file import WorkFile
from infgen.sinks.grid import Grid
from infgen.sinks.pyramid import halve

# The default of Cloud Optimized GeoTIFF. A tile is one small request for a viewer. Readers load the whole list of
# tiles, which is a quarter as long as with 256 px.
TILE = 512  # px per side; even, so that half a tile is a quarter of another

Emit = Callable[[int, int, Pixels], None]  # level, number of the tile in its level, its pixels (rows, columns, 3)


def levels(width: int, height: int, *, smallest: int) -> list[Grid]:
    """List the grids of the picture and its copies, down to ``smallest`` px per side.

    Each copy has half the size of the one before, rounded up.
    """
    sizes = [Grid(width, height, TILE, TILE)]
    while max(sizes[-1].width, sizes[-1].height) > smallest:
        sizes.append(Grid(-(-sizes[-1].width // 2), -(-sizes[-1].height // 2), TILE, TILE))
    return sizes


@dataclass
class Cascade:
    """One run. Passes the tiles of all levels to ``emit`` row by row, each level in the order of tile numbers."""

    reader: RowReader
    folder: Path
    grids: list[Grid]
    emit: Emit
    _rows: list[WorkFile] = field(default_factory=list, init=False)  # one row of tiles of each level from 1 on

    def run(self) -> None:
        """Emit all tiles. Raises Stopped, what ``emit`` raises, and InfgenError if the disk is full."""
        with ExitStack() as stack:
            for level, grid in enumerate(self.grids[1:], 1):
                path = self.folder / f"level-{level}"
                rows = WorkFile(path, width=grid.width, height=min(TILE, grid.height))
                stack.callback(path.unlink, missing_ok=True)
                stack.enter_context(closing(rows))
                self._rows.append(rows)
            for row in range(self.grids[0].rows):
                self._emit_row(0, row)

    def _emit_row(self, level: int, row: int) -> None:
        """Emit one row of tiles, and the row of the next level that it completes."""
        grid = self.grids[level]
        for number in range(row * grid.columns, (row + 1) * grid.columns):
            self.reader.check()
            pixels = self._pixels(level, number)
            self.emit(level, number, pixels)
            if level + 1 < len(self.grids):
                self._rows[level].write(half(pixels), number % grid.columns * TILE // 2, row % 2 * TILE // 2)
        if level + 1 < len(self.grids) and (row % 2 == 1 or row == grid.rows - 1):
            self._emit_row(level + 1, row // 2)

    def _pixels(self, level: int, number: int) -> Pixels:
        box = self.grids[level].box(number)
        if level == 0:
            return self.reader.read(box)
        return self._rows[level - 1].read(type(box)(box.x, 0, box.w, box.h))


def half(pixels: Pixels) -> Pixels:
    """Average 2 x 2 pixels, rounded half up: (H, W, 3) uint8 -> (ceil(H / 2), ceil(W / 2), 3)."""
    return np.moveaxis(halve(np.moveaxis(pixels, 2, 0)), 0, 2)
