"""Chunks of an OME-Zarr picture: one per tile, compressed with zstd, with a CRC-32C at the end to detect damage.

The libraries of zarr-python encode them. This module decodes them itself, because zarr-python reads missing chunks as
black, and an untrusted store must not choose codecs or sizes. Needs the extra ``zarr``.
"""

import functools
import importlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from infgen.errors import InfgenError
from infgen.extras import require_extra
from infgen.sinks.grid import Box, Grid
from infgen.sinks.pyramid import Planes
from infgen.sinks.zarr.storage import Storage

CHANNELS = 3
ZSTD_LEVEL = 3
_CHECKSUM_BYTES = 4
_SMALLEST_BYTES = 12  # lower bound of an encoded chunk; a smaller one is incomplete


@functools.cache
def library(name: str) -> Any:
    """Import the module ``name``. Raises MissingExtraError without it."""
    with require_extra("zarr", "Zarr"):
        return importlib.import_module(name)


def list_chunks(storage: Storage, grid: Grid) -> Iterator[int]:
    """Yield the numbers of the tiles of ``grid`` that have a chunk, complete or not, in no order."""
    for key in storage.keys("0/c"):
        place = [int(part) for part in key.split("/")[2:] if part.isascii() and part.isdigit() and len(part) < 16]
        if len(place) == 3 and place[0] == 0 and place[1] < grid.rows and place[2] < grid.columns:
            yield place[1] * grid.columns + place[2]


def _key(grid: Grid, level: int, number: int) -> str:
    row, column = divmod(number, grid.columns)
    return f"{level}/c/0/{row}/{column}"


def put_chunk(storage: Storage, grid: Grid, *, level: int, number: int, planes: Planes) -> None:
    """Store ``planes`` (3, h, w), padded with zeros to a whole chunk."""
    chunk = np.zeros((CHANNELS, grid.step_y, grid.step_x), np.uint8)
    chunk[:, : planes.shape[1], : planes.shape[2]] = planes
    frame = bytes(library("numcodecs.zstd").Zstd(level=ZSTD_LEVEL).encode(chunk))
    storage.put(_key(grid, level, number), frame + _checksum(frame))


def _checksum(frame: bytes) -> bytes:
    """Return the CRC-32C that the codec "crc32c" appends."""
    return int(library("google_crc32c").value(frame)).to_bytes(_CHECKSUM_BYTES, "little")


def get_chunk(storage: Storage, grid: Grid, *, level: int, number: int) -> Planes | None:
    """Read the chunk (3, step_y, step_x). Returns None if it is missing or damaged."""
    size = CHANNELS * grid.step_y * grid.step_x
    limit = size + size // 128 + 1024  # zstd adds less than this to incompressible data
    data = storage.get(_key(grid, level, number), limit=limit)
    if data is None or not _SMALLEST_BYTES < len(data) <= limit:
        return None
    frame, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if _checksum(frame) != checksum or _declared_size(frame) != size:
        return None
    try:
        decoded = library("numcodecs.zstd").Zstd().decode(frame)
    except (RuntimeError, ValueError):
        return None
    return np.frombuffer(decoded, np.uint8).reshape(CHANNELS, grid.step_y, grid.step_x)


def _declared_size(frame: bytes) -> int | None:
    """Read the decompressed size that a zstd frame declares (RFC 8878, section 3.1.1.1).

    Returns None if it declares none, so that its size is unbounded.
    """
    flags = frame[4]
    single_segment, bytes_of_size = flags >> 5 & 1, flags >> 6
    if frame[:4] != b"\x28\xb5\x2f\xfd" or not (single_segment or bytes_of_size):
        return None
    start = 5 + (1 - single_segment) + (0, 1, 2, 4)[flags & 3]
    count = (1, 2, 4, 8)[bytes_of_size]
    return int.from_bytes(frame[start : start + count], "little") + (256 if count == 2 else 0)


def read_planes(storage: Storage, grid: Grid, *, level: int, box: Box) -> Planes:
    """Read the pixels of ``box`` of ``level``, (3, h, w). Raises InfgenError if a chunk is missing or damaged."""
    planes = np.empty((CHANNELS, box.h, box.w), np.uint8)
    rows = range(box.y // grid.step_y, -(-(box.y + box.h) // grid.step_y))
    columns = range(box.x // grid.step_x, -(-(box.x + box.w) // grid.step_x))
    for row, column in itertools.product(rows, columns):
        number = row * grid.columns + column
        chunk = get_chunk(storage, grid, level=level, number=number)
        if chunk is None:
            raise InfgenError(f"chunk {_key(grid, level, number)} of {storage.location} is missing or damaged")
        here, there = _overlap(row * grid.step_y, grid.step_y, box.y, box.h)
        here_x, there_x = _overlap(column * grid.step_x, grid.step_x, box.x, box.w)
        planes[:, there, there_x] = chunk[:, here, here_x]
    return planes


def _overlap(start: int, size: int, box_start: int, box_size: int) -> tuple[slice, slice]:
    """Return the overlap of a chunk and a box along one axis, relative to the chunk and relative to the box."""
    low, high = max(start, box_start), min(start + size, box_start + box_size)
    return slice(low - start, high - start), slice(low - box_start, high - box_start)
