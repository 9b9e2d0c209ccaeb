"""TorchServe archives: a model file, a handler that draws with the installed infgen, and how many workers begin with it.

A .mar file is a zip whose MAR-INF/MANIFEST.json names its parts, which ``torch-model-archiver`` would write the same way.
Members are stored, not deflated: weights hardly shrink. Equal models give equal archives.
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

from infgen import __version__
from infgen.atomic import write_atomically
from infgen.errors import InputError, ModelFileError
from infgen.model.checkpoint import load, resolve
from infgen.model.folded import check_seamless

SUFFIX = ".mar"
MANIFEST = "MAR-INF/MANIFEST.json"
HANDLER = "infgen_handler.py"
SETTINGS = "model-config.yaml"
REQUIREMENTS = "requirements.txt"
_ARCHIVER = "infgen "
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # what TorchServe's own archiver allows
_HEAD = struct.Struct(
    "<4s5H3L2H"
)  # of a zip's first member: signature, ... method, ... sizes, length of name and extra
_MAX_MANIFEST = 2**16  # bytes; real ones have some hundred
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that zip knows: the time of writing would make equal archives differ

# An ImportError would make TorchServe look for a handler of its own and report that one as missing.
_HANDLER = f'''"""infgen's handler, from the installed package."""

try:
    from infgen.export.torchserve_handler import Handler
except ImportError as error:
    raise RuntimeError(f"infgen cannot be imported ({{error}}); install infgen {__version__} where TorchServe runs") from error


class InfgenHandler(Handler):
    """The one class here, by which TorchServe finds it."""
'''
_SETTINGS = """# Read by TorchServe when it loads the model. A worker draws one window at a time, with all of its threads.
minWorkers: 1
maxWorkers: 1
responseTimeout: 120  # seconds until a worker that does not answer is started again
handler:
  threads: null  # of each worker on the CPU; null: as many as PyTorch chooses
"""
_REQUIREMENTS = f"""# What the handler needs. TorchServe does not install it: the manifest does not name this file.
infgen=={__version__}
"""


def export_torchserve(model: str | Path, path: str | Path) -> str:
    """Write a TorchServe archive of ``model``, a file or hub id, to ``path``, whole or not at all.

    Gives the name under which TorchServe serves it: that of the file without ".mar". Raises InputError for a name that
    TorchServe does not take and for models that cannot be drawn in tiles, and what ``load`` raises.
    """
    name = _served_name(Path(path))
    source = resolve(model)
    check_seamless(load(source).config)
    texts = {
        MANIFEST: json.dumps(_manifest(name, source.name), indent=2),
        HANDLER: _HANDLER,
        SETTINGS: _SETTINGS,
        REQUIREMENTS: _REQUIREMENTS,
    }
    if source.name in texts:
        raise InputError(f"model file {source} has the name of another part of the archive; rename it")
    with write_atomically(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for member, text in texts.items():
            _add(archive, member, BytesIO(text.encode()), size=len(text.encode()))
        with source.open("rb") as file:
            _add(archive, source.name, file, size=source.stat().st_size)
    return name


def describe_archive(path: Path) -> dict[str, Any]:
    """A JSON-ready description of the archive ``path``, from its manifest, which is its first member.

    Raises InputError for a missing file, ModelFileError for one that infgen did not write.
    """
    try:
        with path.open("rb") as file:
            manifest = json.loads(_first_member(file))
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


def _first_member(file: BinaryIO) -> bytes:
    """The manifest. Raises ValueError where the zip begins with something else, or the manifest is not stored as it is."""
    signature, _, _, method, _, _, _, _, size, name, extra = _HEAD.unpack(file.read(_HEAD.size))
    if (signature, method, file.read(name)) != (b"PK\3\4", zipfile.ZIP_STORED, MANIFEST.encode()):
        raise ValueError("no manifest")
    if size > _MAX_MANIFEST:
        raise ValueError("a manifest that is too large")
    file.seek(extra, 1)
    return file.read(size)


def _served_name(path: Path) -> str:
    if path.suffix != SUFFIX or not _NAME.fullmatch(path.stem):
        raise InputError(
            f"output {path} is no name for a TorchServe archive; give letters, digits, '_', '-' and '.', ending in {SUFFIX}"
        )
    return path.stem


def _manifest(name: str, model: str) -> Mapping[str, object]:
    parts = {"serializedFile": model, "handler": HANDLER, "configFile": SETTINGS}
    return {
        "runtime": "python",
        "model": {"modelName": name, "modelVersion": "1.0", **parts},
        "archiverVersion": f"{_ARCHIVER}{__version__}",
    }


def _add(archive: zipfile.ZipFile, name: str, content: BinaryIO, *, size: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.file_size = size  # by which zipfile knows whether the entry needs 64 bits
    with archive.open(entry, "w") as member:
        shutil.copyfileobj(content, member, 2**20)
