"""The worlds that people make: every revision a world file of its own, and beside them the history that undo and redo go along.

    worlds/5f3a09c1d2e4/history.json                  name, times, the hashes of all revisions, and which of them is shown
    worlds/5f3a09c1d2e4/<hash>.json                   world documents, as ``infgen render --world`` reads them
    worlds/5f3a09c1d2e4/<name>.safetensors            latents of photographs

A revision is written before the history that names it, and both whole or not at all: after a crash, a world is what it was
after the last change that was answered, or the one after that.
"""

import hashlib
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from infgen.atomic import TEMPORARY_PREFIX, write_atomically
from infgen.errors import InfgenError, LimitError
from infgen.limits import MAX_REVISIONS, MAX_WORLDS
from infgen.serve.errors import ConflictError, NotFoundError, PreconditionError, StaleError
from infgen.serve.recent import Recent
from infgen.world.document import VersionedDocument
from infgen.world.world import World

logger = logging.getLogger(__name__)

HISTORY = "history.json"
KEPT_DOCUMENTS = 64
_GOING = ".going-"  # begins the name of a folder that is being deleted
_HASH_CHARS = 32

Hash = Annotated[str, Field(pattern=f"^[0-9a-f]{{{_HASH_CHARS}}}$")]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class History(VersionedDocument):
    """What ``history.json`` holds."""

    kind = "history"

    name: Name
    """What people call the world."""
    created: str
    """When it was made, ISO 8601."""
    modified: str
    """When it was last changed, undone or redone."""
    revisions: Annotated[tuple[Hash, ...], Field(min_length=1)]
    """Hashes of its documents, oldest first."""
    at: Annotated[int, Field(ge=0)]
    """Which of them is shown."""


@dataclass(frozen=True)
class Record:
    """One world as it is now. ``revision``: a hash of all that its pixels depend on."""

    id: str
    history: History
    revision: str
    world: World

    @property
    def can_undo(self) -> bool:
        """Whether there is an older revision."""
        return self.history.at > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a newer one, that was undone."""
        return self.history.at + 1 < len(self.history.revisions)


class WorldStore:
    """The worlds in ``folder``. Any thread may call it; one process may have it.

    ``look``: a hash of what pixels depend on besides the world: the same document has another revision with another model.
    """

    def __init__(self, folder: Path, *, look: str) -> None:
        self._folder, self._look = folder, look
        self._lock = threading.RLock()
        self._documents: Recent[tuple[str, str], World] = Recent(KEPT_DOCUMENTS)
        folder.mkdir(parents=True, exist_ok=True)
        self._histories = dict(_found(folder))

    def __len__(self) -> int:
        return len(self._histories)

    def entries(self) -> list[tuple[str, History, str]]:
        """(id, history, revision) of every world, the last changed first."""
        with self._lock:
            found = [(id, h, self._revision(h.revisions[h.at])) for id, h in self._histories.items()]
        return sorted(found, key=lambda entry: entry[1].modified, reverse=True)

    def get(self, id: str) -> Record:
        """Raises NotFoundError for an unknown world."""
        with self._lock:
            history = self._history(id)
            shown = history.revisions[history.at]
            return Record(id, history, self._revision(shown), self._document(id, shown))

    def at(self, id: str, revision: str) -> World:
        """The world as it is or was at ``revision``. Raises NotFoundError where that is unknown or no longer kept."""
        with self._lock:
            for content in self._history(id).revisions:
                if self._revision(content) == revision:
                    return self._document(id, content)
        raise NotFoundError(f"world {id} has no revision {revision[:40]!r}; read the world again")

    def create(self, world: World, *, name: str) -> Record:
        """Keep a new world. Raises LimitError where there are too many."""
        with self._lock:
            if len(self._histories) >= MAX_WORLDS.value():
                raise LimitError(
                    f"{len(self._histories)} worlds are kept, and allowed are {MAX_WORLDS.value()}; delete one, or raise "
                    f"{MAX_WORLDS.name}"
                )
            id, now = secrets.token_hex(6), _now()
            folder = self._folder / f"{TEMPORARY_PREFIX}{id}"
            folder.mkdir()
            content = _save(world, folder)
            history = History(name=name, created=now, modified=now, revisions=(content,), at=0)
            _write(history, folder)
            os.replace(folder, self._folder / id)
            self._histories[id] = history
            return self.get(id)

    def change(self, id: str, change: Callable[[World], World], *, expected: str | None = None) -> Record:
        """Add the revision ``change(world)`` after the one that is shown; what was undone before is forgotten.

        ``expected``: the revision that the change goes out from. Nothing happens where the world stays as it is. Raises
        StaleError where another revision is shown, and what ``change`` raises.
        """
        with self._lock:
            record = self._expected(id, expected)
            changed = change(record.world)
            if changed == record.world:
                return record
            content = _save(changed, self._folder / id)
            kept = (*record.history.revisions[: record.history.at + 1], content)[-MAX_REVISIONS.value() :]
            return self._show(record, replace_history(record.history, revisions=kept, at=len(kept) - 1))

    def step(self, id: str, step: int, *, expected: str | None = None) -> Record:
        """Show the revision before (-1) or after (+1) the shown one. Raises ConflictError where there is none, StaleError."""
        with self._lock:
            record = self._expected(id, expected)
            if not (record.can_undo if step < 0 else record.can_redo):
                raise ConflictError(f"world {id} has nothing to {'undo' if step < 0 else 'redo'}")
            return self._show(record, replace_history(record.history, at=record.history.at + step))

    def delete(self, id: str) -> None:
        """Remove a world with all its revisions and photographs. Raises NotFoundError for an unknown one."""
        with self._lock:
            self._history(id)
            going = self._folder / f"{_GOING}{id}"
            os.replace(self._folder / id, going)
            del self._histories[id]
        shutil.rmtree(going, ignore_errors=True)

    def folder(self, id: str) -> Path:
        """Where the files of a world lie. Raises NotFoundError for an unknown one."""
        with self._lock:
            self._history(id)
        return self._folder / id

    def _history(self, id: str) -> History:
        if id not in self._histories:
            raise NotFoundError(f"there is no world {id[:40]!r}; it may have been deleted")
        return self._histories[id]

    def _revision(self, content: str) -> str:
        return hashlib.sha256(f"{self._look} {content}".encode()).hexdigest()[:20]

    def _document(self, id: str, content: str) -> World:
        path = self._folder / id / f"{content}.json"
        return self._documents.get((id, content), lambda: World.load(path))

    def _expected(self, id: str, revision: str | None) -> Record:
        record = self.get(id)
        if revision is not None and revision != record.revision:
            raise StaleError(f"world {id} is at revision {record.revision}, not {revision[:40]!r}; read it again")
        return record

    def _show(self, record: Record, history: History) -> Record:
        _write(history, self._folder / record.id)
        self._histories[record.id] = history
        for content in set(record.history.revisions) - set(history.revisions):
            with suppress(OSError):
                (self._folder / record.id / f"{content}.json").unlink()
        return self.get(record.id)


def match(header: str | None) -> str:
    """The revision in an If-Match header. Raises PreconditionError where there is none."""
    if header is None:
        raise PreconditionError('a change needs the header If-Match: "revision", with the revision it goes out from')
    return header.strip().removeprefix("W/").strip('"')


def replace_history(history: History, **values: object) -> History:
    """The history with other values, changed now."""
    return history.model_copy(update={**values, "modified": _now()})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _save(world: World, folder: Path) -> str:
    """Write the document under the hash of its text; returns the hash."""
    content = hashlib.sha256(world.to_json().encode()).hexdigest()[:_HASH_CHARS]
    path = folder / f"{content}.json"
    if not path.exists():
        world.save(path)
    return content


def _write(history: History, folder: Path) -> None:
    with write_atomically(folder / HISTORY) as temporary:
        temporary.write_text(history.to_json() + "\n")


def _found(folder: Path) -> Iterator[tuple[str, History]]:
    """The worlds that are there; what a crash left half made or half deleted is removed."""
    for path in folder.iterdir():
        if path.name.startswith((TEMPORARY_PREFIX, _GOING)):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            try:
                history = History.load(path / HISTORY)
            except InfgenError as error:
                logger.warning("world %s is left aside: %s", path.name, error)
            else:
                yield path.name, history.model_copy(update={"at": min(history.at, len(history.revisions) - 1)})
