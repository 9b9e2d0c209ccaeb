"""The metadata of an OME-Zarr store: attributes of the root group, and the grid of the picture. Checks all that it reads."""

import json
from collections.abc import Mapping
from typing import Any

from infgen.errors import InputError, LimitError
from infgen.limits import MAX_PROVENANCE_MB, MIB
from infgen.sinks import pyramid
from infgen.sinks.grid import Grid
from infgen.sinks.zarr.chunks import CHANNELS, ZLIB_LEVEL, ZSTD_LEVEL, library
from infgen.sinks.zarr.storage import Storage
from infgen.sinks.zarr.versions import OME_04, OME_05, VERSIONS, Version

FINISHED, UNFINISHED = "infgen", "infgen_unfinished"  # attributes of the root group with the provenance
_CODECS = ["bytes", "zstd", "crc32c"]
_MAX_ARRAY_BYTES = MIB  # of the metadata of one array; zarr-python writes less than 1 kB
MAX_SIDE = 2**41  # px; the whole range of world coordinates


def foreign_error(path: str) -> InputError:
    """Return the error about a Zarr of another program."""
    return InputError(f"{path} exists and is not a Zarr made by infgen; choose another name")


def find_version(storage: Storage) -> Version | None:
    """Return the version of the store by the keys that exist, or None without a root group."""
    return next((one for one in VERSIONS.values() if storage.get(one.root, limit=0) is not None), None)


def read_attributes(storage: Storage) -> dict[str, Any]:
    """Read the attributes of the root group. Raises InputError if it is missing or damaged, LimitError if too large."""
    limit = MAX_PROVENANCE_MB.value()
    version = find_version(storage)
    data = None if version is None else storage.get(version.root, limit=limit * MIB)
    if version is None or data is None:
        roots = " or ".join(one.root for one in VERSIONS.values())
        raise InputError(f"{storage.location} is not a Zarr, because it has no {roots}; give a finished picture")
    if len(data) > limit * MIB:
        raise LimitError(
            f"{version.root} of {storage.location} is over {limit} MiB; raise {MAX_PROVENANCE_MB.name} if you trust it"
        )
    document = _json(data)
    attributes = document if version == OME_04 else document.get("attributes")
    whole = bool(document) if version == OME_04 else document.get("node_type") == "group"
    if not whole or not isinstance(attributes, dict):
        raise InputError(f"{version.root} of {storage.location} is damaged or describes no group; use the original")
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


def read_grid(storage: Storage, *, version: Version = OME_05) -> Grid | None:
    """Read the grid of the array "0". Returns None if its metadata are missing, damaged or not written by infgen."""
    document = _json(storage.get(f"0/{version.array}", limit=_MAX_ARRAY_BYTES) or b"")
    try:
        depth, height, width = document["shape"]
        chunk_depth, step_y, step_x = _known_chunks(document, version)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    sizes = (height, width, step_y, step_x)
    legal = all(type(size) is int and 1 <= size <= MAX_SIDE for size in sizes)
    return Grid(width, height, step_x, step_y) if (depth, chunk_depth) == (3, 3) and legal else None


def _known_chunks(document: Mapping[str, Any], version: Version) -> Any:
    """Return the shape of the chunks of an array, or None if infgen does not write such arrays."""
    if version == OME_04:
        codecs = (document["compressor"]["id"], document["filters"], document["order"])
        known = (document["dtype"], *codecs, document["dimension_separator"]) == ("|u1", "zlib", None, "C", "/")
        return document["chunks"] if known else None
    names = [codec["name"] for codec in document["codecs"]]
    separator = document["chunk_key_encoding"]["configuration"]["separator"]
    known = (document["data_type"], names, separator) == ("uint8", _CODECS, "/")
    return document["chunk_grid"]["configuration"]["chunk_shape"] if known else None


def make_documents(grid: Grid, attributes: Mapping[str, Any], *, version: Version = OME_05) -> dict[str, bytes]:
    """Make the metadata of the store with zarr-python: key -> JSON, the attributes of the root first."""
    zarr = library("zarr")
    memory: dict[str, Any] = {}
    group = zarr.create_group(store=memory, attributes=dict(attributes), zarr_format=version.zarr)
    for level, one in enumerate(pyramid.levels(grid)):
        group.create_array(
            name=str(level),
            shape=(CHANNELS, one.height, one.width),
            chunks=(CHANNELS, one.step_y, one.step_x),
            dtype="uint8",
            fill_value=0,
            **_array_options(version),
        )
    documents = {key: buffer.to_bytes() for key, buffer in memory.items()}
    return {version.root: documents.pop(version.root), **documents}


def _array_options(version: Version) -> dict[str, Any]:
    if version == OME_04:
        codec = library("numcodecs").Zlib(level=ZLIB_LEVEL)
        return {"compressors": codec, "filters": None, "chunk_key_encoding": {"name": "v2", "separator": "/"}}
    codecs = library("zarr").codecs
    compressors = [codecs.ZstdCodec(level=ZSTD_LEVEL), codecs.Crc32cCodec()]
    return {"compressors": compressors, "dimension_names": ["c", "y", "x"]}
