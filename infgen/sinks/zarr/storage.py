"""Storage of named bytes in a folder or below a URL (s3://, gs://, memory:// ...), as chunks need it.

fsspec is imported only for a URL.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from infgen.errors import InfgenError
from infgen.urls import display_name, is_url, one_line_reason, open_file_system

PARTIAL = ".partial"  # end of the names of incomplete files


class Storage(Protocol):
    """Bytes by key. Keys are relative paths with slashes. Every method raises InfgenError if the storage fails."""

    @property
    def location(self) -> str:
        """The folder or URL, for messages."""

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Read the bytes of ``key``, or None if it does not exist. Reads at most ``limit`` + 1 bytes."""

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` under ``key``, completely or not at all."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below the folder ``prefix``, in no order."""

    def any(self) -> bool:
        """Whether there is any key, except hidden files."""

    def remove(self, key: str) -> None:
        """Remove ``key`` and everything below it, if it exists."""


def open_storage(location: str) -> Storage:
    """Open the storage in the folder, or below the URL, ``location``.

    Raises MissingExtraError if the protocol needs a library, InputError for an unknown protocol.
    """
    return _RemoteStorage(location) if is_url(location) else _LocalStorage(Path(location))


class _LocalStorage:
    """Files in a folder. The bytes of a file are flushed before it takes its name."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def location(self) -> str:
        return str(self._root)

    def get(self, key: str, *, limit: int) -> bytes | None:
        try:
            with open(self._root / key, "rb") as file:
                return file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InfgenError(f"{self._root / key} cannot be read: {error.strerror}; check its permissions") from None

    def put(self, key: str, data: bytes) -> None:
        target = self._root / key
        temporary = target.parent / f".{secrets.token_hex(8)}{PARTIAL}"
        try:
            if not target.parent.is_dir() and self._root.is_dir():  # a store that was removed stays removed
                target.parent.mkdir(parents=True, exist_ok=True)
            _write_durably(temporary, data)
            os.replace(temporary, target)
        except OSError as error:
            raise InfgenError(
                f"{target} was not written: {error.strerror}; free some disk space or choose another folder"
            ) from error
        finally:
            with suppress(OSError):
                os.unlink(temporary)

    def keys(self, prefix: str) -> Iterator[str]:
        for folder, _, names in os.walk(self._root / prefix):
            inside = Path(folder).relative_to(self._root)
            yield from ((inside / name).as_posix() for name in names)

    def any(self) -> bool:
        return self._root.is_dir() and any(not path.name.startswith(".") for path in self._root.iterdir())

    def remove(self, key: str) -> None:
        path = self._root / key
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise InfgenError(f"{path} cannot be removed: {error.strerror}; check its permissions") from error


def _write_durably(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags, 0o666)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


class _RemoteStorage:
    """Objects below a URL. Object stores show only complete objects."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._files, root = open_file_system(self._url, extra="zarr", what="picture")
        self._root = root.rstrip("/")

    @property
    def location(self) -> str:
        return self._url

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def get(self, key: str, *, limit: int) -> bytes | None:
        try:
            return bytes(self._files.cat_file(self._path(key), start=0, end=limit + 1))
        except (FileNotFoundError, IsADirectoryError):
            return None
        except Exception as error:  # the library of each protocol has its own errors
            if "not satisfiable" in str(error):  # a range of an empty object
                return b""
            raise self._error(f"{key} cannot be read", error) from error

    def put(self, key: str, data: bytes) -> None:
        try:
            self._files.pipe_file(self._path(key), data)
        except Exception as error:
            raise self._error(f"{key} was not written", error) from error

    def keys(self, prefix: str) -> Iterator[str]:
        for path in self._list(prefix):
            yield path.lstrip("/").removeprefix(self._root.lstrip("/")).lstrip("/")

    def any(self) -> bool:
        try:
            self._files.invalidate_cache()
            return bool(self._files.exists(self._root)) and bool(self._files.ls(self._root, detail=False))
        except FileNotFoundError:
            return False
        except Exception as error:
            raise self._error("its content cannot be listed", error) from error

    def remove(self, key: str) -> None:
        try:
            self._files.invalidate_cache()
            if self._files.exists(self._path(key)):
                self._files.rm(self._path(key), recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._error(f"{key} cannot be removed", error) from error

    def _list(self, prefix: str) -> list[str]:
        try:
            self._files.invalidate_cache()
            return list(self._files.find(self._path(prefix)))
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._error(f"{prefix} cannot be listed", error) from error

    def _error(self, what: str, error: Exception) -> InfgenError:
        reason = one_line_reason(error) if str(error) else os.strerror(getattr(error, "errno", None) or errno.EIO)
        return InfgenError(
            f"{display_name(self._url)}: {what} ({reason}); check the address, your credentials and the network"
        )
