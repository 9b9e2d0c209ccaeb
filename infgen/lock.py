"""One process at a time: a lock on a file, which names its owner. It ends with its process at the latest, however that ends."""

import fcntl
import os
import weakref
from errno import ENOENT
from pathlib import Path

_DIGITS = 20  # of a process number, at most


class TakenError(Exception):
    """Another process has the lock. ``owner``: its number."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


class Lock:
    """The lock on the file ``path``, which is made in its folder and stays there.

    It is held until ``close``, or until nothing refers to it any more. Raises TakenError where another process has it,
    FileNotFoundError where the folder is not there or was removed just now, OSError where the file cannot be made or locked.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._end = weakref.finalize(self, os.close, descriptor)
        try:
            _take(descriptor, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT), path)  # its last owner removed it just now
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except BaseException:
            self.close()
            raise

    @property
    def held(self) -> bool:
        """Whether it was not given up yet."""
        return self._end.alive

    def close(self) -> None:
        """Give it up. May be called more than once."""
        self._end()


def check_free(path: Path) -> None:
    """Raise TakenError where a process holds the lock on the file ``path``, which need not be there. Makes nothing.

    Raises OSError where the file cannot be used.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        _take(descriptor, fcntl.LOCK_SH)  # several may look at once, and see no owner in each other
    finally:
        os.close(descriptor)


def _take(descriptor: int, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, _DIGITS, 0).decode("ascii", "replace").strip()
        raise TakenError(owner or "(unknown)") from None
