"""Address and render tiles of a world: 256 x 256 pixels at every zoom level (see ``infgen.serve.tiles.zoom``)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from infgen.engines.base import to_pixels
from infgen.errors import LimitError
from infgen.geometry import PX_LIMIT, Region, Span, Window
from infgen.pixels import Pixels
from infgen.rendering.cost import tile_flops
from infgen.rendering.new_world import fit_world
from infgen.rendering.plan import Plan
from infgen.rendering.render import Scene, render_array
from infgen.rendering.studio import Studio
from infgen.rendering.tile_inputs import tile_batch
from infgen.serve.errors import NotFoundError
from infgen.serve.tiles.zoom import zoom_levels
from infgen.world.world import World

TILE_PX = 256
MAX_VIEW_PX = 2**21  # a window of 1920 x 1080 px at full resolution
BLOCK = 2  # side in tiles of the window rendered at once; saves a fifth of the time
JOINED = (0, -1)  # levels where BLOCK saves time; farther out, wide layers cost the same in any window
GPU_BATCH, GPU_REACH = (
    8,
    8,
)  # windows per engine call, side of a group in tiles; a CPU renders one window at a time, which fits its cache
STYLE_PX = 256  # side of the window of a style preview, for models with one scale


@dataclass(frozen=True)
class Address:
    """Tile (``x``, ``y``) of zoom level ``z`` <= 0. It shows px x * side to (x + 1) * side - 1; side = 256 * 2**-z."""

    z: int
    x: int
    y: int

    @property
    def side(self) -> int:
        """Width and height in px of the world."""
        return TILE_PX << -self.z

    @property
    def block(self) -> tuple[int, int]:
        """Index of the window that contains the tile."""
        side = BLOCK if self.z in JOINED else 1
        return self.x // side, self.y // side

    def parts(self, side: int) -> list[list["Address"]]:
        """Return the ``side`` x ``side`` tiles of the same area by row, at the level of ``side`` times finer pixels."""
        z, first = self.z + side.bit_length() - 1, (side * self.x, side * self.y)
        return [[Address(z, first[0] + i, first[1] + j) for i in range(side)] for j in range(side)]

    def check(self, least: int) -> None:
        """Raise NotFoundError outside levels ``least`` to 0 or outside the canvas of +-2^40 px."""
        if not least <= self.z <= 0:
            raise NotFoundError(f"zoom level {self.z} is out of range; allowed are {least} to 0")
        most = PX_LIMIT // self.side
        for name, value in (("x", self.x), ("y", self.y)):
            if not -most <= value < most:
                raise NotFoundError(
                    f"tile {name} is off the canvas; at level {self.z} allowed are {-most} to {most - 1}"
                )


@dataclass(frozen=True)
class View:
    """Any rectangle of zoom level ``z`` <= 0, in pixels of that level: a first picture, of no more than what is visible."""

    z: int
    x: int
    y: int
    w: int
    h: int

    @property
    def window(self) -> Window:
        """The rectangle in px of the world."""
        return Window(Span(self.x << -self.z, self.w << -self.z), Span(self.y << -self.z, self.h << -self.z))

    def check(self, levels: Collection[int]) -> None:
        """Raise NotFoundError outside ``levels`` or the canvas, LimitError for too many pixels."""
        if self.z not in levels:
            allowed = ", ".join(map(str, sorted(levels)))
            raise NotFoundError(f"zoom level {self.z} has no views; the levels that the model renders are {allowed}")
        if self.w * self.h > MAX_VIEW_PX:
            raise LimitError(f"the view has {self.w * self.h} px; allowed are {MAX_VIEW_PX}; ask for a coarser level")
        most = PX_LIMIT >> -self.z
        for name, start, size in (("x", self.x, self.w), ("y", self.y, self.h)):
            if not -most <= start <= most - size:
                raise NotFoundError(f"the view leaves the canvas along {name}; allowed are px {-most} to {most} here")


class TileArtist:
    """Renders tiles with the model of ``studio``, at all its scales. Not thread-safe."""

    def __init__(self, studio: Studio) -> None:
        self._levels = zoom_levels(studio)
        self._batch = GPU_BATCH if studio.scene.engine.device.type == "cuda" else 1
        self._unit = _flops(studio, _square(0, TILE_PX))
        self.cell_px = studio.generator.config.cell_px  # px of the world, at every level
        self._costs = {z: self._flops(z) / self._unit for z in self._levels}

    @property
    def least(self) -> int:
        """Coarsest zoom level."""
        return min(self._levels)

    @property
    def pictures(self) -> list[int]:
        """Zoom levels that the model renders directly, without averaging: 0 first."""
        return [z for z, level in self._levels.items() if level.is_picture]

    @property
    def first(self) -> int:
        """Zoom level at which the page opens. A land without horizon is best seen whole; a landscape at full size."""
        return 0 if self._levels[0].studio.generator.config.has_horizon else min(self.pictures)

    def reach(self, z: int) -> int:
        """Side in tiles of the group of level ``z`` that is rendered together."""
        if not self._levels[z].is_picture:
            return 1
        if self._batch > 1:
            return GPU_REACH
        return BLOCK if z in JOINED else 1

    def halvings(self, z: int) -> int:
        """Return the halvings of the scale that tiles of level ``z`` are rendered at."""
        return self._levels[z].studio.options.halvings

    def scene(self, world: World, z: int) -> Scene:
        """Return the scene of level ``z``. Raises WorldError if the model cannot render ``world``."""
        return self._levels[z].studio.with_world(world).scene

    def cost(self, z: int) -> float:
        """Return the cost of a single tile of level ``z``; a tile of level 0 costs 1."""
        return self._costs[z]

    def _flops(self, z: int) -> int:
        level = self._levels[z]
        window = BLOCK if level.block > 1 and -self.halvings(z) in JOINED else 1  # side in tiles
        return _flops(level.studio, _square(0, TILE_PX * window)) * (level.block // window) ** 2

    def draw(self, scene: Scene, tiles: Sequence[Address]) -> dict[Address, Pixels]:
        """Render ``tiles`` of one level, (256, 256, 3) uint8 each. May include neighbours from the same window.

        ``scene``: the scene of the level.
        """
        level = self._levels[tiles[0].z]
        if not level.is_picture:
            return {tile: self._mean(scene, tile) for tile in tiles}
        blocks: dict[tuple[int, int], list[Address]] = defaultdict(list)
        for tile in tiles:
            blocks[tile.block].append(tile)
        regions = [_around(members) for members in blocks.values()]
        drawn = zip(regions, self._windows(scene, level.studio, regions), strict=True)
        return {tile: part for region, pixels in drawn for tile, part in _cut(region, pixels, z=tiles[0].z)}

    def view_cost(self, view: View) -> float:
        """Return the cost of ``view``, in tiles of level 0."""
        return _flops(self._levels[view.z].studio, Region(view.x, view.y, view.w, view.h)) / self._unit

    def draw_view(self, scene: Scene, view: View) -> Pixels:
        """Render ``view``, (h, w, 3) uint8, in one window if that fits into the memory of a tile."""
        return render_array(scene, self._levels[view.z].studio.plan(Region(view.x, view.y, view.w, view.h)))

    def _mean(self, scene: Scene, tile: Address) -> Pixels:
        side = self._levels[tile.z].block
        parts = tile.parts(side)
        drawn = self.draw(scene, [part for row in parts for part in row])
        rows = [np.concatenate([drawn[part] for part in row], axis=1) for row in parts]
        return mean_of_blocks(np.concatenate(rows), side)

    def _windows(self, scene: Scene, studio: Studio, regions: Sequence[Region]) -> list[Pixels]:
        """Render ``regions``. On a GPU, regions with equal windows share engine calls."""
        plans = [studio.plan(region) for region in regions]
        alike: dict[tuple[int, int], list[Plan]] = defaultdict(list)
        for plan in plans:
            if plan.tile_count == 1 and self._batch > 1:
                alike[plan.cells].append(plan)
        drawn = {
            plan.region: pixels
            for members in alike.values()
            for start in range(0, len(members), self._batch)
            for plan, pixels in _together(scene, members[start : start + self._batch])
        }
        return [drawn[plan.region] if plan.region in drawn else render_array(scene, plan) for plan in plans]

    def style_picture(self, seed: int, size: int) -> Pixels:
        """Render a style preview (size, size, 3) uint8 at the origin of world 0; a whole view if the model has scales."""
        studio, side = self._style_view(size)
        scene = studio.with_world(fit_world(World(), studio.generator.config).replace(style_seed=seed)).scene
        pixels = render_array(scene, studio.plan(_square(-(side // 2), side)))
        return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS))

    def style_cost(self, size: int) -> float:
        """Return the cost of a style preview, in full-size tiles."""
        studio, side = self._style_view(size)
        return _flops(studio, _square(-(side // 2), side)) / self._unit

    def _style_view(self, size: int) -> tuple[Studio, int]:
        """Choose the coarsest scale whose view has ``size`` or more rows, else full size; return the view height too."""
        for z in reversed(self.pictures[1:]):
            studio = self._levels[z].studio
            view = studio.generator.config.view_px
            if view is not None and view >= size:
                return studio, view
        return self._levels[0].studio, STYLE_PX


@torch.inference_mode()
def _together(scene: Scene, plans: Sequence[Plan]) -> Iterable[tuple[Plan, Pixels]]:
    """Render plans of one window each, all of the same size, in one engine call."""
    tiles = [plan.tile(0) for plan in plans]
    batch = tile_batch(
        scene.world,
        [tile.position for tile in tiles],
        cells=plans[0].cells,
        config=scene.engine.config,
        palette=scene.palette,
        device=scene.engine.device,
    )
    pictures = to_pixels(scene.engine.render_float(batch)).cpu().numpy()
    return [
        (p, scene.finish(picture[t.rows, t.columns], x=p.region.x, y=p.region.y))
        for p, t, picture in zip(plans, tiles, pictures, strict=True)
    ]


def mean_of_blocks(pixels: Pixels, side: int) -> Pixels:
    """Average blocks of ``side`` x ``side`` pixels: (h, w, 3) uint8 -> (h / side, w / side, 3) uint8, rounded."""
    if side == 1:
        return pixels
    height, width, channels = pixels.shape
    blocks = pixels.reshape(height // side, side, width // side, side, channels)
    sums = blocks.sum((1, 3), dtype=np.uint32)
    return ((sums + side * side // 2) // (side * side)).astype(np.uint8)


def _around(tiles: Iterable[Address]) -> Region:
    """Return the bounding rectangle of ``tiles`` of one level, in pixels of that level."""
    xs, ys = zip(*((tile.x, tile.y) for tile in tiles), strict=True)
    left, top = min(xs), min(ys)
    columns, rows = max(xs) - left + 1, max(ys) - top + 1
    return Region(left * TILE_PX, top * TILE_PX, columns * TILE_PX, rows * TILE_PX)


def _cut(region: Region, pixels: Pixels, *, z: int) -> Iterable[tuple[Address, Pixels]]:
    for top in range(0, region.h, TILE_PX):
        for left in range(0, region.w, TILE_PX):
            tile = Address(z, (region.x + left) // TILE_PX, (region.y + top) // TILE_PX)
            yield tile, pixels[top : top + TILE_PX, left : left + TILE_PX]


def _square(corner: int, side: int) -> Region:
    """Return the square with its upper left corner at (``corner``, ``corner``)."""
    return Region(corner, corner, side, side)


def _flops(studio: Studio, region: Region) -> int:
    """Estimate the FLOPs of ``region``, in pixels of the studio's scale."""
    plan = studio.plan(region)
    return tile_flops(studio.generator.config, plan.cells) * plan.tile_count
