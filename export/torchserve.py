"""TorchServe archives: a model file, a handler that draws with the installed infgen, and how many workers begin with it.

A .mar file is a zip whose MAR-INF/MANIFEST.json names its parts, which ``torch-model-archiver`` would write the same way.
Members are stored, not deflated: weights hardly shrink. Equal models give equal archives.
"""

import json
import re
import shutil
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from infgen import __version__
from infgen.atomic import write_atomically
from infgen.errors import InputError
from infgen.model.checkpoint import load, resolve
from infgen.model.folded import check_seamless

SUFFIX = ".mar"
MANIFEST = "MAR-INF/MANIFEST.json"
HANDLER = "infgen_handler.py"
SETTINGS = "model-config.yaml"
REQUIREMENTS = "requirements.txt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # what TorchServe's own archiver allows
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
        "archiverVersion": f"infgen {__version__}",
    }


def _add(archive: zipfile.ZipFile, name: str, content: BinaryIO, *, size: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.file_size = size  # by which zipfile knows whether the entry needs 64 bits
    with archive.open(entry, "w") as member:
        shutil.copyfileobj(content, member, 2**20)
