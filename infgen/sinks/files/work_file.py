"""The work file of a picture of any size: raw rows of RGB on disk, read and written as rectangles in any order.

It uses positioned reads and writes instead of a memory map. So resident memory stays flat for any picture, and a full
or failing disk raises an error. With a memory map it would kill the process.
"""

import os
import weakref
from pathlib import Path

import numpy as np

from infgen.errors import InfgenError
from infgen.pixels import Pixels
from infgen.sinks.grid import Box

CHANNELS = 3


class WorkFile:
    """``height`` rows of ``width`` px, 3 bytes each, in a sparse file. Unwritten pixels are black.

    The file remains after ``close``.
    """

    def __init__(self, path: Path, *, width: int, height: int) -> None:
        """Open or create the file ``path``, and keep its content. Raises InfgenError if that fails."""
        self.width, self.height, self.path = width, height, path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            self.close = weakref.finalize(self, os.close, self._file)
            os.truncate(self._file, self.size)
        except OSError as error:
            raise InfgenError(
                f"the folder {path.parent} takes no file of {self.size:,} bytes: {error.strerror}; choose another"
            ) from error

    @property
    def size(self) -> int:
        """Size of the whole picture in bytes."""
        return self.width * self.height * CHANNELS

    def write(self, tile: Pixels, x: int, y: int) -> None:
        """Write ``tile`` (rows, columns, 3) uint8 with its upper left corner at px (``x``, ``y``) of the picture.

        Later tiles replace earlier ones. Raises ValueError for another shape or type, or if the tile reaches outside
        the picture; InfgenError if the disk is full.
        """
        check_tile(tile)
        offsets, length = self._runs(Box(x, y, tile.shape[1], tile.shape[0]))
        data = np.ascontiguousarray(tile).reshape(-1).data
        try:
            for index, offset in enumerate(offsets):
                self._write_at(data[index * length : (index + 1) * length], offset)
        except OSError as error:
            raise self._write_error(error) from error

    def read(self, box: Box) -> Pixels:
        """Read the pixels of ``box``, (rows, columns, 3) uint8.

        Raises ValueError if ``box`` reaches outside the picture, InfgenError if the disk fails.
        """
        offsets, length = self._runs(box)
        data = bytearray(CHANNELS * box.pixels)
        try:
            for index, offset in enumerate(offsets):
                self._read_at(memoryview(data)[index * length : (index + 1) * length], offset)
        except OSError as error:
            raise InfgenError(
                f"the work file {self.path} cannot be read: {error.strerror or error}; check the disk"
            ) from error
        return np.frombuffer(data, np.uint8).reshape(box.h, box.w, CHANNELS)

    def check_present(self) -> None:
        """Raise InfgenError if the file has lost its name: another program removed it or its folder."""
        if not self.path.exists():
            raise InfgenError(f"the folder {self.path.parent} was removed during the work; render again")

    def sync(self) -> None:
        """Flush everything written to the disk. Raises InfgenError if the disk is full or faulty."""
        try:
            getattr(os, "fdatasync", os.fsync)(self._file)
        except OSError as error:
            raise self._write_error(error) from error

    def _runs(self, box: Box) -> tuple[range, int]:
        """Return the offsets of the runs of bytes of ``box`` in the file, and the common length of the runs."""
        if not (0 <= box.x <= self.width - box.w and 0 <= box.y <= self.height - box.h):
            raise ValueError(
                f"a tile of {box.w} x {box.h} px at ({box.x}, {box.y}) reaches outside the picture of "
                f"{self.width} x {self.height} px"
            )
        row = CHANNELS * self.width
        start = box.y * row + CHANNELS * box.x
        if box.w == self.width:  # whole rows are contiguous
            return range(start, start + 1), row * box.h
        return range(start, start + row * box.h, row), CHANNELS * box.w

    def _write_at(self, data: memoryview, offset: int) -> None:
        while data:  # the system may write only a part
            count = os.pwrite(self._file, data, offset)
            data, offset = data[count:], offset + count

    def _read_at(self, target: memoryview, offset: int) -> None:
        while target:
            count = os.preadv(self._file, [target], offset)
            if count == 0:
                raise OSError("the file is shorter than the picture")
            target, offset = target[count:], offset + count

    def _write_error(self, error: OSError) -> InfgenError:
        return InfgenError(
            f"the work file {self.path} takes no more data: {error.strerror}; "
            "free some disk space or choose another folder; finished tiles are kept"
        )


def check_tile(tile: Pixels) -> None:
    """Raise ValueError if ``tile`` is empty or not (rows, columns, 3) uint8."""
    if tile.dtype != np.uint8 or tile.ndim != 3 or tile.shape[2] != CHANNELS or 0 in tile.shape:
        raise ValueError(f"tile is {tile.shape} {tile.dtype}; (rows, columns, 3) uint8, not empty, is needed")
