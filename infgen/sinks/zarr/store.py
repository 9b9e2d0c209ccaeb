"""An OME-Zarr store and its states: missing, unfinished, finished. Processes of any machines may write its chunks.

There is no journal: a tile is done when its chunk is complete. Until then the root's metadata hold the provenance of an
unfinished picture. The metadata of a finished picture are written last, by zarr-python (extra ``zarr``). This module
checks everything that it reads.
"""

import functools
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infgen.atomic import check_parent
from infgen.errors import InfgenError, InputError, LimitError
from infgen.limits import MAX_PHOTO_PIXELS
from infgen.sinks import pyramid
from infgen.sinks.files.work_folder import Start, differences, folder_of
from infgen.sinks.grid import Box, Grid
from infgen.sinks.provenance import Provenance
from infgen.sinks.pyramid import Planes
from infgen.sinks.zarr.chunks import CHANNELS, get_chunk, library, list_chunks, put_chunk, read_planes
from infgen.sinks.zarr.metadata import (
    FINISHED,
    MAX_SIDE,
    UNFINISHED,
    find_version,
    foreign_error,
    make_documents,
    read_attributes,
    read_grid,
    read_state,
)
from infgen.sinks.zarr.storage import PARTIAL, Storage, open_storage
from infgen.sinks.zarr.versions import OME_05, VERSIONS, Version
from infgen.urls import is_url

_SHOWN = 5  # most differences in a message
_TILE_BYTES, _COPY_BYTES = 3.05, 1.05  # upper bounds per px on disk, of tiles and copies: noise does not compress


def work_location(path: str) -> str:
    """Return the place of the unfinished store ``path``: a hidden folder next to a local one, or the URL itself."""
    if is_url(path):
        return path.rstrip("/")
    return str(folder_of(target(path)))


def target(path: str) -> Path:
    """Return the real folder behind a local path."""
    return Path(os.path.realpath(path))


def check_store(path: str, grid: Grid, start: Start) -> None:
    """Check that a picture of ``grid`` may be written to ``path``. Creates nothing.

    Raises InputError for a folder that is not writable, content that infgen did not make, and an unfinished or (for a
    URL) finished picture that ``start`` does not allow to continue or replace. Raises LimitError if the disk is too
    small, MissingExtraError without the libraries.
    """
    for name in ("zarr", "numcodecs.zstd", "google_crc32c"):
        library(name)
    storage = open_cached(work_location(path))
    if not is_url(path):
        _check_folder(path)
    finished = 0 if (root := read_state(storage)) is None else _count(storage, grid)
    if not is_url(path):
        _check_disk(path, grid, finished)
    if root is None or start == "restart":
        return
    if is_url(path) and FINISHED in root:
        raise InputError(f"{path} is a finished picture; choose another name, or replace it with --restart")
    if start == "new" and finished:
        raise InputError(
            f"an unfinished render of {path} exists ({finished} of {grid.count} tiles); "
            "add --resume to continue it or --restart to start from scratch"
        )


def _check_folder(path: str) -> None:
    real = target(path)
    check_parent(real)
    if os.path.lexists(real) and (not real.is_dir() or read_state(open_cached(str(real))) is None):
        raise foreign_error(path)


def _check_disk(path: str, grid: Grid, finished: int) -> None:
    folder = target(path).parent
    needed = int(grid.width * grid.height * (_TILE_BYTES * (1 - finished / grid.count) + _COPY_BYTES))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise LimitError(
            f"a Zarr of {grid.width:,} x {grid.height:,} px needs up to {needed >> 20:,} MiB of disk and {free >> 20:,} MiB "
            f"are free in {folder}; free some, choose another folder, or render less"
        )


def create(path: str, grid: Grid, provenance: Provenance, start: Start, *, version: Version = OME_05) -> None:
    """Create the unfinished store, ready for chunks. With ``start`` "resume" keep the chunks of an earlier render.

    Raises what ``check_store`` raises, and InputError if version, provenance or tiles differ from the earlier render, or if the
    place cannot be written.
    """
    check_store(path, grid, start)
    storage = open_cached(work_location(path))
    root = read_state(storage)
    if root is not None and start == "resume":
        _check_same(path, grid, provenance, root, version)
    try:
        if root is not None and start != "resume":
            _clear(storage)
        if not is_url(path):
            Path(work_location(path)).mkdir(exist_ok=True)
            _remove_partial(storage)
        for key, document in make_documents(grid, {UNFINISHED: dict(provenance)}, version=version).items():
            storage.put(key, document)
    except (InfgenError, OSError) as error:
        raise InputError(f"{path} cannot be written: {error}") from error


def _check_same(path: str, grid: Grid, provenance: Provenance, root: Mapping[str, Any], version: Version) -> None:
    storage = open_cached(work_location(path))
    there = find_version(storage) or version
    old = root.get(UNFINISHED, root.get(FINISHED))
    if not isinstance(old, dict):
        raise InputError(f"cannot resume {path}: its provenance is damaged; add --restart to start from scratch")
    changed = list(differences(old, json.loads(json.dumps(dict(provenance)))))[:_SHOWN]
    if there != version:
        changed = [f"format was {there.format_key} and is {version.format_key}"]
    elif not changed and (old_grid := read_grid(storage, version=version)) not in (None, grid):
        changed = [f"tiles were {old_grid} and are {grid}"]
    if changed:
        raise InputError(f"cannot resume {path}: {'; '.join(changed)}; give the same options, or --restart")


def write_chunk(path: str, grid: Grid, number: int, tile: Planes, *, version: Version = OME_05) -> None:
    """Store ``tile`` (rows, columns, 3) uint8, the pixels of ``grid.box(number)``. Reads nothing.

    Raises ValueError for a tile that does not fit the grid, InfgenError if the storage fails.
    """
    check_tile(grid, number, tile)
    _check_present(path, version)
    planes = tile.transpose(2, 0, 1)
    put_chunk(open_cached(work_location(path)), grid, level=0, number=number, planes=planes, version=version)


def _check_present(path: str, version: Version) -> None:
    """Raise InfgenError if another program removed the local store, or a part of it, during the work."""
    if not is_url(path) and not (Path(work_location(path)) / version.root).exists():
        raise InfgenError(f"the folder {work_location(path)} was removed during the work; render again")


def check_tile(grid: Grid, number: int, tile: Planes) -> None:
    """Raise ValueError if ``tile`` is not (rows, columns, 3) uint8 with the size of ``grid.box(number)``."""
    if not 0 <= number < grid.count:
        raise ValueError(f"tile {number} is not one of {grid.count}")
    box = grid.box(number)
    if tile.shape != (box.h, box.w, CHANNELS) or tile.dtype != np.uint8:
        raise ValueError(f"tile {number} is {tile.shape} {tile.dtype}; ({box.h}, {box.w}, 3) uint8 is needed")


def is_done(path: str, grid: Grid, number: int, *, version: Version = OME_05) -> bool:
    """Whether tile ``number`` exists with a correct checksum. A damaged tile counts as missing."""
    storage = open_cached(work_location(path))
    return get_chunk(storage, grid, level=0, number=number, version=version) is not None


def is_unfinished(path: str, provenance: Provenance) -> bool:
    """Whether the store is the unfinished picture with this ``provenance`` (JSON values)."""
    return read_attributes(open_cached(work_location(path))).get(UNFINISHED) == provenance


def list_tiles(path: str, grid: Grid, *, version: Version = OME_05) -> list[int]:
    """List the numbers of the tiles that have a chunk, complete or not."""
    return sorted(list_chunks(open_cached(work_location(path)), grid, version=version))


def downsample(path: str, grid: Grid, level: int, number: int, *, version: Version = OME_05) -> None:
    """Make chunk ``number`` of ``level`` (1 and up) from the level below. Raises InfgenError if that lacks a chunk."""
    levels = pyramid.levels(grid)
    box = pyramid.source(levels[level - 1], levels[level].box(number))
    storage = open_cached(work_location(path))
    planes = read_planes(storage, levels[level - 1], level=level - 1, box=box, version=version)
    halves = pyramid.halve(planes)
    put_chunk(storage, levels[level], level=level, number=number, planes=halves, version=version)


def publish(path: str, grid: Grid, provenance: Provenance, *, version: Version = OME_05) -> None:
    """Write the metadata of a finished picture, and give a local store its name. Call it last.

    Raises InfgenError if the storage fails. The data are kept.
    """
    _check_present(path, version)
    storage = open_cached(work_location(path))
    name = path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr")
    ome = pyramid.ome_metadata(name, level_count=len(pyramid.levels(grid)), version=version.ome)
    attributes = {**ome, FINISHED: dict(provenance)}
    storage.put(version.root, make_documents(grid, attributes, version=version)[version.root])
    if not is_url(path):
        _take_name(path)


def _take_name(path: str) -> None:
    real, work = target(path), Path(work_location(path))
    old = work.with_name(f"{work.name}-old")
    try:
        if old.exists():  # an earlier process was killed between the two renames or after them
            shutil.rmtree(old)
        if real.exists():
            os.rename(real, old)
        os.rename(work, real)
    except OSError as error:
        raise InfgenError(
            f"{path} was not replaced: {error.strerror}; the finished picture is in {work}: rename it"
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def discard_empty(path: str, grid: Grid) -> None:
    """Remove an unfinished store without tiles."""
    storage = open_cached(work_location(path))
    if not _count(storage, grid):
        _clear(storage)


def _count(storage: Storage, grid: Grid) -> int:
    """Count the tiles that have a chunk, complete or not."""
    version = find_version(storage)
    return 0 if version is None else sum(1 for _ in list_chunks(storage, grid, version=version))


def find_unfinished(path: str) -> tuple[int, int] | None:
    """Return (stored tiles, total) of an unfinished picture, or None if there is none."""
    storage = open_cached(work_location(path))
    root = read_state(storage)
    grid = None if root is None or (is_url(path) and FINISHED in root) else _grid(storage)
    return None if grid is None else (_count(storage, grid), grid.count)


def _grid(storage: Storage) -> Grid | None:
    version = find_version(storage)
    return None if version is None else read_grid(storage, version=version)


def read_provenance(path: str) -> dict[str, Any] | None:
    """Read the provenance of a finished picture. Returns None for a Zarr of another program.

    Raises InputError for a missing, damaged or unfinished Zarr, LimitError for provenance that is too large.
    """
    attributes = read_attributes(_open_finished(path))
    if UNFINISHED in attributes:
        raise InputError(f"{path} is an unfinished picture; continue its render with --resume")
    provenance = attributes.get(FINISHED)
    return provenance if isinstance(provenance, dict) else None


def picture_size(path: str) -> tuple[int, int]:
    """Read (width, height) in px. Raises InputError if ``path`` is not a finished Zarr of infgen."""
    grid = _readable_grid(path)
    return grid.width, grid.height


def read_region(path: str, box: Box) -> Planes:
    """Read the pixels of ``box``, (h, w, 3) uint8.

    Raises InputError if ``box`` reaches outside the picture, or a chunk is missing or damaged.
    """
    grid = _readable_grid(path)
    inside = box.x >= 0 and box.y >= 0 and box.x + box.w <= grid.width and box.y + box.h <= grid.height
    if not inside or box.w < 1 or box.h < 1:
        raise InputError(f"{box} is not inside {path} of {grid.width} x {grid.height} px; choose another box")
    try:
        storage = _open_finished(path)
        planes = read_planes(storage, grid, level=0, box=box, version=find_version(storage) or OME_05)
    except InfgenError as error:
        raise InputError(f"{error}; use the original") from None
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


open_cached = functools.lru_cache(maxsize=16)(open_storage)  # opens a bucket once per process, not once per chunk


def _open_finished(path: str) -> Storage:
    return open_cached(path.rstrip("/") if is_url(path) else str(target(path)))


def _readable_grid(path: str) -> Grid:
    grid = None if read_provenance(path) is None else _grid(_open_finished(path))
    if grid is None:
        raise InputError(f"{path} has no picture of infgen in its array 0; give a finished Zarr of infgen")
    limit = MAX_PHOTO_PIXELS.value()
    if grid.step_x * grid.step_y > limit:
        raise LimitError(f"{path} has chunks of more than {limit:,} px; raise {MAX_PHOTO_PIXELS.name} if you trust it")
    return grid


def _clear(storage: Storage) -> None:
    """Remove a store of infgen, the root last: after an interruption the rest is still recognised as infgen's."""
    for level in range(MAX_SIDE.bit_length()):
        storage.remove(str(level))
    for key in (".zgroup", *(one.root for one in VERSIONS.values())):
        storage.remove(key)


def _remove_partial(storage: Storage) -> None:
    """Remove the incomplete files of a killed process."""
    for key in list(storage.keys("")):
        if key.endswith(PARTIAL):
            storage.remove(key)
