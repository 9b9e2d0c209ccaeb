"""Encode TIFF and Cloud Optimized GeoTIFF (COG): lossless tiles with smaller copies, as rows become complete.

Tiles are appended to one file in the order of encoding. A TIFF gets its directories at the end of that file. A COG is a
second file: directories first, then the smallest copy, the picture itself last. Its compressed tiles are copied.
"""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from infgen import vips
from infgen.pixels import Pixels
from infgen.sinks import xmp
from infgen.sinks.encoders.cascade import TILE, Cascade, levels
from infgen.sinks.encoders.encoder import replace
from infgen.sinks.encoders.tiff_layout import Level, directories, header
from infgen.sinks.files.row_reader import RowReader
from infgen.sinks.grid import Grid
from infgen.sinks.provenance import Provenance, creator, pack

# Offsets of classic TIFF end at 4 GiB, and some readers treat them as signed. The largest possible size decides, before
# the first byte.
CLASSIC_BYTES = 2**31
_FILE_BYTES = 4.1  # upper bound per px, including smaller copies: noise does not compress
_OPTIONS = {"compression": "deflate", "predictor": "horizontal", "level": 3}  # level 6: 5 % smaller, twice the time
# The "ghost area" of GDAL. It tells partial readers that each tile is preceded by its length, so one request is enough.
_LAYOUT = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
GHOST = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(_LAYOUT) + _LAYOUT
_LEADER = 4  # bytes before a tile's data in a COG, and as many after


@dataclass
class _Tiles:
    """Compressed tiles in the order of encoding, and the position of each."""

    file: BinaryIO
    grids: list[Grid]
    found: list[Level] = field(init=False)

    def __post_init__(self) -> None:
        self.found = [Level(g, np.zeros(g.count, np.uint64), np.zeros(g.count, np.uint64)) for g in self.grids]

    def add(self, level: int, number: int, pixels: Pixels) -> None:
        data = compress(pixels, side=self.grids[level].step_x)
        self.found[level].offsets[number], self.found[level].counts[number] = self.file.tell(), len(data)
        self.file.write(data)


class TiffEncoder:
    """``Encoder`` of one TIFF file. ``cog``: in the order of a COG."""

    def __init__(self, reader: RowReader, folder: Path, provenance: Provenance, *, cog: bool) -> None:
        """Prepare the encoder. Raises MissingExtraError without libvips."""
        vips.load()
        self._reader, self._folder, self._cog = reader, folder, cog
        self._packet, self._software = xmp.packet(pack(provenance)), creator(provenance)
        self._path = folder / "picture"
        self._grids = tile_grids(reader.width, reader.height)
        self._big = reader.width * reader.height * _FILE_BYTES + len(self._packet) > CLASSIC_BYTES

    def encode(self) -> None:
        self._reader.wait(1)
        with open(self._path, "w+b") as file:
            file.write(header(0, big=self._big))
            tiles = _Tiles(file, self._grids)
            Cascade(self._reader, self._folder, self._grids, tiles.add).run()
            if self._cog:
                self._rearrange(tiles)
                return
            start = file.tell() + file.tell() % 2
            file.seek(start)
            file.write(self._directories(tiles.found, start))
            file.seek(0)
            file.write(header(start, big=self._big))
            _flush(file)

    def stop(self) -> None:
        self._reader.stop()

    def publish(self, target: Path) -> None:
        replace(self._path, target)

    def _directories(self, found: list[Level], start: int) -> bytes:
        return directories(found, start=start, big=self._big, software=self._software, packet=self._packet)

    def _rearrange(self, tiles: _Tiles) -> None:
        """Replace the file of tiles by a file in the order of a COG."""
        begin = len(header(0, big=self._big)) + len(GHOST)
        start = begin + begin % 2
        data = start + len(self._directories(tiles.found, start))
        ordered = cog_order(tiles.found, data)
        arranged = self._path.with_name("arranged")
        with open(arranged, "wb") as file:
            file.write((header(start, big=self._big) + GHOST).ljust(start, b"\0"))
            file.write(self._directories(ordered, start))
            for level in reversed(tiles.found):
                for offset, count in zip(level.offsets.tolist(), level.counts.tolist(), strict=True):
                    self._reader.check()
                    tiles.file.seek(offset)
                    tile = tiles.file.read(count)
                    file.write(struct.pack("<I", count) + tile + tile[-_LEADER:])
            _flush(file)
        os.replace(arranged, self._path)


def cog_order(found: list[Level], start: int) -> list[Level]:
    """Lay out the same tiles from offset ``start`` on: the smallest level first, each level in row-major order."""
    ordered = []
    for level in reversed(found):
        ends = start + np.cumsum(level.counts + np.uint64(2 * _LEADER), dtype=np.uint64)
        ordered.append(Level(level.grid, ends - level.counts - np.uint64(_LEADER), level.counts))
        start = int(ends[-1])
    return ordered[::-1]


def tile_grids(width: int, height: int) -> list[Grid]:
    """List the grids of the picture and its copies, in tiles of TILE px.

    A small picture has one tile of about its size. The sides of TIFF tiles are multiples of 16. libvips rejects tiles
    much larger than the picture as an attack.
    """
    if max(width, height) > TILE:
        return levels(width, height, smallest=TILE)
    side = -(-max(width, height) // 16) * 16
    return [Grid(width, height, side, side)]


def compress(pixels: Pixels, *, side: int) -> bytes:
    """Predict and deflate one TIFF tile: ``pixels`` (rows, columns, 3) with the edge repeated to ``side`` px.

    libvips deflates eight times as fast as Python's zlib. It makes a TIFF file of one tile, and its data are extracted.
    """
    library = vips.load()
    rows, columns, channels = pixels.shape
    full = np.ascontiguousarray(np.pad(pixels, ((0, side - rows), (0, side - columns), (0, 0)), mode="edge"))
    image = library.Image.new_from_memory(full.data, side, side, channels, "uchar").copy(interpretation="srgb")
    file = image.tiffsave_buffer(tile=True, tile_width=side, tile_height=side, **_OPTIONS)
    (offset,), (count,) = (_values(file, code) for code in (324, 325))
    return bytes(file[offset : offset + count])


def _values(file: bytes, code: int) -> tuple[Any, ...]:
    """Read the one value of tag ``code`` in the first directory of a small classic TIFF file."""
    (start,) = struct.unpack_from("<I", file, 4)
    (count,) = struct.unpack_from("<H", file, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from("<HH", file, entry)
        if tag == code:
            return struct.unpack_from("<H" if kind == 3 else "<I", file, entry + 8)
    raise ValueError(f"this version of libvips writes TIFF files without tag {code}")


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
