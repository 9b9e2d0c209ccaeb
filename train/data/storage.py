"""Where bytes lie: files of this machine, and of any address that fsspec knows (the only module that imports it)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, cast

from infgen.errors import InfgenError, InputError, MissingExtraError


class File(Protocol):
    """One file that can be read at any position, from several threads."""

    @property
    def name(self) -> str:
        """Its name without folders, for people."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def read(self, start: int = 0, length: int | None = None) -> bytes:
        """``length`` bytes from ``start``, by default to the end; fewer where the file ends before."""

    def open(self) -> BinaryIO:
        """A seekable stream of the whole file; to be closed."""


@dataclass(frozen=True)
class Folder:
    """All files below a folder: relative name with forward slashes -> file, sorted by name. ``title`` is for people."""

    title: str
    files: Mapping[str, File]


@dataclass(frozen=True)
class LocalFile:
    """A file of this machine."""

    path: Path

    @property
    def name(self) -> str:
        """Its name without folders."""
        return printable(self.path.name)

    @property
    def size(self) -> int:
        """Its length in bytes. Raises OSError."""
        return self.path.stat().st_size

    def read(self, start: int = 0, length: int | None = None) -> bytes:
        """``length`` bytes from ``start``. Raises OSError."""
        with self.path.open("rb") as stream:
            stream.seek(start)
            return stream.read(-1 if length is None else length)

    def open(self) -> BinaryIO:
        """A seekable stream. Raises OSError."""
        return self.path.open("rb")


@dataclass(frozen=True)
class RemoteFile:
    """A file of an fsspec file system. A lost connection is an InfgenError: such a file is not merely skipped."""

    filesystem: Any
    path: str
    size: int

    @property
    def name(self) -> str:
        """Its name without folders."""
        return printable(self.path.rstrip("/").rsplit("/", 1)[-1])

    def read(self, start: int = 0, length: int | None = None) -> bytes:
        """``length`` bytes from ``start``. Raises FileNotFoundError, PermissionError, InfgenError."""
        if length == 0:
            return b""
        end = None if length is None else start + length
        try:
            return bytes(self.filesystem.cat_file(self.path, start=start, end=end))
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:
            raise InfgenError(f"{self.name} could not be fetched ({reason(error)}); run again when it can") from None

    def open(self) -> BinaryIO:
        """A seekable stream. Raises InfgenError."""
        try:
            stream = _RemoteStream(self.filesystem.open(self.path, "rb"), self.name)
        except Exception as error:
            raise InfgenError(f"{self.name} could not be opened ({reason(error)}); run again when it can") from None
        return cast(BinaryIO, stream)


class _RemoteStream:
    """A stream whose failures are InfgenErrors, so that nobody takes a lost connection for a damaged file."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self._name = stream, name
        self.seek, self.tell, self.seekable, self.close = stream.seek, stream.tell, stream.seekable, stream.close

    def read(self, length: int = -1) -> bytes:
        try:
            return bytes(self._stream.read(length))
        except Exception as error:
            raise InfgenError(f"{self._name} could not be fetched ({reason(error)}); run again when it can") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def is_url(data: str | Path) -> bool:
    """Whether ``data`` is an address for fsspec (``s3://bucket/photos``) rather than a path of this machine."""
    return isinstance(data, str) and ("://" in data or "::" in data)


def locate(data: str | Path) -> File | Folder | None:
    """What is at ``data``, a path or an address: a file, a folder with all files below it, or nothing (None).

    Raises MissingExtraError where the protocol needs a package, InputError where it is unknown, InfgenError where
    nothing answers.
    """
    return _locate_remote(str(data)) if is_url(data) else _locate_local(Path(data))


def _locate_local(path: Path) -> File | Folder | None:
    if path.is_file():
        return LocalFile(path)
    if not path.is_dir():
        return None
    found = {p.relative_to(path).as_posix(): LocalFile(p) for p in path.rglob("*") if p.is_file()}
    return Folder(str(path), dict(sorted(found.items())))


def _locate_remote(url: str) -> File | Folder | None:
    filesystem, root = _filesystem(url)
    try:
        if filesystem.isdir(root):
            found = {
                path[len(root) :].lstrip("/") if path.startswith(root) else path: _remote_file(filesystem, path, info)
                for path, info in filesystem.find(root, detail=True).items()
            }
            return Folder(shown(url).rstrip("/"), dict(sorted(found.items())))
        return _remote_file(filesystem, root, filesystem.info(root))
    except FileNotFoundError:
        return None
    except InfgenError:
        raise
    except Exception as error:
        raise InfgenError(
            f"data {shown(url)} cannot be reached ({reason(error)}); check address, access rights and connection"
        ) from None


def _remote_file(filesystem: Any, path: str, info: Mapping[str, Any]) -> RemoteFile:
    if not isinstance(info.get("size"), int):
        raise InputError(f"the server does not say how long {shown(path)} is; download it and give its local path")
    return RemoteFile(filesystem, path, info["size"])


def _filesystem(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtraError(
            f"data {shown(url)} needs fsspec, which is not installed; run: pip install 'infgen[train]'"
        ) from None
    try:
        filesystem, path = url_to_fs(url)
    except ImportError as error:  # a protocol that fsspec knows, without the package that speaks it
        raise MissingExtraError(
            f"data {shown(url)} needs one more package beside the extra 'train': {reason(error)}"
        ) from None
    except Exception as error:
        raise InputError(
            f"data {shown(url)} cannot be used ({reason(error)}); give a path, or an address such as s3://bucket/folder"
        ) from None
    return filesystem, path


def printable(text: str) -> str:
    """``text`` without characters that would break a line or steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(data: str | Path) -> str:
    """``data`` as it may stand in a message: without passwords and signatures of an address."""
    text = printable(str(data))
    return re.sub(r"//[^/@]*@", "//***@", text).split("?", 1)[0] if is_url(data) else text


def reason(error: BaseException) -> str:
    """What ``error`` says, in one line and without secrets of addresses."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"//[^/@\s]*@", "//***@", re.sub(r"\?\S+", "", printable(text)))
