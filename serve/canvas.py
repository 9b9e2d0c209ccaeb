"""Hold the state of one server (model, worlds, tiles, jobs), and start and stop its parts together."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import anyio.to_thread

from infgen.errors import InputError
from infgen.limits import DRAIN_SECONDS
from infgen.lock import Lock, TakenError
from infgen.rendering.studio import Studio
from infgen.serve.fair_lock import FairLock
from infgen.serve.jobs.board import JobBoard, Kind, Run
from infgen.serve.jobs.exports import run_export
from infgen.serve.jobs.inversions import run_inversions
from infgen.serve.jobs.pictures import run_picture
from infgen.serve.metrics import Metrics
from infgen.serve.storage import Storage
from infgen.serve.tiles.painter import Painter
from infgen.serve.worlds.store import WorldStore

LOCK = "lock"


class CanvasServer:
    """State shared by all requests. ``data``: folder of worlds, tiles and jobs, locked for one server at a time."""

    def __init__(self, studio: Studio, data: Path) -> None:
        self.studio = studio
        self._lock = _lock_folder(data)
        self.metrics = Metrics()
        self.engine_lock = FairLock()
        self.storage = Storage(data.resolve())
        folder = self.storage.folder / "tiles"
        self.painter = Painter(studio, folder, engine_lock=self.engine_lock, metrics=self.metrics)
        self.storage.add(lambda: self.painter.disk_bytes, self.painter.shrink_disk)
        self.worlds = WorldStore(self.storage, renderer_hash=self.painter.renderer_hash)
        self.jobs = JobBoard(self.storage, self._runs())
        self.streams = 0  # open event streams of jobs
        self.uploads = 0  # requests with photographs that are being received
        self.running = False
        self.draining = False
        self._watch()

    def _runs(self) -> Mapping[Kind, Run]:
        shared: dict[str, Any] = {"studio": self.studio, "store": self.worlds, "engine_lock": self.engine_lock}
        inversions = partial(run_inversions, **shared)
        return {
            "export": partial(run_export, **shared),
            "outpaint": inversions,
            "inbetween": inversions,
            "picture": partial(run_picture, **shared),
        }

    @property
    def ready(self) -> bool:
        """Whether the server accepts work. Looks at the data folder, so do not ask on the event loop."""
        return self.running and not self.draining and self.storage.usable()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run the tile queue and the jobs inside the context; drain on exit."""
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
        """Reject new work, cancel jobs, and finish queued tiles within INFGEN_DRAIN_SECONDS."""
        self.draining = True
        end = monotonic() + DRAIN_SECONDS.value()
        await self.painter.queue.drain(end - monotonic())
        await anyio.to_thread.run_sync(self.jobs.stop, max(0.0, end - monotonic()))

    def _watch(self) -> None:
        queue, watch = self.painter.queue, self.metrics.watch
        watch("infgen_queue_tiles", "Tiles queued or being rendered", lambda: len(queue))
        watch("infgen_dropped_tiles", "Tiles dropped from the queue before rendering", lambda: queue.dropped)
        watch("infgen_cache_bytes", "Bytes of tiles cached in memory", lambda: self.painter.memory_bytes)
        watch("infgen_disk_cache_bytes", "Bytes of tiles cached on disk", lambda: self.painter.disk_bytes)
        watch("infgen_data_bytes", "Bytes of the data folder", lambda: self.storage.used_bytes)
        watch("infgen_data_limit_bytes", "Limit of the data folder in bytes", lambda: self.storage.limit)
        watch("infgen_worlds_bytes", "Bytes of worlds with their history and latents", lambda: self.worlds.size)
        watch("infgen_jobs_bytes", "Bytes of jobs and their results", lambda: self.jobs.size)
        watch("infgen_worlds", "Stored worlds", lambda: len(self.worlds))
        watch("infgen_running_jobs", "Running jobs", lambda: self.jobs.count("running"))
        watch("infgen_waiting_jobs", "Queued jobs", lambda: self.jobs.count("queued"))


def _lock_folder(data: Path) -> Lock:
    """Create and lock the data folder. Raises InputError if it is unusable or in use by another server."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        return Lock(data / LOCK)
    except OSError as error:
        raise InputError(f"data folder {data} cannot be used ({error.strerror}); give another --data") from None
    except TakenError as error:
        raise InputError(
            f"data folder {data} is in use by process {error.owner}; stop it, or give another --data"
        ) from None
