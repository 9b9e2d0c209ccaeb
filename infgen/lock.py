"""Lock a file for one process. The file names the owner, and the operating system releases the lock with the process."""

import fcntl
import os
import weakref
from errno import ENOENT
from pathlib import Path

_DIGITS = 20  # most digits of a process id


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
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._end = weakref.finalize(self, os.close, descriptor)
        try:
            _take(descriptor, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT), path)  # its last owner has just removed it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except BaseException:
            self.close()
            raise

    @property
    def held(self) -> bool:
        """Whether the lock is held."""
        return self._end.alive

    def close(self) -> None:
        """Release the lock. Repeated calls have no effect."""
        self._end()


def check_free(path: Path) -> None:
    """Raise TakenError if a process holds the lock on ``path``. A missing file is free and is not created.

    Raises OSError if the file cannot be used.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        _take(descriptor, fcntl.LOCK_SH)  # a shared lock, so that simultaneous checks do not report each other
    finally:
        os.close(descriptor)


def _take(descriptor: int, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, _DIGITS, 0).decode("ascii", "replace").strip()
        raise TakenError(owner or "(unknown)") from None
