"""Write the directories of a tiled TIFF file with smaller copies, classic or BigTIFF (TIFF 6.0, section 2).

Level 0 comes first. Smaller copies follow as further pages of kind "reduced", where GDAL, QGIS, OpenSlide and libvips
expect them.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infgen.sinks.grid import Grid

Offsets = npt.NDArray[np.uint64]
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _LONG8 = 1, 2, 3, 4, 5, 16
_SIZES = {_BYTE: 1, _ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _LONG8: 8}
_DEFLATE, _RGB, _CONTIGUOUS, _INCH, _HORIZONTAL, _UNSIGNED = 8, 2, 1, 2, 2, 1
_DOTS_PER_INCH = 72  # the resolution that programs assume without other information


@dataclass(frozen=True)
class Level:
    """One picture of the file: its grid, and the offset and the number of bytes of each tile."""

    grid: Grid
    offsets: Offsets
    counts: Offsets


@dataclass(frozen=True)
class _Tag:
    code: int
    kind: int
    data: bytes


def header(first_directory: int, *, big: bool) -> bytes:
    """Return the first bytes of the file: 16 in BigTIFF, 8 otherwise."""
    if big:
        return struct.pack("<2sHHHQ", b"II", 43, 8, 0, first_directory)
    return struct.pack("<2sHI", b"II", 42, first_directory)


def directories(levels: list[Level], *, start: int, big: bool, software: str, packet: bytes) -> bytes:
    """Return all directories with their values, for the even offset ``start``. Their length depends on no offset."""
    data = b""
    for number, level in enumerate(levels):
        tags = _tags(level, reduced=number > 0, big=big, software=software, packet=b"" if number else packet)
        data += _directory(tags, start=start + len(data), big=big, last=number == len(levels) - 1)
    return data


def _tags(level: Level, *, reduced: bool, big: bool, software: str, packet: bytes) -> list[_Tag]:
    grid = level.grid
    tags = [
        _number(254, _LONG, int(reduced)),  # NewSubfileType
        _number(256, _LONG, grid.width),
        _number(257, _LONG, grid.height),
        _Tag(258, _SHORT, struct.pack("<3H", 8, 8, 8)),  # bits per sample
        _number(259, _SHORT, _DEFLATE),
        _number(262, _SHORT, _RGB),
        _number(277, _SHORT, 3),  # samples per pixel
        _Tag(282, _RATIONAL, struct.pack("<2I", _DOTS_PER_INCH, 1)),
        _Tag(283, _RATIONAL, struct.pack("<2I", _DOTS_PER_INCH, 1)),
        _number(284, _SHORT, _CONTIGUOUS),
        _number(296, _SHORT, _INCH),
        _Tag(305, _ASCII, software.encode("ascii", "replace") + b"\0"),
        _number(317, _SHORT, _HORIZONTAL),  # predictor
        _number(322, _LONG, grid.step_x),  # tile width
        _number(323, _LONG, grid.step_y),
        _Tag(324, _LONG8 if big else _LONG, level.offsets.astype("<u8" if big else "<u4").tobytes()),
        _Tag(325, _LONG, level.counts.astype("<u4").tobytes()),
        _Tag(339, _SHORT, struct.pack("<3H", *[_UNSIGNED] * 3)),
    ]
    return [*tags, _Tag(700, _BYTE, packet)] if packet else tags


def _number(code: int, kind: int, value: int) -> _Tag:
    return _Tag(code, kind, struct.pack("<H" if kind == _SHORT else "<I", value))


def _directory(tags: list[_Tag], *, start: int, big: bool, last: bool) -> bytes:
    """Return one directory: its entries, the offset of the next one, then the values that do not fit into entries."""
    count, entry, offset = ("<Q", "<HHQ", "<Q") if big else ("<H", "<HHI", "<I")
    inline = struct.calcsize(offset)
    values_start = start + struct.calcsize(count) + len(tags) * (struct.calcsize(entry) + inline) + inline
    entries, values = struct.pack(count, len(tags)), b""
    for tag in tags:
        entries += struct.pack(entry, tag.code, tag.kind, len(tag.data) // _SIZES[tag.kind])
        if len(tag.data) <= inline:
            entries += tag.data.ljust(inline, b"\0")
        else:
            values += b"\0" * (-(values_start + len(values)) % 8)  # align values to 8 bytes
            entries += struct.pack(offset, values_start + len(values))
            values += tag.data
    values += b"\0" * (-(values_start + len(values)) % 8)  # align the next directory, too
    return entries + struct.pack(offset, 0 if last else values_start + len(values)) + values
