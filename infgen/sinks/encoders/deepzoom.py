"""Encode DeepZoom pictures: a folder of PNG tiles for every level, and a short .dzi file that describes it.

Tiles are PNG, which is lossless. By default they do not overlap; older viewers that smooth each tile alone show fine
lines between them, and an overlap of 1 px hides these.
"""

import json
import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from infgen import vips
from infgen.errors import InputError
from infgen.pixels import Pixels
from infgen.sinks.encoders.cascade import TILE, Cascade, Emit, levels
from infgen.sinks.encoders.encoder import replace, sync_folder
from infgen.sinks.files.row_reader import RowReader
from infgen.sinks.files.work_file import WorkFile
from infgen.sinks.files.work_folder import remove
from infgen.sinks.grid import Box, Grid
from infgen.sinks.provenance import Provenance

PROVENANCE = "infgen.json"  # in the folder of tiles
_DESCRIPTION = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="png" Overlap="{overlap}" TileSize="{tile}">'
    '<Size Width="{width}" Height="{height}"/></Image>\n'
)
_MAX_DESCRIPTION = 65_536  # bytes


def tiles_of(path: Path) -> Path:
    """Return the folder of tiles of the description ``path``: ``picture_files`` next to ``picture.dzi``."""
    return path.with_name(f"{path.stem}_files")


def check_pair(target: Path) -> None:
    """Raise InputError if the folder of tiles would replace something else."""
    tiles = tiles_of(target)
    if not os.path.lexists(tiles) or (tiles.is_dir() and not tiles.is_symlink() and _is_ours(target, tiles)):
        return
    raise InputError(f"{tiles} exists and is not a DeepZoom picture of this name; move it or choose another output")


def _is_ours(target: Path, tiles: Path) -> bool:
    return target.exists() or (tiles / PROVENANCE).exists() or not any(tiles.iterdir())


def overlapping(grid: Grid, number: int, overlap: int) -> Box:
    """Return the pixels of tile ``number`` with ``overlap`` px of its neighbours, where there are any."""
    box = grid.box(number)
    x, y = max(0, box.x - overlap), max(0, box.y - overlap)
    right, bottom = min(grid.width, box.x + box.w + overlap), min(grid.height, box.y + box.h + overlap)
    return Box(x, y, right - x, bottom - y)


class _Rows:
    """The last three rows of tiles of one level, on disk: a row can be emitted once the row below is complete."""

    def __init__(self, path: Path, grid: Grid, overlap: int, emit: Callable[[int, Pixels], None]) -> None:
        self._file = WorkFile(path, width=grid.width, height=3 * TILE)
        self._grid, self._overlap, self._emit = grid, overlap, emit

    def add(self, number: int, pixels: Pixels) -> None:
        """Store a tile, and emit the tiles whose neighbours are complete."""
        row, column = divmod(number, self._grid.columns)
        self._file.write(pixels, column * TILE, row % 3 * TILE)
        if column < self._grid.columns - 1:
            return
        if row > 0:
            self._emit_row(row - 1)
        if row == self._grid.rows - 1:
            self._emit_row(row)

    def _emit_row(self, row: int) -> None:
        for number in range(row * self._grid.columns, (row + 1) * self._grid.columns):
            box, parts, y = overlapping(self._grid, number, self._overlap), [], 0
            while y < box.h:
                line = box.y + y
                rows = min(box.h - y, TILE - line % TILE)
                place = line // TILE % 3 * TILE + line % TILE
                parts.append(self._file.read(Box(box.x, place, box.w, rows)))
                y += rows
            self._emit(number, np.concatenate(parts))

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        self._file.path.unlink(missing_ok=True)


class DeepZoomEncoder:
    """``Encoder`` of one .dzi file and its folder of tiles. ``overlap``: px that neighbouring tiles share."""

    def __init__(self, reader: RowReader, folder: Path, provenance: Provenance, *, overlap: int = 0) -> None:
        """Prepare the encoder. Raises MissingExtraError without libvips."""
        vips.load()
        self._overlap = overlap
        self._reader, self._folder, self._provenance = reader, folder, provenance
        self._tiles, self._description = folder / "picture_files", folder / "picture.dzi"
        self._grids = levels(reader.width, reader.height, smallest=1)

    def encode(self) -> None:
        self._reader.wait(1)
        self._tiles.mkdir(exist_ok=True)  # without its parents: a folder that was removed stays removed
        for level in range(len(self._grids)):
            self._folder_of(level).mkdir(exist_ok=True)
        with ExitStack() as stack:
            emit = self._write_overlapping(stack) if self._overlap else self._write
            Cascade(self._reader, self._folder, self._grids, emit).run()
        (self._tiles / PROVENANCE).write_text(json.dumps(self._provenance), encoding="utf-8")
        text = _DESCRIPTION.format(
            tile=TILE, overlap=self._overlap, width=self._reader.width, height=self._reader.height
        )
        self._description.write_text(text, encoding="utf-8")
        os.sync()  # flushes everything once; a flush for each of many thousand tiles would take hours

    def stop(self) -> None:
        self._reader.stop()

    def publish(self, target: Path) -> None:
        """See ``Encoder.publish``. Removes an older description first, so that every described picture is complete."""
        old = self._folder / "old_files"
        check_pair(target)
        remove(old)
        target.unlink(missing_ok=True)
        if tiles_of(target).exists():
            os.rename(tiles_of(target), old)
        os.rename(self._tiles, tiles_of(target))
        sync_folder(target.parent)
        replace(self._description, target)

    def _folder_of(self, level: int) -> Path:
        return self._tiles / str(len(self._grids) - 1 - level)  # DeepZoom counts from the smallest

    def _write_overlapping(self, stack: ExitStack) -> Emit:
        """Return a function that writes tiles of all levels with their overlap."""
        rows = []
        for level, grid in enumerate(self._grids):
            path = self._folder / f"overlap-{level}"
            rows.append(_Rows(path, grid, self._overlap, partial(self._write, level)))
            stack.callback(rows[-1].close)
        return lambda level, number, pixels: rows[level].add(number, pixels)

    def _write(self, level: int, number: int, pixels: Pixels) -> None:
        row, column = divmod(number, self._grids[level].columns)
        (self._folder_of(level) / f"{column}_{row}.png").write_bytes(_png(pixels))


def _png(pixels: Pixels) -> bytes:
    library = vips.load()
    rows, columns, channels = pixels.shape
    data = np.ascontiguousarray(pixels).data
    image = library.Image.new_from_memory(data, columns, rows, channels, "uchar").copy(interpretation="srgb")
    return bytes(image.pngsave_buffer(compression=3, filter="avg", keep="none"))


def read_description(path: Path) -> tuple[int, int, int, str, int]:
    """Read (width, height, tile side, extension of tiles, overlap) from a .dzi file.

    Raises InputError for anything else.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_MAX_DESCRIPTION)
    except OSError as error:
        raise InputError(
            f"picture {path} cannot be read: {error.strerror}; check the name and its permissions"
        ) from None
    # Patterns instead of an XML parser, which would follow the instructions of a hostile file.
    found = {
        name: re.search(rb"\b" + name + rb"""\s*=\s*["']([a-z0-9]{1,10})["']""", text)
        for name in (b"Width", b"Height", b"TileSize", b"Overlap", b"Format")
    }
    values = [match[1].decode() for match in found.values() if match]
    if len(values) < len(found) or not all(v.isdigit() and int(v) > 0 for v in values[:3]) or not values[3].isdigit():
        raise InputError(f"{path} is not a DeepZoom description; give one that infgen wrote")
    return int(values[0]), int(values[1]), int(values[2]), values[4], int(values[3])
