"""Tiles and pictures of styles as encoded files: from memory, from the disk, or drawn now."""

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio.to_thread
from PIL import Image

from infgen.limits import MIB, TILE_CACHE_MB, TILE_DISK_MB
from infgen.pixels import Pixels
from infgen.rendering.render import Scene
from infgen.rendering.studio import Studio
from infgen.serve.cache import DiskCache, MemoryCache
from infgen.serve.metrics import Metrics
from infgen.serve.queue import TileQueue
from infgen.serve.recent import Recent
from infgen.serve.tiles import Address, TileArtist
from infgen.serve.turns import Turns
from infgen.world.world import World

GENERATION = (
    2  # of the tiles: another number where they begin to look otherwise, so that old ones are not shown any more
)
KEPT_SCENES = 64  # one for each revision and scale
ENCODERS = 2  # threads
# WebP as browsers like it: 40 dB and 12 KiB for a tile of the shipped model. PNG is for exact pixels.
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "webp": ("WEBP", {"quality": 90, "method": 2}),
    "png": ("PNG", {"compress_level": 1}),
}
MEDIA_TYPES = {"webp": "image/webp", "png": "image/png"}


@dataclass(frozen=True)
class TileWork:
    """A tile of a world at one of its revisions. ``reach``: how many tiles across and down are drawn together."""

    revision: str
    address: Address
    suffix: str
    cost: float
    reach: int
    world: World = field(compare=False)

    @property
    def key(self) -> str:
        """Revision and address."""
        a = self.address
        return f"{self.revision}/{a.z}/{a.x}/{a.y}.{self.suffix}"

    @property
    def group(self) -> object:
        """Tiles of one level near each other."""
        a = self.address
        return self.revision, self.suffix, a.z, a.x // self.reach, a.y // self.reach


@dataclass(frozen=True)
class StyleWork:
    """A picture of a style; ``look``: of what model and engine."""

    look: str
    seed: int
    size: int
    cost: float

    @property
    def key(self) -> str:
        """Model, seed and size."""
        return f"styles/{self.look}/{self.seed}/{self.size}.webp"

    @property
    def group(self) -> object:
        """Each alone."""
        return self.key


class Painter:
    """Answers with encoded pictures. ``folder``: for tiles that were drawn before."""

    def __init__(self, studio: Studio, folder: Path, *, turns: Turns, metrics: Metrics) -> None:
        self.artist = TileArtist(studio)
        self.look = look_of(studio)
        self._turns, self._metrics = turns, metrics
        self._memory = MemoryCache(TILE_CACHE_MB.value() * MIB)
        self._disk = DiskCache(folder, TILE_DISK_MB.value() * MIB)
        self._scenes: Recent[tuple[str, int], Scene] = Recent(KEPT_SCENES)
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._encoders = ThreadPoolExecutor(ENCODERS, thread_name_prefix="encoder")
        self.queue: TileQueue[TileWork | StyleWork] = TileQueue(
            self._draw, self._finish, engine=self._engine, encoders=self._encoders
        )

    @property
    def memory_bytes(self) -> int:
        """Encoded tiles in memory."""
        return self._memory.size

    @property
    def disk_bytes(self) -> int:
        """Encoded tiles on disk."""
        return self._disk.size

    def tile_work(self, world: World, revision: str, address: Address, suffix: str) -> TileWork:
        """Raises NotFoundError where there is no such tile."""
        address.check(self.artist.least)
        z, artist = address.z, self.artist
        return TileWork(revision, address, suffix, artist.cost(z), artist.reach(z), world)

    def style_work(self, seed: int, size: int) -> StyleWork:
        """``size``: side of the picture in pixels."""
        return StyleWork(self.look, seed, size, self.artist.style_cost(size))

    async def picture(self, work: TileWork | StyleWork) -> bytes:
        """The encoded picture. Raises what ``TileQueue.get`` raises."""
        if (known := self._memory.get(work.key)) is not None:
            self._metrics.tile("memory")
            return known
        stored = await anyio.to_thread.run_sync(self._disk.get, work.key)
        if stored is not None:
            self._memory.put(work.key, stored)
            self._metrics.tile("disk")
            return stored
        drawn = await self.queue.get(work)
        self._metrics.tile("drawn")
        return drawn

    def _draw(self, works: Sequence[TileWork | StyleWork]) -> dict[str, Pixels]:
        first = works[0]
        with self._turns, self._metrics.drawing():
            if isinstance(first, StyleWork):
                return {first.key: self.artist.style_picture(first.seed, first.size)}
            z = first.address.z
            drawn_by = first.revision, self.artist.halvings(z)
            scene = self._scenes.get(drawn_by, lambda: self.artist.scene(first.world, z))
            addresses = [work.address for work in works if isinstance(work, TileWork)]
            drawn = self.artist.draw(scene, addresses)
            return {replace(first, address=address).key: pixels for address, pixels in drawn.items()}

    def _finish(self, key: str, pixels: Pixels) -> bytes:
        data = encoded(pixels, key.rpartition(".")[2])
        self._memory.put(key, data)
        self._disk.put(key, data)
        return data

    def close(self) -> None:
        """Let the threads go."""
        for pool in (self._engine, self._encoders):
            pool.shutdown(wait=False, cancel_futures=True)


def look_of(studio: Studio) -> str:
    """A hash of what pixels depend on besides the world."""
    parts = (studio.model_hash, studio.scene.engine.name, studio.scene.engine.precision, str(GENERATION))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def encoded(pixels: Pixels, suffix: str) -> bytes:
    """(h, w, 3) uint8 as the file that ``suffix`` names: webp or png."""
    name, options = _OPTIONS[suffix]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, name, **options)
    return buffer.getvalue()
