"""Model files: one ``.safetensors`` with tensors, and their configuration as JSON in the metadata.

A model file is untrusted input: no pickle is read, and every tensor's shape is checked against the configuration before a
network is built.
"""

import hashlib
import json
import os
import pickletools
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save as serialize
from torch import Tensor

from infgen.atomic import write_atomically
from infgen.errors import InputError, ModelFileError, one_line
from infgen.limits import MAX_MODEL_MB
from infgen.model.config import GeneratorConfig
from infgen.model.hub import fetch, hub_id
from infgen.model.shipped import DEFAULT, MODELS, names, shipped_path
from infgen.tensor_files import open_tensors

FORMAT = "infgen-generator"
VERSION = 1
HUB_FILE = "model.safetensors"
SHIPPED = shipped_path(DEFAULT)

Shapes = Mapping[str, tuple[int, ...]]  # name of a tensor -> its shape


def write_model(
    path: Path, config: GeneratorConfig, tensors: Mapping[str, Tensor], *, dtype: torch.dtype = torch.float32
) -> None:
    """Write a model file atomically, with tensors as ``dtype``. Equal models give equal files.

    Raises InputError if ``dtype`` cannot represent a value.
    """
    metadata = {"format": FORMAT, "version": str(VERSION), "config": json.dumps(config.to_dict())}
    converted = {name: t.detach().to("cpu", dtype).contiguous() for name, t in tensors.items()}
    for name, tensor in converted.items():
        if not bool(torch.isfinite(tensor).all()):
            kind = str(dtype).removeprefix("torch.")
            raise InputError(f"model tensor {name} holds values that are not finite as {kind}; write it as float32")
    with write_atomically(path) as temporary:
        # As bytes: on a full disk the library's own writer raises an error without a number.
        temporary.write_bytes(serialize(converted, metadata=metadata))
        _sort_metadata(temporary)


def _sort_metadata(path: Path) -> None:
    """Sort metadata keys so that equal models hash equally; safetensors writes them in random order."""
    with path.open("r+b") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        assert len(text) <= size
        file.seek(8)
        file.write(text.ljust(size))


def read_model(path: Path, *, shapes: Callable[[GeneratorConfig], Shapes]) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Read configuration and float32 tensors. ``shapes``: the tensors that a network of a configuration has.

    Raises ModelFileError for a file that is damaged, of another kind, or whose tensors do not match its configuration.
    """
    try:
        _refuse_other_kinds(path)
        with open_tensors(path) as file:
            config = _config(file.metadata(), path)
            names = list(file.keys())
            found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            _check_shapes(shapes(config), found, path)
            tensors = {name: _as_float32(name, file.get_tensor(name), path) for name in names}
    except (SafetensorError, OSError) as error:
        message = f"model file {path} is damaged or not a safetensors file ({one_line(error)}); get it again"
        raise ModelFileError(message) from None
    _check_finite(tensors, path)
    return config, tensors


def read_config(path: Path) -> GeneratorConfig:
    """Read the configuration of a model file from its header. Raises ModelFileError for another kind of file."""
    try:
        _refuse_other_kinds(path)
        with open_tensors(path) as file:
            return _config(file.metadata(), path)
    except (SafetensorError, OSError) as error:
        message = f"model file {path} is damaged or not a safetensors file ({one_line(error)}); get it again"
        raise ModelFileError(message) from None


def resolve(source: str | Path | None, *, revision: str | None = None, token: str | None = None) -> Path:
    """Return the local file of ``source``: a shipped model's name, a path, or a hub id (see ``infgen.model.hub.hub_id``).

    None: the default model of the package. ``revision`` and ``token``: of a hub id. A name wins over a file or folder
    with that name; "./planet" means the file.
    Raises InputError if there is no such file or model, and MissingExtraError for a hub id without ``huggingface_hub``.
    """
    if source is None:
        return SHIPPED
    if source in MODELS and not isinstance(source, Path):
        return shipped_path(source)
    path = Path(source)
    if os.path.isfile(path):  # unlike Path.is_file, false for a name that is too long
        return path
    if os.path.isfile(path / HUB_FILE):
        return path / HUB_FILE
    if os.path.isdir(path) and (os.path.isfile(path / "config.json") or isinstance(source, Path)):
        raise InputError(f"model folder {source} holds no {HUB_FILE}; give a folder of save_pretrained, or a file")
    repository = None if isinstance(source, Path) else hub_id(source)
    if repository is None:
        raise InputError(
            f"model file {source} does not exist; give {names()}, a .safetensors file, or hf:owner/name of the hub"
        )
    return fetch(repository, HUB_FILE, revision=revision, token=token)


def shipped_by_hash(sha256: str) -> Path | None:
    """Return the file of the shipped model with this hash, or None if there is none."""
    return next((path for name in MODELS if file_hash(path := shipped_path(name)) == sha256), None)


def file_hash(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 of a model file, which identifies the model in worlds and provenance."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_other_kinds(path: Path) -> None:
    size, limit = path.stat().st_size, MAX_MODEL_MB.value()
    if size > limit * 2**20:
        raise ModelFileError(f"model file {path} has {size} bytes, over the limit of {limit} MiB ({MAX_MODEL_MB.name})")
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PK\x03\x04") or _is_pickle(head):
        raise ModelFileError(
            f"model file {path} is a pickle, which infgen does not load because it can run code; "
            "convert a released InfinityGAN checkpoint with: infgen convert"
        )


def _is_pickle(head: bytes) -> bool:
    """Return whether the first bytes are pickle opcodes with a protocol header."""
    if not head.startswith(b"\x80"):
        return False
    try:
        return next(pickletools.genops(head))[0].name == "PROTO" and head[1] <= 5
    except (ValueError, StopIteration):
        return False


def _config(metadata: dict[str, str] | None, path: Path) -> GeneratorConfig:
    if not metadata or metadata.get("format") != FORMAT:
        raise ModelFileError(
            f"model file {path} is not an infgen generator (no {FORMAT} metadata); see: infgen convert"
        )
    if metadata.get("version") != str(VERSION):
        raise ModelFileError(
            f"model file {path} has format version {str(metadata.get('version'))[:20]!r}; "
            f"this infgen reads version {VERSION}: update infgen"
        )
    try:
        data: Any = json.loads(metadata["config"])
    except (KeyError, ValueError, RecursionError):
        raise ModelFileError(f"model file {path} has no readable configuration; get it again") from None
    if not isinstance(data, dict):
        raise ModelFileError(f"model file {path} has a configuration that is not a mapping; get it again")
    try:
        return GeneratorConfig.from_dict(data)
    except ModelFileError as error:
        raise ModelFileError(f"model file {path}: {error}") from None


def _check_shapes(needed: Shapes, found: Shapes, path: Path) -> None:
    if difference := sorted(set(needed) ^ set(found)):
        state = "missing" if difference[0] in needed else "not part of such a generator"
        first = repr(difference[0][:100])
        raise ModelFileError(
            f"model file {path}: {len(difference)} tensors differ from its configuration; {first} is {state}"
        )
    for name, shape in needed.items():
        if found[name] != shape:
            raise ModelFileError(f"model file {path}: {name} has shape {found[name]}, its configuration says {shape}")


def _as_float32(name: str, tensor: Tensor, path: Path) -> Tensor:
    if not tensor.is_floating_point():
        raise ModelFileError(f"model file {path}: {name} has type {tensor.dtype}; floating-point numbers are needed")
    return tensor.float()


def _check_finite(tensors: dict[str, Tensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelFileError(f"model file {path}: {name} holds values that are not finite numbers; get it again")
