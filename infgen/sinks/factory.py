"""Check an output and open the sink of its format. Rejects impossible outputs before any tile is computed."""

import os
import shutil
from functools import partial
from pathlib import Path

from infgen.atomic import check_output
from infgen.errors import InputError, LimitError
from infgen.limits import MAX_PIXELS, MIB
from infgen.sinks.base import Sink
from infgen.sinks.encoders.encoder import MakeEncoder
from infgen.sinks.files import work_folder
from infgen.sinks.files.work_folder import Start
from infgen.sinks.formats import FORMATS, Format, format_of
from infgen.sinks.grid import Grid
from infgen.sinks.provenance import Provenance


def check_picture(path: str | Path, grid: Grid, *, start: Start = "new", file_format: str | None = None) -> Format:
    """Check that the picture of ``grid`` can be written to ``path``, and return its format. Creates nothing.

    Checks the sides, INFGEN_MAX_PIXELS, the name and folder, and the disk space at the peak. Also rejects a picture
    that another process is writing, and an unfinished picture that ``start`` "new" would replace. Raises InputError, or
    LimitError for a picture that is too large.
    """
    chosen = format_of(path, file_format)
    _check_size(chosen, grid.width, grid.height)
    if chosen.is_store:
        from infgen.sinks import zarr

        zarr.check_store(str(path), grid, start)
        return chosen
    target = check_output(path)
    if chosen.key == "dzi":
        from infgen.sinks.encoders.deepzoom import check_pair

        check_pair(target)
    work_folder.check_start(target, start)
    needed = chosen.disk_bytes(grid.width, grid.height) - work_folder.held_bytes(target)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise LimitError(
            f"a {chosen.name} of {grid.width:,} x {grid.height:,} px needs up to {needed / MIB:,.0f} MiB of disk and "
            f"{free / MIB:,.0f} MiB are free in {target.parent}; free some, choose another folder, or render less"
        )
    return chosen


def open_sink(
    path: str | Path,
    grid: Grid,
    provenance: Provenance,
    *,
    start: Start = "new",
    file_format: str | None = None,
    overlap: int = 0,
) -> Sink:
    """Open a sink for the picture of ``grid`` in the file ``path`` (for Zarr a folder, or a URL).

    ``overlap``: px that neighbouring tiles of a DeepZoom picture share.

    ``start`` "new": refuse an unfinished picture with finished tiles. "resume": continue it, or start if there is none.
    "restart": start from scratch. Raises what ``check_picture`` raises, and InputError if ``provenance`` or ``grid``
    differ from the unfinished picture.
    """
    chosen = check_picture(path, grid, start=start, file_format=file_format)
    if chosen.is_store:
        from infgen.sinks.zarr import VERSIONS, ZarrSink

        return ZarrSink(str(path), grid, provenance, start=start, version=VERSIONS[chosen.key])
    from infgen.sinks.files.file_sink import FileSink  # load the image library only to write a picture

    return FileSink(
        check_output(path), grid, provenance, start=start, file_format=chosen, encoder=_encoder(chosen.key, overlap)
    )


def _encoder(key: str, overlap: int) -> MakeEncoder:
    if key == "dzi":
        from infgen.sinks.encoders.deepzoom import DeepZoomEncoder

        return partial(DeepZoomEncoder, overlap=overlap)
    if key in ("tiff", "cog"):
        from infgen.sinks.encoders.tiff import TiffEncoder

        return partial(TiffEncoder, cog=key == "cog")
    from infgen.sinks.encoders.raster import OPERATIONS, RasterEncoder

    return partial(RasterEncoder, operation=OPERATIONS[key])


def find_unfinished(path: str | Path, file_format: str | None = None) -> tuple[int, int] | None:
    """Return (finished tiles, total) of an unfinished picture ``path``, or None if there is none. Takes no lock."""
    if format_of(path, file_format).is_store:
        from infgen.sinks import zarr

        return zarr.find_unfinished(str(path))
    return work_folder.find_unfinished(Path(os.path.realpath(path)))


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
    others = [f"{f.name} ({f.extensions[0]})" for f in FORMATS if f.holds(width, height) and f.is_default]
    advice = f"write {' or '.join(others)} instead" if others else "render less: no format here holds it"
    if max(width, height) > chosen.max_side:
        held = f"{chosen.max_side:,} px per side"
    else:
        held = f"{chosen.max_pixels:,} px in all, so that programs can open it"
    raise LimitError(f"{chosen.name} holds at most {held}, not {width:,} x {height:,} px; {advice}")
