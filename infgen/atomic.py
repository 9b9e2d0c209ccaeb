"""Write files atomically: a temporary file in the target's folder, fsync, rename."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from infgen.errors import InfgenError, InputError

TEMPORARY_PREFIX = (
    ".infgen-"  # short and independent of the target, whose name may be as long as the file system allows
)
_STORAGE_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def check_output(path: str | Path, *, extensions: Sequence[str] = ()) -> Path:
    """Follow symbolic links of ``path``, and check that the file can be created or replaced. Returns the real path.

    ``extensions``: allowed extensions of ``path``, if any. Raises InputError if ``path`` has another extension, is a
    folder or a special file, or if its folder is missing or not writable.
    """
    if extensions and Path(path).suffix.lower() not in extensions:
        raise InputError(
            f"output {path} has the extension {Path(path).suffix or '(none)'!r}; give {' or '.join(extensions)}"
        )
    target = Path(os.path.realpath(path))
    try:
        kind = target.stat().st_mode
    except OSError:
        kind = stat.S_IFREG
    if stat.S_ISDIR(kind):
        raise InputError(f"output {path} is a folder; give the name of a file in it")
    if not stat.S_ISREG(kind):
        raise InputError(f"output {path} is a device, pipe or socket; give the name of a regular file")
    check_parent(target)
    longest = _longest_name(target.parent)
    if (length := len(os.fsencode(target.name))) > longest:
        raise InputError(f"output name {target.name[:40]}... has {length} bytes; allowed are {longest}; shorten it")
    return target


def check_parent(target: Path) -> None:
    """Raise InputError unless the folder of ``target`` exists and is writable."""
    folder = target.parent
    found = next((place for place in (folder, *folder.parents) if os.path.exists(place)), None)
    if found is not None and not os.path.isdir(found):
        raise InputError(f"output folder {folder} cannot be used: {found} is a file; choose another")
    if found != folder:
        raise InputError(f"output folder {folder} does not exist; create it or choose another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"output folder {folder} is not writable; choose another or change its permissions")


def _longest_name(folder: Path) -> int:
    """Return the bytes that the name of a file in ``folder`` may have."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # missing on some systems
        return 255


def create_beside(target: Path, suffix: str) -> tuple[int, Path]:
    """Create an empty file in the folder of ``target``. Returns (descriptor for reading and writing, path).

    Raises InputError if the folder does not accept new files.
    """
    path = target.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{suffix}"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666), path
    except OSError as error:
        raise InputError(
            f"output folder {target.parent} does not accept new files: {error.strerror}; choose another"
        ) from None


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``, and rename it to ``path`` if the block ends without error.

    The data are flushed to the disk before the rename. On an error or interrupt the temporary file is removed, and an
    existing ``path`` is unchanged. Raises InputError (see ``check_output``), and InfgenError if the disk is full or
    faulty, or if the folder was removed meanwhile.
    """
    target = check_output(path)
    descriptor, temporary = create_beside(target, ".tmp")
    mode = os.fstat(descriptor).st_mode
    os.close(descriptor)
    try:
        yield temporary
        os.chmod(temporary, stat.S_IMODE(mode))  # some writers create a new file with mode 600
        _sync(temporary)
        os.replace(temporary, target)
        with suppress(OSError):  # some network file systems cannot flush a folder; the file itself is safe
            _sync(target.parent)
    except OSError as error:
        if not target.parent.is_dir():
            raise InfgenError(f"{target} was not written: its folder was removed; create it again") from error
        if error.errno not in _STORAGE_FAULTS:
            raise
        raise InfgenError(
            f"{target} was not written: {error.strerror}; free some disk space or choose another folder"
        ) from error
    finally:
        with suppress(FileNotFoundError):  # it has its final name
            os.unlink(temporary)


def _sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
