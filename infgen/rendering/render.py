"""The render loop: world x region x engine, tile by tile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from infgen.engines.base import Engine, TileBatch, to_pixels
from infgen.pixels import Pixels
from infgen.rendering.palette import Palette
from infgen.rendering.plan import Plan, PlannedTile
from infgen.rendering.tile_inputs import tile_batch
from infgen.sinks.base import Sink
from infgen.world.world import World


@dataclass(frozen=True)
class Scene:
    """What is drawn and by what: a world, the styles that a model gives it, and an engine that runs that model."""

    world: World
    palette: Palette
    engine: Engine


def batch_inputs(scene: Scene, plan: Plan, tiles: list[PlannedTile]) -> TileBatch:
    """Inputs of one engine call; a short last batch is filled up by repeating its last tile, so that shapes never change."""
    full = tiles + [tiles[-1]] * (plan.batch - len(tiles))
    return tile_batch(
        scene.world,
        [t.position for t in full],
        cells=plan.cells,
        config=scene.engine.config,
        palette=scene.palette,
        device=scene.engine.device,
    )


@torch.inference_mode()
def render_batch(scene: Scene, plan: Plan, index: int) -> list[tuple[PlannedTile, Pixels]]:
    """The tiles of engine call ``index`` with the pixels that they own, (rows, columns, 3) uint8.

    Bit for bit the same whenever and wherever the same plan's call is made with the same engine.
    """
    tiles = plan.batch_tiles(index)
    pixels = to_pixels(scene.engine.render_float(batch_inputs(scene, plan, tiles))).cpu().numpy()
    return [(tile, picture[tile.rows, tile.columns]) for tile, picture in zip(tiles, pixels, strict=False)]


def render_tiles(scene: Scene, plan: Plan) -> Iterator[tuple[PlannedTile, Pixels]]:
    """Every tile of the plan with the pixels that it owns, (rows, columns, 3) uint8, in the plan's order."""
    for index in range(plan.batch_count):
        yield from render_batch(scene, plan, index)


def render_array(scene: Scene, plan: Plan) -> Pixels:
    """The plan's region as one array (h, w, 3) uint8 in memory."""
    picture = np.empty((plan.region.h, plan.region.w, 3), np.uint8)
    for tile, pixels in render_tiles(scene, plan):
        picture[tile.y : tile.y + pixels.shape[0], tile.x : tile.x + pixels.shape[1]] = pixels
    return picture


def render_to(
    scene: Scene, plan: Plan, sink: Sink, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Write every tile that ``sink`` lacks; ``progress(pixels done, pixels in all)`` after each batch."""
    done = 0
    for index in range(plan.batch_count):
        tiles = plan.batch_tiles(index)
        if not sink.done.issuperset(tile.number for tile in tiles):
            for tile, pixels in render_batch(scene, plan, index):
                sink.write_tile(tile.number, pixels)
        done += sum(plan.grid.box(tile.number).pixels for tile in tiles)
        progress(done, plan.region.pixels)
