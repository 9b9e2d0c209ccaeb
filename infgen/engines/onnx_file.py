"""Seal and read ONNX files of a generator. Reading needs no library and executes nothing.

The seal is a SHA-256 over the whole file, with zeros in place of the seal's own digits. It detects any change of the file.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from infgen.engines.tile_file import TileFile
from infgen.errors import InputError, ModelFileError
from infgen.limits import MAX_MODEL_MB

MADE_BY = "infgen export MODEL --onnx"
SEAL_KEY = "infgen.sha256"  # the last entry of the metadata
OPEN_SEAL = "0" * 64
_SEAL_FIELD = (
    SEAL_KEY.encode() + b"\x12\x40"
)  # bytes of the entry in metadata_props: key, then tag and length of the value
_METADATA, _KEY, _VALUE = 14, 1, 2  # field numbers of ModelProto.metadata_props and of its entries
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types
_MAX_FIELDS = 10_000  # per message; real models have a few dozen
_MAX_DEPTH = 16  # of messages inside messages
# Where tensors and nodes are in a ModelProto: message -> field number -> message inside.
_INNER: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "tensor": {},
}
_EXTERNAL_DATA, _OPERATOR = 13, 4  # field numbers of TensorProto.external_data and NodeProto.op_type
_OUTSIDE_OPERATORS = (b"EPContext",)  # loads a compiled graph from another file


def seal(data: bytes) -> bytes:
    """Close the seal of ``data``, a serialised model with an open seal."""
    where = data.rindex(_SEAL_FIELD) + len(_SEAL_FIELD)
    digest = hashlib.sha256(data).hexdigest().encode()
    return data[:where] + digest + data[where + len(digest) :]


def read_sealed(path: Path) -> bytes:
    """Read the ONNX file ``path`` and check its seal, without parsing it.

    Raises InputError for a missing file, ModelFileError for one that is too large, changed or not made by infgen.
    """
    if not path.is_file():
        raise InputError(f"ONNX file {path} does not exist; make one with: {MADE_BY} -o {path.name}")
    size, limit = path.stat().st_size, MAX_MODEL_MB.value()
    if size > limit * 2**20:
        raise ModelFileError(f"ONNX file {path} has {size} bytes, over the limit of {limit} MiB ({MAX_MODEL_MB.name})")
    data = path.read_bytes()
    where = data.rfind(_SEAL_FIELD) + len(_SEAL_FIELD)
    if where < len(_SEAL_FIELD):
        raise ModelFileError(f"ONNX file {path} was not made by infgen; make one with: {MADE_BY}")
    end = where + len(OPEN_SEAL)
    digest = hashlib.sha256(data[:where])
    digest.update(OPEN_SEAL.encode())
    digest.update(data[end:])
    if digest.hexdigest().encode() != data[where:end]:
        raise ModelFileError(
            f"ONNX file {path} was changed or damaged after infgen wrote it (its hash does not match); export it again"
        )
    return data


def read_onnx(path: Path) -> tuple[TileFile, bytes]:
    """Read the record and the bytes of the ONNX file ``path``, without parsing the graph.

    Raises what ``read_sealed`` raises, and ModelFileError if the record cannot be read, or if the graph takes data from
    other files, which the seal does not cover.
    """
    data, source = read_sealed(path), f"ONNX file {path}"
    try:
        metadata = _metadata(data)
        if _reads_other_files(memoryview(data), "model"):
            raise ModelFileError(f"{source} takes weights from other files, which infgen never writes; export it again")
    except (ValueError, KeyError, IndexError):
        raise ModelFileError(f"{source} is no ONNX model; make one with: {MADE_BY}") from None
    return TileFile.from_metadata(metadata, source=source, made_by=MADE_BY), data


def _metadata(data: bytes) -> dict[str, str]:
    """Read the metadata of a serialised model. Raises ValueError, KeyError or IndexError for anything else."""
    entries = [dict(_fields(content)) for number, content in _fields(memoryview(data)) if number == _METADATA]
    return {str(entry[_KEY], "utf-8"): str(entry[_VALUE], "utf-8") for entry in entries}


def _reads_other_files(message: memoryview, kind: str, *, depth: int = 0) -> bool:
    """Whether a message has a tensor or an operator with data in another file. Raises ValueError for a broken message."""
    if depth > _MAX_DEPTH:
        raise ValueError("messages inside messages without end")
    for number, content in _fields(message):
        if kind == "tensor" and number == _EXTERNAL_DATA:
            return True
        if kind == "node" and number == _OPERATOR and bytes(content) in _OUTSIDE_OPERATORS:
            return True
        inner = _INNER[kind].get(number)
        if inner is not None and _reads_other_files(content, inner, depth=depth + 1):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of every length-delimited field of a protobuf message, and skip the others."""
    at = 0
    for _ in range(_MAX_FIELDS):
        if at == len(message):
            return
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _SIZED:
            size, at = _varint(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("a field of unknown type")
        if at > len(message):
            raise ValueError("a field that is cut off")
    raise ValueError("too many fields")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read a varint of up to 64 bits at ``at``. Returns (value, offset after it)."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")
