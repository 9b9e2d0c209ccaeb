"""Lock a file for one process. The file names the owner, and the operating system releases the lock with the process.

Only this module imports filelock.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import ENOENT
from pathlib import Path

from filelock import FileLock, Timeout

from infgen.atomic import TEMPORARY_PREFIX
from infgen.errors import InputError

_PATIENCE = 0.2  # s; another process may hold the lock for a moment, to check that it is free
_POLL = 0.02  # s


class TakenError(Exception):
    """Another process has the lock. ``owner``: its process id."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


class Lock:
    """A lock on the file ``path``, which is created if missing and not removed.

    It is held until ``close`` or garbage collection. Raises TakenError if another process has it, FileNotFoundError if the
    folder does not exist or was just removed, and OSError if the file cannot be created or locked.
    """

    def __init__(self, path: Path) -> None:
        self._lock = _acquire(path)
        if _read_owner(path) != str(os.getpid()):
            with suppress(PermissionError):  # Windows forbids writing to a locked file
                path.write_text(f"{os.getpid()}\n", encoding="ascii")

    @property
    def held(self) -> bool:
        """Whether the lock is held."""
        return self._lock.is_locked

    def close(self) -> None:
        """Release the lock. Repeated calls have no effect."""
        self._lock.release()


@contextmanager
def lock_output(path: str | Path) -> Iterator[None]:
    """Hold the lock of the output ``path``, so that two commands do not write it, or files next to it, at once.

    Names that differ only in their extension share a lock. Raises InputError if another process has it, or if the folder
    takes no files.
    """
    target = Path(os.path.realpath(path))
    with ExitStack() as held:
        try:
            held.enter_context(_lock_temporarily(_hidden_beside(target, target.stem, ".lock")))
        except TakenError as error:
            raise InputError(f"{target} is being written by process {error.owner}; wait for it, or stop it") from None
        except OSError as error:
            raise InputError(f"output {target} cannot be written: {error.strerror}; choose another folder") from None
        yield


@contextmanager
def lock_name(path: Path) -> Iterator[None]:
    """Hold the default name ``path``, so that no other command chooses it. Raises TakenError if another process has it.

    Apart from ``lock_output``, which the command takes later, when it begins to write.
    """
    with _lock_temporarily(_hidden_beside(path, path.name, ".name")):
        yield


@contextmanager
def create_temporary_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder next to ``target``. It is deleted at the end, unless the block has renamed it.

    Holds the lock of ``target`` (see ``lock_output``), and first deletes the folder that a killed process left. Raises
    InputError if another process writes ``target``, and OSError if the folder cannot be created.
    """
    folder = _hidden_beside(target, target.name, ".tmp")
    with lock_output(target):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _hidden_beside(target: Path, name: str, suffix: str) -> Path:
    """Return the path of a hidden file beside ``target``. Its length does not depend on ``name``."""
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return target.parent / f"{TEMPORARY_PREFIX}{digest}{suffix}"


@contextmanager
def _lock_temporarily(file: Path) -> Iterator[None]:
    """Hold the lock on ``file``, which is created, and removed at the end. Raises like ``Lock``."""
    lock = _lock_or_retry(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # before the release: the next owner makes its own
        lock.close()


def _lock_or_retry(file: Path) -> Lock:
    while True:
        try:
            return Lock(file)
        except FileNotFoundError:
            if not file.parent.is_dir():
                raise  # else its last owner has just removed it


def check_free(path: Path) -> None:
    """Raise TakenError if a process holds the lock on ``path``. A missing file is free and is not created.

    Raises OSError if the file cannot be used.
    """
    with suppress(FileNotFoundError):
        os.lstat(path)
        _acquire(path).release()


def _acquire(path: Path) -> FileLock:
    os.stat(os.path.join(path.parent, os.curdir))  # filelock would create the folder
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=_PATIENCE, poll_interval=_POLL)
    except Timeout:
        if not path.exists():  # its last owner has just removed it
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT), path) from None
        raise TakenError(_read_owner(path) or "(unknown)") from None
    return lock


def _read_owner(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
