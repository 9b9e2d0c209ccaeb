"""The render loop: compute the tiles of a plan with an engine."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from infgen.engines.base import Engine, TileBatch, to_pixels
from infgen.pixels import Pixels
from infgen.progress import Progress, silent
from infgen.rendering.palette import Palette
from infgen.rendering.photographs import Photographs
from infgen.rendering.plan import Plan, PlannedTile
from infgen.rendering.tile_inputs import tile_batch
from infgen.sinks.base import Sink
from infgen.world.world import World


@dataclass(frozen=True)
class Scene:
    """A world, its styles for a model, an engine that runs this model, and the world's photographs."""

    world: World
    palette: Palette
    engine: Engine
    photographs: Photographs | None = None

    def finish(self, pixels: Pixels, *, x: int, y: int) -> Pixels:
        """Draw photographs over the model's ``pixels`` (h, w, 3) uint8, whose first pixel lies at (``x``, ``y``)."""
        return pixels if self.photographs is None else self.photographs.over(pixels, x=x, y=y)


def batch_inputs(scene: Scene, plan: Plan, tiles: list[PlannedTile]) -> TileBatch:
    """Make the inputs of one engine call. A short last batch repeats its last tile, so that shapes stay constant."""
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
def render_batch(
    scene: Scene,
    plan: Plan,
    index: int,
    *,
    inputs: TileBatch | None = None,
) -> list[tuple[PlannedTile, Pixels]]:
    """Render the tiles of engine call ``index``: (tile, owned pixels (rows, columns, 3) uint8).

    ``inputs``: those of ``batch_inputs``, where they are known. The result is bit-identical for the same plan, call and
    engine.
    """
    tiles = plan.batch_tiles(index)
    inputs = batch_inputs(scene, plan, tiles) if inputs is None else inputs
    pixels = to_pixels(scene.engine.render_float(inputs)).cpu().numpy()
    x, y = plan.region.x, plan.region.y
    return [
        (tile, scene.finish(picture[tile.rows, tile.columns], x=x + tile.x, y=y + tile.y))
        for tile, picture in zip(tiles, pixels, strict=False)
    ]


def render_tiles(scene: Scene, plan: Plan) -> Iterator[tuple[PlannedTile, Pixels]]:
    """Yield every tile of the plan with its owned pixels, (rows, columns, 3) uint8, in order."""
    for index in range(plan.batch_count):
        yield from render_batch(scene, plan, index)


def render_array(scene: Scene, plan: Plan) -> Pixels:
    """Render the plan's region as one array (h, w, 3) uint8."""
    return _join(plan, render_tiles(scene, plan))


def render_styles(scenes: Iterable[Scene], plan: Plan) -> Iterator[Pixels]:
    """Render the plan's region of scenes that differ in their single style only: the arrays of ``render_array``, in order.

    Fields and coordinates do not depend on the style. If one engine call draws the region, all scenes share them.
    """
    inputs: TileBatch | None = None
    for scene in scenes:
        if plan.batch_count > 1:
            yield render_array(scene, plan)
            continue
        if inputs is None:
            inputs = batch_inputs(scene, plan, plan.batch_tiles(0))
        own = replace(inputs, style=scene.palette.subset((0,)))
        yield _join(plan, render_batch(scene, plan, 0, inputs=own))


def _join(plan: Plan, tiles: Iterable[tuple[PlannedTile, Pixels]]) -> Pixels:
    picture = np.empty((plan.region.h, plan.region.w, 3), np.uint8)
    for tile, pixels in tiles:
        picture[tile.y : tile.y + pixels.shape[0], tile.x : tile.x + pixels.shape[1]] = pixels
    return picture


def render_to(scene: Scene, plan: Plan, sink: Sink, *, progress: Progress = silent) -> None:
    """Render the missing tiles of ``sink``, and call ``progress(pixels done, pixels in all)`` after each batch."""
    done = 0
    for index in range(plan.batch_count):
        tiles = plan.batch_tiles(index)
        if not sink.done.issuperset(tile.number for tile in tiles):
            for tile, pixels in render_batch(scene, plan, index):
                sink.write_tile(tile.number, pixels)
        done += sum(plan.grid.box(tile.number).pixels for tile in tiles)
        progress(done, plan.region.pixels)
