"""One server: the model, the worlds, the tiles and the jobs, and how they start and stop together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import anyio.to_thread

from infgen.errors import InputError
from infgen.limits import DRAIN_SECONDS
from infgen.lock import Lock, TakenError
from infgen.rendering.studio import Studio
from infgen.serve.jobs import JobBoard
from infgen.serve.metrics import Metrics
from infgen.serve.painting import Painter
from infgen.serve.turns import Turns
from infgen.serve.worlds import WorldStore

LOCK = "lock"


class Canvas:
    """All that requests need. ``data``: the folder where worlds, tiles and jobs are kept; one server at a time has it."""

    def __init__(self, studio: Studio, data: Path) -> None:
        self.studio = studio
        self._lock = _locked(data)
        self.metrics = Metrics()
        self.turns = Turns()
        self.painter = Painter(studio, data / "tiles", turns=self.turns, metrics=self.metrics)
        self.worlds = WorldStore(data / "worlds", look=self.painter.look)
        self.jobs = JobBoard(data / "jobs")
        self.streams = 0  # clients that follow a job
        self.running = False
        self.draining = False
        self._watch()

    @property
    def ready(self) -> bool:
        """Whether it takes work."""
        return self.running and not self.draining

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """It works while the context is open, and drains when it is left."""
        painting = asyncio.create_task(self.painter.queue.run())
        painting.add_done_callback(lambda _: setattr(self, "running", False))
        self.jobs.start()
        self.running = True
        try:
            yield
        finally:
            await self.drain()
            painting.cancel()
            with suppress(asyncio.CancelledError):
                await painting
            self.painter.close()
            self._lock.close()

    async def drain(self) -> None:
        """Take no new work, cancel jobs, and finish the tiles in line: within INFGEN_DRAIN_SECONDS."""
        self.draining = True
        end = monotonic() + DRAIN_SECONDS.value()
        await self.painter.queue.drain(end - monotonic())
        await anyio.to_thread.run_sync(self.jobs.stop, max(0.0, end - monotonic()))

    def _watch(self) -> None:
        queue, watch = self.painter.queue, self.metrics.watch
        watch("infgen_queue_tiles", "Tiles that wait or are drawn", lambda: len(queue))
        watch("infgen_dropped_tiles", "Tiles that were given up before they were drawn", lambda: queue.dropped)
        watch("infgen_cache_bytes", "Tiles kept in memory", lambda: self.painter.memory_bytes)
        watch("infgen_disk_cache_bytes", "Tiles kept on disk", lambda: self.painter.disk_bytes)
        watch("infgen_worlds", "Worlds that are kept", lambda: len(self.worlds))
        watch("infgen_running_jobs", "Jobs that run", lambda: self.jobs.count("running"))
        watch("infgen_waiting_jobs", "Jobs that wait", lambda: self.jobs.count("queued"))


def _locked(data: Path) -> Lock:
    """Make the folder, and make sure that no other server has it. Raises InputError where that cannot be."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        return Lock(data / LOCK)
    except OSError as error:
        raise InputError(f"data folder {data} cannot be used ({error.strerror}); give another --data") from None
    except TakenError as error:
        raise InputError(
            f"data folder {data} is in use by process {error.owner}; stop it, or give another --data"
        ) from None
