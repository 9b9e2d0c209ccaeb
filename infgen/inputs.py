"""Keep outputs apart from inputs: no command may replace a file that it reads.

Files are compared by identity (device and inode), so links and other spellings of a name count as the same file.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path

from infgen.errors import InputError
from infgen.urls import is_url

Read = tuple[str, str | Path | None]  # (what the file is, its path); None: the option was not given
MODEL_IN_FOLDER = "model.safetensors"  # a folder given as model stands for this file


def check_outputs(
    outputs: Iterable[str | Path | None], reads: Iterable[Read], *, data: Iterable[str | Path] = ()
) -> None:
    """Raise InputError if an output is a file of ``reads``, is another output, or is a folder that holds such a file.

    ``outputs``: files and folders that the command will write; None and URLs are skipped. ``reads``: files that it reads,
    directly or through a document; missing ones and URLs are skipped. ``data``: files and folders of photographs; an
    output inside such a folder is refused, because training would use it.
    """
    targets = [Path(output) for output in outputs if output is not None and not is_url(output)]
    for one, other in combinations(targets, 2):
        if _same(one, other):
            raise InputError(f"output {one} and output {other} are the same file; give each another name")
    sources = [(what, Path(path)) for what, path in reads if path is not None and not is_url(path)]
    for target in targets:
        for what, path in sources:
            _check_read(target, path if os.path.isfile(path) else path / MODEL_IN_FOLDER, what)
        for place in data:
            if not is_url(place):
                _check_data(target, Path(place))


def _check_read(target: Path, path: Path, what: str) -> None:
    if not os.path.exists(path):
        return
    if _same(target, path):
        raise InputError(f"output {target} is the {what} {path}, which this command reads; give another name")
    if os.path.isdir(target) and _is_inside(path, target):
        raise InputError(f"output {target} holds the {what} {path}, which this command reads; give another name")


def _check_data(target: Path, place: Path) -> None:
    if not os.path.isdir(place):
        _check_read(target, place, "data")
        return
    if _is_inside(target, place):
        raise InputError(
            f"output {target} is inside data folder {place}, and training would use it; give another folder"
        )
    if not os.path.isfile(target):
        return
    for file in walk_files(place):
        if _same(target, file):
            raise InputError(f"output {target} is the photograph {file} of the data; give another name")


def walk_files(folder: Path, *, unusable: dict[str, str] | None = None) -> Iterator[Path]:
    """Yield all names below ``folder`` that are no folders, in no particular order.

    Links to folders are followed, but no folder is entered twice. Dangling links are yielded. ``unusable`` receives the
    relative names of folders that cannot be read, or are entered already, with the reasons.
    """
    refused: dict[str, str] = {} if unusable is None else unusable
    entered: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        refused[os.path.relpath(error.filename, folder)] = f"the folder cannot be read ({error.strerror})"

    for place, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in entered:
            refused[os.path.relpath(place, folder)] = "the folder is a link to one that is read already"
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders.sort()
        yield from (Path(place, name) for name in files)


def _same(one: Path, other: Path) -> bool:
    """Return whether two names lead to one file, also if it does not exist yet."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        first, second = os.stat(one), os.stat(other)
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return False
    return os.path.samestat(first, second) and not stat.S_ISCHR(first.st_mode)


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
