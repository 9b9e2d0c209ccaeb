"""Render a picture on the machines of a dask cluster. Each worker writes its own chunks; only tile numbers are sent.

This is the only module that imports dask.distributed (extra ``cluster``), and only when a cluster is used.
"""

import contextlib
import functools
import importlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch

from infgen.engines import pick_device
from infgen.errors import InfgenError, InputError
from infgen.extras import require_extra
from infgen.progress import Progress, silent
from infgen.rendering.plan import Plan
from infgen.rendering.remote import TRIES, StudioSpec, describe_error, failure
from infgen.rendering.render import render_batch
from infgen.rendering.studio import Studio
from infgen.sinks import pyramid
from infgen.sinks.files.work_folder import Start
from infgen.sinks.provenance import Provenance
from infgen.sinks.zarr import hold
from infgen.sinks.zarr.store import (
    create,
    discard_empty,
    downsample,
    is_done,
    is_unfinished,
    publish,
    target,
    write_chunk,
)
from infgen.urls import is_url
from infgen.version import __version__

CONNECT_S = 10.0
WORKERS_S = 10.0  # timeout in s for the first worker
OUTSTANDING = 4096  # most tasks at the scheduler at a time; bounds its memory
LEVEL_CHUNKS = 16  # chunks of a pyramid level per task
_RETRIES = TRIES - 1
_SCHEMES = ("tcp://", "tls://")


@dataclass(frozen=True)
class WorkerEnvironment:
    """Versions and type of device. With the plan they determine the bits of a picture."""

    infgen: str
    torch: str
    device: str

    @classmethod
    def here(cls, device: str | None) -> "WorkerEnvironment":
        """Return the environment of this process for the requested ``device``."""
        return cls(__version__, torch.__version__, pick_device(device).type)


@dataclass(frozen=True)
class ClusterTask:
    """One picture for workers: everything except the batch number."""

    spec: StudioSpec
    plan: Plan
    _: KW_ONLY
    path: str
    environment: WorkerEnvironment
    model_hash: str
    provenance_json: str
    resumed: bool


def render_on_cluster(
    spec: StudioSpec,
    plan: Plan,
    path: str,
    *,
    scheduler: str,
    provenance: Provenance,
    start: Start = "new",
    progress: Progress = silent,
) -> None:
    """Render the Zarr picture ``path`` on the workers of the dask ``scheduler``, such as tcp://host:8786.

    ``path`` is a URL, or a folder with the same name on all machines. ``progress(pixels done, pixels in all)``.
    Batches of a dead worker are rendered by another worker. If this process ends early, finished tiles are kept for
    ``start="resume"``. The result has the bits of a render in one process with the same plan, type of device and number
    of threads.

    Raises InputError if the scheduler cannot be reached, has no workers or has other versions than this process, or if
    the path cannot be written. Raises InfgenError that names batches that failed three times, after all others are stored.
    """
    place = path if is_url(path) else str(target(path))
    with _connect(scheduler) as client, hold(place):
        environment = _common_environment(client, spec)
        whole = json.loads(json.dumps({**provenance, "device": environment.device}))
        create(place, plan.grid, whole, start)
        model = provenance.get("model")
        model_hash = str(model.get("sha256", "")) if isinstance(model, Mapping) else ""
        task = ClusterTask(
            spec,
            plan,
            path=place,
            environment=environment,
            model_hash=model_hash,
            provenance_json=json.dumps(whole),
            resumed=start == "resume",
        )
        try:
            run = _Run(client, task, progress)
            run.draw()
            run.downsample()
            publish(place, plan.grid, whole)
        except BaseException:
            discard_empty(place, plan.grid)
            raise


def draw(task: ClusterTask, index: int) -> list[int]:
    """Render batch ``index`` on a worker and store its tiles. Returns the numbers of the tiles it stored.

    Raises InputError if this worker cannot give the right bits, InfgenError if the storage fails.
    """
    plan, path = task.plan, task.path
    tiles = plan.batch_tiles(index)
    if task.resumed and all(is_done(path, plan.grid, tile.number) for tile in tiles):
        return []
    with _ONE_AT_A_TIME:  # threads of a worker store tiles while one of them renders
        studio = _studio(task.spec, task.environment, task.model_hash)
        if task.spec.options.threads is not None:
            torch.set_num_threads(task.spec.options.threads)  # the number is per Python thread
        drawn = render_batch(studio.scene, plan, index)
    if not is_unfinished(path, json.loads(task.provenance_json)):
        raise InputError(f"{path} is no longer the picture of this worker; its tiles are dropped")
    for tile, pixels in drawn:
        write_chunk(path, plan.grid, tile.number, pixels)
    return [tile.number for tile in tiles]


_ONE_AT_A_TIME = threading.Lock()


@functools.lru_cache(maxsize=1)
def _studio(spec: StudioSpec, environment: WorkerEnvironment, model_hash: str) -> Studio:
    """Open the studio of a worker process once. Raises InputError if it differs from the driver's studio."""
    here = WorkerEnvironment.here(spec.options.device)
    if here != environment:
        raise InputError(
            f"a worker has {_words(here)} and {_words(environment)} is needed; start all workers with the same versions"
        )
    studio = spec.open()
    if model_hash not in ("", studio.model_hash):
        raise InputError(
            f"a worker has another model under the name {studio.model_path} (sha256 {studio.model_hash[:12]}, "
            f"not {model_hash[:12]}); give all machines the same file"
        )
    return studio


class _Run:
    """The driver: keep a window of tasks at the scheduler and count results."""

    def __init__(self, client: Any, task: ClusterTask, progress: Progress) -> None:
        self._client, self._task, self._progress = client, task, progress
        self._name = f"infgen-{uuid.uuid4().hex[:12]}"
        # A task instead of scattered data, so that the scheduler recomputes it after the loss of a worker.
        self._shared = client.submit(_return_task, task, key=f"{self._name}-task")

    def draw(self) -> None:
        """Render every batch. Raises InfgenError that names the failed ones."""
        plan, failed, done = self._task.plan, dict[int, str](), 0
        for index, reason in self._each("draw", draw, range(plan.batch_count)):
            if reason is not None:
                failed[index] = reason
                continue
            done += sum(plan.grid.box(tile.number).pixels for tile in plan.batch_tiles(index))
            self._progress(done, plan.region.pixels)
        if failed:
            raise failure(plan, failed)

    def downsample(self) -> None:
        """Make the pyramid, level by level."""
        for level, grid in enumerate(pyramid.levels(self._task.plan.grid)[1:], 1):
            work = functools.partial(_downsample, level)
            for group, reason in self._each(f"level-{level}", work, range(-(-grid.count // LEVEL_CHUNKS))):
                if reason is not None:
                    first = group * LEVEL_CHUNKS
                    raise InfgenError(f"level {level} lacks chunks from {first} on: {reason}; go on with --resume")

    def _each(
        self, name: str, work: Callable[[ClusterTask, int], object], numbers: range
    ) -> Iterator[tuple[int, str | None]]:
        """Run ``work(task, number)`` for all ``numbers``; yield (number, None or reason of failure) in order of completion."""
        distributed = _import_distributed()
        waiting, pending = iter(numbers), dict[str, tuple[int, Any]]()
        ended = distributed.as_completed(loop=self._client.loop)

        def submit(number: int) -> None:
            key = f"{self._name}-{name}-{number}"
            future = self._client.submit(work, self._shared, number, key=key, retries=_RETRIES)
            pending[key] = (number, future)
            ended.add(future)

        try:
            for number, _ in zip(waiting, range(OUTSTANDING), strict=False):
                submit(number)
            for future in ended:
                number, _ = pending.pop(future.key)
                reason = _reason(future)
                for following in waiting:
                    submit(following)
                    break
                yield number, reason
        finally:
            if pending:
                with contextlib.suppress(Exception):  # the scheduler itself may have failed
                    self._client.cancel([future for _, future in pending.values()], force=True)


def _return_task(task: ClusterTask) -> ClusterTask:
    return task


def _downsample(level: int, task: ClusterTask, group: int) -> None:
    """Make ``LEVEL_CHUNKS`` chunks of ``level`` on a worker."""
    count = pyramid.levels(task.plan.grid)[level].count
    for number in range(group * LEVEL_CHUNKS, min((group + 1) * LEVEL_CHUNKS, count)):
        downsample(task.path, task.plan.grid, level, number)


def _reason(future: Any) -> str | None:
    """Return why the task failed, or None. Raises an InputError of a worker again, because all batches would fail alike."""
    if future.status == "finished":
        return None
    error = future.exception() if future.status == "error" else InfgenError("the scheduler lost or cancelled it")
    if isinstance(error, InputError):
        raise error
    return str(error) if isinstance(error, InfgenError) else describe_error(error)


def _import_distributed() -> Any:
    with require_extra("cluster", "a scheduler"):
        return importlib.import_module("distributed")


@contextlib.contextmanager
def _connect(scheduler: str) -> Iterator[Any]:
    """Open a client of ``scheduler``. Raises InputError if it cannot be reached or has no workers."""
    distributed = _import_distributed()
    if not scheduler.startswith(_SCHEMES):
        raise InputError(f"scheduler {scheduler!r} is not an address; give one such as tcp://host:8786")
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False, name="infgen")
    except (OSError, TimeoutError, ValueError, ImportError) as error:
        raise InputError(
            f"no dask scheduler answers at {scheduler} ({describe_error(error)}); start one with: dask scheduler"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError:
            raise InputError(
                f"the scheduler at {scheduler} has no workers; start some with: dask worker {scheduler}"
            ) from None
        yield client


def _common_environment(client: Any, spec: StudioSpec) -> WorkerEnvironment:
    """Return the environment of all workers. Raises InputError if they differ from each other or from this process."""
    answers = client.run(WorkerEnvironment.here, spec.options.device, on_error="return")
    failures = {worker: answer for worker, answer in answers.items() if not isinstance(answer, WorkerEnvironment)}
    if failures:
        worker, error = next(iter(failures.items()))
        raise InputError(
            f"worker {worker} cannot run infgen {__version__} ({describe_error(error)}); install the same there"
        )
    environments = sorted(set(answers.values()), key=str)
    environment = WorkerEnvironment(__version__, torch.__version__, environments[0].device)
    for worker, answer in answers.items():
        if answer != environment:
            raise InputError(
                f"worker {worker} has {_words(answer)} and {_words(environment)} is needed; "
                "start all workers with the same versions"
            )
    return environment


def _words(environment: WorkerEnvironment) -> str:
    return f"infgen {environment.infgen}, torch {environment.torch} on {environment.device}"
