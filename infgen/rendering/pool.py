"""Render on several devices of one machine, with one process per device. This process writes the tiles into the sink.

The assignment of batches to processes changes no pixel. A dead process is replaced and its batches are rendered again.
"""

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from infgen.errors import InfgenError, InputError
from infgen.pixels import Pixels
from infgen.progress import Progress, silent
from infgen.rendering.plan import Plan
from infgen.rendering.remote import TRIES, StudioSpec, describe_error, failure
from infgen.rendering.render import render_batch
from infgen.sinks.base import Sink

IN_FLIGHT = 2  # batches per process: one in progress, one queued, so that the process is never idle
_DEATHS = 3 * TRIES  # most deaths of processes in a row without a rendered batch
_LEAVE_S = 5.0

Tiles = list[tuple[int, Pixels]]  # (number, pixels)
Serve = Callable[[Connection, StudioSpec, Plan, str], None]


def serve(connection: Connection, spec: StudioSpec, plan: Plan, device: str) -> None:
    """Run a worker process: open the studio, then render each batch number received, until None.

    Sends (batch, tiles) or (batch, reason of the failure), or an InfgenError if the studio cannot be opened.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    with suppress(EOFError, OSError):  # the parent has ended
        try:
            studio = spec.open(device=device)
        except InfgenError as error:
            connection.send(error)
            return
        while (index := connection.recv()) is not None:
            try:
                answer: Tiles | str = [(tile.number, px) for tile, px in render_batch(studio.scene, plan, index)]
            except Exception as error:  # of any kind: the parent retries the batch
                answer = describe_error(error)
            connection.send((index, answer))


@dataclass
class _Worker:
    """One process and its unanswered batches, in order."""

    device: str
    process: Any
    connection: Connection
    given: deque[int] = field(default_factory=deque)

    def give(self, index: int) -> None:
        self.given.append(index)
        with suppress(OSError):  # the process died; its end of the pipe is closed
            self.connection.send(index)

    def stop(self, seconds: float) -> None:
        """Ask the process to end, and kill it after this many seconds."""
        with suppress(OSError):
            self.connection.send(None)
        if seconds:
            self.process.join(seconds)
        self.process.kill()
        self.process.join()
        self.connection.close()


def render_with_pool(
    spec: StudioSpec,
    plan: Plan,
    sink: Sink,
    *,
    devices: Sequence[str],
    progress: Progress = silent,
) -> None:
    """Render the missing tiles of ``sink`` with one process for each of ``devices`` ("cuda:0", "cuda:1", "cpu" ...).

    ``progress(pixels done, pixels in all)`` is called after each batch; batches end in any order. The result has the bits of
    a render in one process with the same plan, device and number of threads. Every process imports the main module, so
    callers must guard it with ``if __name__ == "__main__"``.

    Raises InputError if a device or the model cannot be used. Raises InfgenError that names batches that failed three
    times, after all others are in the sink.
    """
    if not devices:
        raise InputError("no device is given; give one or more, such as cuda:0,cuda:1")
    _Pool(spec, plan, sink, progress, serve).run(devices)


class _Pool:
    """State of one render: queued batches, worker processes, failures."""

    def __init__(self, spec: StudioSpec, plan: Plan, sink: Sink, progress: Progress, serve_batches: Serve) -> None:
        self._spec, self._plan, self._sink, self._progress, self._serve = spec, plan, sink, progress, serve_batches
        self._waiting: deque[int] = deque()
        self._failures: Counter[int] = Counter()
        self._given_up: dict[int, str] = {}
        self._deaths = 0  # since the last rendered batch
        self._done_px = 0

    def run(self, devices: Sequence[str]) -> None:
        self._collect()
        workers: list[_Worker] = []
        grace_s = 0.0
        try:
            workers += [self._start(device) for device in devices[: len(self._waiting)]]
            self._draw(workers)
            grace_s = _LEAVE_S
        finally:
            for worker in workers:
                worker.stop(grace_s)
        if self._given_up:
            raise failure(self._plan, self._given_up)

    def _collect(self) -> None:
        """Queue the batches with missing tiles."""
        for index in range(self._plan.batch_count):
            if self._sink.done.issuperset(tile.number for tile in self._plan.batch_tiles(index)):
                self._done_px += self._pixels(index)
            else:
                self._waiting.append(index)
        self._progress(self._done_px, self._plan.region.pixels)

    def _start(self, device: str) -> _Worker:
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        here, there = context.Pipe()
        process = context.Process(
            target=self._serve, args=(there, self._spec, self._plan, device), name=f"infgen {device}", daemon=True
        )
        process.start()
        there.close()  # so that the pipe closes when the process ends
        return _Worker(device, process, here)

    def _draw(self, workers: list[_Worker]) -> None:
        while self._waiting or any(worker.given for worker in workers):
            for worker in workers:
                while self._waiting and len(worker.given) < IN_FLIGHT:
                    worker.give(self._waiting.popleft())
            ready = wait([worker.connection for worker in workers])
            for place, worker in enumerate(workers):
                if worker.connection not in ready:
                    continue
                try:
                    answer = worker.connection.recv()
                except (EOFError, OSError):
                    workers[place] = self._replace(worker)
                else:
                    self._take(worker, answer)

    def _take(self, worker: _Worker, answer: InfgenError | tuple[int, Tiles | str]) -> None:
        if isinstance(answer, InfgenError):
            raise answer
        index, result = answer
        worker.given.remove(index)
        if isinstance(result, str):
            self._count_failure(index, result)
            return
        self._deaths = 0
        for number, pixels in result:
            self._sink.write_tile(number, pixels)
        self._done_px += self._pixels(index)
        self._progress(self._done_px, self._plan.region.pixels)

    def _replace(self, dead: _Worker) -> _Worker:
        """Replace a dead process. Count a failure for its current batch, and queue its next batch again."""
        dead.stop(0)
        reason = f"the process on {dead.device} ended with code {dead.process.exitcode}"
        self._deaths += 1
        if self._deaths >= _DEATHS:
            raise InfgenError(
                f"{reason}, {self._deaths} times without drawing anything; a smaller --tile needs less memory; "
                "finished tiles are kept for --resume"
            )
        self._waiting.extendleft(reversed(list(dead.given)[1:]))
        if dead.given:
            self._count_failure(dead.given[0], reason)
        return self._start(dead.device)

    def _count_failure(self, index: int, reason: str) -> None:
        self._failures[index] += 1
        if self._failures[index] < TRIES:
            self._waiting.append(index)
        else:
            self._given_up[index] = reason

    def _pixels(self, index: int) -> int:
        return sum(self._plan.grid.box(tile.number).pixels for tile in self._plan.batch_tiles(index))
