"""Tiles of a world: squares of 256 x 256 pixels at every zoom level, and what draws them.

At zoom level z, 0 or below, a pixel shows 2**-z px of the world: exactly (full resolution, averaged), from the first levels of
the network (see ``infgen.serve.coarse``), or, farther out, as the mean of the four tiles below it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from infgen.engines.base import to_pixels
from infgen.model.config import GeneratorConfig
from infgen.rendering.cost import layer_costs, tile_flops
from infgen.rendering.job import Studio
from infgen.rendering.plan import Plan, Region
from infgen.rendering.render import Pixels, Scene, render_array
from infgen.serve.coarse import CoarseArtist
from infgen.serve.coarse_inputs import Square
from infgen.serve.errors import NotFoundError
from infgen.world.document import PX_LIMIT
from infgen.world.tile_inputs import tile_batch
from infgen.world.world import World

TILE_PX = 256
BLOCK = 2  # full-size tiles that are drawn as one window, across and down, when several are wanted: a fifth less work
GPU_BATCH, GPU_REACH = (
    8,
    8,
)  # windows of one engine call, tiles in line; on a CPU, one window at a time stays in the cache
STYLE_PX = 256  # side of the window that a picture of a style shows


@dataclass(frozen=True)
class Address:
    """Tile (``x``, ``y``) of zoom level ``z``, 0 or below: px x * side to (x + 1) * side - 1, where side is 256 * 2**-z."""

    z: int
    x: int
    y: int

    @property
    def side(self) -> int:
        """Px of the world that it shows, across and down."""
        return TILE_PX << -self.z

    @property
    def block(self) -> tuple[int, int]:
        """The block that it shares with its neighbours."""
        return self.x // BLOCK, self.y // BLOCK

    @property
    def parts(self) -> list["Address"]:
        """The four tiles of the next level that show the same, row by row."""
        return [Address(self.z + 1, 2 * self.x + i, 2 * self.y + j) for j in (0, 1) for i in (0, 1)]

    def check(self, least: int) -> None:
        """Raise NotFoundError where it is not between levels ``least`` and 0, or leaves the canvas of +-2^40 px."""
        if not least <= self.z <= 0:
            raise NotFoundError(f"zoom level {self.z} is out of range; allowed are {least} to 0")
        most = PX_LIMIT // self.side
        for name, value in (("x", self.x), ("y", self.y)):
            if not -most <= value < most:
                raise NotFoundError(
                    f"tile {name} is off the canvas; at level {self.z} allowed are {-most} to {most - 1}"
                )


class TileArtist:
    """Draws tiles with the engine of ``studio``; levels 0 to -``exact`` from full resolution. For one thread at a time."""

    def __init__(self, studio: Studio, *, exact: int) -> None:
        self._studio = studio
        self._coarse = CoarseArtist(studio.generator)
        self.exact = min(exact, self._coarse.most_halvings + 1)
        self.least = -(self._coarse.most_halvings + 1)
        self._batch = GPU_BATCH if studio.scene.engine.device.type == "cuda" else 1
        self._costs = {z: self._cost(z) for z in range(self.least, 1)}

    @property
    def reach(self) -> int:
        """Full-size tiles, across and down, that are worth drawing together."""
        return BLOCK if self._batch == 1 else GPU_REACH

    def scene(self, world: World) -> Scene:
        """What is drawn. Raises WorldError where the model cannot draw ``world``."""
        return self._studio.with_world(world).scene

    def cost(self, z: int) -> float:
        """Work for a tile of level ``z``, alone; a tile of level 0 is 1."""
        return self._costs[z]

    def _cost(self, z: int) -> float:
        config, halvings = self._studio.generator.config, -z
        unit = _exact_flops(config, TILE_PX)
        if halvings <= self.exact:
            return _exact_flops(config, TILE_PX << halvings) / unit
        if halvings > self._coarse.most_halvings:
            return 4 * self._cost(z + 1)
        return _coarse_flops(config, halvings) / unit

    def draw(self, scene: Scene, tiles: Sequence[Address]) -> dict[Address, Pixels]:
        """``tiles`` of one level, (256, 256, 3) uint8 each; and others that were drawn with them anyway."""
        if tiles[0].z < 0:
            return {tile: self._zoomed_out(scene, tile) for tile in tiles}
        blocks: dict[tuple[int, int], list[Address]] = defaultdict(list)
        for tile in tiles:
            blocks[tile.block].append(tile)
        regions = [_around(members) for members in blocks.values()]
        drawn = zip(regions, self._windows(scene, regions), strict=True)
        return {tile: part for region, pixels in drawn for tile, part in _cut(region, pixels)}

    def _zoomed_out(self, scene: Scene, tile: Address) -> Pixels:
        halvings = -tile.z
        if halvings <= self.exact:
            side = tile.side
            (pixels,) = self._windows(scene, [Region(tile.x * side, tile.y * side, side, side)])
            return mean_of_blocks(pixels, 1 << halvings)
        if halvings <= self._coarse.most_halvings:
            corner = tile.x * TILE_PX, tile.y * TILE_PX
            return self._coarse.draw(scene, *corner, halvings=halvings, side=TILE_PX)
        quarters = [mean_of_blocks(self._zoomed_out(scene, part), 2) for part in tile.parts]
        return np.concatenate([np.concatenate(quarters[:2], 1), np.concatenate(quarters[2:], 1)])

    def _windows(self, scene: Scene, regions: Sequence[Region]) -> list[Pixels]:
        """Pixels of ``regions``; where it does each other good, those whose windows are alike share engine calls."""
        plans = [self._studio.plan(region) for region in regions]
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
        """The style of ``seed`` at the origin of world 0, (size, size, 3) uint8."""
        scene = self.scene(World().changed(style_seed=seed))
        (pixels,) = self._windows(scene, [Region(-STYLE_PX // 2, -STYLE_PX // 2, STYLE_PX, STYLE_PX)])
        return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS))


@torch.inference_mode()
def _together(scene: Scene, plans: Sequence[Plan]) -> Iterable[tuple[Plan, Pixels]]:
    """Plans of one window each, all of the same size, drawn by one engine call."""
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
    return [(p, picture[t.rows, t.columns]) for p, t, picture in zip(plans, tiles, pictures, strict=True)]


def mean_of_blocks(pixels: Pixels, side: int) -> Pixels:
    """Means of ``side`` x ``side`` pixels, (h, w, 3) uint8 -> (h / side, w / side, 3) uint8, rounded to the nearest."""
    if side == 1:
        return pixels
    height, width, channels = pixels.shape
    blocks = pixels.reshape(height // side, side, width // side, side, channels)
    sums = blocks.sum((1, 3), dtype=np.uint32)
    return ((sums + side * side // 2) // (side * side)).astype(np.uint8)


def _around(tiles: Iterable[Address]) -> Region:
    """The smallest rectangle of full-size tiles, px, that holds ``tiles``."""
    xs, ys = zip(*((tile.x, tile.y) for tile in tiles), strict=True)
    left, top = min(xs), min(ys)
    columns, rows = max(xs) - left + 1, max(ys) - top + 1
    return Region(left * TILE_PX, top * TILE_PX, columns * TILE_PX, rows * TILE_PX)


def _cut(region: Region, pixels: Pixels) -> Iterable[tuple[Address, Pixels]]:
    for top in range(0, region.h, TILE_PX):
        for left in range(0, region.w, TILE_PX):
            tile = Address(0, (region.x + left) // TILE_PX, (region.y + top) // TILE_PX)
            yield tile, pixels[top : top + TILE_PX, left : left + TILE_PX]


def _exact_flops(config: GeneratorConfig, side: int) -> int:
    cells = Square(0, 0, side, depth=config.levels).cells
    return tile_flops(config, cells)


def _coarse_flops(config: GeneratorConfig, halvings: int) -> int:
    """Operations of the first levels for one tile."""
    depth = config.levels - halvings
    names = {f"texture.{i}" for i in range(2 * depth)}
    costs = layer_costs(config, Square(0, 0, TILE_PX + 1, depth=depth).cells)
    return sum(cost.flops for cost in costs if cost.name.startswith("structure") or cost.name in names)
