"""Export a rectangle of a world to a picture file, with the same bytes as ``infgen render``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from infgen.errors import LimitError
from infgen.geometry import Region
from infgen.limits import MAX_EXPORT_PIXELS
from infgen.progress import Progress
from infgen.rendering.job import Output, prepare
from infgen.rendering.studio import Studio
from infgen.serve.fair_lock import FairLock
from infgen.serve.jobs.board import Job
from infgen.serve.worlds.store import WorldStore
from infgen.sinks import check_picture

Format = Literal["png", "jpeg", "webp", "tiff"]
_SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".tif": "image/tiff"}


def export_path(folder: Path, region: Region, file_format: Format) -> Path:
    """Return the path of an export in ``folder``."""
    return folder / f"infgen_{region.w}x{region.h}_at_{region.x}_{region.y}{_SUFFIXES[file_format]}"


def check_export(studio: Studio, region: Region, path: Path) -> None:
    """Raise LimitError or InputError if ``region`` exceeds the limits of the server, the file format or the disk."""
    limit = MAX_EXPORT_PIXELS.value()
    if region.pixels > limit:
        raise LimitError(
            f"{region.w} x {region.h} is {region.pixels} px, over this server's limit of {limit} px; export less, or raise "
            f"{MAX_EXPORT_PIXELS.name}"
        )
    check_picture(str(path), studio.plan(region).grid)


def run_export(job: Job, *, studio: Studio, store: WorldStore, engine_lock: FairLock) -> None:
    """Render the region of ``job`` to a file. Releases the engine to queued tiles between batches.

    The request has the entries x, y, w, h (px), format and revision.
    """
    region = Region(*(job.request[side] for side in ("x", "y", "w", "h")))
    studio = studio.with_world(store.at(job.world, job.request["revision"]))
    path = export_path(job.folder, region, job.request["format"])
    path.unlink(missing_ok=True)  # of an earlier start

    @contextmanager
    def phase(title: str) -> Iterator[Progress]:
        if title == "writing":  # does not use the engine
            yield lambda done, total: job.check()
            return
        with engine_lock:
            yield report

    def report(done: int, total: int) -> None:
        job.report(done, total)
        engine_lock.hand_over()

    with engine_lock:
        prepared = prepare(studio, region, Output(str(path)))
    job.check()
    prepared.run(phase=phase)
    job.result = path.name
