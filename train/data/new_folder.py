"""Write a new folder of training data: a temporary folder that is renamed when everything in it is complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infgen.atomic import check_parent
from infgen.errors import InfgenError, InputError
from infgen.inputs import check_outputs
from infgen.lock import create_temporary_folder
from infgen.train.data.sources import list_places


def check_folder(out: Path, data: str | Path) -> None:
    """Raise InputError unless ``out`` is a missing or empty folder that can be made and is no part of ``data``."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"output folder {out} exists and is not empty; give another name, or empty it")
    check_parent(out.absolute())
    check_outputs([out], [], data=list_places(data))


@contextmanager
def write_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder next to ``out``. Rename it to ``out`` if the block succeeds, else delete it.

    Raises InputError if another process writes ``out``, and InfgenError if the disk is full or the folder cannot be written.
    """
    target = Path(os.path.realpath(out))
    try:
        with create_temporary_folder(target) as temporary:
            yield temporary
            if target.exists():
                target.rmdir()  # fails if it is no longer empty
            os.replace(temporary, target)
    except OSError as error:
        raise InfgenError(
            f"{out} was not written: {error.strerror}; free some disk space or choose another folder"
        ) from error
