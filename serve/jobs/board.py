"""Run long work (exports and inversions) as jobs from one queue. Clients follow and cancel jobs by id.

Each job has a folder with its ``job.json``, uploads and result. After a restart, unfinished jobs begin again from their
request. Results stay until newer jobs replace them.
"""

import json
import logging
import queue
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from infgen.atomic import write_atomically
from infgen.errors import InfgenError, LimitError
from infgen.geometry import Region
from infgen.limits import JOB_SECONDS, JOBS_AT_ONCE, KEPT_JOBS, MAX_JOBS
from infgen.serve.errors import FAILED, BusyError, NotFoundError, StoppingError
from infgen.serve.logs import Throttle
from infgen.serve.storage import Storage, tree_bytes

logger = logging.getLogger(__name__)
_throttle = Throttle(logger)

Kind = Literal["export", "outpaint", "inbetween", "picture"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")
STATE_FILE = "job.json"
UPLOAD = "upload-"  # prefix of files that a job begins with
MOST_STARTS = 3  # of one job: the work may be what stops the server
BUSY_RETRY = 30  # seconds
PREVIEW_SECONDS = 1.0  # minimum interval between previews
_LOST = "the server stopped each time that it ran this job; request less"


class JobCancelled(Exception):
    """A client cancelled the job, or the server is shutting down."""


@dataclass(eq=False)
class Job:
    """One unit of work. Only its own thread changes it; other threads may read it and call ``cancel``."""

    id: str
    kind: Kind
    world: str
    folder: Path
    created: str
    name: str = ""  # shown to people: the file of a photograph, or the size of an export
    request: dict[str, Any] = field(default_factory=dict)  # JSON that its kind runs from
    starts: int = 0
    state: State = "queued"
    stage: str | None = None  # what it does at present
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    terms: dict[str, float] = field(default_factory=dict)  # loss terms of an inversion
    region: Region | None = None  # shown by the result, px of the world
    revision: str | None = None  # of the world that the result shows
    anchors: list[str] = field(default_factory=list)  # files of latents that the job added to the world
    seeds: list[int] = field(default_factory=list)  # of continuations to choose from
    result: str | None = None  # name of the file
    error: str | None = None
    preview: bytes | None = field(default=None, repr=False)  # WebP
    previewed: float = 0.0  # time of the preview, on the monotonic clock
    _began: float = 0.0
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in ENDED

    @property
    def cancelled(self) -> bool:
        """Whether cancellation was requested."""
        return self._cancelled.is_set()

    def begin(self) -> None:
        """Set the state to running and start the clock."""
        self.state, self._began = "running", time.monotonic()
        self.starts += 1

    def cancel(self) -> None:
        """Request that the job stops at its next step."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise JobCancelled after cancellation, LimitError after INFGEN_JOB_SECONDS."""
        if self.cancelled:
            raise JobCancelled
        if time.monotonic() - self._began > JOB_SECONDS.value():
            raise LimitError(
                f"the job took longer than {JOB_SECONDS.value()} s; request less, or raise {JOB_SECONDS.name}"
            )

    def report(self, done: int, total: int, *, terms: dict[str, float] | None = None) -> None:
        """Set the progress: ``done`` of ``total``. Raises like ``check``."""
        self.check()
        self.done, self.total = done, total
        elapsed = time.monotonic() - self._began
        self.seconds_left = elapsed / done * (total - done) if done else None
        if terms is not None:
            self.terms = terms

    def show(self, encode: Callable[[], bytes]) -> None:
        """Update the preview with ``encode()``, at most once per PREVIEW_SECONDS."""
        now = time.monotonic()
        if self.preview is None or now - self.previewed >= PREVIEW_SECONDS:
            self.preview, self.previewed = encode(), now


Run = Callable[[Job], None]
_STORED = (
    *("id", "kind", "world", "created", "name", "request", "starts", "state", "done", "total", "region"),
    *("revision", "anchors", "seeds", "result", "error"),
)


class JobBoard:
    """All jobs, in the folder "jobs" of ``storage``. Thread-safe. ``start`` starts the worker threads.

    ``runs``: what a job of each kind does. It gets the job, whose ``request`` says the rest.
    """

    def __init__(self, storage: Storage, runs: Mapping[Kind, Run]) -> None:
        self._storage, self._runs, self._folder = storage, runs, storage.folder / "jobs"
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._folder.mkdir(exist_ok=True)
        self._jobs = {job.id: job for job in _load_all(self._folder)}
        storage.add(lambda: self.size)

    def start(self) -> None:
        for job in reversed(self.all()):  # of an earlier server
            if job.state == "queued":
                self._queue.put(job)
        for _ in range(JOBS_AT_ONCE.value()):
            thread = threading.Thread(target=self._work, name="job", daemon=True)
            thread.start()
            self._threads.append(thread)

    def all(self) -> list[Job]:
        """List all jobs, newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.created, reverse=True)

    def count(self, state: State) -> int:
        """Count the jobs in ``state``."""
        with self._lock:
            return sum(job.state == state for job in self._jobs.values())

    @property
    def size(self) -> int:
        """Size of all jobs and their results in bytes."""
        return tree_bytes(self._folder)

    def check_room(self) -> None:
        """Raise BusyError if too many jobs are open, StoppingError during shutdown."""
        with self._lock:
            self._check_room()

    def _check_room(self) -> None:
        if self._stopping:
            raise StoppingError("the server is shutting down and accepts no jobs; try again later")
        open_jobs = sum(not job.ended for job in self._jobs.values())
        if open_jobs >= MAX_JOBS.value():
            message = (
                f"{open_jobs} jobs are queued or running; allowed are {MAX_JOBS.value()}; wait for one, or cancel one"
            )
            raise BusyError(message, retry_after=BUSY_RETRY)

    def get(self, id: str) -> Job:
        """Return a job. Raises NotFoundError for an unknown id."""
        with self._lock:
            if id not in self._jobs:
                raise NotFoundError(f"there is no job {id[:40]!r}; finished jobs are removed after a while")
            return self._jobs[id]

    def new(self, kind: Kind, world: str, *, name: str = "") -> Job:
        """Create a job with an empty folder. Set its ``request``, and pass it to ``submit`` or ``discard``.

        Raises BusyError if too many jobs are open, StoppingError during shutdown.
        """
        id = secrets.token_hex(8)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        job = Job(id, kind, world, self._folder / id, now, name)
        with self._lock:
            self._check_room()
            with self._storage.storing():
                job.folder.mkdir()
            self._jobs[id] = job
        return job

    def submit(self, job: Job) -> None:
        """Queue ``job``. A worker thread runs it."""
        _store(job)
        self._queue.put(job)

    def discard(self, job: Job) -> None:
        with self._lock:
            self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def cancel(self, id: str) -> Job:
        """Cancel a queued or running job; discard an ended one. Raises NotFoundError for an unknown id."""
        job = self.get(id)
        if job.ended:
            self.discard(job)
            return job
        job.cancel()
        with self._lock:
            waiting = job.state == "queued"
            if waiting:
                job.state = "cancelled"
        if waiting:
            _store(job)
            _clear(job, uploads=True)
        return job

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._lock:
                if job.state != "queued" or self._stopping:
                    continue
                job.begin()
            _store(job)
            self._finish(job)
            self._prune()

    def _finish(self, job: Job) -> None:
        state: State = "failed"
        try:
            self._runs[job.kind](job)
            state = "done"
        except JobCancelled:
            state = "queued" if self._stopping else "cancelled"
            job.starts -= self._stopping  # an orderly stop does not count
        except InfgenError as error:
            job.error = self._storage.redact(" ".join(str(error).split()))
        except OSError as error:
            logger.warning("job %s failed: %s", job.id, error)
            job.error = f"the result cannot be stored ({error.strerror}); ask the operator of the server"
        except Exception:
            logger.exception("job %s failed", job.id)
            job.error = FAILED
        _store(job, state)
        if state == "done":
            _remove_uploads(job)
        else:
            _clear(job, uploads=state in ENDED)
        with self._lock:  # last: who sees that the job has ended finds its folder complete
            job.state, job.seconds_left, job.stage = state, None, None

    def _prune(self) -> None:
        with self._lock:
            ended = sorted((job for job in self._jobs.values() if job.ended), key=lambda job: job.created)
        for job in ended[: max(0, len(ended) - KEPT_JOBS.value())]:
            self.discard(job)

    def stop(self, seconds: float) -> None:
        """Stop all jobs, which the next server begins again, and wait up to ``seconds`` for the worker threads."""
        self._stopping = True
        for job in self.all():
            if job.state == "running":
                job.cancel()
        for _ in self._threads:
            self._queue.put(None)
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))


def _store(job: Job, state: State | None = None) -> None:
    """Write ``job.json``, with ``state`` instead of the job's own. On failure (disk full), log a warning and continue."""
    values = {name: getattr(job, name) for name in _STORED}
    values["state"] = state or job.state
    if job.region is not None:
        values["region"] = [job.region.x, job.region.y, job.region.w, job.region.h]
    try:
        with write_atomically(job.folder / STATE_FILE) as temporary:
            temporary.write_text(json.dumps(values))
    except (InfgenError, OSError) as error:
        _throttle.warning("cannot write the states of jobs: %s", error)


def _clear(job: Job, *, uploads: bool) -> None:
    """Remove the results of a job that is not done, and its uploads on request. Ignores a missing folder."""
    for path in job.folder.iterdir() if job.folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != STATE_FILE and (uploads or not path.name.startswith(UPLOAD)):
            with suppress(OSError):
                path.unlink()


def _remove_uploads(job: Job) -> None:
    for path in job.folder.glob(f"{UPLOAD}*"):
        with suppress(OSError):
            path.unlink()


def _load_all(folder: Path) -> list[Job]:
    """Load the jobs of an earlier server. Unfinished ones are queued again."""
    jobs = []
    for path in folder.iterdir():
        job = _read(path)
        if job is None:
            shutil.rmtree(path, ignore_errors=True)
            continue
        if not job.ended:
            again = job.request and job.starts < MOST_STARTS
            job.state, job.error = ("queued", None) if again else ("failed", _LOST)
            job.done = job.total = 0
            _store(job)
        if job.state == "done":
            _remove_uploads(job)  # the earlier server may have stopped before it did
        else:
            _clear(job, uploads=job.ended)
        jobs.append(job)
    return jobs


def _read(folder: Path) -> Job | None:
    try:
        values: dict[str, Any] = json.loads((folder / STATE_FILE).read_text())
        region = values.pop("region")
        job = Job(folder=folder, region=None if region is None else Region(*region), **values)
        known = job.state in get_args(State) and job.id == folder.name
    except (OSError, ValueError, TypeError, KeyError, AttributeError, InfgenError):
        return None
    return job if known else None
