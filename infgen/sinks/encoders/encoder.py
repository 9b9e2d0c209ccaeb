"""The protocol of encoders, and durable renaming of finished files."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from infgen.sinks.files.row_reader import RowReader
from infgen.sinks.provenance import Provenance


class Encoder(Protocol):
    """Encodes the rows of a reader as a file in the work folder, in a separate thread."""

    def encode(self) -> None:
        """Write the whole file and flush it to the disk. Raises Stopped, OSError or InfgenError."""

    def stop(self) -> None:
        """Make ``encode`` end soon. Called from another thread."""

    def publish(self, target: Path) -> None:
        """Give the result of ``encode`` the name ``target``. Raises OSError."""


MakeEncoder = Callable[[RowReader, Path, Provenance], Encoder]  # reader, work folder, provenance


def replace(source: Path, target: Path) -> None:
    """Rename the flushed file ``source`` to ``target``, and flush the name, too."""
    os.replace(source, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot flush a folder; the file itself is safe
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
