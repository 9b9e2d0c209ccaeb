"""A picture and its smaller copies in one pass from top to bottom, as tiles, in memory that does not grow with the picture.

Of each smaller copy only the row of tiles in progress is kept, in a file: memory depends on neither width nor height.
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

# The default of Cloud Optimized GeoTIFF: a tile is one small request for a viewer, and the list of tiles, which readers
# load whole, is a quarter as long as with 256.
TILE = 512  # px per side, even, so that a tile halves into a quarter of another

Emit = Callable[[int, int, Pixels], None]  # level, number of the tile in its level, its pixels (rows, columns, 3)


def levels(width: int, height: int, *, smallest: int) -> list[Grid]:
    """The picture and its copies, each half as large as the one before, rounded up, down to ``smallest`` px per side."""
    sizes = [Grid(width, height, TILE, TILE)]
    while max(sizes[-1].width, sizes[-1].height) > smallest:
        sizes.append(Grid(-(-sizes[-1].width // 2), -(-sizes[-1].height // 2), TILE, TILE))
    return sizes


@dataclass
class Cascade:
    """One run: tiles of each level go to ``emit`` row by row; each level's tiles come in the order of their numbers."""

    reader: RowReader
    folder: Path
    grids: list[Grid]
    emit: Emit
    _rows: list[WorkFile] = field(default_factory=list, init=False)  # of level 1 and on: one row of tiles

    def run(self) -> None:
        """Raises Stopped, what ``emit`` raises, and InfgenError where the disk is full."""
        with ExitStack() as stack:
            for level, grid in enumerate(self.grids[1:], 1):
                path = self.folder / f"level-{level}"
                work_file = WorkFile(path, width=grid.width, height=min(TILE, grid.height))
                stack.callback(path.unlink, missing_ok=True)
                stack.enter_context(closing(work_file))
                self._rows.append(work_file)
            for row in range(self.grids[0].rows):
                self._row(0, row)

    def _row(self, level: int, row: int) -> None:
        """Emit one row of tiles, and the row below it in the cascade that it completes."""
        grid = self.grids[level]
        for number in range(row * grid.columns, (row + 1) * grid.columns):
            self.reader.check()
            pixels = self._pixels(level, number)
            self.emit(level, number, pixels)
            if level + 1 < len(self.grids):
                self._rows[level].write(half(pixels), number % grid.columns * TILE // 2, row % 2 * TILE // 2)
        if level + 1 < len(self.grids) and (row % 2 == 1 or row == grid.rows - 1):
            self._row(level + 1, row // 2)

    def _pixels(self, level: int, number: int) -> Pixels:
        box = self.grids[level].box(number)
        if level == 0:
            return self.reader.read(box)
        return self._rows[level - 1].read(type(box)(box.x, 0, box.w, box.h))


def half(pixels: Pixels) -> Pixels:
    """(H, W, 3) uint8 -> (ceil(H / 2), ceil(W / 2), 3): the mean of 2 x 2 pixels, rounded half up."""
    return np.moveaxis(halve(np.moveaxis(pixels, 2, 0)), 0, 2)
