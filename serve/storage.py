"""The data folder: one limit for everything in it, and one error for a folder that is full or missing."""

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infgen.errors import InfgenError, InputError
from infgen.limits import MAX_DATA_MB, MIB
from infgen.serve.errors import StorageError
from infgen.serve.logs import Throttle

logger = logging.getLogger(__name__)

LEAST_FREE = 16 * MIB  # bytes of the disk below which the server reports that it is not ready
_FAILED = (
    "the server cannot store this: its data folder is full or not writable; its operator finds the reason in the log"
)

Size = Callable[[], int]
Shrink = Callable[[int], int]  # frees at least so many bytes if it can; returns the bytes it has freed


class Storage:
    """The data folder ``folder``, which exists. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._identity = _identity(folder)
        self._parts: list[tuple[Size, Shrink | None]] = []
        self._lock = threading.RLock()
        self._throttle = Throttle(logger)

    def add(self, size: Size, shrink: Shrink | None = None) -> None:
        """Count ``size()`` bytes. ``shrink`` makes room if they are too many; parts added first shrink first."""
        self._parts.append((size, shrink))

    @property
    def used_bytes(self) -> int:
        """Size of all parts in bytes."""
        return sum(size() for size, _ in self._parts)

    @property
    def limit(self) -> int:
        """Most bytes: INFGEN_MAX_DATA_MB."""
        return MAX_DATA_MB.value() * MIB

    def require(self, size: int) -> None:
        """Make room for ``size`` bytes more: tiles go first, then the oldest history. Raises StorageError without room."""
        with self._lock:
            for _, shrink in self._parts:
                missing = self.used_bytes + size - self.limit
                if missing <= 0:
                    return
                if shrink is not None and (freed := shrink(missing)):
                    logger.info("removed %d bytes of the data folder to make room", freed)
            if self.used_bytes + size > self.limit:
                raise StorageError(
                    f"{size} bytes do not fit: the server stores {self.used_bytes >> 20} of {self.limit >> 20} MiB; "
                    f"delete worlds or jobs, or raise {MAX_DATA_MB.name}"
                )

    def usable(self) -> bool:
        """Return whether the folder is the one of the start, accepts files, and has some space left."""
        try:
            same = _identity(self.folder) == self._identity
            return (
                same and os.access(self.folder, os.W_OK | os.X_OK) and shutil.disk_usage(self.folder).free >= LEAST_FREE
            )
        except OSError:
            return False

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Convert failures of the disk inside the context to StorageError, without paths, and log one line a minute."""
        try:
            yield
        except (OSError, InfgenError) as error:
            if isinstance(error, InfgenError) and type(error) not in (InfgenError, InputError):
                raise  # about the request
            self._throttle.warning("cannot write to the data folder: %s", error)
            raise StorageError(_FAILED) from None

    def redact(self, text: str) -> str:
        """Remove the path of the folder from a message to a client."""
        return text.replace(str(self.folder), "the data folder")


def tree_bytes(folder: Path) -> int:
    """Return the size in bytes of all files below ``folder``; 0 if it is missing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue  # removed meanwhile
    return total


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
