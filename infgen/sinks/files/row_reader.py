"""Read the rows of a work file as they become complete, so that an encoder runs while tiles are still computed."""

import threading
from collections.abc import Iterator

from infgen.pixels import Pixels
from infgen.sinks.files.work_file import CHANNELS, WorkFile
from infgen.sinks.grid import Box, Grid


class Stopped(Exception):
    """Stops an encoder. It is a request, not a failure."""


class Completion:
    """Counts finished tiles, and the rows from the top that have all their pixels in the work file."""

    def __init__(self, grid: Grid) -> None:
        """Start with no finished tile."""
        self.changed = threading.Condition()
        self.rows = 0  # px
        self._grid = grid
        self._missing = [grid.columns] * grid.rows  # number of missing tiles in each row of tiles
        self._complete = 0  # complete rows of tiles from the top

    def add(self, number: int) -> None:
        """Record that tile ``number`` is in the work file. Call it once for each tile."""
        with self.changed:
            self._missing[number // self._grid.columns] -= 1
            while self._complete < self._grid.rows and self._missing[self._complete] == 0:
                self._complete += 1
            self.rows = min(self._complete * self._grid.step_y, self._grid.height)
            self.changed.notify_all()


class RowReader:
    """Reads complete pixels for one run of one encoder. Reads block until their pixels are complete."""

    def __init__(self, work_file: WorkFile, completion: Completion) -> None:
        """Start at the top of ``work_file``."""
        self.width, self.height = work_file.width, work_file.height
        self.rows_read = 0
        self._work_file, self._completion = work_file, completion
        self._stopped = False

    def stop(self) -> None:
        """Make every blocked and every later read raise Stopped."""
        with self._completion.changed:
            self._stopped = True
            self._completion.changed.notify_all()

    def check(self) -> None:
        """Raise Stopped if ``stop`` was called."""
        if self._stopped:
            raise Stopped

    def wait(self, rows: int) -> int:
        """Block until at least ``rows`` rows from the top are complete. Returns their number. Raises Stopped."""
        with self._completion.changed:
            self._completion.changed.wait_for(lambda: self._stopped or self._completion.rows >= rows)
            self.check()
            return self._completion.rows

    def read(self, box: Box) -> Pixels:
        """Read the pixels of ``box``, (rows, columns, 3) uint8. Raises Stopped, or what ``WorkFile.read`` raises."""
        self.wait(box.y + box.h)
        self.rows_read = box.y if box.x + box.w < self.width else box.y + box.h
        return self._work_file.read(box)

    def strips(self, size: int) -> Iterator[Pixels]:
        """Yield the whole picture from top to bottom in strips (rows, width, 3) of one row or about ``size`` bytes."""
        most = max(1, size // (CHANNELS * self.width))
        y = 0
        while y < self.height:
            rows = min(most, self.wait(y + 1) - y)
            yield self.read(Box(0, y, self.width, rows))
            y += rows
