"""Memory that this process may use, and how it keeps what it frees.

Control groups (containers, services) may allow less than the machine has.
"""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

_ROOT = Path("/")
# (mount of the hierarchy, file of the limit, file of the use, name of reclaimable cache) of cgroup version 2 and 1.
_V2 = ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
_V1 = ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's mallopt(3)
_NEVER_BYTES, _TOP_PAD_BYTES = 2**31 - 1, 2**26


def total_memory(root: Path = _ROOT) -> int:
    """Return the bytes of memory installed, or the limit of the control groups of this process.

    >>> total_memory() > 0
    True
    """
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _limits(root))])


def available_memory(root: Path = _ROOT) -> int:
    """Return the bytes of memory that are free, on the machine and in the control groups of this process.

    >>> available_memory() <= total_memory()
    True
    """
    return min([psutil.virtual_memory().available, *(max(0, limit - used) for limit, used in _limits(root))])


def keep_freed_memory() -> bool:
    """Make this process keep the memory that it frees. Returns whether the C library can: only glibc can.

    By default glibc returns large blocks to the system. Every training step and every tile then waits for the same pages
    to be cleared again: a third of the time of a tile.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER_BYTES), (_TOP_PAD, _TOP_PAD_BYTES))
    return all(library.mallopt(name, value) for name, value in settings)


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yield (limit, bytes used without reclaimable cache) of the groups of this process and their parents."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        mount, limit_file, use_file, cache = _V1 if controllers else _V2
        place = PurePosixPath(path)
        for group in {place, *place.parents, PurePosixPath("/")}:
            folder = root / mount / str(group).lstrip("/")
            limit, used = _number(folder / limit_file), _number(folder / use_file)
            if limit is not None and used is not None:
                yield limit, used - _statistic(folder / "memory.stat", cache)


def _number(path: Path) -> int | None:
    """Return the number in a file; None without one, also for "max"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _statistic(path: Path, name: str) -> int:
    try:
        pairs = (line.split() for line in path.read_text().splitlines())
        return next((int(value) for key, value in pairs if key == name), 0)
    except (OSError, ValueError):
        return 0
