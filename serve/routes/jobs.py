"""Routes of jobs: start exports; follow, cancel and download jobs of any kind."""

import asyncio
import json
from collections.abc import AsyncIterator
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from infgen.inversion.arrangement import SIDES
from infgen.limits import MAX_EXPORT_PIXELS, MAX_STREAMS
from infgen.serve.canvas import CanvasServer
from infgen.serve.errors import BusyError, ConflictError, NotFoundError
from infgen.serve.jobs.board import Job
from infgen.serve.jobs.exports import MEDIA_TYPES, check_export, export_path
from infgen.serve.jobs.inversions import sample_path
from infgen.serve.routes.bodies import BodyRoute
from infgen.serve.routes.common import CanvasDep, JobId, Responses, WorldId, errors, pictures
from infgen.serve.routes.schemas import Continuation, Export, JobRecord, Place, Progress, Sides
from infgen.serve.routes.worlds import region_of

router = APIRouter(tags=["jobs"], route_class=BodyRoute)

POLL_SECONDS, PING_SECONDS = 0.2, 15.0  # interval of polling a followed job, interval of keep-alive comments
STREAM_RETRY = 5
CHANNELS = 3  # bytes of a pixel: a result is hardly larger


def job_record(canvas: CanvasServer, job: Job) -> JobRecord:
    """Build the response body for ``job``."""
    region = job.region
    preview = None if job.preview is None else f"jobs/{job.id}/preview.webp?step={job.done}"
    return JobRecord(
        id=job.id,
        kind=job.kind,
        name=job.name,
        world=job.world,
        world_name=canvas.worlds.name(job.world),
        state=job.state,
        stage=job.stage,
        created=job.created,
        progress=Progress(done=job.done, total=job.total),
        seconds_left=job.seconds_left,
        terms={name: value for name, value in job.terms.items() if value == value and abs(value) != float("inf")},
        preview=preview,
        region=None if region is None else Place(x=region.x, y=region.y, w=region.w, h=region.h),
        revision=job.revision,
        anchors=list(job.anchors),
        sides=_sides(job),
        continuations=[
            Continuation(seed=seed, picture=f"jobs/{job.id}/continuations/{i}.webp") for i, seed in enumerate(job.seeds)
        ],
        result=None if job.result is None or job.state != "done" else f"jobs/{job.id}/result",
        error=job.error,
    )


def _sides(job: Job) -> Sides | None:
    around = job.request.get("placing", {}).get("around") if job.kind == "outpaint" else None
    return None if around is None else Sides(**{side: around[side] for side in SIDES})


@router.post("/worlds/{world_id}/exports", status_code=202, responses=errors(400, 404, 408, 413, 429, 503, 507))
def start_export(canvas: CanvasDep, world_id: WorldId, body: Export) -> JobRecord:
    """Start a job that exports a rectangle to a picture file, with the same bytes as ``infgen render``."""
    revision = canvas.worlds.get(world_id).revision if body.revision is None else body.revision
    region = region_of(body)
    studio = canvas.studio.with_world(canvas.worlds.at(world_id, revision))
    name = f"{region.w} x {region.h} px, {body.format.upper()}"
    canvas.storage.require(CHANNELS * region.pixels if region.pixels <= MAX_EXPORT_PIXELS.value() else 0)
    job = canvas.jobs.new("export", world_id, name=name)
    try:
        check_export(studio, region, export_path(job.folder, region, body.format))
    except BaseException:
        canvas.jobs.discard(job)
        raise
    job.region, job.revision = region, revision
    job.request = {"x": body.x, "y": body.y, "w": body.w, "h": body.h, "format": body.format, "revision": revision}
    canvas.jobs.submit(job)
    return job_record(canvas, job)


@router.get("/jobs", responses=errors())
def list_jobs(canvas: CanvasDep) -> list[JobRecord]:
    """List all jobs, newest first."""
    return [job_record(canvas, job) for job in canvas.jobs.all()]


@router.get("/jobs/{job_id}", responses=errors(404))
def read_job(canvas: CanvasDep, job_id: JobId) -> JobRecord:
    """Read the state and progress of a job."""
    return job_record(canvas, canvas.jobs.get(job_id))


@router.delete("/jobs/{job_id}", responses=errors(404))
def cancel_job(canvas: CanvasDep, job_id: JobId) -> JobRecord:
    """Cancel a queued or running job. Remove an ended job and its files."""
    return job_record(canvas, canvas.jobs.cancel(job_id))


EVENTS: Responses = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": 'Events "progress", then one "end"; the data of each is the job as JSON.',
    }
}


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse, responses=EVENTS | errors(404, 429))
async def follow_job(canvas: CanvasDep, job_id: JobId) -> StreamingResponse:
    """Stream the job as server-sent events: one event per change, until the job ends."""
    job = canvas.jobs.get(job_id)
    if canvas.streams >= MAX_STREAMS.value():
        raise BusyError(
            f"{canvas.streams} clients follow jobs; allowed are {MAX_STREAMS.value()}; poll the job instead",
            retry_after=STREAM_RETRY,
        )
    canvas.streams += 1
    return _Events(canvas, job)


class _Events(StreamingResponse):
    """Stream of one job. It occupies one of the streams from its creation to its end, also if it never begins."""

    def __init__(self, canvas: CanvasServer, job: Job) -> None:
        super().__init__(_stream_events(canvas, job), media_type="text/event-stream")
        self._canvas = canvas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._canvas.streams -= 1


async def _stream_events(canvas: CanvasServer, job: Job) -> AsyncIterator[str]:
    sent, last = "", monotonic()
    while True:
        ended = job.ended or canvas.draining
        text = json.dumps(job_record(canvas, job).model_dump(mode="json"))
        if text != sent or ended:
            yield f"event: {'end' if ended else 'progress'}\ndata: {text}\n\n"
            sent, last = text, monotonic()
        if ended:
            return
        if monotonic() - last > PING_SECONDS:
            yield ": still here\n\n"
            last = monotonic()
        await asyncio.sleep(POLL_SECONDS)


@router.get(
    "/jobs/{job_id}/result", response_class=FileResponse, responses=pictures(*MEDIA_TYPES.values()) | errors(404, 409)
)
def job_result(canvas: CanvasDep, job_id: JobId) -> FileResponse:
    """Download the picture of a finished job."""
    job = canvas.jobs.get(job_id)
    if job.state != "done" or job.result is None:
        raise ConflictError(f"job {job_id} is {job.state} and has no result; wait until it is done")
    path = job.folder / job.result
    if not path.is_file():
        raise NotFoundError(f"the result of job {job_id} was removed; start it again")
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], filename=path.name)


@router.get(
    "/jobs/{job_id}/preview.webp",
    response_class=Response,
    responses=pictures("image/webp") | errors(404),
)
def job_preview(canvas: CanvasDep, job_id: JobId) -> Response:
    """Download the current preview of an inversion."""
    job = canvas.jobs.get(job_id)
    if job.preview is None:
        raise NotFoundError(f"job {job_id} has no preview; only inversions have one, after their first step")
    return Response(job.preview, media_type="image/webp", headers={"Cache-Control": "no-store"})


@router.get(
    "/jobs/{job_id}/continuations/{number}.webp",
    response_class=FileResponse,
    responses=pictures("image/webp") | errors(404),
)
def job_continuation(
    canvas: CanvasDep, job_id: JobId, number: Annotated[int, Path(ge=0, description="From 0.", examples=[0])]
) -> FileResponse:
    """Download the picture of one continuation of a photograph, at working size."""
    job = canvas.jobs.get(job_id)
    path = sample_path(job.folder, number)
    if number >= len(job.seeds) or not path.is_file():
        raise NotFoundError(f"job {job_id} has no continuation {number}; it has {len(job.seeds)}")
    return FileResponse(path, media_type="image/webp")
