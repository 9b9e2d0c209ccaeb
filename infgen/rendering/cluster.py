"""A picture drawn by the machines of a dask cluster, each of which writes its own chunks: only numbers travel.

The only module that imports dask.distributed (extra ``cluster``), and only when a cluster is asked for.
"""

import contextlib
import functools
import importlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from infgen import __version__
from infgen.engines import pick_device
from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.rendering.plan import Plan
from infgen.rendering.remote import TRIES, StudioSpec, failure, one_line
from infgen.rendering.render import render_batch
from infgen.rendering.studio import Studio
from infgen.sinks import pyramid
from infgen.sinks.files.work_folder import Start
from infgen.sinks.provenance import Provenance
from infgen.sinks.zarr import hold
from infgen.sinks.zarr.storage import is_url
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

CONNECT_S = 10.0
WORKERS_S = 10.0  # that a scheduler without workers is given
OUTSTANDING = 4096  # tasks that the scheduler knows at a time, so that its memory does not grow with the picture
LEVEL_CHUNKS = 16  # chunks of a smaller copy that one task makes
_RETRIES = TRIES - 1
_SCHEMES = ("tcp://", "tls://")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WorkerEnvironment:
    """What the bits of a picture depend on beside the plan: versions and type of device."""

    infgen: str
    torch: str
    device: str

    @classmethod
    def here(cls, device: str | None) -> "WorkerEnvironment":
        """That of this process, where ``device`` is asked for."""
        return cls(__version__, torch.__version__, pick_device(device).type)


@dataclass(frozen=True)
class ClusterTask:
    """One picture for workers: everything but which batch."""

    spec: StudioSpec
    plan: Plan
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
    progress: Progress = lambda done, total: None,
) -> None:
    """Draw the Zarr picture ``path`` on the workers of the dask ``scheduler``, such as tcp://host:8786.

    ``path`` is a URL, or a folder that all machines see under the same name. ``progress(pixels done, pixels in all)``.
    Worker processes that die cost the batches that they were drawing; those are drawn elsewhere. When this process ends
    early, finished tiles stay for ``start="resume"``. The result has the bits of a render in one process with the same plan,
    kind of device and number of threads.

    Raises InputError where the scheduler cannot be reached, has no workers or other versions than this process, or the path
    cannot be written; InfgenError that names the batches that failed three times, after all others are stored.
    """
    place = path if is_url(path) else str(target(path))
    with _connect(scheduler) as client, hold(place):
        environment = _common_environment(client, spec)
        whole = json.loads(json.dumps({**provenance, "device": environment.device}))
        create(place, plan.grid, whole, start)
        model = provenance.get("model")
        model_hash = str(model.get("sha256", "")) if isinstance(model, Mapping) else ""
        task = ClusterTask(spec, plan, place, environment, model_hash, json.dumps(whole), resumed=start == "resume")
        try:
            run = _Run(client, task, progress)
            run.draw()
            run.downsample()
            publish(place, plan.grid, whole)
        except BaseException:
            discard_empty(place, plan.grid)
            raise


def draw(task: ClusterTask, index: int) -> list[int]:
    """On a worker: draw batch ``index`` and store its tiles. Returns the numbers of those that were not there.

    Raises InputError where this worker cannot give the right bits, InfgenError where the storage fails.
    """
    plan, path = task.plan, task.path
    tiles = plan.batch_tiles(index)
    if task.resumed and all(is_done(path, plan.grid, tile.number) for tile in tiles):
        return []
    with _ONE_AT_A_TIME:  # a worker may have several threads: they store while one draws
        studio = _studio(task.spec, task.environment, task.model_hash)
        if task.spec.options.threads is not None:
            torch.set_num_threads(task.spec.options.threads)  # each thread of Python has a number of its own
        drawn = render_batch(studio.scene, plan, index)
    if not is_unfinished(path, json.loads(task.provenance_json)):
        raise InputError(f"{path} is not the picture any more that this worker draws; its tiles are dropped")
    for tile, pixels in drawn:
        write_chunk(path, plan.grid, tile.number, pixels)
    return [tile.number for tile in tiles]


_ONE_AT_A_TIME = threading.Lock()


@functools.lru_cache(maxsize=1)
def _studio(spec: StudioSpec, environment: WorkerEnvironment, model_hash: str) -> Studio:
    """The studio of a worker process, loaded once. Raises InputError where it is not the one of the driver."""
    here = WorkerEnvironment.here(spec.options.device)
    if here != environment:
        raise InputError(f"a worker has {_words(here)} and {_words(environment)} is needed; start all alike")
    studio = spec.open()
    if model_hash not in ("", studio.model_hash):
        raise InputError(
            f"a worker has another model under the name {studio.model_path} (sha256 {studio.model_hash[:12]}, "
            f"not {model_hash[:12]}); give all machines the same file"
        )
    return studio


class _Run:
    """The driver's side: keeps a window of tasks at the scheduler and counts what comes back."""

    def __init__(self, client: Any, task: ClusterTask, progress: Progress) -> None:
        self._client, self._task, self._progress = client, task, progress
        self._name = f"infgen-{uuid.uuid4().hex[:12]}"
        # A task and not scattered data: what a lost worker held is made again.
        self._shared = client.submit(_return_task, task, key=f"{self._name}-task")

    def draw(self) -> None:
        """Draw every batch. Raises InfgenError that names those that failed."""
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
        """Make the smaller copies, level by level."""
        for level, grid in enumerate(pyramid.levels(self._task.plan.grid)[1:], 1):
            work = functools.partial(_downsample, level)
            for group, reason in self._each(f"level-{level}", work, range(-(-grid.count // LEVEL_CHUNKS))):
                if reason is not None:
                    first = group * LEVEL_CHUNKS
                    raise InfgenError(f"level {level} lacks chunks from {first} on: {reason}; go on with --resume")

    def _each(
        self, name: str, work: Callable[[ClusterTask, int], object], numbers: range
    ) -> Iterator[tuple[int, str | None]]:
        """Do ``work(task, number)`` for all ``numbers``; (number, None or why it failed) as they end."""
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
                with contextlib.suppress(Exception):  # the scheduler may be what failed
                    self._client.cancel([future for _, future in pending.values()], force=True)


def _return_task(task: ClusterTask) -> ClusterTask:
    return task


def _downsample(level: int, task: ClusterTask, group: int) -> None:
    """On a worker: make ``LEVEL_CHUNKS`` chunks of ``level``."""
    count = pyramid.levels(task.plan.grid)[level].count
    for number in range(group * LEVEL_CHUNKS, min((group + 1) * LEVEL_CHUNKS, count)):
        downsample(task.path, task.plan.grid, level, number)


def _reason(future: Any) -> str | None:
    """Why the task failed, None where it did not. Raises InputError that a worker raised: no other batch would fare better."""
    if future.status == "finished":
        return None
    error = future.exception() if future.status == "error" else InfgenError("the scheduler lost or cancelled it")
    if isinstance(error, InputError):
        raise error
    return str(error) if isinstance(error, InfgenError) else one_line(error)


def _import_distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise MissingExtraError("a scheduler needs dask.distributed; run: pip install 'infgen[cluster]'") from error


@contextlib.contextmanager
def _connect(scheduler: str) -> Iterator[Any]:
    """A client of ``scheduler``. Raises InputError where there is none, or it has no workers."""
    distributed = _import_distributed()
    if not scheduler.startswith(_SCHEMES):
        raise InputError(f"scheduler {scheduler!r} is not an address; give one such as tcp://host:8786")
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False, name="infgen")
    except (OSError, TimeoutError, ValueError, ImportError) as error:
        raise InputError(
            f"no dask scheduler answers at {scheduler} ({one_line(error)}); start one with: dask scheduler"
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
    """What all workers have in common. Raises InputError where they differ, among each other or from this process."""
    answers = client.run(WorkerEnvironment.here, spec.options.device, on_error="return")
    failures = {worker: answer for worker, answer in answers.items() if not isinstance(answer, WorkerEnvironment)}
    if failures:
        worker, error = next(iter(failures.items()))
        raise InputError(f"worker {worker} cannot run infgen {__version__} ({one_line(error)}); install the same there")
    environments = sorted(set(answers.values()), key=str)
    environment = WorkerEnvironment(__version__, torch.__version__, environments[0].device)
    for worker, answer in answers.items():
        if answer != environment:
            raise InputError(
                f"worker {worker} has {_words(answer)} and {_words(environment)} is needed; start all alike"
            )
    return environment


def _words(environment: WorkerEnvironment) -> str:
    return f"infgen {environment.infgen}, torch {environment.torch} on {environment.device}"
