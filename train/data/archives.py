"""Pictures inside zip files and tar shards: listed once, then fetched one by one. Nothing is ever unpacked by name.

The standard library reads: it gives sizes before contents, positions, and the place where a cut shard ends.
"""

import gzip
import tarfile
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO

from infgen.errors import InfgenError, LimitError
from infgen.limits import MAX_SHARD_MB, MIB
from infgen.photo import SUFFIXES
from infgen.train.data.storage import File, printable, reason

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
ZIP_SUFFIXES = (".zip",)
_LARGEST_HEADER = MIB  # long names and extended headers; more is no picture's


@dataclass(frozen=True)
class Skipped:
    """A picture or shard that cannot be trained on, or not wholly, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Picture:
    """One encoded picture: its relative ``name``, a ``label`` for people, its ``size`` in bytes, and how to get them."""

    name: str
    label: str
    size: int
    fetch: Callable[[], bytes] = field(repr=False)


@dataclass(frozen=True)
class Listing:
    """Pictures in the order of a container, and what of it cannot be used."""

    pictures: list[Picture]
    skipped: list[Skipped]


def is_picture(name: str) -> bool:
    """Whether the last part of ``name`` ends like that of a photograph."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def is_archive(name: str) -> bool:
    """Whether ``name`` ends like that of a tar shard or a zip file."""
    return name.lower().endswith(TAR_SUFFIXES + ZIP_SUFFIXES)


def list_archive(file: File, title: str) -> Listing:
    """The pictures in a tar shard or a zip file that messages call ``title``. A damaged file is reported, not raised.

    Raises LimitError for a compressed shard that is too large, InfgenError where the file cannot be fetched.
    """
    try:
        if title.lower().endswith(ZIP_SUFFIXES):
            return _list_zip(file, title)
        return _list_tar(file, title)
    except InfgenError:
        raise
    except Exception as error:  # of the file system, whichever it is
        raise InfgenError(f"{title} cannot be read ({reason(error)}); check the file and the connection") from None


def _list_zip(file: File, title: str) -> Listing:
    stream = file.open()
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        stream.close()
        return Listing([], [Skipped(title, f"it is not a whole zip file ({reason(error)})")])
    weakref.finalize(archive, stream.close)
    found = (i for i in archive.infolist() if is_picture(i.filename) and not i.filename.startswith("__MACOSX/"))
    return Listing(
        [
            Picture(_relative(i.filename), _label(title, i.filename), i.file_size, partial(archive.read, i))
            for i in found
            if not i.is_dir()
        ],
        [],
    )


def _list_tar(file: File, title: str) -> Listing:
    listing = Listing([], [])
    if file.read(0, 2) == b"\x1f\x8b":
        file, damage = _unpack(file, title)
        if damage:
            listing.skipped.append(Skipped(title, damage))
    length = file.size
    with file.open() as stream:
        members = _members(stream)
        while True:
            try:
                member = next(members, None)
            except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
                listing.skipped.append(Skipped(title, f"it is damaged ({reason(error)}); what is whole before is used"))
                break
            if member is None:
                break
            _take(listing, member, file=file, title=title, length=length)
    return listing


def _take(listing: Listing, member: tarfile.TarInfo, *, file: File, title: str, length: int) -> None:
    """Note one member of a shard of ``length`` bytes: a picture, something unusable, or nothing of interest."""
    name, start = member.name, member.offset_data
    if not is_picture(name) or name.startswith("__"):  # WebDataset keeps its own records under such names
        return
    if not member.isreg() or member.issparse():
        listing.skipped.append(Skipped(_label(title, name), "it is a link or a sparse file; store its content"))
    elif start + member.size <= length:
        fetch = partial(file.read, start, member.size)
        listing.pictures.append(Picture(_relative(name), _label(title, name), member.size, fetch))


class _Headers:
    """The part of a stream that tarfile needs, refusing to read anything as large as a bomb."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self._stream = stream.seek, stream.tell, stream

    def read(self, length: int) -> bytes:
        if not 0 <= length <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {length} bytes")
        return self._stream.read(length)


def _members(stream: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Every member of an uncompressed tar file. Raises TarError where the file ends before its end mark or is damaged.

    tarfile by itself takes a file that was cut between two members, or spoilt there, for a whole one.
    """
    with tarfile.open(fileobj=_Headers(stream), mode="r:") as archive:  # type: ignore[call-overload]
        while (member := archive.next()) is not None:
            archive.members.clear()  # or it would keep them all
            yield member
        stream.seek(archive.offset)
        mark = stream.read(tarfile.BLOCKSIZE)
        if len(mark) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the file was cut off")
        if mark.strip(b"\0"):
            raise tarfile.ReadError(f"no header at byte {archive.offset}")


class _Unpacked:
    """A decompressed shard in a nameless temporary file, which goes with this object."""

    def __init__(self, name: str) -> None:
        self.name, self.size = name, 0
        self._stream = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed with this object
        self._lock = threading.Lock()
        weakref.finalize(self, self._stream.close)

    def append(self, chunk: bytes) -> None:
        """Add to the end."""
        self.size += len(chunk)
        while chunk:
            chunk = chunk[self._stream.write(chunk) :]

    def read(self, start: int = 0, length: int | None = None) -> bytes:
        """``length`` bytes from ``start``."""
        with self._lock:
            self._stream.seek(start)
            return self._stream.read(-1 if length is None else length)

    def open(self) -> BinaryIO:
        """The same bytes as a stream. One at a time, and not while ``read`` is used: they share a position."""
        self._stream.seek(0)
        return open(self._stream.fileno(), "rb", closefd=False)


def _unpack(file: File, title: str) -> tuple[_Unpacked, str | None]:
    """A gzip file decompressed, so that single members can be fetched, and what is wrong with it (None: nothing)."""
    limit = MAX_SHARD_MB.value() * MIB
    unpacked, damage = _Unpacked(file.name), None
    with file.open() as packed, gzip.GzipFile(fileobj=packed) as stream:
        while chunk := _next_chunk(stream):
            if isinstance(chunk, str):
                damage = chunk
                break
            if unpacked.size + len(chunk) > limit:
                raise LimitError(
                    f"{title} holds more than {limit // MIB} MiB when decompressed ({MAX_SHARD_MB.name}); raise the limit, "
                    "or store it as .tar: pictures do not get smaller by compression"
                )
            try:
                unpacked.append(chunk)
            except OSError as error:
                raise InfgenError(
                    f"{title} cannot be decompressed into {tempfile.gettempdir()} ({error.strerror}); free some disk "
                    "space, set TMPDIR, or store it as .tar"
                ) from None
    return unpacked, damage


def _next_chunk(stream: gzip.GzipFile) -> bytes | str:
    """The next bytes, empty at the end, or what is wrong with the rest."""
    try:
        return stream.read1(2**16)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"its compression is damaged ({reason(error)}); what is whole before is used"


def _relative(name: str) -> str:
    """The name as a folder would give it: archives of "." begin every name with "./"."""
    return name.removeprefix("./").lstrip("/")


def _label(title: str, name: str) -> str:
    return f"{title}:{printable(_relative(name))}"
