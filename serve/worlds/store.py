"""Store worlds: one world file per revision, and a history for undo and redo.

    worlds/5f3a09c1d2e4/history.json                  name, times, hashes of all revisions, current revision
    worlds/5f3a09c1d2e4/<hash>.json                   world documents, as read by ``infgen render --world``
    worlds/5f3a09c1d2e4/<name>.safetensors            latents of photographs

A revision is written before the history that lists it, and both writes are atomic. After a crash, a world has at least
every change that was answered.
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

from cachetools import LRUCache
from pydantic import FailFast, Field

from infgen.atomic import TEMPORARY_PREFIX, write_atomically
from infgen.errors import InfgenError, LimitError
from infgen.limits import MAX_REVISIONS, MAX_WORLDS
from infgen.serve.errors import ConflictError, NotFoundError, PreconditionError, StaleError
from infgen.world.document import VersionedDocument
from infgen.world.world import World

logger = logging.getLogger(__name__)

HISTORY = "history.json"
KEPT_DOCUMENTS = 64
_GOING = ".going-"  # prefix of folders being deleted
_HASH_CHARS = 32

Hash = Annotated[str, Field(pattern=f"^[0-9a-f]{{{_HASH_CHARS}}}$")]
Name = Annotated[str, Field(min_length=1, max_length=100)]


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


@dataclass(frozen=True)
class Record:
    """The current state of a world. ``revision``: hash of everything that its pixels depend on."""

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
        """Whether there is an undone revision."""
        return self.history.at + 1 < len(self.history.revisions)


class WorldStore:
    """The worlds in ``folder``. Thread-safe; only one process may use the folder.

    ``renderer_hash``: from ``hash_renderer``. With another model, the same document has another revision.
    """

    def __init__(self, folder: Path, *, renderer_hash: str) -> None:
        self._folder, self._renderer_hash = folder, renderer_hash
        self._lock = threading.RLock()
        self._documents: LRUCache[tuple[str, str], World] = LRUCache(KEPT_DOCUMENTS)
        folder.mkdir(parents=True, exist_ok=True)
        self._histories = dict(_load_all(folder))

    def __len__(self) -> int:
        return len(self._histories)

    def check(self, id: str) -> None:
        """Raise NotFoundError for an unknown id. Never waits for a thread that changes a world."""
        self._history(id)

    def entries(self) -> list[tuple[str, History, str]]:
        """List (id, history, revision) of every world, last changed first."""
        with self._lock:
            found = [(id, h, self._revision(h.revisions[h.at])) for id, h in self._histories.items()]
        return sorted(found, key=lambda entry: entry[1].modified, reverse=True)

    def get(self, id: str) -> Record:
        """Return a world. Raises NotFoundError for an unknown id."""
        with self._lock:
            history = self._history(id)
            shown = history.revisions[history.at]
            return Record(id, history, self._revision(shown), self._document(id, shown))

    def at(self, id: str, revision: str) -> World:
        """Return the world at ``revision``. Raises NotFoundError if the revision is unknown or was removed."""
        with self._lock:
            for content in self._history(id).revisions:
                if self._revision(content) == revision:
                    return self._document(id, content)
        raise NotFoundError(f"world {id} has no revision {revision[:40]!r}; read the world again")

    def create(self, world: World, *, name: str) -> Record:
        """Store a new world. Raises LimitError if there are too many."""
        with self._lock:
            if len(self._histories) >= MAX_WORLDS.value():
                raise LimitError(
                    f"{len(self._histories)} worlds are stored; allowed are {MAX_WORLDS.value()}; delete one, or raise "
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
        """Add the revision ``change(world)`` after the current one, and drop undone revisions.

        ``expected``: the revision that the change is based on. An unchanged world gets no new revision.
        Raises StaleError if another revision is current, and every error of ``change``.
        """
        with self._lock:
            record = self._get_expected(id, expected)
            changed = change(record.world)
            if changed == record.world:
                return record
            content = _save(changed, self._folder / id)
            kept = (*record.history.revisions[: record.history.at + 1], content)[-MAX_REVISIONS.value() :]
            return self._show(record, replace_history(record.history, revisions=kept, at=len(kept) - 1))

    def step(self, id: str, step: int, *, expected: str | None = None) -> Record:
        """Undo (-1) or redo (+1). Raises ConflictError if there is no such revision, StaleError like ``change``."""
        with self._lock:
            record = self._get_expected(id, expected)
            if not (record.can_undo if step < 0 else record.can_redo):
                raise ConflictError(f"world {id} has nothing to {'undo' if step < 0 else 'redo'}")
            return self._show(record, replace_history(record.history, at=record.history.at + step))

    def delete(self, id: str) -> None:
        """Delete a world with its revisions and photographs. Raises NotFoundError for an unknown id."""
        with self._lock:
            self._history(id)
            going = self._folder / f"{_GOING}{id}"
            os.replace(self._folder / id, going)
            del self._histories[id]
        shutil.rmtree(going, ignore_errors=True)

    def folder(self, id: str) -> Path:
        """Return the folder of a world. Raises NotFoundError for an unknown id."""
        with self._lock:
            self._history(id)
        return self._folder / id

    def _history(self, id: str) -> History:
        if id not in self._histories:
            raise NotFoundError(f"there is no world {id[:40]!r}; it may have been deleted")
        return self._histories[id]

    def _revision(self, content: str) -> str:
        return hashlib.sha256(f"{self._renderer_hash} {content}".encode()).hexdigest()[:20]

    def _document(self, id: str, content: str) -> World:
        key = id, content
        if key not in self._documents:
            self._documents[key] = World.load(self._folder / id / f"{content}.json")
        return self._documents[key]

    def _get_expected(self, id: str, revision: str | None) -> Record:
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
    """Return the revision in an If-Match header. Raises PreconditionError if the header is missing."""
    if header is None:
        raise PreconditionError('a change needs the header If-Match: "revision", with the revision it is based on')
    return header.strip().removeprefix("W/").strip('"')


def replace_history(history: History, **values: object) -> History:
    """Return the history with other values and the current time as time of change."""
    return history.model_copy(update={**values, "modified": _now()})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _save(world: World, folder: Path) -> str:
    """Write the document to a file named by its hash. Returns the hash."""
    content = hashlib.sha256(world.to_json().encode()).hexdigest()[:_HASH_CHARS]
    path = folder / f"{content}.json"
    if not path.exists():
        world.save(path)
    return content


def _write(history: History, folder: Path) -> None:
    with write_atomically(folder / HISTORY) as temporary:
        temporary.write_text(history.to_json() + "\n")


def _load_all(folder: Path) -> Iterator[tuple[str, History]]:
    """Load all worlds. Removes folders left half created or half deleted by a crash."""
    for path in folder.iterdir():
        if path.name.startswith((TEMPORARY_PREFIX, _GOING)):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            try:
                history = History.load(path / HISTORY)
            except InfgenError as error:
                logger.warning("skipping world %s: %s", path.name, error)
            else:
                yield path.name, history.model_copy(update={"at": min(history.at, len(history.revisions) - 1)})
