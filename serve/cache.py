"""Encoded tiles that were drawn before: in memory, then in a folder, each up to a number of bytes, the last used ones."""

import hashlib
import logging
import os
import secrets
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_DIGEST_BYTES = 16
_KEEP = 0.9  # of the folder's limit that is left when it was exceeded: so that not every tile costs a deletion
_TEMPORARY = ".new"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


class MemoryCache:
    """The last used entries, up to ``limit`` bytes. Any thread may call it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self.size = 0

    def get(self, key: str) -> bytes | None:
        """What is kept under ``key``."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: str, data: bytes) -> None:
        """Keep ``data``; the longest unused entries make room."""
        with self._lock:
            self.size += len(data) - len(self._entries.pop(key, b""))
            self._entries[key] = data
            while self.size > self._limit:
                _, oldest = self._entries.popitem(last=False)
                self.size -= len(oldest)


class DiskCache:
    """Files in ``folder``, up to ``limit`` bytes. Any thread may call it.

    A file appears whole or not at all and begins with a checksum of the rest: a torn or damaged one is missing. Where the
    folder takes no files, nothing is kept.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._lock = threading.Lock()
        self._sizes = _listed(folder)
        self.size = sum(self._sizes.values())
        self._failed = False

    def get(self, key: str) -> bytes | None:
        """What is kept under ``key``."""
        name = _name(key)
        with self._lock:
            if name not in self._sizes:
                return None
            self._sizes.move_to_end(name)
        path = self._folder / name
        try:
            content = path.read_bytes()
            os.utime(path)  # so that the order of use outlives this process
        except OSError:
            content = b""
        data = content[_DIGEST_BYTES:]
        if content[:_DIGEST_BYTES] != _digest(data):
            self._forget(name)
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep ``data``."""
        name = _name(key)
        path = self._folder / name
        temporary = path.with_name(f"{secrets.token_hex(8)}{_TEMPORARY}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(_digest(data) + data)
            os.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            if not self._failed:
                logger.warning("tiles are not kept in %s: %s", self._folder, error.strerror)
            self._failed = True
            return
        with self._lock:
            self.size += _DIGEST_BYTES + len(data) - self._sizes.pop(name, 0)
            self._sizes[name] = _DIGEST_BYTES + len(data)
            full = self.size > self._limit
        if full:
            self._make_room()

    def _make_room(self) -> None:
        while True:
            with self._lock:
                if self.size <= _KEEP * self._limit or not self._sizes:
                    return
                oldest = next(iter(self._sizes))
            self._forget(oldest)

    def _forget(self, name: str) -> None:
        with self._lock:
            self.size -= self._sizes.pop(name, 0)
        with suppress(OSError):
            (self._folder / name).unlink()


def _name(key: str) -> str:
    """Folder and file for ``key``, two levels deep: 256 folders."""
    name = hashlib.blake2b(key.encode(), digest_size=20).hexdigest()
    return f"{name[:2]}/{name[2:]}"


def _listed(folder: Path) -> OrderedDict[str, int]:
    """Names and sizes of the files that are there, the longest unused first. Half-written ones are removed."""
    found: list[tuple[int, str, int]] = []
    for path in folder.glob("??/*"):
        with suppress(OSError):
            if path.name.endswith(_TEMPORARY):
                path.unlink()
                continue
            status = path.stat()
            found.append((status.st_mtime_ns, f"{path.parent.name}/{path.name}", status.st_size))
    return OrderedDict((name, size) for _, name, size in sorted(found))
