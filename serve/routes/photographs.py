"""Routes of photographs: outpaint one, or join several. Both start a job."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile

from infgen.errors import LimitError
from infgen.geometry import PX_LIMIT
from infgen.inversion.arrangement import Extension
from infgen.inversion.settings import CONTINUING
from infgen.limits import MAX_INBETWEEN_PHOTOS, MAX_OUTPAINT_STEPS, MAX_UPLOAD_MB, MIB
from infgen.serve.canvas import CanvasServer
from infgen.serve.jobs.board import Kind
from infgen.serve.jobs.inversions import run_inversions
from infgen.serve.routes.bodies import BodyRoute
from infgen.serve.routes.common import CanvasDep, WorldId, errors
from infgen.serve.routes.jobs import job_record
from infgen.serve.routes.schemas import JobRecord
from infgen.serve.storage import Storage
from infgen.serve.worlds.photographs import Placing, Upload, arrange
from infgen.world.document import cut

router = APIRouter(prefix="/worlds", tags=["jobs"], route_class=BodyRoute)

STEPS = CONTINUING.steps
MARGIN_PX = 2**20  # far above every picture limit
NAMELESS = "photograph"
STARTS = errors(400, 404, 408, 413, 429, 503, 507)

Margin = Annotated[int, Form(ge=0, le=MARGIN_PX, description="Px to add on this side.")]
Gap = Annotated[int, Form(ge=1, le=MARGIN_PX, description="Px between neighbouring photographs, at working size.")]
Steps = Annotated[int, Form(ge=1, description="Steps of the inversion of each photograph.")]
LeftEdge = Annotated[
    int | None,
    Form(
        ge=-PX_LIMIT,
        le=PX_LIMIT,
        description="Left edge of the first photograph in px; by default right of other photographs.",
    ),
]


@router.post("/{world_id}/outpaint", status_code=202, responses=STARTS)
def start_outpaint(
    canvas: CanvasDep,
    world_id: WorldId,
    photo: Annotated[UploadFile, File(description="PNG, JPEG, WebP or TIFF.")],
    left: Margin = 0,
    right: Margin = 0,
    top: Margin = 0,
    bottom: Margin = 0,
    steps: Steps = STEPS,
    x: LeftEdge = None,
) -> JobRecord:
    """Start a job that adds a photograph to the world, with its horizon at row 0, and renders its surroundings."""
    placing = Placing(x, extension=Extension(left=left, top=top, right=right, bottom=bottom))
    return _start_job(canvas, "outpaint", world_id, [photo], placing=placing, steps=steps)


@router.post("/{world_id}/inbetween", status_code=202, responses=STARTS)
def start_inbetween(
    canvas: CanvasDep,
    world_id: WorldId,
    photos: Annotated[
        list[UploadFile], File(min_length=2, description="From left to right: PNG, JPEG, WebP or TIFF, two or more.")
    ],
    gap: Gap,
    steps: Steps = STEPS,
    x: LeftEdge = None,
) -> JobRecord:
    """Start a job that adds photographs in a row, with their horizons at row 0, and renders the gaps between them."""
    limit = MAX_INBETWEEN_PHOTOS
    if len(photos) > limit.value():
        raise LimitError(
            f"{len(photos)} photographs are too many for one request; allowed are {limit.value()}; send fewer, or raise "
            f"{limit.name}"
        )
    return _start_job(canvas, "inbetween", world_id, photos, placing=Placing(x, gap=gap), steps=steps)


def _start_job(
    canvas: CanvasServer, kind: Kind, world_id: str, photos: Sequence[UploadFile], *, placing: Placing, steps: int
) -> JobRecord:
    """Start a job that inverts ``photos``. All checks run before the job is queued."""
    if steps > MAX_OUTPAINT_STEPS.value():
        raise LimitError(
            f"{steps} steps are too many; this server allows {MAX_OUTPAINT_STEPS.value()}; request fewer, or raise "
            f"{MAX_OUTPAINT_STEPS.name}"
        )
    world, studio = canvas.worlds.get(world_id).world, canvas.studio
    canvas.storage.require(sum(photo.size or 0 for photo in photos))
    job = canvas.jobs.new(kind, world_id)
    try:
        uploads = [
            _save_upload(photo, job.folder / f"upload-{i}", storage=canvas.storage) for i, photo in enumerate(photos, 1)
        ]
        arrangement = arrange(uploads, placing, world=world, config=studio.generator.config)
        for upload in uploads:
            upload.path.unlink()
    except BaseException:
        canvas.jobs.discard(job)
        raise
    run = partial(
        run_inversions,
        arrangement=arrangement,
        steps=steps,
        studio=studio,
        store=canvas.worlds,
        engine_lock=canvas.engine_lock,
    )
    canvas.jobs.submit(job, run)
    return job_record(job)


def _save_upload(photo: UploadFile, path: Path, *, storage: Storage) -> Upload:
    """Write an uploaded photograph to ``path``. Raises LimitError if it is too large."""
    name, limit = _base_name(photo.filename or ""), MAX_UPLOAD_MB
    if (photo.size or 0) > limit.value() * MIB:
        raise LimitError(
            f"{cut(name)} has {photo.size} bytes, over the limit of {limit.value()} MiB for a photograph; send a smaller "
            f"one, or raise {limit.name}"
        )
    with storage.storing(), path.open("wb") as file:
        shutil.copyfileobj(photo.file, file)
    return Upload(path, name)


def _base_name(filename: str) -> str:
    """Return the last part of a client's file name, without its private folders."""
    return filename.replace("\\", "/").rpartition("/")[2] or NAMELESS
