"""The rows of a work_file as they become complete: what lets an encoder run while tiles are still being drawn."""

import threading
from collections.abc import Iterator

from infgen.pixels import Pixels
from infgen.sinks.files.work_file import CHANNELS, WorkFile
from infgen.sinks.grid import Box, Grid


class Stopped(Exception):
    """The encoder was told to stop; not an error of its own."""


class Completion:
    """Counts finished tiles: how many rows from the top have all their pixels on the work_file."""

    def __init__(self, grid: Grid) -> None:
        """No tile is finished yet."""
        self.changed = threading.Condition()
        self.rows = 0  # px
        self._grid = grid
        self._missing = [grid.columns] * grid.rows  # tiles, in each row of tiles
        self._complete = 0  # rows of tiles from the top

    def add(self, number: int) -> None:
        """Tile ``number`` is on the work_file. To be called once for each."""
        with self.changed:
            self._missing[number // self._grid.columns] -= 1
            while self._complete < self._grid.rows and self._missing[self._complete] == 0:
                self._complete += 1
            self.rows = min(self._complete * self._grid.step_y, self._grid.height)
            self.changed.notify_all()


class RowReader:
    """Complete pixels for one run of one encoder. Reading waits for pixels that are not there yet."""

    def __init__(self, work_file: WorkFile, completion: Completion) -> None:
        """Begins at the top of ``work_file``."""
        self.width, self.height = work_file.width, work_file.height
        self.rows_read = 0
        self._work_file, self._completion = work_file, completion
        self._stopped = False

    def stop(self) -> None:
        """Make every read, waiting or to come, raise Stopped."""
        with self._completion.changed:
            self._stopped = True
            self._completion.changed.notify_all()

    def check(self) -> None:
        """Raise Stopped where ``stop`` was called."""
        if self._stopped:
            raise Stopped

    def wait(self, rows: int) -> int:
        """Return when at least ``rows`` rows from the top are complete: how many are. Raises Stopped."""
        with self._completion.changed:
            self._completion.changed.wait_for(lambda: self._stopped or self._completion.rows >= rows)
            self.check()
            return self._completion.rows

    def read(self, box: Box) -> Pixels:
        """The pixels of ``box``, (rows, columns, 3) uint8. Raises Stopped, or what ``WorkFile.read`` raises."""
        self.wait(box.y + box.h)
        self.rows_read = box.y if box.x + box.w < self.width else box.y + box.h
        return self._work_file.read(box)

    def strips(self, size: int) -> Iterator[Pixels]:
        """The whole picture from top to bottom in strips (rows, width, 3) of one row or about ``size`` bytes."""
        most = max(1, size // (CHANNELS * self.width))
        y = 0
        while y < self.height:
            rows = min(most, self.wait(y + 1) - y)
            yield self.read(Box(0, y, self.width, rows))
            y += rows
