"""A picture of any size on disk: raw rows of RGB, written tile by tile in any order.

Tiles are written with positioned writes and not through a memory map: resident memory stays flat whatever the picture
holds, and a full disk is an error that can be reported, where a store into a map would kill the process.
"""

import mmap
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from infgen.atomic import create_beside
from infgen.errors import InfgenError

Pixels = npt.NDArray[np.uint8]
CHANNELS = 3


class Canvas:
    """``height`` rows of ``width`` px, 3 bytes each, in a sparse temporary file. Pixels never written are black.

    The file is removed by ``close``, at the latest when the object or the interpreter goes.
    """

    def __init__(self, beside: Path, *, width: int, height: int) -> None:
        """Create the file in the folder of the file ``beside``. Raises InputError or InfgenError where it cannot."""
        self.width, self.height = width, height
        self._file, self.path = create_beside(beside, ".canvas")
        self.close = weakref.finalize(self, _remove, self._file, self.path)
        try:
            os.truncate(self._file, self.size)
        except OSError as error:
            self.close()
            raise InfgenError(
                f"the folder {beside.parent} takes no file of {self.size:,} bytes: {error.strerror}; choose another"
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
        _check_tile(tile, x, y, size=(self.width, self.height))
        rows = np.ascontiguousarray(tile)
        if tile.shape[1] == self.width:
            rows = rows.reshape(1, -1)  # whole rows lie one after another in the file
        try:
            for row, values in enumerate(rows):
                self._write_at(memoryview(values.reshape(-1)), CHANNELS * ((y + row) * self.width + x))
        except OSError as error:
            raise InfgenError(
                f"the working file {self.path} takes no more data: {error.strerror}; "
                "free some disk space or choose another folder"
            ) from error

    def _write_at(self, data: memoryview, offset: int) -> None:
        while data:  # the system may take a part only
            count = os.pwrite(self._file, data, offset)
            data, offset = data[count:], offset + count

    @contextmanager
    def mapped(self) -> Iterator[mmap.mmap]:
        """The whole picture as read-only bytes, mapped and not loaded."""
        view = mmap.mmap(self._file, self.size, access=mmap.ACCESS_READ)
        try:
            yield view
        finally:
            with suppress(BufferError):  # a reader that failed may hold it still; it goes with that reader
                view.close()


def drop_pages(view: mmap.mmap) -> None:
    """Take the pages of ``view`` out of the process's resident memory; what is needed again is read again."""
    if hasattr(mmap, "MADV_DONTNEED"):
        view.madvise(mmap.MADV_DONTNEED)


def _remove(file: int, path: Path) -> None:
    os.close(file)
    with suppress(OSError):
        os.unlink(path)


def _check_tile(tile: Pixels, x: int, y: int, *, size: tuple[int, int]) -> None:
    if tile.dtype != np.uint8 or tile.ndim != 3 or tile.shape[2] != CHANNELS or 0 in tile.shape:
        raise ValueError(f"a tile is (rows, columns, 3) uint8 and not empty, not {tile.shape} {tile.dtype}")
    rows, columns, _ = tile.shape
    width, height = size
    if not (0 <= x <= width - columns and 0 <= y <= height - rows):
        raise ValueError(
            f"a tile of {columns} x {rows} px at ({x}, {y}) reaches outside the picture of {width} x {height} px"
        )
