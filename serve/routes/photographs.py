"""Routes of photographs: outpaint one, or join several. Both start a job."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile

from infgen.errors import LimitError
from infgen.geometry import PX_LIMIT
from infgen.inversion.arrangement import Scale
from infgen.inversion.settings import CONTINUING
from infgen.limits import MAX_INBETWEEN_PHOTOS, MAX_OUTPAINT_STEPS, MAX_UPLOAD_MB, MIB
from infgen.serve.canvas import CanvasServer
from infgen.serve.jobs.board import UPLOAD, Kind
from infgen.serve.routes.bodies import BodyRoute
from infgen.serve.routes.common import CanvasDep, WorldId, errors
from infgen.serve.routes.jobs import job_record
from infgen.serve.routes.schemas import JobRecord, Picture
from infgen.serve.storage import Storage
from infgen.serve.worlds.files import Upload
from infgen.serve.worlds.photographs import Placing, Surroundings, arrange, arrange_placed_photograph
from infgen.world.document import cut

router = APIRouter(prefix="/worlds", tags=["jobs"], route_class=BodyRoute)

STEPS = CONTINUING.steps
MOST_SAMPLES = 8
CHANNELS = 3  # bytes of a pixel: a result is hardly larger
MARGIN_PX = 2**20  # far above every picture limit
NAMELESS = "photograph"
STARTS = errors(400, 404, 408, 413, 429, 503, 507)

Margin = Annotated[int, Form(ge=0, le=MARGIN_PX, description="Px of the picture to add on this side.")]
Gap = Annotated[int, Form(ge=1, le=MARGIN_PX, description="Px of the picture between neighbouring photographs.")]
OutputScale = Annotated[
    Scale,
    Form(description="source: the picture has the photograph's own size; work: the working size, which is faster."),
]
Samples = Annotated[int, Form(ge=1, le=MOST_SAMPLES, description="Continuations to choose from.")]
Steps = Annotated[int, Form(ge=1, description="Steps of the inversion of each photograph.")]
LeftEdge = Annotated[
    int | None,
    Form(
        ge=-PX_LIMIT,
        le=PX_LIMIT,
        description="Left edge of the first photograph in px; by default right of other photographs.",
    ),
]
TopEdge = Annotated[
    int | None,
    Form(
        ge=-PX_LIMIT, le=PX_LIMIT, description="Upper edge in px; by default the horizon is found, and lies at row 0."
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
    y: TopEdge = None,
    scale: OutputScale = "source",
    samples: Samples = 1,
) -> JobRecord:
    """Start a job that adds a photograph to the world, and renders continuations and the picture around it."""
    around = Surroundings(left=left, top=top, right=right, bottom=bottom, scale=scale)
    placing = Placing(x, y=y, around=around)
    return _start_job(canvas, "outpaint", world_id, [photo], placing=placing, steps=steps, samples=samples)


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
    scale: OutputScale = "source",
    samples: Samples = 1,
) -> JobRecord:
    """Start a job that adds photographs in a row, with their horizons at row 0, and renders the gaps between them."""
    limit = MAX_INBETWEEN_PHOTOS
    if len(photos) > limit.value():
        raise LimitError(
            f"{len(photos)} photographs are too many for one request; allowed are {limit.value()}; send fewer, or raise "
            f"{limit.name}"
        )
    placing = Placing(x, gap=gap, around=Surroundings(scale=scale))
    return _start_job(canvas, "inbetween", world_id, photos, placing=placing, steps=steps, samples=samples)


@router.post("/{world_id}/pictures", status_code=202, responses=errors(400, 404, 408, 413, 429, 503, 507))
def start_picture(canvas: CanvasDep, world_id: WorldId, body: Picture) -> JobRecord:
    """Start a job that composes a photograph of the world with its surroundings, as ``infgen outpaint`` does."""
    record = canvas.worlds.get(world_id)
    revision = record.revision if body.revision is None else body.revision
    wanted = Surroundings(**body.model_dump(exclude={"revision"}))
    world = canvas.worlds.at(world_id, revision)
    arrangement = arrange_placed_photograph(world, wanted, config=canvas.studio.generator.config)
    width, height = arrangement.size
    canvas.storage.require(CHANNELS * width * height)
    job = canvas.jobs.new("picture", world_id, name=f"{width} x {height} px")
    job.request = {"surroundings": asdict(wanted), "revision": revision}
    job.region, job.revision = arrangement.world_region, revision
    canvas.jobs.submit(job)
    return job_record(canvas, job)


def _start_job(
    canvas: CanvasServer,
    kind: Kind,
    world_id: str,
    photos: Sequence[UploadFile],
    *,
    placing: Placing,
    steps: int,
    samples: int,
) -> JobRecord:
    """Start a job that inverts ``photos``. All checks run before the job is queued."""
    if steps > MAX_OUTPAINT_STEPS.value():
        raise LimitError(
            f"{steps} steps are too many; this server allows {MAX_OUTPAINT_STEPS.value()}; request fewer, or raise "
            f"{MAX_OUTPAINT_STEPS.name}"
        )
    world = canvas.worlds.get(world_id).world
    canvas.storage.require(2 * sum(photo.size or 0 for photo in photos))  # with the job, and with the world
    job = canvas.jobs.new(kind, world_id)
    placing = placing.settle(world)
    try:
        uploads = [
            _save_upload(photo, job.folder / f"{UPLOAD}{i}", storage=canvas.storage)
            for i, photo in enumerate(photos, 1)
        ]
        arrangement = arrange(uploads, placing, world=world, config=canvas.studio.generator.config)
    except BaseException:
        canvas.jobs.discard(job)
        raise
    names = [upload.name for upload in uploads]
    job.name, job.region = cut(", ".join(names)), arrangement.world_region
    job.request = {"names": names, "placing": asdict(placing), "steps": steps, "samples": samples}
    canvas.jobs.submit(job)
    return job_record(canvas, job)


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
