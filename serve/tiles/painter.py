"""Serve encoded tiles and style previews from memory, from disk, or rendered on demand."""

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio.to_thread
from cachetools import LRUCache
from PIL import Image

from infgen.limits import MIB, TILE_CACHE_MB, TILE_DISK_MB
from infgen.pixels import Pixels
from infgen.rendering.render import Scene
from infgen.rendering.studio import Studio
from infgen.serve.fair_lock import FairLock
from infgen.serve.metrics import Metrics
from infgen.serve.tiles.artist import Address, TileArtist, View
from infgen.serve.tiles.cache import DiskCache, MemoryCache
from infgen.serve.tiles.content import WorldContent
from infgen.serve.tiles.queue import TileQueue
from infgen.world.world import World

GENERATION = 2  # version of tile pixels; increase it when they change, to invalidate cached tiles
KEPT_SCENES = 64  # one for each revision and scale
ENCODERS = 2  # threads
# WebP for display: 40 dB and 12 KiB for a tile of the shipped model. PNG for exact pixels.
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "webp": ("WEBP", {"quality": 90, "method": 2}),
    "png": ("PNG", {"compress_level": 1}),
}
VIEWS = "views/"  # of their cache keys: kept in memory only, because another view rarely has the same rectangle
MEDIA_TYPES = {"webp": "image/webp", "png": "image/png"}


@dataclass(frozen=True)
class TileWork:
    """Request for a tile of a world revision. ``reach``: side of the group rendered together, in tiles.

    ``content``: hash of what the group shows; revisions that differ elsewhere share it.
    """

    revision: str
    content: str
    address: Address
    _: KW_ONLY
    suffix: str
    cost: float
    reach: int
    world: World = field(compare=False)

    @property
    def key(self) -> str:
        """Cache key: content and address."""
        a = self.address
        return f"{self.content}/{a.z}/{a.x}/{a.y}.{self.suffix}"

    @property
    def group(self) -> object:
        """Neighbouring tiles of one level share a group and are rendered together."""
        a = self.address
        return self.revision, self.suffix, a.z, a.x // self.reach, a.y // self.reach

    @property
    def rank(self) -> int:
        """Tiles come after views."""
        return 1


@dataclass(frozen=True)
class ViewWork:
    """Request for a view of a world. ``revision``: None for a draft, which no revision stores."""

    revision: str | None
    content: str
    view: View
    cost: float
    world: World = field(compare=False)

    @property
    def key(self) -> str:
        """Cache key: content and rectangle."""
        v = self.view
        return f"{VIEWS}{self.content}/{v.z}/{v.x}/{v.y}/{v.w}/{v.h}.webp"

    @property
    def group(self) -> object:
        """Views are rendered one by one."""
        return self.key

    @property
    def rank(self) -> int:
        """Views are the first pictures, so they come first."""
        return 0


@dataclass(frozen=True)
class StyleWork:
    """Request for a style preview. ``renderer_hash``: hash of model and engine; ``size``: side in pixels."""

    renderer_hash: str
    seed: int
    size: int
    cost: float

    @property
    def key(self) -> str:
        """Cache key: model, seed and size."""
        return f"styles/{self.renderer_hash}/{self.seed}/{self.size}.webp"

    @property
    def group(self) -> object:
        """Style previews are rendered one by one."""
        return self.key

    @property
    def rank(self) -> int:
        """Style previews come after the canvas."""
        return 2


Work = TileWork | ViewWork | StyleWork


class Painter:
    """Returns encoded pictures. ``folder``: disk cache of tiles."""

    def __init__(self, studio: Studio, folder: Path, *, engine_lock: FairLock, metrics: Metrics) -> None:
        self.artist = TileArtist(studio)
        self.renderer_hash = hash_renderer(studio)
        self._engine_lock, self._metrics = engine_lock, metrics
        self._memory = MemoryCache(TILE_CACHE_MB.value() * MIB)
        self._disk = DiskCache(folder, TILE_DISK_MB.value() * MIB)
        self._contents: LRUCache[str, WorldContent] = LRUCache(KEPT_SCENES)
        self._scenes: LRUCache[tuple[str, int], Scene] = LRUCache(KEPT_SCENES)
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._encoders = ThreadPoolExecutor(ENCODERS, thread_name_prefix="encoder")
        self.queue: TileQueue[Work] = TileQueue(self._draw, self._finish, engine=self._engine, encoders=self._encoders)

    @property
    def memory_bytes(self) -> int:
        """Size of the memory cache in bytes."""
        return self._memory.size

    @property
    def disk_bytes(self) -> int:
        """Size of the disk cache in bytes."""
        return self._disk.size

    def shrink_disk(self, size: int) -> int:
        """Remove the oldest tiles from the disk until ``size`` bytes are free. Returns the bytes."""
        return self._disk.shrink(size)

    def tile_work(self, world: World, revision: str, address: Address, suffix: str) -> TileWork:
        """Build the request for a tile. Raises NotFoundError for an address off the canvas."""
        address.check(self.artist.least)
        z, artist = address.z, self.artist
        reach = artist.reach(z)
        content = self._content(world, revision).key(address, reach=reach, cell_px=artist.cell_px)
        return TileWork(revision, content, address, suffix=suffix, cost=artist.cost(z), reach=reach, world=world)

    def _content(self, world: World, revision: str) -> WorldContent:
        found = self._contents.get(revision)
        if found is None:
            found = self._contents[revision] = WorldContent.of(world, renderer_hash=self.renderer_hash)
        return found

    def view_work(self, world: World, revision: str, view: View, *, draft: str | None = None) -> ViewWork:
        """Build the request for a view. ``draft``: text of what ``world`` has over ``revision``, which no revision stores.

        Raises NotFoundError or LimitError as ``View.check``.
        """
        view.check(self.artist.pictures)
        cost = self.artist.view_cost(view)
        if draft is not None:
            return ViewWork(None, hashlib.sha256(f"{revision} {draft}".encode()).hexdigest(), view, cost, world=world)
        content = self._content(world, revision).key_of(view.window, cell_px=self.artist.cell_px)
        return ViewWork(revision, content, view, cost, world=world)

    def style_work(self, seed: int, size: int) -> StyleWork:
        """Build the request for a style preview of ``size`` x ``size`` pixels."""
        return StyleWork(self.renderer_hash, seed, size, self.artist.style_cost(size))

    async def picture(self, work: Work) -> bytes:
        """Return the encoded picture. Raises like ``TileQueue.get``."""
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

    def _draw(self, works: Sequence[Work]) -> dict[str, Pixels]:
        first = works[0]
        with self._engine_lock, self._metrics.drawing():
            if isinstance(first, StyleWork):
                return {first.key: self.artist.style_picture(first.seed, first.size)}
            if isinstance(first, ViewWork):
                scene = self._scene(first.world, first.revision, first.view.z)
                return {first.key: self.artist.draw_view(scene, first.view)}
            scene = self._scene(first.world, first.revision, first.address.z)
            drawn = self.artist.draw(scene, [work.address for work in works if isinstance(work, TileWork)])
            return {replace(first, address=address).key: pixels for address, pixels in drawn.items()}

    def _scene(self, world: World, revision: str | None, z: int) -> Scene:
        """Return the scene of level ``z``, made once for each revision and scale. A draft has no revision, and is not kept."""
        if revision is None:
            return self.artist.scene(world, z)
        key = revision, self.artist.halvings(z)
        if key not in self._scenes:
            self._scenes[key] = self.artist.scene(world, z)
        return self._scenes[key]

    def _finish(self, key: str, pixels: Pixels) -> bytes:
        data = encode(pixels, key.rpartition(".")[2])
        self._memory.put(key, data)
        if not key.startswith(VIEWS):
            self._disk.put(key, data)
        return data

    def close(self) -> None:
        for pool in (self._engine, self._encoders):
            pool.shutdown(wait=False, cancel_futures=True)


def hash_renderer(studio: Studio) -> str:
    """Hash everything that pixels depend on besides the world: model, engine, precision, tile version."""
    parts = (studio.model_hash, studio.scene.engine.name, studio.scene.engine.precision, str(GENERATION))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def encode(pixels: Pixels, suffix: str) -> bytes:
    """Encode pixels (h, w, 3) uint8. ``suffix``: webp or png."""
    name, options = _OPTIONS[suffix]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, name, **options)
    return buffer.getvalue()
