"""ONNX files of a generator: the seal over all of one, and reading it.

The seal is a SHA-256 over the whole file with the seal's own digits as zeros. It shows whether anything was changed since the
file was written.
"""

import hashlib
from pathlib import Path

from infgen.engines.tile_file import PRECISIONS, Precision
from infgen.errors import InputError, ModelFileError
from infgen.limits import MAX_MODEL_MB

MADE_BY = "infgen export MODEL --onnx"
SEAL_KEY = "infgen.sha256"  # the last entry of the metadata
OPEN_SEAL = "0" * 64
_SEAL_FIELD = (
    SEAL_KEY.encode() + b"\x12\x40"
)  # as an entry of metadata_props is stored: key, tag and length of its value


def stored_precision(data: bytes) -> Precision | None:
    """The precision named in the metadata of a serialised model, before it is parsed; None where it is not found."""
    return next((p for p in PRECISIONS if b"infgen.precision\x12\x04" + p.encode() in data), None)


def seal(data: bytes) -> bytes:
    """``data``, a serialised model with an open seal, with the seal closed."""
    where = data.rindex(_SEAL_FIELD) + len(_SEAL_FIELD)
    digest = hashlib.sha256(data).hexdigest().encode()
    return data[:where] + digest + data[where + len(digest) :]


def read_sealed(path: Path) -> bytes:
    """The bytes of the ONNX file ``path``, whose seal is right. They are not parsed.

    Raises InputError for a missing file, ModelFileError for one that is too large, was changed or was not made by infgen.
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
