"""Local and remote files behind one interface."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, cast

from infgen.errors import InfgenError, InputError
from infgen.inputs import walk_files
from infgen.urls import display_name, escape_unprintable, is_url, one_line_reason, open_file_system

_VERSION_ENTRIES = ("ETag", "etag", "LastModified", "mtime", "created")  # of servers' file information, best first


class File(Protocol):
    """A file that several threads can read at any position."""

    @property
    def name(self) -> str:
        """File name without folders, for messages."""

    @property
    def size(self) -> int:
        """Size in bytes."""

    @property
    def version(self) -> str | None:
        """A text that changes when the content does; None if the server gives no such information."""

    def read(self, start: int = 0, length: int | None = None) -> bytes:
        """Read ``length`` bytes from ``start``, by default to the end; fewer if the file ends earlier."""

    def open(self) -> BinaryIO:
        """Open a seekable stream of the content. The caller closes it."""


@dataclass(frozen=True)
class Folder:
    """All files below a folder: relative name with forward slashes -> file, sorted by name. Messages use ``title``.

    ``unusable``: names that cannot be read, such as dangling links, with the reasons.
    """

    title: str
    files: Mapping[str, File]
    unusable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalFile:
    """A file on a local disk."""

    path: Path

    @property
    def name(self) -> str:
        """File name without folders."""
        return escape_unprintable(self.path.name)

    @property
    def size(self) -> int:
        """Size in bytes. Raises OSError."""
        return self.path.stat().st_size

    @property
    def version(self) -> str:
        """Time of the last change in ns. Raises OSError."""
        return str(self.path.stat().st_mtime_ns)

    def read(self, start: int = 0, length: int | None = None) -> bytes:
        """Read ``length`` bytes from ``start``. Raises OSError."""
        with self.path.open("rb") as stream:
            stream.seek(start)
            return stream.read(-1 if length is None else length)

    def open(self) -> BinaryIO:
        """Open a seekable stream. Raises OSError."""
        return self.path.open("rb")


@dataclass(frozen=True)
class RemoteFile:
    """A file of an fsspec file system. A lost connection raises InfgenError, so that no picture is skipped for it."""

    filesystem: Any
    path: str
    size: int
    version: str | None = None

    @property
    def name(self) -> str:
        """File name without folders."""
        return escape_unprintable(self.path.rstrip("/").rsplit("/", 1)[-1])

    def read(self, start: int = 0, length: int | None = None) -> bytes:
        """Read ``length`` bytes from ``start``. Raises FileNotFoundError, PermissionError, InfgenError."""
        if length == 0:
            return b""
        end = None if length is None else start + length
        try:
            return bytes(self.filesystem.cat_file(self.path, start=start, end=end))
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:
            raise _connection_error("fetched", self.name, error) from None

    def open(self) -> BinaryIO:
        """Open a seekable stream. Raises InfgenError."""
        try:
            stream = _RemoteStream(self.filesystem.open(self.path, "rb"), self.name)
        except Exception as error:
            raise _connection_error("opened", self.name, error) from None
        return cast(BinaryIO, stream)


class _RemoteStream:
    """A stream that raises InfgenError for every failure, so that a lost connection never looks like a damaged file."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self._name = stream, name
        self.seek, self.tell, self.seekable, self.close = stream.seek, stream.tell, stream.seekable, stream.close

    def read(self, length: int = -1) -> bytes:
        try:
            return bytes(self._stream.read(length))
        except Exception as error:
            raise _connection_error("fetched", self._name, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _connection_error(action: str, name: str, error: Exception) -> InfgenError:
    return InfgenError(
        f"{name} could not be {action} ({one_line_reason(error)}); check the connection and run the command again"
    )


def locate(data: str | Path) -> File | Folder | None:
    """Find the file at ``data`` (local path or URL), or the folder with all files below it; None if neither exists.

    Raises MissingExtraError if the protocol needs a package that is not installed, InputError if the protocol is
    unknown, and InfgenError if the server does not answer.
    """
    return _locate_remote(str(data)) if is_url(data) else _locate_local(Path(data))


def _locate_local(path: Path) -> File | Folder | None:
    if path.is_file():
        return LocalFile(path)
    if not path.is_dir():
        return None
    files: dict[str, File] = {}
    unusable: dict[str, str] = {}
    seen: dict[tuple[int, int], str] = {}
    # Links last, so that a photograph and a link to it count once, by the photograph's own name.
    for found in sorted(walk_files(path, unusable=unusable), key=lambda p: (p.is_symlink(), p.as_posix())):
        name = found.relative_to(path).as_posix()
        try:
            status = found.stat()
        except OSError as error:
            unusable[name] = f"it is a link that leads nowhere ({error.strerror})"
            continue
        if not stat.S_ISREG(status.st_mode):
            unusable[name] = "it is a pipe, socket or device"
        elif found.is_symlink() and (identity := (status.st_dev, status.st_ino)) in seen:
            unusable[name] = f"it is a link to {seen[identity]}, which is used already"
        else:
            seen.setdefault((status.st_dev, status.st_ino), escape_unprintable(name))
            files[name] = LocalFile(found)
    return Folder(str(path), dict(sorted(files.items())), dict(sorted(unusable.items())))


def _locate_remote(url: str) -> File | Folder | None:
    filesystem, root = open_file_system(url, extra="train", what="data")
    try:
        if filesystem.isdir(root):
            found = {
                path[len(root) :].lstrip("/") if path.startswith(root) else path: _remote_file(filesystem, path, info)
                for path, info in filesystem.find(root, detail=True).items()
            }
            return Folder(display_name(url).rstrip("/"), dict(sorted(found.items())))
        return _remote_file(filesystem, root, filesystem.info(root))
    except FileNotFoundError:
        return None
    except InfgenError:
        raise
    except Exception as error:
        raise InfgenError(
            f"data {display_name(url)} cannot be reached ({one_line_reason(error)}); check the URL, the access rights "
            "and the connection"
        ) from None


def _remote_file(filesystem: Any, path: str, info: Mapping[str, Any]) -> RemoteFile:
    if not isinstance(info.get("size"), int):
        raise InputError(
            f"the server does not report the size of {display_name(path)}; download it and give its local path"
        )
    version = next((str(info[name]) for name in _VERSION_ENTRIES if info.get(name)), None)
    return RemoteFile(filesystem, path, info["size"], version)
