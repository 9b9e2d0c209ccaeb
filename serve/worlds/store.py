"""Store worlds: one world file per revision, and a history for undo and redo (see ``infgen.serve.worlds.files``).

A revision is written before the history that lists it, and both writes are atomic. After a crash, a world has at least
every change that was answered.
"""

import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cachetools import LRUCache

from infgen.atomic import TEMPORARY_PREFIX
from infgen.errors import LimitError
from infgen.inversion.outputs import Outputs
from infgen.limits import MAX_REVISIONS, MAX_WORLDS
from infgen.serve.errors import ConflictError, NotFoundError, PreconditionError, StaleError
from infgen.serve.storage import Storage, tree_bytes
from infgen.serve.worlds.files import (
    GOING,
    PHOTOGRAPH,
    AnchorFile,
    History,
    Upload,
    document_path,
    keep_photograph,
    load_histories,
    save_document,
    sweep,
    write_history,
)
from infgen.world.anchors import AnchoredLatents
from infgen.world.world import World

KEPT_DOCUMENTS = 64
NAME_CHARS = 100


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
    """The worlds in the folder "worlds" of ``storage``. Thread-safe; only one process may use it.

    ``renderer_hash``: from ``hash_renderer``. With another model, the same document has another revision.
    """

    def __init__(self, storage: Storage, *, renderer_hash: str) -> None:
        self._storage, self._folder, self._renderer_hash = storage, storage.folder / "worlds", renderer_hash
        self._lock = threading.RLock()
        self._unnamed: set[str] = set()  # latents that are being added
        self._documents: LRUCache[tuple[str, str], World] = LRUCache(KEPT_DOCUMENTS)
        self._folder.mkdir(exist_ok=True)
        self._histories = dict(load_histories(self._folder))
        self._sizes = {id: tree_bytes(self._folder / id) for id in self._histories}
        storage.add(lambda: self.size, self.drop_oldest)

    def __len__(self) -> int:
        return len(self._histories)

    @property
    def size(self) -> int:
        """Size of all worlds in bytes."""
        return sum(list(self._sizes.values()))

    def check(self, id: str) -> None:
        """Raise NotFoundError for an unknown id. Never waits for a thread that changes a world."""
        self._history(id)

    def name(self, id: str) -> str | None:
        """Return the display name of a world; None if there is no such world."""
        history = self._histories.get(id)
        return None if history is None else history.name

    def entries(self) -> list[tuple[str, History, str]]:
        """List (id, history, revision) of every world, last changed first."""
        with self._lock:
            found = [(id, h, self._revision(h.current)) for id, h in self._histories.items()]
        return sorted(found, key=lambda entry: entry[1].modified, reverse=True)

    def get(self, id: str) -> Record:
        """Return a world. Raises NotFoundError for an unknown id."""
        with self._lock:
            history = self._history(id)
            return Record(id, history, self._revision(history.current), self._document(id, history.current))

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
            self._storage.require(len(world.to_json()))
            try:
                with self._storage.storing():
                    folder.mkdir()
                    content = save_document(world, folder)
                    history = History(name=name, created=now, modified=now, revisions=(content,), at=0)
                    write_history(history, folder)
                    os.replace(folder, self._folder / id)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            self._histories[id] = history
            self._sizes[id] = tree_bytes(self._folder / id)
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
            self._storage.require(len(changed.to_json()))
            record = self.get(id)  # it may have lost old revisions to make room
            with self._storage.storing():
                content = save_document(changed, self._folder / id)
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
            going = self._folder / f"{GOING}{id}"
            with self._storage.storing():
                os.replace(self._folder / id, going)
            del self._histories[id], self._sizes[id]
        shutil.rmtree(going, ignore_errors=True)

    def describe(self, id: str, **values: object) -> Record:
        """Replace values of the history that no pixel depends on: name and favourites. Raises NotFoundError."""
        with self._lock:
            record = self.get(id)
            return self._show(record, replace_history(record.history, **values))

    def duplicate(self, id: str) -> Record:
        """Create a world with the current document and photographs of ``id``. Raises LimitError if there are too many."""
        with self._lock:
            record = self.get(id)
            copy = self.create(record.world, name=f"{record.history.name} copy"[:NAME_CHARS])
            return self.describe(copy.id, favourites=record.history.favourites)

    def revisions(self, id: str) -> list[tuple[str, bool]]:
        """List (revision, whether it is the current one), oldest first. Raises NotFoundError for an unknown id."""
        with self._lock:
            history = self._history(id)
            return [(self._revision(content), i == history.at) for i, content in enumerate(history.revisions)]

    def folder(self, id: str) -> Path:
        """Return the folder of a world. Raises NotFoundError for an unknown id."""
        with self._lock:
            self._history(id)
        return self._folder / id

    def add_latents(
        self,
        id: str,
        latents: Sequence[AnchoredLatents],
        change: Callable[[World, list[Path], list[AnchorFile]], World],
        *,
        photographs: Sequence[Upload],
    ) -> Record:
        """Save photographs and their latents next to a world, and name them by ``change`` in one revision.

        ``change`` gets the world, the files of latents, and those of the photographs.

        If that fails, the files are removed. Raises StorageError if they do not fit, and every error of ``change``.
        """
        with self._lock:
            folder = self.folder(id)
            size = sum(photograph.path.stat().st_size for photograph in photographs)
            self._storage.require(size + sum(each.nbytes for each in latents))
            try:
                with self._storage.storing():
                    files = [Outputs(folder / f"{PHOTOGRAPH}.png").save_latents(each) for each in latents]
                    copies = [keep_photograph(each.path, folder, name=each.name) for each in photographs]
                self._unnamed = {file.name for file in files} | {copy.name for copy in copies}
                return self.change(id, lambda world: change(world, files, copies))
            finally:
                self._unnamed = set()
                self._sweep(id)

    def drop_oldest(self, size: int) -> int:
        """Remove the oldest revisions of all worlds, but no current one, until ``size`` bytes are free. Returns the bytes."""
        with self._lock:
            before, files = self.size, []
            for id, history in self._histories.items():
                for content in set(history.revisions) - {history.current}:
                    with suppress(OSError):
                        files.append((document_path(self._folder / id, content).stat().st_mtime_ns, id, content))
            for _, id, content in sorted(files):
                if before - self.size >= size:
                    break
                history = self._histories[id].without(content)
                with self._storage.storing():
                    write_history(history, self._folder / id)
                self._histories[id] = history
                self._sweep(id)
            return before - self.size

    def _sweep(self, id: str) -> None:
        """Remove files that no revision needs, except those that are being added, and measure the world again."""
        sweep(self._folder / id, self._histories[id], keep=self._unnamed)
        self._sizes[id] = tree_bytes(self._folder / id)

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
        folder = self._folder / record.id
        with self._storage.storing():
            write_history(history, folder)
        self._histories[record.id] = history
        if set(record.history.revisions) - set(history.revisions):
            self._sweep(record.id)
        else:
            self._sizes[record.id] = tree_bytes(folder)
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
