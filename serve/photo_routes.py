"""Routes of photographs: one that is continued, several that are joined. Both start a job."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile

from infgen.errors import LimitError
from infgen.geometry import PX_LIMIT
from infgen.inversion.arrangement import Extension
from infgen.limits import MAX_INBETWEEN_PHOTOS, MAX_OUTPAINT_STEPS, MAX_UPLOAD_MB, MIB
from infgen.serve.canvas import Canvas
from infgen.serve.inversions import run_inversions
from infgen.serve.job_routes import described
from infgen.serve.jobs import Kind
from infgen.serve.photographs import Placing, Upload, arrange
from infgen.serve.routes import Here, WorldId, errors
from infgen.serve.schemas import JobRecord
from infgen.world.document import cut

router = APIRouter(prefix="/worlds", tags=["jobs"])

STEPS = 150
MARGIN_PX = 2**20  # far beyond what the limits of pictures allow
NAMELESS = "photograph"
STARTS = errors(400, 404, 408, 413, 429, 503)

Margin = Annotated[int, Form(ge=0, le=MARGIN_PX, description="Px to add on this side.")]
Gap = Annotated[int, Form(ge=1, le=MARGIN_PX, description="Px from one photograph to the next, at working size.")]
Steps = Annotated[int, Form(ge=1, description="Of the inversion of each photograph.")]
LeftEdge = Annotated[
    int | None,
    Form(
        ge=-PX_LIMIT, le=PX_LIMIT, description="Px of the first one's left edge; by default beside other photographs."
    ),
]


@router.post("/{world_id}/outpaint", status_code=202, responses=STARTS)
def start_outpaint(
    here: Here,
    world_id: WorldId,
    photo: Annotated[UploadFile, File(description="PNG, JPEG, WebP or TIFF.")],
    left: Margin = 0,
    right: Margin = 0,
    top: Margin = 0,
    bottom: Margin = 0,
    steps: Steps = STEPS,
    x: LeftEdge = None,
) -> JobRecord:
    """Set a photograph into the world, its horizon at row 0, and draw what lies around it."""
    placing = Placing(x, extension=Extension(left, top, right, bottom))
    return _started(here, "outpaint", world_id, [photo], placing=placing, steps=steps)


@router.post("/{world_id}/inbetween", status_code=202, responses=STARTS)
def start_inbetween(
    here: Here,
    world_id: WorldId,
    photos: Annotated[
        list[UploadFile], File(min_length=2, description="From left to right: PNG, JPEG, WebP or TIFF, two or more.")
    ],
    gap: Gap,
    steps: Steps = STEPS,
    x: LeftEdge = None,
) -> JobRecord:
    """Set photographs into the world in a row, their horizons at row 0, and draw the land from the first to the last."""
    limit = MAX_INBETWEEN_PHOTOS
    if len(photos) > limit.value():
        raise LimitError(
            f"{len(photos)} photographs are more than this server joins at once, {limit.value()}; send fewer, or raise "
            f"{limit.name}"
        )
    return _started(here, "inbetween", world_id, photos, placing=Placing(x, gap=gap), steps=steps)


def _started(
    here: Canvas, kind: Kind, world_id: str, photos: Sequence[UploadFile], *, placing: Placing, steps: int
) -> JobRecord:
    """A job that inverts ``photos``. All that can be refused is refused before it waits in line."""
    if steps > MAX_OUTPAINT_STEPS.value():
        raise LimitError(
            f"{steps} steps are more than this server takes, {MAX_OUTPAINT_STEPS.value()}; ask for fewer, or raise "
            f"{MAX_OUTPAINT_STEPS.name}"
        )
    world, studio = here.worlds.get(world_id).world, here.studio
    job = here.jobs.new(kind, world_id)
    try:
        uploads = [_kept(photo, job.folder / f"upload-{i}") for i, photo in enumerate(photos, 1)]
        arrangement = arrange(uploads, placing, world=world, config=studio.generator.config)
        for upload in uploads:
            upload.path.unlink()
    except BaseException:
        here.jobs.discard(job)
        raise
    run = partial(
        run_inversions, arrangement=arrangement, steps=steps, studio=studio, store=here.worlds, turns=here.turns
    )
    here.jobs.submit(job, run)
    return described(job)


def _kept(photo: UploadFile, path: Path) -> Upload:
    """The photograph in the file ``path``. Raises LimitError where it is too large."""
    name, limit = _plain(photo.filename or ""), MAX_UPLOAD_MB
    if (photo.size or 0) > limit.value() * MIB:
        raise LimitError(
            f"{cut(name)} has {photo.size} bytes, over the limit of {limit.value()} MiB for a photograph; send a smaller "
            f"one, or raise {limit.name}"
        )
    with path.open("wb") as file:
        shutil.copyfileobj(photo.file, file)
    return Upload(path, name)


def _plain(filename: str) -> str:
    """The last part of what a client calls its file, whose folders are no concern of others."""
    return filename.replace("\\", "/").rpartition("/")[2] or NAMELESS
