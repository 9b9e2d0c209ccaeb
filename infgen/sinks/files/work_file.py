"""A picture of any size on disk: raw rows of RGB, written and read rectangle by rectangle in any order.

Positioned reads and writes, no memory map: resident memory stays flat whatever the picture holds, and a full or failing
disk is an error that can be reported, where an access to a map would kill the process.
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
    """``height`` rows of ``width`` px, 3 bytes each, in a sparse file that outlives the object. Unwritten pixels are black."""

    def __init__(self, path: Path, *, width: int, height: int) -> None:
        """Open the file ``path`` or create it; what it holds already is kept. Raises InfgenError where it cannot be."""
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
        """Bytes of the whole picture."""
        return self.width * self.height * CHANNELS

    def write(self, tile: Pixels, x: int, y: int) -> None:
        """Store ``tile`` (rows, columns, 3) uint8 with its upper left corner at px (``x``, ``y``) of the picture.

        Later tiles replace earlier ones. Raises ValueError for another shape or type, or a tile that reaches outside;
        InfgenError where the disk is full.
        """
        check_tile(tile)
        offsets, length = self._runs(Box(x, y, tile.shape[1], tile.shape[0]))
        data = np.ascontiguousarray(tile).reshape(-1).data
        try:
            for index, offset in enumerate(offsets):
                self._write_at(data[index * length : (index + 1) * length], offset)
        except OSError as error:
            raise self._refused(error) from error

    def read(self, box: Box) -> Pixels:
        """The pixels of ``box``, (rows, columns, 3) uint8. Raises ValueError outside, InfgenError for a failing disk."""
        offsets, length = self._runs(box)
        data = bytearray(CHANNELS * box.pixels)
        try:
            for index, offset in enumerate(offsets):
                self._read_at(memoryview(data)[index * length : (index + 1) * length], offset)
        except OSError as error:
            raise InfgenError(
                f"the working file {self.path} cannot be read: {error.strerror or error}; check the disk"
            ) from error
        return np.frombuffer(data, np.uint8).reshape(box.h, box.w, CHANNELS)

    def sync(self) -> None:
        """Return when everything written is on the disk. Raises InfgenError where the disk is full or faulty."""
        try:
            getattr(os, "fdatasync", os.fsync)(self._file)
        except OSError as error:
            raise self._refused(error) from error

    def _runs(self, box: Box) -> tuple[range, int]:
        """Where the bytes of ``box`` lie: offsets of runs of equal length, and that length."""
        if not (0 <= box.x <= self.width - box.w and 0 <= box.y <= self.height - box.h):
            raise ValueError(
                f"a tile of {box.w} x {box.h} px at ({box.x}, {box.y}) reaches outside the picture of "
                f"{self.width} x {self.height} px"
            )
        row = CHANNELS * self.width
        start = box.y * row + CHANNELS * box.x
        if box.w == self.width:  # whole rows lie one after another
            return range(start, start + 1), row * box.h
        return range(start, start + row * box.h, row), CHANNELS * box.w

    def _write_at(self, data: memoryview, offset: int) -> None:
        while data:  # the system may take a part only
            count = os.pwrite(self._file, data, offset)
            data, offset = data[count:], offset + count

    def _read_at(self, target: memoryview, offset: int) -> None:
        while target:
            count = os.preadv(self._file, [target], offset)
            if count == 0:
                raise OSError("it is shorter than the picture")
            target, offset = target[count:], offset + count

    def _refused(self, error: OSError) -> InfgenError:
        return InfgenError(
            f"the working file {self.path} takes no more data: {error.strerror}; "
            "free some disk space or choose another folder; finished tiles are kept"
        )


def check_tile(tile: Pixels) -> None:
    """Raise ValueError for what is not (rows, columns, 3) uint8, or empty."""
    if tile.dtype != np.uint8 or tile.ndim != 3 or tile.shape[2] != CHANNELS or 0 in tile.shape:
        raise ValueError(f"a tile is (rows, columns, 3) uint8 and not empty, not {tile.shape} {tile.dtype}")
