"""Exports: a rectangle of a world as a picture file, the same bytes that ``infgen render`` writes for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from infgen.errors import LimitError
from infgen.geometry import Region
from infgen.limits import MAX_EXPORT_PIXELS
from infgen.rendering.job import Output, Progress, prepare
from infgen.rendering.studio import Studio
from infgen.serve.jobs import Job
from infgen.serve.turns import Turns
from infgen.sinks import check_picture

Format = Literal["png", "jpeg", "webp", "tiff"]
_SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".tif": "image/tiff"}


def export_path(folder: Path, region: Region, file_format: Format) -> Path:
    """The file of an export."""
    return folder / f"infgen_{region.w}x{region.h}_at_{region.x}_{region.y}{_SUFFIXES[file_format]}"


def check_export(studio: Studio, region: Region, path: Path) -> None:
    """Raise LimitError or InputError where ``region`` is too large for this server, the format of ``path`` or the disk."""
    limit = MAX_EXPORT_PIXELS.value()
    if region.pixels > limit:
        raise LimitError(
            f"{region.w} x {region.h} is {region.pixels} px, over the limit of {limit} px of this server; export less, or raise "
            f"{MAX_EXPORT_PIXELS.name}"
        )
    check_picture(str(path), studio.plan(region).grid)


def run_export(job: Job, *, studio: Studio, region: Region, path: Path, turns: Turns) -> None:
    """Draw and write ``region`` of the studio's world; lets tiles through between its batches."""

    @contextmanager
    def phase(title: str) -> Iterator[Progress]:
        if title == "writing":  # without the engine
            yield lambda done, total: job.check()
            return
        with turns:
            yield drawn

    def drawn(done: int, total: int) -> None:
        job.tell(done, total)
        turns.hand_over()

    job.region = region
    with turns:
        prepared = prepare(studio, region, Output(str(path)))
    job.check()
    prepared.run(phase=phase)
    job.result = path.name
