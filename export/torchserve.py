"""Write TorchServe archives: a model file, a handler that renders with the installed infgen, and the worker settings.

A .mar file is a zip file whose MAR-INF/MANIFEST.json names its parts, as ``torch-model-archiver`` writes it. Members are
stored without compression, which barely shrinks weights. Equal models give equal archives.
"""

import json
import re
import shutil
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from infgen.atomic import write_atomically
from infgen.errors import InputError, ModelFileError
from infgen.model.checkpoint import resolve
from infgen.model.folded import check_seamless
from infgen.model.generator import Generator
from infgen.version import __version__

SUFFIX = ".mar"
MANIFEST = "MAR-INF/MANIFEST.json"
HANDLER = "infgen_handler.py"
SETTINGS = "model-config.yaml"
REQUIREMENTS = "requirements.txt"
_ARCHIVER = "infgen "
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # the names that TorchServe's own archiver allows
_HEADER = struct.Struct("<4s5H3L2H")  # of a zip member: signature, ... method, ... sizes, length of name and extra
_MAX_MANIFEST = 2**16  # bytes; real ones have a few hundred
_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's first date: the time of writing would make equal archives differ

# With an ImportError TorchServe would look for a built-in handler instead and report that one as missing.
_HANDLER = f'''"""infgen's handler, from the installed package."""

try:
    from infgen.export.torchserve_handler import Handler
except ImportError as error:
    raise RuntimeError(f"infgen cannot be imported ({{error}}); install infgen {__version__} where TorchServe runs") from error


class InfgenHandler(Handler):
    """TorchServe finds this class because it is the only one in the file."""
'''
_SETTINGS = """# TorchServe reads this file when it loads the model. A worker renders one window at a time, with all its threads.
minWorkers: 1
maxWorkers: 1
responseTimeout: 120  # seconds until a worker without a response is restarted
handler:
  threads: null  # per worker on the CPU; null: PyTorch's default
"""
_REQUIREMENTS = f"""# Requirements of the handler. TorchServe does not install them: the manifest does not name this file.
infgen=={__version__}
"""


def export_torchserve(model: str | Path, path: str | Path) -> str:
    """Write a TorchServe archive of ``model``, a file or hub id, to ``path``, complete or not at all.

    Returns the name under which TorchServe serves it: the file name without ".mar". Raises InputError for a name that
    TorchServe does not accept and for models that cannot be rendered in tiles, and whatever ``load`` raises.

    >>> from infgen.export import export_torchserve
    >>> export_torchserve("tiny.safetensors", "meadows.mar")
    'meadows'
    """
    name = _parse_name(Path(path))
    source = resolve(model)
    check_seamless(Generator.from_pretrained(source).config)
    texts = {
        MANIFEST: json.dumps(_make_manifest(name, source.name), indent=2),
        HANDLER: _HANDLER,
        SETTINGS: _SETTINGS,
        REQUIREMENTS: _REQUIREMENTS,
    }
    if source.name in texts:
        raise InputError(f"model file {source} has the name of another part of the archive; rename it")
    with write_atomically(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for member, text in texts.items():
            _add_member(archive, member, BytesIO(text.encode()), size=len(text.encode()))
        with source.open("rb") as file:
            _add_member(archive, source.name, file, size=source.stat().st_size)
    return name


def describe_archive(path: Path) -> dict[str, Any]:
    """Describe the archive ``path`` as JSON-ready values, from its manifest, which is its first member.

    Raises InputError for a missing file, and ModelFileError for one that infgen did not write.
    """
    try:
        with path.open("rb") as file:
            manifest = json.loads(_read_manifest(file))
        model, made_by = manifest["model"], manifest["archiverVersion"]
        if not made_by.startswith(_ARCHIVER):
            raise ValueError("another archiver")
        name, file_name = model["modelName"], model["serializedFile"]
    except OSError as error:
        raise InputError(f"archive {path} cannot be read ({error.strerror}); give an existing file") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error):
        raise ModelFileError(
            f"archive {path} was not made by infgen; make one with: infgen export MODEL --torchserve -o {path.name}"
        ) from None
    return {"kind": "TorchServe archive", "name": name, "model": file_name, "infgen": made_by.removeprefix(_ARCHIVER)}


def _read_manifest(file: BinaryIO) -> bytes:
    """Read the manifest. Raises ValueError if it is not the first member of the zip file or is compressed."""
    signature, _, _, method, _, _, _, _, size, name, extra = _HEADER.unpack(file.read(_HEADER.size))
    if (signature, method, file.read(name)) != (b"PK\3\4", zipfile.ZIP_STORED, MANIFEST.encode()):
        raise ValueError("no manifest")
    if size > _MAX_MANIFEST:
        raise ValueError("a manifest that is too large")
    file.seek(extra, 1)
    return file.read(size)


def _parse_name(path: Path) -> str:
    if path.suffix != SUFFIX or not _NAME.fullmatch(path.stem):
        raise InputError(
            f"output {path} is not a name that TorchServe accepts; use letters, digits, '_', '-' and '.', ending in {SUFFIX}"
        )
    return path.stem


def _make_manifest(name: str, model: str) -> Mapping[str, object]:
    parts = {"serializedFile": model, "handler": HANDLER, "configFile": SETTINGS}
    return {
        "runtime": "python",
        "model": {"modelName": name, "modelVersion": "1.0", **parts},
        "archiverVersion": f"{_ARCHIVER}{__version__}",
    }


def _add_member(archive: zipfile.ZipFile, name: str, content: BinaryIO, *, size: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.file_size = size  # zipfile chooses 64-bit sizes by it
    with archive.open(entry, "w") as member:
        shutil.copyfileobj(content, member, 2**20)
