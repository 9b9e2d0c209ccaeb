"""What an output format is, the one table of formats by file extension, and the protocol that every sink follows.

Everything that can be refused is refused here, before any tile is computed.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import numpy.typing as npt

from infgen.atomic import check_output
from infgen.errors import InputError, LimitError
from infgen.limits import MAX_PIXELS, MIB
from infgen.sinks.files import work
from infgen.sinks.files.background import QUEUE_BYTES
from infgen.sinks.files.work import Start
from infgen.sinks.grid import Grid
from infgen.sinks.recipe import Recipe

if TYPE_CHECKING:
    from infgen.sinks.encoders.encoder import MakeEncoder

Pixels = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]  # (pixels done, pixels in all), called in the caller's thread
CANVAS_BYTES = 3  # per px, of the raw picture on disk that holds the tiles until they are encoded
_FIXED_BYTES = 4 * MIB  # headers and recipe, in memory and on disk


@dataclass(frozen=True)
class Format:
    """One file format. The byte figures are upper bounds, measured on noise, which compresses worst."""

    key: str  # for options and tables
    name: str  # for people
    extensions: tuple[str, ...]
    max_side: int  # px, the smaller of what the format and its encoder hold
    file_bytes: float  # of everything on disk but the canvas at the worst moment, per px
    max_pixels: int | None = None
    canvas_bytes: int = CANVAS_BYTES
    tile_bytes: int = 0  # on disk beyond that, for each tile of 512 x 512 px
    memory_bytes: float = 0  # that the encoder holds, per px; 0: it streams
    row_memory_bytes: float = 0  # that the encoder holds, per px of one row

    @property
    def constant_memory(self) -> bool:
        """Whether encoding takes memory that does not grow with the height of the picture."""
        return self.memory_bytes == 0

    def holds(self, width: int, height: int) -> bool:
        """Whether a picture of so many px fits the format."""
        return max(width, height) <= self.max_side and width * height <= (self.max_pixels or width * height)

    def disk_bytes(self, width: int, height: int) -> int:
        """Bytes on disk at the worst moment: the raw canvas and the largest possible files, side by side."""
        filters = height  # PNG spends one byte on each row
        # A third more for smaller copies, which are at least one tile wide and high.
        tiles = 4 * (-(-width // 512) * -(-height // 512)) // 3 + (width + height) // 256 + 64
        pixels = int(width * height * (self.canvas_bytes + self.file_bytes))
        return pixels + filters + tiles * self.tile_bytes + _FIXED_BYTES

    def encode_memory_bytes(self, width: int, height: int) -> int:
        """Bytes of memory that storing and encoding take, beyond what the process has before."""
        queue = QUEUE_BYTES if self.canvas_bytes else 0
        return int(width * height * self.memory_bytes + width * self.row_memory_bytes) + queue + 32 * MIB


# JPEG headers count to 65,535, the encoder stops at 65,500. PNG counts to 2**31 - 1, the image library to 10**8. No program
# opens a PNG of more than some 10**10 px, and none can read a part of it without decoding all that is above.
FORMATS: tuple[Format, ...] = (
    Format("png", "PNG", (".png",), 10**8, file_bytes=3.1, max_pixels=10**10, row_memory_bytes=2300),
    Format("jpeg", "JPEG", (".jpg", ".jpeg"), 65_500, file_bytes=4.5, row_memory_bytes=2300),
    Format("webp", "WebP", (".webp",), 16_383, file_bytes=3.1, memory_bytes=28),
    Format("tiff", "BigTIFF", (".tif", ".tiff"), 10**8, file_bytes=4.1, tile_bytes=4096),
    # Its tiles are first written in the order in which they come, then copied in the order of the format.
    Format("cog", "COG", (".tif", ".tiff"), 10**8, file_bytes=8.2, tile_bytes=8192),
    Format("dzi", "DeepZoom", (".dzi",), 10**8, file_bytes=4.1, tile_bytes=8192),
    Format("zarr", "OME-Zarr", (".zarr",), 2**40, file_bytes=4.1, canvas_bytes=0),
)


class Sink(Protocol):
    """Takes the tiles of one picture and leaves one finished file.

    As a context manager it closes at the end: finished tiles of an unfinished picture are kept for another start.
    """

    @property
    def format(self) -> Format:
        """The format that is written."""

    @property
    def done(self) -> frozenset[int]:
        """Numbers of the tiles that an earlier start left, with their checksums verified. Does not change."""

    def write_tile(self, number: int, tile: Pixels) -> None:
        """Take ``tile`` (rows, columns, 3) uint8, the pixels of ``grid.box(number)``. Tiles come in any order.

        Raises ValueError for a tile that is not of this grid, InfgenError where the disk is full.
        """

    def finish(self, *, progress: Progress = ...) -> None:
        """Complete the file with the recipe embedded; it appears under its name when it is whole.

        Raises InfgenError where that fails; the tiles are kept for another start.
        """

    def close(self) -> None:
        """Stop; keep finished tiles, and nothing where there are none. May be called at any time, more than once."""

    def __enter__(self) -> Self:
        """The sink itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, which does nothing after ``finish``."""


def format_of(path: str | Path, file_format: str | None = None) -> Format:
    """The format named ``file_format``, or by the extension of ``path``. Raises InputError for one not in ``FORMATS``."""
    extension = Path(path).suffix.lower()
    if file_format is None:
        for candidate in FORMATS:
            if extension in candidate.extensions:
                return candidate
        known = ", ".join(dict.fromkeys(e for f in FORMATS for e in f.extensions))
        raise InputError(f"output {path} has the extension {extension or '(none)'!r}; allowed are {known}")
    for candidate in FORMATS:
        if candidate.key == file_format.lower():
            if extension in candidate.extensions:
                return candidate
            allowed = " or ".join(candidate.extensions)
            raise InputError(
                f"output {path} has the extension {extension or '(none)'!r}; {candidate.name} takes {allowed}"
            )
    raise InputError(f"format {file_format!r} is not known; allowed are {', '.join(f.key for f in FORMATS)}")


def check_picture(path: str | Path, grid: Grid, *, start: Start = "new", file_format: str | None = None) -> Format:
    """The format of ``path``, after checking that the picture of ``grid`` can be written there.

    Checks sides, INFGEN_MAX_PIXELS, the name, its folder, free disk for everything at the worst moment, and whether a
    picture that another process is writing, or that is unfinished and that ``start`` "new" would lose, is there.
    Creates nothing. Raises InputError, or LimitError for a picture that is too large.
    """
    chosen = format_of(path, file_format)
    _check_size(chosen, grid.width, grid.height)
    if chosen.key == "zarr":
        from infgen.sinks import zarr

        zarr.check_store(str(path), grid, start)
        return chosen
    target = check_output(path)
    if chosen.key == "dzi":
        from infgen.sinks.encoders.deepzoom import check_pair

        check_pair(target)
    work.check_start(target, start)
    needed = chosen.disk_bytes(grid.width, grid.height) - work.held_bytes(target)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise LimitError(
            f"a {chosen.name} of {grid.width:,} x {grid.height:,} px needs up to {needed / MIB:,.0f} MiB of disk and "
            f"{free / MIB:,.0f} MiB are free in {target.parent}; free some, choose another folder, or render less"
        )
    return chosen


def open_sink(
    path: str | Path, grid: Grid, recipe: Recipe, *, start: Start = "new", file_format: str | None = None
) -> Sink:
    """A sink for the picture of ``grid`` made by ``recipe`` in the file ``path`` (for Zarr a folder, or a URL).

    ``start`` "new": refuse where finished tiles of an unfinished picture are there; "resume": go on with them, begin where
    there are none; "restart": begin anew. Raises what ``check_picture`` raises, and InputError where ``recipe`` or
    ``grid`` are not those that the unfinished picture was begun with.
    """
    chosen = check_picture(path, grid, start=start, file_format=file_format)
    if chosen.key == "zarr":
        from infgen.sinks.zarr import ZarrSink

        return ZarrSink(str(path), grid, recipe, start=start)
    from infgen.sinks.files.file_sink import FileSink  # the image library is loaded only where a picture is written

    return FileSink(check_output(path), grid, recipe, start=start, file_format=chosen, encoder=_encoder(chosen.key))


def _encoder(key: str) -> "MakeEncoder":
    if key == "dzi":
        from infgen.sinks.encoders.deepzoom import DeepZoomEncoder

        return DeepZoomEncoder
    if key in ("tiff", "cog"):
        from infgen.sinks.encoders.tiff import TiffEncoder

        return partial(TiffEncoder, cog=key == "cog")
    from infgen.sinks.encoders.raster import OPERATIONS, RasterEncoder

    return partial(RasterEncoder, operation=OPERATIONS[key])


def unfinished(path: str | Path, file_format: str | None = None) -> tuple[int, int] | None:
    """(tiles finished, tiles in all) of an unfinished picture ``path``, or None where there is none. Takes no lock."""
    if format_of(path, file_format).key == "zarr":
        from infgen.sinks import zarr

        return zarr.unfinished(str(path))
    return work.unfinished(Path(os.path.realpath(path)))


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
    others = [f"{f.name} ({f.extensions[0]})" for f in FORMATS if f.holds(width, height) and f.key != "cog"]
    advice = f"write {' or '.join(others)} instead" if others else "render less: no format here holds it"
    if max(width, height) > chosen.max_side:
        held = f"{chosen.max_side:,} px per side"
    else:
        held = f"{chosen.max_pixels:,} px in all, for programs to open it"
    raise LimitError(f"{chosen.name} holds at most {held}, not {width:,} x {height:,} px; {advice}")
