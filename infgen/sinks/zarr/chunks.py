"""Chunks of an OME-Zarr picture: one per tile, compressed, with a checksum to detect damage.

OME-Zarr 0.5 has zstd and a CRC-32C at the end. OME-Zarr 0.4 has zlib, which all its readers know, with its Adler-32.

The libraries of zarr-python encode them. This module decodes them itself, because zarr-python reads missing chunks as
black, and an untrusted store must not choose codecs or sizes. Needs the extra ``zarr``.
"""

import functools
import importlib
import itertools
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from infgen.errors import InfgenError
from infgen.extras import require_extra
from infgen.sinks.grid import Box, Grid
from infgen.sinks.pyramid import Planes
from infgen.sinks.zarr.storage import Storage
from infgen.sinks.zarr.versions import OME_04, OME_05, Version

CHANNELS = 3
ZSTD_LEVEL = 3
ZLIB_LEVEL = 1  # much faster than the default of 6, for slightly more bytes
_CHECKSUM_BYTES = 4
_SMALLEST_BYTES = 12  # lower bound of a zstd frame with checksum; a smaller one is incomplete


@functools.cache
def library(name: str) -> Any:
    """Import the module ``name``. Raises MissingExtraError without it."""
    with require_extra("zarr", "Zarr"):
        return importlib.import_module(name)


def list_chunks(storage: Storage, grid: Grid, *, version: Version = OME_05) -> Iterator[int]:
    """Yield the numbers of the tiles of ``grid`` that have a chunk, complete or not, in no order."""
    folder = version.chunk_folder(0)
    for key in storage.keys(folder):
        parts = key.removeprefix(f"{folder}/").split("/")
        place = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 16]
        if len(place) == 2 and place[0] < grid.rows and place[1] < grid.columns:
            yield place[0] * grid.columns + place[1]


def _key(grid: Grid, level: int, number: int, version: Version) -> str:
    return version.chunk_key(level, *divmod(number, grid.columns))


def put_chunk(
    storage: Storage, grid: Grid, *, level: int, number: int, planes: Planes, version: Version = OME_05
) -> None:
    """Store ``planes`` (3, h, w), padded with zeros to a whole chunk."""
    chunk = np.zeros((CHANNELS, grid.step_y, grid.step_x), np.uint8)
    chunk[:, : planes.shape[1], : planes.shape[2]] = planes
    storage.put(_key(grid, level, number, version), _encode(chunk, version))


def _encode(chunk: Planes, version: Version) -> bytes:
    if version == OME_04:
        return zlib.compress(chunk.tobytes(), ZLIB_LEVEL)
    frame = bytes(library("numcodecs.zstd").Zstd(level=ZSTD_LEVEL).encode(chunk))
    return frame + _checksum(frame)


def _checksum(frame: bytes) -> bytes:
    """Return the CRC-32C that the codec "crc32c" appends."""
    return int(library("google_crc32c").value(frame)).to_bytes(_CHECKSUM_BYTES, "little")


def get_chunk(storage: Storage, grid: Grid, *, level: int, number: int, version: Version = OME_05) -> Planes | None:
    """Read the chunk (3, step_y, step_x). Returns None if it is missing or damaged."""
    size = CHANNELS * grid.step_y * grid.step_x
    limit = size + size // 128 + 1024  # compression adds less than this to incompressible data
    data = storage.get(_key(grid, level, number, version), limit=limit)
    if data is None or len(data) > limit:
        return None
    decoded = _inflate(data, size) if version == OME_04 else _decode_zstd(data, size)
    return None if decoded is None else np.frombuffer(decoded, np.uint8).reshape(CHANNELS, grid.step_y, grid.step_x)


def _inflate(data: bytes, size: int) -> bytes | None:
    """Decode a zlib stream of exactly ``size`` bytes. Returns None for any other."""
    decoder = zlib.decompressobj()
    try:
        decoded = decoder.decompress(data, size + 1)
    except zlib.error:
        return None
    return decoded if decoder.eof and not decoder.unused_data and len(decoded) == size else None


def _decode_zstd(data: bytes, size: int) -> bytes | None:
    """Decode a zstd frame of ``size`` bytes with its checksum. Returns None for any other."""
    if len(data) <= _SMALLEST_BYTES:
        return None
    frame, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if _checksum(frame) != checksum or _declared_size(frame) != size:
        return None
    try:
        return bytes(library("numcodecs.zstd").Zstd().decode(frame))
    except (RuntimeError, ValueError):
        return None


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


def read_planes(storage: Storage, grid: Grid, *, level: int, box: Box, version: Version = OME_05) -> Planes:
    """Read the pixels of ``box`` of ``level``, (3, h, w). Raises InfgenError if a chunk is missing or damaged."""
    planes = np.empty((CHANNELS, box.h, box.w), np.uint8)
    rows = range(box.y // grid.step_y, -(-(box.y + box.h) // grid.step_y))
    columns = range(box.x // grid.step_x, -(-(box.x + box.w) // grid.step_x))
    for row, column in itertools.product(rows, columns):
        number = row * grid.columns + column
        chunk = get_chunk(storage, grid, level=level, number=number, version=version)
        if chunk is None:
            raise InfgenError(f"chunk {_key(grid, level, number, version)} of {storage.location} is missing or damaged")
        here, there = _overlap(row * grid.step_y, grid.step_y, box.y, box.h)
        here_x, there_x = _overlap(column * grid.step_x, grid.step_x, box.x, box.w)
        planes[:, there, there_x] = chunk[:, here, here_x]
    return planes


def _overlap(start: int, size: int, box_start: int, box_size: int) -> tuple[slice, slice]:
    """Return the overlap of a chunk and a box along one axis, relative to the chunk and relative to the box."""
    low, high = max(start, box_start), min(start + size, box_start + box_size)
    return slice(low - start, high - start), slice(low - box_start, high - box_start)
