"""What an output format is, the one table of formats by file extension, and the protocol that every sink follows.

Everything that can be refused is refused here, before any tile is computed.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from infgen.atomic import check_output
from infgen.errors import InputError, LimitError
from infgen.limits import MAX_PIXELS, MIB
from infgen.sinks.recipe import Recipe

Pixels = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]  # (pixels done, pixels in all), called in the caller's thread
CANVAS_BYTES = 3  # per px, of the raw picture on disk that holds the tiles until they are encoded
_FIXED_BYTES = 4 * MIB  # headers and recipe, in memory and on disk


@dataclass(frozen=True)
class Format:
    """One file format. The byte figures are upper bounds, measured on noise, which compresses worst."""

    name: str
    extensions: tuple[str, ...]
    max_side: int  # px, the smaller of what the format and its encoder hold
    file_bytes: float  # of the finished file, per px
    memory_bytes: float = 0  # that the encoder holds, per px; 0: it streams
    row_memory_bytes: float = 0  # that the encoder holds, per px of one row

    @property
    def constant_memory(self) -> bool:
        """Whether encoding takes memory that does not grow with the height of the picture."""
        return self.memory_bytes == 0

    def holds(self, width: int, height: int) -> bool:
        """Whether a picture of so many px fits the format."""
        return max(width, height) <= self.max_side

    def disk_bytes(self, width: int, height: int) -> int:
        """Bytes on disk at the worst moment: the raw canvas and the largest possible file, side by side."""
        filters = height  # PNG spends one byte on each row
        return int(width * height * (CANVAS_BYTES + self.file_bytes)) + filters + _FIXED_BYTES

    def encode_memory_bytes(self, width: int, height: int) -> int:
        """Bytes of memory that encoding takes, beyond what the process has before."""
        return int(width * height * self.memory_bytes + width * self.row_memory_bytes) + 32 * MIB


# JPEG headers count to 65,535, the encoder stops at 65,500. PNG counts to 2**31 - 1, the image library to 10**8.
FORMATS: tuple[Format, ...] = (
    Format("PNG", (".png",), max_side=100_000_000, file_bytes=3.1, row_memory_bytes=800),
    Format("JPEG", (".jpg", ".jpeg"), max_side=65_500, file_bytes=4.5, row_memory_bytes=1200),
    Format("WebP", (".webp",), max_side=16_383, file_bytes=3.1, memory_bytes=28),
)


class Sink(Protocol):
    """Takes the tiles of one picture and leaves one finished file. Left unfinished as a context manager, it aborts."""

    @property
    def format(self) -> Format:
        """The format that is written."""

    def write_tile(self, tile: Pixels, x: int, y: int) -> None:
        """Take ``tile`` (rows, columns, 3) uint8, its upper left corner at px (``x``, ``y``) of the picture.

        Tiles come in any order; where they overlap, the last one counts. Raises ValueError for a tile that is not of
        this picture, InfgenError where the disk is full.
        """

    def finish(self, recipe: Recipe, *, progress: Progress = ...) -> None:
        """Write the file with ``recipe`` embedded; it appears under its name when it is whole.

        Raises InfgenError where that fails; the tiles are kept, so it may be called again until ``abort``.
        """

    def abort(self) -> None:
        """Remove everything that was not finished. May be called at any time, more than once."""

    def __enter__(self) -> Self:
        """The sink itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Abort, which does nothing after ``finish``."""


def format_of(path: str | Path) -> Format:
    """The format that the extension of ``path`` names. Raises InputError for one that is not in ``FORMATS``."""
    extension = Path(path).suffix.lower()
    for candidate in FORMATS:
        if extension in candidate.extensions:
            return candidate
    known = ", ".join(e for f in FORMATS for e in f.extensions)
    raise InputError(f"output {path} has the extension {extension or '(none)'!r}; allowed are {known}")


def check_picture(path: str | Path, *, width: int, height: int) -> Format:
    """The format of ``path``, after checking that a picture of ``width`` x ``height`` px can be written there.

    Checks sides, INFGEN_MAX_PIXELS, the name, its folder, and free disk for the canvas and the largest possible file.
    Creates nothing. Raises InputError, or LimitError for a picture that is too large.
    """
    chosen = format_of(path)
    _check_size(chosen, width, height)
    target = check_output(path)
    needed, free = chosen.disk_bytes(width, height), shutil.disk_usage(target.parent).free
    if needed > free:
        raise LimitError(
            f"a {chosen.name} of {width:,} x {height:,} px needs up to {needed / MIB:,.0f} MiB of disk and "
            f"{free / MIB:,.0f} MiB are free in {target.parent}; free some, choose another folder, or render less"
        )
    return chosen


def open_sink(path: str | Path, *, width: int, height: int) -> Sink:
    """A sink for a picture of ``width`` x ``height`` px in the file ``path``. Raises what ``check_picture`` raises."""
    chosen = check_picture(path, width=width, height=height)
    from infgen.sinks.raster import RasterSink  # the image library is loaded only where a picture is written

    return RasterSink(Path(path), width=width, height=height, file_format=chosen)


def _check_size(chosen: Format, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise InputError(f"a picture of {width} x {height} px is empty; both sides need at least 1 px")
    limit = MAX_PIXELS.value()
    if width * height > limit:
        raise LimitError(
            f"a picture of {width:,} x {height:,} px has more than {limit:,} px; render less or raise {MAX_PIXELS.name}"
        )
    if chosen.holds(width, height):
        return
    others = [f"{f.name} ({f.extensions[0]})" for f in FORMATS if f.holds(width, height)]
    advice = f"write {' or '.join(others)} instead" if others else "render less: no format here holds it"
    raise LimitError(
        f"{chosen.name} holds at most {chosen.max_side:,} px per side, not {width:,} x {height:,} px; {advice}"
    )
