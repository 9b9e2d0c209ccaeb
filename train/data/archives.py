"""List pictures inside zip files and tar shards, and fetch them one by one. No member is extracted to its own name.

Reads with the standard library: it reports sizes before contents, positions, and where a truncated shard ends.
"""

import gzip
import os
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO

from infgen.errors import InfgenError, LimitError
from infgen.limits import MAX_SHARD_MB, MIB
from infgen.picture_kinds import SNIFF_BYTES, SUFFIXES, sniff
from infgen.train.data.storage import File, RemoteFile
from infgen.urls import escape_unprintable, one_line_reason

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
ZIP_SUFFIXES = (".zip",)
_MAX_HEADER = MIB  # bytes of long names and extended headers; pictures never need more


@dataclass(frozen=True)
class SkippedFile:
    """A picture or shard that cannot be used, or only in part, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Picture:
    """One encoded picture: relative ``name``, ``label`` for messages, ``size`` in bytes, and a function that reads it.

    ``version`` changes when the content does; None if that cannot be known without reading it.
    """

    name: str
    label: str
    size: int
    fetch: Callable[[], bytes] = field(repr=False)
    version: str | None = None


@dataclass(frozen=True)
class Listing:
    """The pictures of a container in stored order, and the files that cannot be used."""

    pictures: list[Picture]
    skipped: list[SkippedFile]


def is_picture(name: str, read_head: Callable[[], bytes]) -> bool:
    """Whether the file ``name`` is a picture: by its suffix, or else by the first bytes that ``read_head`` returns."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES or sniff(read_head()) is not None


def read_head(file: File, start: int = 0) -> bytes:
    """Read the first bytes of a picture at ``start``. Those of remote files are not read: each would be one request."""
    try:
        return b"" if isinstance(file, RemoteFile) else file.read(start, SNIFF_BYTES)
    except OSError:  # reading the whole picture reports it
        return b""


def list_others(names: Iterable[str], title: str) -> list[SkippedFile]:
    """List the files that are no pictures, one entry for each extension. ``title``: prefix of the names in messages."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(PurePosixPath(name).suffix.lower(), []).append(name)
    found = []
    for extension, members in sorted(groups.items()):
        more = f"{len(members) - 1} more {escape_unprintable(extension) or 'without extension'}"
        reason = "it is no picture" if len(members) == 1 else f"it and {more} are no pictures"
        found.append(SkippedFile(f"{title}{escape_unprintable(members[0])}", reason))
    return found


def is_archive(name: str) -> bool:
    """Whether ``name`` has the suffix of a tar shard or a zip file."""
    return name.lower().endswith(TAR_SUFFIXES + ZIP_SUFFIXES)


def list_archive(file: File, title: str) -> Listing:
    """List the pictures of a tar shard or zip file. Messages call it ``title``.

    A damaged file raises no error and is listed as skipped. Raises LimitError for a compressed shard above
    INFGEN_MAX_SHARD_MB, and InfgenError if the file cannot be read.
    """
    try:
        if title.lower().endswith(ZIP_SUFFIXES):
            return _list_zip(file, title)
        return _list_tar(file, title)
    except InfgenError:
        raise
    except Exception as error:  # every file system has its own kinds
        raise InfgenError(
            f"{title} cannot be read ({one_line_reason(error)}); check the file and the connection"
        ) from None


def _list_zip(file: File, title: str) -> Listing:
    version, stream = _version_of(file), file.open()
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        stream.close()
        return Listing([], [SkippedFile(title, f"it is not a complete zip file ({one_line_reason(error)})")])
    weakref.finalize(archive, stream.close)
    pictures, others = [], []
    for member in archive.infolist():
        name = member.filename
        if not name or name.endswith("/") or name.startswith("__MACOSX/"):  # records of macOS next to the files
            continue
        if is_picture(name, partial(_read_zip_head, archive, member, isinstance(file, RemoteFile))):
            fetch = partial(_read_member, archive, member)
            label = _make_label(title, name)
            pictures.append(Picture(_relative_name(name), label, member.file_size, fetch, version))
        else:
            others.append(_relative_name(name))
    return Listing(pictures, list_others(others, f"{title}:"))


def _read_zip_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo, is_remote: bool) -> bytes:
    if is_remote:
        return b""
    try:
        with archive.open(member) as stream:
            return stream.read(SNIFF_BYTES)
    except Exception:  # zipfile raises many kinds for damaged and encrypted members
        return b""


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read a member, but no more than its header claims: a crafted one may unpack to gigabytes."""
    with archive.open(member) as stream:
        content = stream.read(member.file_size + 1)
    if len(content) > member.file_size:
        raise zipfile.BadZipFile("it is larger than its header says")
    return content


def _list_tar(file: File, title: str) -> Listing:
    listing, version = Listing([], []), _version_of(file)
    if file.read(0, 2) == b"\x1f\x8b":
        file, damage = _decompress(file, title)
        if damage:
            listing.skipped.append(SkippedFile(title, damage))
    length = file.size
    others: list[str] = []
    with file.open() as stream:
        members = _read_members(stream)
        while True:
            try:
                member = next(members, None)
            except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
                damage = f"it is damaged ({one_line_reason(error)}); only the pictures before the damage are used"
                listing.skipped.append(SkippedFile(title, damage))
                break
            if member is None:
                break
            if (
                not _add_member(listing, member, file=file, title=title, length=length, version=version)
                and not member.isdir()
            ):
                others.append(_relative_name(member.name))
    listing.skipped.extend(list_others(others, f"{title}:"))
    return listing


def _version_of(file: File) -> str | None:
    """Version of a container with its size, which its members share."""
    return None if file.version is None else f"{file.size}-{file.version}"


def _add_member(
    listing: Listing,
    member: tarfile.TarInfo,
    *,
    file: File,
    title: str,
    length: int,
    version: str | None,
) -> bool:
    """Add a member of a shard of ``length`` bytes to the listing if it is a picture. Returns whether it is one."""
    name, start = member.name, member.offset_data
    if name.startswith("__"):  # WebDataset stores its own records under such names
        return True
    if not is_picture(name, partial(read_head, file, start) if member.isreg() else bytes):
        return False
    if not member.isreg() or member.issparse():
        reason = "it is a link or a sparse file; store its content"
        listing.skipped.append(SkippedFile(_make_label(title, name), reason))
    elif start + member.size <= length:
        fetch = partial(file.read, start, member.size)
        listing.pictures.append(Picture(_relative_name(name), _make_label(title, name), member.size, fetch, version))
    return True


class _HeaderReader:
    """The stream interface that tarfile needs, with a limit on one read: headers may be crafted to exhaust memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self._stream = stream.seek, stream.tell, stream

    def read(self, length: int) -> bytes:
        if not 0 <= length <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {length} bytes")
        return self._stream.read(length)


def _read_members(stream: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Read every member of an uncompressed tar file. Raises TarError if the file is damaged or has no end mark.

    tarfile alone accepts a file that is truncated or damaged between two members.
    """
    with tarfile.open(fileobj=_HeaderReader(stream), mode="r:") as archive:  # type: ignore[call-overload]
        while (member := archive.next()) is not None:
            archive.members.clear()  # tarfile would keep every member in memory
            yield member
        stream.seek(archive.offset)
        mark = stream.read(tarfile.BLOCKSIZE)
        if len(mark) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the file is truncated")
        if mark.strip(b"\0"):
            raise tarfile.ReadError(f"no header at byte {archive.offset}")


class _DecompressedShard:
    """A decompressed shard in an unnamed temporary file, which is deleted with this object."""

    version = None  # that of the compressed file counts

    def __init__(self, name: str) -> None:
        self.name, self.size = name, 0
        self._stream = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed with this object
        weakref.finalize(self, self._stream.close)

    def append(self, chunk: bytes) -> None:
        self.size += len(chunk)
        while chunk:
            chunk = chunk[self._stream.write(chunk) :]

    def read(self, start: int = 0, length: int | None = None) -> bytes:
        """Read ``length`` bytes from ``start``."""
        return os.pread(self._stream.fileno(), self.size - start if length is None else length, start)

    def open(self) -> BinaryIO:
        """Open the content as a stream. Streams share one position, which ``read`` leaves alone."""
        self._stream.seek(0)
        return open(self._stream.fileno(), "rb", closefd=False)


def _decompress(file: File, title: str) -> tuple[_DecompressedShard, str | None]:
    """Decompress a gzip file, so that single members can be read. Also returns a description of its damage, or None."""
    limit = MAX_SHARD_MB.value() * MIB
    shard, damage = _DecompressedShard(file.name), None
    with file.open() as packed, gzip.GzipFile(fileobj=packed) as stream:
        while chunk := _read_chunk(stream):
            if isinstance(chunk, str):
                damage = chunk
                break
            if shard.size + len(chunk) > limit:
                raise LimitError(
                    f"{title} holds more than {limit // MIB} MiB when decompressed ({MAX_SHARD_MB.name}); raise the limit, "
                    "or store it as .tar: compression does not make pictures smaller"
                )
            try:
                shard.append(chunk)
            except OSError as error:
                raise InfgenError(
                    f"{title} cannot be decompressed into {tempfile.gettempdir()} ({error.strerror}); free some disk "
                    "space, set TMPDIR, or store it as .tar"
                ) from None
    return shard, damage


def _read_chunk(stream: gzip.GzipFile) -> bytes | str:
    """Read the next bytes (none at the end), or return a description of the damage."""
    try:
        return stream.read1(2**16)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"its compression is damaged ({one_line_reason(error)}); only the pictures before the damage are used"


def _relative_name(name: str) -> str:
    """Name a member as a folder would: archives of "." start every name with "./"."""
    return name.removeprefix("./").lstrip("/")


def _make_label(title: str, name: str) -> str:
    return f"{title}:{escape_unprintable(_relative_name(name))}"
