"""The list of finished tiles on disk: one line for each tile, appended after its pixels are flushed.

A line is ``number/total CRC-32-of-the-pixels CRC-32-of-the-line``. Only complete, unaltered lines count. So a crash or
a bad disk can at worst cause tiles to be computed again.
"""

import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from infgen.errors import InfgenError

_LINE = re.compile(rb"(([0-9]{1,18})/([0-9]{1,18}) ([0-9a-f]{8})) ([0-9a-f]{8})\n")
_LONGEST = 100  # upper bound of a valid line in bytes


def line(number: int, total: int, checksum: int) -> bytes:
    """Format the entry of tile ``number`` of ``total`` whose pixels have the CRC-32 ``checksum``."""
    text = b"%d/%d %08x" % (number, total, checksum)
    return text + b" %08x\n" % zlib.crc32(text)


def _read_valid(path: Path) -> Iterator[tuple[int, int, int]]:
    try:
        with open(path, "rb") as file:
            while text := file.readline(_LONGEST):
                found = _LINE.fullmatch(text)
                if found and zlib.crc32(found[1]) == int(found[5], 16) and int(found[2]) < int(found[3]):
                    yield int(found[2]), int(found[3]), int(found[4], 16)
    except OSError:  # an unreadable journal has no entries
        return


def read(path: Path, *, total: int) -> dict[int, int]:
    """Read the checksums of finished tiles by number. Of a tile written twice the last one counts. Never raises."""
    return {number: checksum for number, count, checksum in _read_valid(path) if count == total}


def count(path: Path) -> tuple[int, int] | None:
    """Return (finished tiles, total) from the entries of ``path``, or None if it has none. Never raises."""
    entries = [(number, total) for number, total, _ in _read_valid(path)]
    return (len(set(entries)), entries[-1][1]) if entries else None


class Journal:
    """The open journal of a picture of ``total`` tiles."""

    def __init__(self, path: Path, *, total: int) -> None:
        """Open or create ``path``, and cut off an incomplete last line. Raises InfgenError if that fails."""
        self._path, self._total = path, total
        try:
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115 - closed by close()
            self._file.truncate(_whole_lines(path))
        except OSError as error:
            raise self._write_error(error) from error

    def append(self, entries: Iterable[tuple[int, int]]) -> None:
        """Add (number, checksum) of tiles whose pixels are flushed. Raises InfgenError if the disk is full.

        The journal itself is not flushed. A power cut can lose a line, and then its tile is computed again. No line can
        exist without its pixels, because they are flushed first.
        """
        data = b"".join(line(number, self._total, checksum) for number, checksum in entries)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise self._write_error(error) from error

    def close(self) -> None:
        """Close the file. May be called more than once."""
        self._file.close()

    def _write_error(self, error: OSError) -> InfgenError:
        return InfgenError(
            f"the journal {self._path} takes no more data: {error.strerror}; free some disk space or choose another "
            "folder; finished tiles are kept"
        )


def _whole_lines(path: Path) -> int:
    """Return the number of bytes of ``path`` up to its last line end."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(max(0, size - _LONGEST))
        tail = file.read()
    return size - len(tail) + tail.rfind(b"\n") + 1
