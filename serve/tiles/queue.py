"""Bounded queue of tiles: the lowest rank first, and the newest of a rank.

Duplicate requests share one render, and abandoned tiles are dropped.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from infgen.limits import MAX_QUEUE, TILE_SECONDS
from infgen.pixels import Pixels
from infgen.serve.errors import BusyError, DeadlineError, StoppingError

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.005  # an idle engine waits this long to batch neighbouring tiles
PATIENCE = 3  # a tile older than 1 / PATIENCE of its deadline goes before newer ones
FIRST_GUESS = 0.2  # initial estimate of the seconds for a tile of cost 1
MEMORY = 0.8  # decay of the moving average of seconds per tile


class Work(Protocol):
    """A picture to render."""

    @property
    def key(self) -> str:
        """Identifies the result: equal keys mean equal pixels."""

    @property
    def group(self) -> object:
        """Works with equal groups can be rendered together."""

    @property
    def cost(self) -> float:
        """Cost of rendering it alone, in full-size tiles."""

    @property
    def rank(self) -> int:
        """Lower ranks are rendered first."""


W = TypeVar("W", bound=Work)
Draw = Callable[[Sequence[W]], dict[str, Pixels]]  # pixels by key; may include extra tiles that cost nothing
Finish = Callable[[str, Pixels], bytes]  # (key, pixels) -> encoded result


@dataclass(eq=False)
class _Entry(Generic[W]):
    work: W
    result: "asyncio.Future[bytes]"
    arrived: float = field(default_factory=time.monotonic)
    waiting: int = 0


class TileQueue(Generic[W]):
    """Renders requested tiles. Call all methods from one event loop.

    ``draw`` runs on ``engine``, one call at a time. ``finish`` runs on ``encoders``, in parallel with the next call.
    """

    def __init__(self, draw: Draw[W], finish: Finish, *, engine: Executor, encoders: Executor) -> None:
        self._draw, self._finish = draw, finish
        self._engine, self._encoders = engine, encoders
        self._waiting: OrderedDict[str, _Entry[W]] = OrderedDict()  # the newest last
        self._drawing: dict[str, _Entry[W]] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._arrival = asyncio.Event()
        self._stopping = False
        self.unit_seconds = FIRST_GUESS
        self.dropped = 0  # tiles abandoned by clients or displaced by newer ones

    def __len__(self) -> int:
        return len(self._waiting) + len(self._drawing) + len(self._finishing)

    async def get(self, work: W) -> bytes:
        """Return the result of ``work``. Cancel this call to abandon the tile.

        Raises BusyError if newer requests displace it in a full queue, DeadlineError after INFGEN_TILE_SECONDS,
        StoppingError during shutdown, and every error of ``draw``.
        """
        entry = self._entry(work)
        entry.waiting += 1
        try:
            async with asyncio.timeout(TILE_SECONDS.value()):
                return await asyncio.shield(entry.result)
        except TimeoutError:
            raise DeadlineError(
                f"the tile was not rendered within {TILE_SECONDS.value()} s; try again, or raise {TILE_SECONDS.name}"
            ) from None
        finally:
            entry.waiting -= 1
            if not entry.waiting and self._waiting.get(work.key) is entry:
                del self._waiting[work.key]
                entry.result.cancel()
                self.dropped += 1

    def _entry(self, work: W) -> _Entry[W]:
        if work.key in self._drawing:
            return self._drawing[work.key]
        if work.key not in self._waiting:
            if self._stopping:
                raise StoppingError("the server is shutting down and accepts no tiles; try again later")
            entry = self._waiting[work.key] = _Entry(work, asyncio.get_running_loop().create_future())
            self._make_room()
            self._arrival.set()
            return entry
        self._waiting.move_to_end(work.key)
        return self._waiting[work.key]

    def _make_room(self) -> None:
        """Reject the oldest of the highest rank while the queue is too long, or its estimated time exceeds their patience."""
        longest = TILE_SECONDS.value() / PATIENCE
        while len(self._waiting) > 1:
            seconds = self.unit_seconds * sum(entry.work.cost for entry in self._waiting.values())
            if len(self._waiting) <= MAX_QUEUE.value() and seconds <= longest:
                return
            last = max(entry.work.rank for entry in self._waiting.values())
            oldest = next(entry for entry in self._waiting.values() if entry.work.rank == last)
            del self._waiting[oldest.work.key]
            retry = max(1, math.ceil(min(seconds, longest)))
            message = f"the tile queue is full and newer tiles go first; try again in {retry} s"
            oldest.result.set_exception(BusyError(message, retry_after=retry))
            self.dropped += 1

    async def run(self) -> None:
        """Render queued tiles until cancelled."""
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            await asyncio.sleep(GATHER_SECONDS)
            while self._waiting:
                await self._draw_some()

    async def _draw_some(self) -> None:
        entries = self._take()
        self._drawing |= {entry.work.key: entry for entry in entries}
        start = time.monotonic()
        try:
            works = [entry.work for entry in entries]
            drawn = await asyncio.get_running_loop().run_in_executor(self._engine, self._draw, works)
        except Exception as error:
            for entry in entries:
                self._fail(entry, error)
            return
        took = (time.monotonic() - start) / sum(entry.work.cost for entry in entries)
        self.unit_seconds = MEMORY * self.unit_seconds + (1 - MEMORY) * took
        for key, pixels in drawn.items():
            task = asyncio.create_task(self._hand_out(key, pixels))
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    def _take(self) -> list[_Entry[W]]:
        """Remove the newest tile of the lowest rank, or an overdue oldest one, from the queue, with all tiles of its group."""
        oldest = next(iter(self._waiting.values()))
        impatient = time.monotonic() - oldest.arrived > TILE_SECONDS.value() / PATIENCE
        lowest = min(entry.work.rank for entry in self._waiting.values())
        newest = next(entry for entry in reversed(self._waiting.values()) if entry.work.rank == lowest)
        first = oldest if impatient else newest
        together = [entry for entry in self._waiting.values() if entry.work.group == first.work.group]
        for entry in together:
            del self._waiting[entry.work.key]
        return together

    async def _hand_out(self, key: str, pixels: Pixels) -> None:
        entry = self._drawing.get(key)
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._encoders, self._finish, key, pixels)
        except Exception as error:
            if entry is not None:
                self._fail(entry, error)
            return
        if entry is not None:
            self._drawing.pop(key, None)
            if not entry.result.done():
                entry.result.set_result(result)

    def _fail(self, entry: _Entry[W], error: Exception) -> None:
        self._drawing.pop(entry.work.key, None)
        if not entry.result.done():
            entry.result.set_exception(error)
            entry.result.exception()  # marks it as retrieved, since all clients may have gone

    async def drain(self, seconds: float) -> bool:
        """Reject new tiles and wait up to ``seconds`` for queued ones. Returns whether all finished."""
        self._stopping = True
        end = time.monotonic() + seconds
        while len(self) and time.monotonic() < end:
            await asyncio.sleep(0.02)
        return not len(self)
