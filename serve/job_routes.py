"""Routes of jobs: exports are started here; jobs of any kind are followed, cancelled and fetched."""

import asyncio
import json
from collections.abc import AsyncIterator
from time import monotonic

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, StreamingResponse

from infgen.limits import MAX_STREAMS
from infgen.serve.canvas import Canvas
from infgen.serve.errors import BusyError, ConflictError, NotFoundError
from infgen.serve.exports import MEDIA_TYPES, check_export, export_path, run_export
from infgen.serve.jobs import Job
from infgen.serve.routes import Here, JobId, Responses, WorldId, errors, pictures
from infgen.serve.schemas import Export, JobRecord, Place, Progress
from infgen.serve.world_routes import region_of

router = APIRouter(tags=["jobs"])

LOOK_SECONDS, PING_SECONDS = 0.2, 15.0  # between looks at a job that is followed, between signs of life
STREAM_RETRY = 5


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
