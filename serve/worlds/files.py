"""Files of worlds: documents and histories, and what a crash or a removed revision leaves behind.

worlds/5f3a09c1d2e4/history.json                  name, times, hashes of all revisions, current revision
worlds/5f3a09c1d2e4/<hash>.json                   world documents, as read by ``infgen render --world``
worlds/5f3a09c1d2e4/photo.<hash>.safetensors      latents of photographs
worlds/5f3a09c1d2e4/photo.<hash>.jpg              photographs as they were sent
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import FailFast, Field

from infgen.atomic import TEMPORARY_PREFIX, write_atomically
from infgen.errors import InfgenError
from infgen.world.anchoring import file_sha256
from infgen.world.document import Document, Seed, VersionedDocument
from infgen.world.world import World

logger = logging.getLogger(__name__)

HISTORY = "history.json"
GOING = ".going-"  # prefix of folders being deleted
LATENTS = ".safetensors"
PHOTOGRAPH = "photo"  # names of photographs and their latents begin with it
_HASH_IN_NAME = 8  # digits
_SUFFIX = re.compile(r"\.(?!json$)[a-z0-9]{1,5}")
_HASH_CHARS = 32
MAX_FAVOURITES = 256

Hash = Annotated[str, Field(pattern=f"^[0-9a-f]{{{_HASH_CHARS}}}$")]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Favourite(Document):
    """A style that a person keeps with a world."""

    seed: Seed
    """Seed of the style."""
    name: Name | None = None
    """The person's name for it."""


class History(VersionedDocument):
    """The contents of ``history.json``."""

    kind = "history"

    name: Name
    """Display name."""
    created: str
    """Time of creation, ISO 8601."""
    modified: str
    """Time of the last change, undo or redo, ISO 8601."""
    revisions: Annotated[tuple[Hash, ...], FailFast(), Field(min_length=1)]
    """Hashes of the world documents, oldest first."""
    at: Annotated[int, Field(ge=0)]
    """Index of the current revision."""
    favourites: Annotated[tuple[Favourite, ...], FailFast(), Field(max_length=MAX_FAVOURITES)] = ()
    """Favourite styles."""

    @property
    def current(self) -> str:
        """Hash of the current document."""
        return self.revisions[self.at]

    def without(self, content: str) -> "History":
        """Return the history without the revisions of the document ``content``, which must not be the current one."""
        kept = tuple(each for each in self.revisions if each != content)
        before = sum(each == content for each in self.revisions[: self.at])
        return self.model_copy(update={"revisions": kept, "at": self.at - before})


@dataclass(frozen=True)
class AnchorFile:
    """A file next to a world that an anchor names."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Upload:
    """An uploaded photograph: its temporary file ``path`` and the client's file ``name``."""

    path: Path
    name: str


def keep_photograph(source: Path, folder: Path, *, name: str) -> AnchorFile:
    """Copy the photograph ``source`` to the folder of a world. ``name``: of the client's file, for the extension."""
    sha256 = file_sha256(source)
    suffix = Path(name).suffix.lower()
    file = f"{PHOTOGRAPH}.{sha256[:_HASH_IN_NAME]}{suffix if _SUFFIX.fullmatch(suffix) else '.image'}"
    with write_atomically(folder / file) as temporary:
        shutil.copyfile(source, temporary)
    return AnchorFile(file, sha256)


def document_path(folder: Path, content: str) -> Path:
    """Return the path of a document in the folder of its world."""
    return folder / f"{content}.json"


def save_document(world: World, folder: Path) -> str:
    """Write the document to a file named by its hash. Returns the hash."""
    content = hashlib.sha256(world.to_json().encode()).hexdigest()[:_HASH_CHARS]
    path = document_path(folder, content)
    if not path.exists():
        world.save(path)
    return content


def write_history(history: History, folder: Path) -> None:
    """Replace ``history.json``."""
    with write_atomically(folder / HISTORY) as temporary:
        temporary.write_text(history.to_json() + "\n")


def load_histories(folder: Path) -> Iterator[tuple[str, History]]:
    """Load (id, history) of all worlds. Removes what a crash has left half created or half deleted."""
    for path in folder.iterdir():
        if path.name.startswith((TEMPORARY_PREFIX, GOING)):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            try:
                history = History.load(path / HISTORY)
            except InfgenError as error:
                logger.warning("skipping world %s: %s", path.name, error)
                continue
            history = history.model_copy(update={"at": min(history.at, len(history.revisions) - 1)})
            sweep(path, history)
            yield path.name, history


def sweep(folder: Path, history: History, *, keep: Collection[str] = ()) -> None:
    """Remove files of a world that no revision needs: documents, latents, and temporary files of a crash.

    Keeps the files named ``keep``, and all latents if a document is missing.
    """
    documents = {document_path(folder, content).name for content in history.revisions}
    files = [path for path in folder.iterdir() if path.is_file() and path.name not in {HISTORY, *keep}]
    unused = [path for path in files if path.suffix == ".json" and path.name not in documents]
    unused += [path for path in files if path.name.startswith(TEMPORARY_PREFIX)]
    latents = [
        path
        for path in files
        if (path.suffix == LATENTS or path.name.startswith(f"{PHOTOGRAPH}.")) and path not in unused
    ]
    if latents:
        with suppress(OSError):  # what a missing document needs is unknown
            unused += _find_unnamed(latents, [folder / name for name in documents])
    for path in unused:
        with suppress(OSError):
            path.unlink()


def _find_unnamed(latents: list[Path], documents: list[Path]) -> list[Path]:
    """Return the files whose names occur in none of the ``documents``."""
    left = {path: json.dumps(path.name).encode() for path in latents}
    for document in documents:
        text = document.read_bytes()
        left = {path: name for path, name in left.items() if name not in text}
        if not left:
            break
    return list(left)
