"""Routes of exports and inversions: start, follow, cancel, fetch."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, File, Form, Response, UploadFile
from fastapi.responses import FileResponse, StreamingResponse

from infgen.errors import LimitError
from infgen.inversion.arrangement import Extension
from infgen.limits import MAX_OUTPAINT_STEPS, MAX_STREAMS
from infgen.serve.canvas import Canvas
from infgen.serve.errors import BusyError, ConflictError, NotFoundError
from infgen.serve.exports import MEDIA_TYPES, check_export, export_path, run_export
from infgen.serve.jobs import Job
from infgen.serve.outpaints import Request, arrange, run_outpaint
from infgen.serve.routes import Here, JobId, Responses, WorldId, errors, pictures
from infgen.serve.schemas import Export, JobRecord, Place, Progress
from infgen.serve.world_routes import region_of
from infgen.world.document import PX_LIMIT

router = APIRouter(tags=["jobs"])

UPLOAD = "upload"
STEPS = 150
MARGIN_PX = 2**20  # far beyond what the limits of pictures allow
LOOK_SECONDS, PING_SECONDS = 0.2, 15.0  # between looks at a job that is followed, between signs of life
STREAM_RETRY = 5

Margin = Annotated[int, Form(ge=0, le=MARGIN_PX, description="Px to add on this side.")]


def described(job: Job) -> JobRecord:
    """The answer about ``job``."""
    region = job.region
    preview = None if job.preview is None else f"jobs/{job.id}/preview.webp?step={job.done}"
    return JobRecord(
        id=job.id,
        kind=job.kind,
        world=job.world,
        state=job.state,
        created=job.created,
        progress=Progress(done=job.done, total=job.total),
        seconds_left=job.seconds_left,
        terms={name: value for name, value in job.terms.items() if value == value and abs(value) != float("inf")},
        preview=preview,
        region=None if region is None else Place(x=region.x, y=region.y, w=region.w, h=region.h),
        revision=job.revision,
        result=None if job.result is None or job.state != "done" else f"jobs/{job.id}/result",
        error=job.error,
    )


@router.post("/worlds/{world_id}/exports", status_code=202, responses=errors(400, 404, 408, 413, 429, 503))
def start_export(here: Here, world_id: WorldId, body: Export) -> JobRecord:
    """Write a rectangle of the world to a picture file: the same bytes as ``infgen render`` gives for it."""
    revision = here.worlds.get(world_id).revision if body.revision is None else body.revision
    region = region_of(body)
    studio = here.studio.with_world(here.worlds.at(world_id, revision))
    job = here.jobs.new("export", world_id)
    try:
        path = export_path(job.folder, region, body.format)
        check_export(studio, region, path)
    except BaseException:
        here.jobs.discard(job)
        raise
    here.jobs.submit(job, lambda job: run_export(job, studio=studio, region=region, path=path, turns=here.turns))
    return described(job)


@router.post("/worlds/{world_id}/outpaint", status_code=202, responses=errors(400, 404, 408, 413, 429, 503))
def start_outpaint(
    here: Here,
    world_id: WorldId,
    photo: Annotated[UploadFile, File(description="PNG, JPEG, WebP or TIFF.")],
    left: Margin = 0,
    right: Margin = 0,
    top: Margin = 0,
    bottom: Margin = 0,
    steps: Annotated[int, Form(ge=1, description="Of the inversion.")] = STEPS,
    x: Annotated[
        int | None,
        Form(ge=-PX_LIMIT, le=PX_LIMIT, description="Px of its left edge; by default beside other photographs."),
    ] = None,
) -> JobRecord:
    """Set a photograph into the world, its horizon at row 0, and draw what lies around it."""
    if steps > MAX_OUTPAINT_STEPS.value():
        raise LimitError(
            f"{steps} steps are more than this server takes, {MAX_OUTPAINT_STEPS.value()}; ask for fewer, or raise "
            f"{MAX_OUTPAINT_STEPS.name}"
        )
    world = here.worlds.get(world_id).world
    job = here.jobs.new("outpaint", world_id)
    try:
        path = _kept(photo, job.folder)
        extension = Extension(left, top, right, bottom)
        request = Request(path, photo.filename or "photograph", extension, steps, x)
        arrangement = arrange(request, world)
    except BaseException:
        here.jobs.discard(job)
        raise

    def run(job: Job) -> None:
        run_outpaint(
            job,
            request=request,
            arrangement=arrangement,
            studio=here.studio,
            store=here.worlds,
            turns=here.turns,
        )

    here.jobs.submit(job, run)
    return described(job)


def _kept(upload: UploadFile, folder: Path) -> Path:
    path = folder / UPLOAD
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    return path


@router.get("/jobs/{job_id}", responses=errors(404))
def read_job(here: Here, job_id: JobId) -> JobRecord:
    """How far a job is."""
    return described(here.jobs.get(job_id))


@router.delete("/jobs/{job_id}", responses=errors(404))
def cancel_job(here: Here, job_id: JobId) -> JobRecord:
    """Cancel a job that waits or runs; remove one that has ended, with its file."""
    return described(here.jobs.cancel(job_id))


EVENTS: Responses = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": 'Events "progress", and "end" as the last one; the data of each is the job as JSON.',
    }
}


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse, responses=EVENTS | errors(404, 429))
async def follow_job(here: Here, job_id: JobId) -> StreamingResponse:
    """Server-sent events: the job whenever there is news of it, until it has ended."""
    job = here.jobs.get(job_id)
    if here.streams >= MAX_STREAMS.value():
        raise BusyError(
            f"{here.streams} clients follow jobs, and allowed are {MAX_STREAMS.value()}; ask for the job itself instead",
            retry_after=STREAM_RETRY,
        )
    return StreamingResponse(_news(here, job), media_type="text/event-stream")


async def _news(here: Canvas, job: Job) -> AsyncIterator[str]:
    told, last = "", monotonic()
    here.streams += 1
    try:
        while True:
            ended = job.ended or here.draining
            text = json.dumps(described(job).model_dump(mode="json"))
            if text != told or ended:
                yield f"event: {'end' if ended else 'progress'}\ndata: {text}\n\n"
                told, last = text, monotonic()
            if ended:
                return
            if monotonic() - last > PING_SECONDS:
                yield ": still here\n\n"
                last = monotonic()
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        here.streams -= 1


@router.get(
    "/jobs/{job_id}/result", response_class=FileResponse, responses=pictures(*MEDIA_TYPES.values()) | errors(404, 409)
)
def job_result(here: Here, job_id: JobId) -> FileResponse:
    """The picture that a job has made."""
    job = here.jobs.get(job_id)
    if job.state != "done" or job.result is None:
        raise ConflictError(f"job {job_id} is {job.state} and has no result; follow it until it is done")
    path = job.folder / job.result
    if not path.is_file():
        raise NotFoundError(f"the result of job {job_id} was removed; start it again")
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], filename=path.name)


@router.get(
    "/jobs/{job_id}/preview.webp",
    response_class=Response,
    responses=pictures("image/webp") | errors(404),
)
def job_preview(here: Here, job_id: JobId) -> Response:
    """What an inversion has found so far."""
    job = here.jobs.get(job_id)
    if job.preview is None:
        raise NotFoundError(f"job {job_id} has no preview; exports have none, and inversions after their first step")
    return Response(job.preview, media_type="image/webp", headers={"Cache-Control": "no-store"})
