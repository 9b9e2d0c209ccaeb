"""The render loop: world x region x engine, tile by tile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from infgen.engines.base import Engine, TileBatch, to_pixels
from infgen.model.generator import Style
from infgen.rendering.plan import Plan, PlannedTile
from infgen.world.tile_inputs import tile_batch
from infgen.world.world import World

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """What is drawn and by what: a world, the style that a model gives it, and an engine that runs that model."""

    world: World
    style: Style
    engine: Engine


def batch_inputs(scene: Scene, plan: Plan, tiles: list[PlannedTile]) -> TileBatch:
    """Inputs of one engine call; a short last batch is filled up by repeating its last tile, so that shapes never change."""
    full = tiles + [tiles[-1]] * (plan.batch - len(tiles))
    return tile_batch(
        scene.world,
        [t.position for t in full],
        cells=plan.cells,
        config=scene.engine.config,
        style=scene.style,
        device=scene.engine.device,
    )


def render_tiles(scene: Scene, plan: Plan) -> Iterator[tuple[PlannedTile, Pixels]]:
    """Every tile of the plan with the pixels that it owns, (rows, columns, 3) uint8, in the plan's order."""
    with torch.inference_mode():
        for tiles in plan.batches():
            pixels = to_pixels(scene.engine.render_float(batch_inputs(scene, plan, tiles))).cpu().numpy()
            for tile, picture in zip(tiles, pixels, strict=False):
                yield tile, picture[tile.rows, tile.columns]


def render_array(scene: Scene, plan: Plan) -> Pixels:
    """The plan's region as one array (h, w, 3) uint8 in memory."""
    picture = np.empty((plan.region.h, plan.region.w, 3), np.uint8)
    for tile, pixels in render_tiles(scene, plan):
        picture[tile.y : tile.y + pixels.shape[0], tile.x : tile.x + pixels.shape[1]] = pixels
    return picture


def render_to(
    scene: Scene,
    plan: Plan,
    write_tile: Callable[[Pixels, int, int], None],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Hand every tile to ``write_tile(pixels, x, y)``; ``progress(pixels done, pixels in all)`` after each."""
    done = 0
    for tile, pixels in render_tiles(scene, plan):
        write_tile(pixels, tile.x, tile.y)
        done += pixels.shape[0] * pixels.shape[1]
        progress(done, plan.region.pixels)
