"""Cache encoded tiles in memory and on disk. Both are LRU caches with a limit in bytes."""

import hashlib
import logging
import os
import secrets
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from cachetools import LRUCache

logger = logging.getLogger(__name__)

_DIGEST_BYTES = 16
_KEEP = 0.9  # share of the limit left after eviction, so that not every new tile triggers a deletion
_TEMPORARY = ".new"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


class MemoryCache:
    """LRU cache of up to ``limit`` bytes. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._entries: LRUCache[str, bytes] = LRUCache(limit, getsizeof=len)

    @property
    def size(self) -> int:
        """Size of the stored data in bytes."""
        return int(self._entries.currsize)

    def get(self, key: str) -> bytes | None:
        """Return the data stored under ``key``, or None."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` and evict the least recently used entries over the limit."""
        with self._lock, suppress(ValueError):  # larger than the whole cache
            self._entries[key] = data


class DiskCache:
    """LRU cache of files in ``folder``, up to ``limit`` bytes. Thread-safe.

    Files are written atomically and begin with a checksum of the rest. A damaged file counts as missing.
    If the folder is not writable, the cache stores nothing.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._lock = threading.Lock()
        with suppress(OSError):  # ``put`` reports it
            folder.mkdir(exist_ok=True)
        self._sizes = _list_files(folder)
        self.size = sum(self._sizes.values())
        self._failed = False

    def get(self, key: str) -> bytes | None:
        """Return the data stored under ``key``, or None."""
        name = _name(key)
        with self._lock:
            if name not in self._sizes:
                return None
            self._sizes.move_to_end(name)
        path = self._folder / name
        try:
            content = path.read_bytes()
            os.utime(path)  # keeps the order of use across restarts
        except OSError:
            content = b""
        data = content[_DIGEST_BYTES:]
        if content[:_DIGEST_BYTES] != _digest(data):
            self._forget(name)
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` and evict the least recently used files over the limit."""
        name = _name(key)
        path = self._folder / name
        temporary = path.with_name(f"{secrets.token_hex(8)}{_TEMPORARY}")
        try:
            path.parent.mkdir(exist_ok=True)  # without parents: a removed data folder stays removed
            temporary.write_bytes(_digest(data) + data)
            os.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            if not self._failed:
                logger.warning("cannot cache tiles in %s: %s", self._folder, error.strerror)
            self._failed = True
            return
        with self._lock:
            self.size += _DIGEST_BYTES + len(data) - self._sizes.pop(name, 0)
            self._sizes[name] = _DIGEST_BYTES + len(data)
            full = self.size > self._limit
        if full:
            self._reduce_to(int(_KEEP * self._limit))

    def shrink(self, size: int) -> int:
        """Remove the least recently used files until ``size`` bytes are free. Returns the bytes."""
        before = self.size
        self._reduce_to(before - size)
        return before - self.size

    def _reduce_to(self, size: int) -> None:
        while True:
            with self._lock:
                if self.size <= size or not self._sizes:
                    return
                oldest = next(iter(self._sizes))
            self._forget(oldest)

    def _forget(self, name: str) -> None:
        with self._lock:
            self.size -= self._sizes.pop(name, 0)
        with suppress(OSError):
            (self._folder / name).unlink()


def _name(key: str) -> str:
    """Relative path of the file for ``key``, spread over 256 subfolders."""
    name = hashlib.blake2b(key.encode(), digest_size=20).hexdigest()
    return f"{name[:2]}/{name[2:]}"


def _list_files(folder: Path) -> OrderedDict[str, int]:
    """List names and sizes in bytes of the cached files, least recently used first. Removes incomplete files."""
    found: list[tuple[int, str, int]] = []
    for path in folder.glob("??/*"):
        with suppress(OSError):
            if path.name.endswith(_TEMPORARY):
                path.unlink()
                continue
            status = path.stat()
            found.append((status.st_mtime_ns, f"{path.parent.name}/{path.name}", status.st_size))
    return OrderedDict((name, size) for _, name, size in sorted(found))
