"""The metadata of an OME-Zarr store: attributes of the root group, and the grid of the picture. Checks all that it reads."""

import json
from collections.abc import Mapping
from typing import Any

from infgen.errors import InputError, LimitError
from infgen.limits import MAX_PROVENANCE_MB, MIB
from infgen.sinks import pyramid
from infgen.sinks.grid import Grid
from infgen.sinks.zarr.chunks import CHANNELS, ZSTD_LEVEL, library
from infgen.sinks.zarr.storage import Storage

ROOT = "zarr.json"
FINISHED, UNFINISHED = "infgen", "infgen_unfinished"  # attributes of the root group with the provenance
_CODECS = ["bytes", "zstd", "crc32c"]
_MAX_ARRAY_BYTES = MIB  # of the metadata of one array; zarr-python writes less than 1 kB
MAX_SIDE = 2**41  # px; the whole range of world coordinates


def foreign_error(path: str) -> InputError:
    """Return the error about a Zarr of another program."""
    return InputError(f"{path} exists and is not a Zarr made by infgen; choose another name")


def read_attributes(storage: Storage) -> dict[str, Any]:
    """Read the attributes of the root group. Raises InputError if it is missing or damaged, LimitError if too large."""
    limit = MAX_PROVENANCE_MB.value()
    data = storage.get(ROOT, limit=limit * MIB)
    if data is None:
        raise InputError(f"{storage.location} is not a Zarr (v3), because it has no {ROOT}; give a finished picture")
    if len(data) > limit * MIB:
        raise LimitError(
            f"{ROOT} of {storage.location} is over {limit} MiB; raise {MAX_PROVENANCE_MB.name} if you trust it"
        )
    document = _json(data)
    attributes = document.get("attributes")
    if document.get("node_type") != "group" or not isinstance(attributes, dict):
        raise InputError(f"{ROOT} of {storage.location} is damaged or describes no group; use the original")
    return attributes


def _json(data: bytes) -> dict[str, Any]:
    """Parse a JSON object. Returns an empty one for anything else."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def read_state(storage: Storage) -> dict[str, Any] | None:
    """Read the root's attributes, or None if nothing exists. Raises InputError for content that infgen did not make."""
    try:
        attributes = read_attributes(storage)
    except LimitError:
        raise
    except InputError:
        if storage.any():
            raise foreign_error(storage.location) from None
        return None
    if FINISHED not in attributes and UNFINISHED not in attributes:
        raise foreign_error(storage.location)
    return attributes


def read_grid(storage: Storage) -> Grid | None:
    """Read the grid of the array "0". Returns None if its metadata are missing, damaged or not written by infgen."""
    document = _json(storage.get(f"0/{ROOT}", limit=_MAX_ARRAY_BYTES) or b"")
    try:
        depth, height, width = document["shape"]
        chunk_depth, step_y, step_x = document["chunk_grid"]["configuration"]["chunk_shape"]
        names = [codec["name"] for codec in document["codecs"]]
        separator = document["chunk_key_encoding"]["configuration"]["separator"]
    except (KeyError, TypeError, ValueError):
        return None
    known = (document.get("data_type"), depth, chunk_depth, names, separator) == ("uint8", 3, 3, _CODECS, "/")
    sizes = (height, width, step_y, step_x)
    legal = all(type(size) is int and 1 <= size <= MAX_SIDE for size in sizes)
    return Grid(width, height, step_x, step_y) if known and legal else None


def make_documents(grid: Grid, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Make the metadata of the store with zarr-python: key -> JSON, the root first."""
    zarr = library("zarr")
    memory: dict[str, Any] = {}
    group = zarr.create_group(store=memory, attributes=dict(attributes))
    codecs = [zarr.codecs.ZstdCodec(level=ZSTD_LEVEL), zarr.codecs.Crc32cCodec()]
    for level, one in enumerate(pyramid.levels(grid)):
        group.create_array(
            name=str(level),
            shape=(CHANNELS, one.height, one.width),
            chunks=(CHANNELS, one.step_y, one.step_x),
            dtype="uint8",
            compressors=codecs,
            dimension_names=["c", "y", "x"],
            fill_value=0,
        )
    return {key: buffer.to_bytes() for key, buffer in memory.items()}
