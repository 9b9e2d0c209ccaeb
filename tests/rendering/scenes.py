"""Scenes for tests: the tiny model in a world."""

from infgen.engines import EagerEngine
from infgen.engines.eager import Precision
from infgen.geometry import Region
from infgen.model.generator import Generator
from infgen.pixels import Pixels
from infgen.rendering.palette import world_palette
from infgen.rendering.plan import make_plan
from infgen.rendering.render import Scene, render_array
from infgen.world.world import World

PLENTY = 2**40  # bytes of memory for tiles: no plan is bound by it


def make_scene(generator: Generator, *, precision: Precision = "fp32", **world: object) -> Scene:
    """``World`` of the given values, drawn by ``generator``."""
    document = World.create(**world)
    return Scene(document, world_palette(document, generator), EagerEngine(generator, precision=precision))


def picture(scene: Scene, region: Region, *, tile: int | None = None, batch: int = 1) -> Pixels:
    """Pixels of ``region``."""
    fixed = scene.engine.fixed_cells
    plan = make_plan(region, scene.engine.config, memory=PLENTY, tile_px=tile, fixed_cells=fixed, batch=batch)
    return render_array(scene, plan)
