"""What every encoder of a picture file follows, and how a finished file takes its name."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from infgen.sinks.files.row_reader import RowReader
from infgen.sinks.provenance import Provenance


class Encoder(Protocol):
    """Turns the rows of a reader into a file in the work folder, in a thread of its own."""

    def encode(self) -> None:
        """Write all of it and flush it to the disk. Raises Stopped, OSError or InfgenError."""

    def stop(self) -> None:
        """Make ``encode`` end soon; called from another thread."""

    def publish(self, target: Path) -> None:
        """Give the result of ``encode`` the name ``target``. Raises OSError."""


MakeEncoder = Callable[[RowReader, Path, Provenance], Encoder]  # reader, work folder, provenance


def replace(source: Path, target: Path) -> None:
    """Rename the flushed file ``source`` to ``target``, so that the name is durable, too."""
    os.replace(source, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot flush a folder; the file itself is safe
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
