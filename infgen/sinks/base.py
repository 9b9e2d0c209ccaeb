"""The protocol of sinks: take the tiles of one picture in any order and write one finished file."""

from types import TracebackType
from typing import Protocol, Self

from infgen.pixels import Pixels
from infgen.progress import Progress
from infgen.sinks.formats import Format


class Sink(Protocol):
    """Takes the tiles of one picture and writes one finished file.

    As a context manager it closes at the end: finished tiles of an unfinished picture are kept for a later resume.
    """

    @property
    def format(self) -> Format:
        """The format of the output."""

    @property
    def done(self) -> frozenset[int]:
        """Numbers of the tiles that an earlier render left, with verified checksums. Does not change."""

    def write_tile(self, number: int, tile: Pixels) -> None:
        """Take ``tile`` (rows, columns, 3) uint8, the pixels of ``grid.box(number)``. Tiles come in any order.

        Raises ValueError for a tile that does not fit the grid, InfgenError if the disk is full.
        """

    def finish(self, *, progress: Progress = ...) -> None:
        """Complete the file and embed the provenance. The file takes its name only when it is complete.

        Calls ``progress(pixels done, total)`` in the caller's thread. Raises InfgenError if the disk fails; the tiles
        are then kept for a later resume.
        """

    def close(self) -> None:
        """Stop and keep finished tiles, if there are any. May be called at any time, more than once."""

    def __enter__(self) -> Self:
        """Return the sink itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sink; does nothing after ``finish``."""
