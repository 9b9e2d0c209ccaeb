"""Run jobs that compose pictures of photographs with their surroundings, as ``infgen outpaint`` does."""

import numpy as np

from infgen.geometry import Region
from infgen.inversion.arrangement import Arrangement
from infgen.pixels import Pixels
from infgen.rendering.photographs import without_photographs
from infgen.rendering.render import render_tiles
from infgen.rendering.studio import Studio
from infgen.serve.fair_lock import FairLock
from infgen.serve.jobs.board import Job
from infgen.serve.tiles.painter import encode
from infgen.serve.worlds.photographs import Surroundings, arrange_placed_photograph
from infgen.serve.worlds.store import WorldStore
from infgen.world.world import World


def run_picture(job: Job, *, studio: Studio, store: WorldStore, engine_lock: FairLock) -> None:
    """Compose a photograph that lies in a world with its surroundings.

    The request has the entries of ``Surroundings``, and revision.
    """
    world = store.at(job.world, job.request["revision"])
    wanted = Surroundings.from_json(job.request["surroundings"])
    arrangement = arrange_placed_photograph(world, wanted, config=studio.generator.config)
    write_composed(job, arrangement, world, studio=studio, engine_lock=engine_lock)


def write_composed(job: Job, arrangement: Arrangement, world: World, *, studio: Studio, engine_lock: FairLock) -> None:
    """Draw the region of ``arrangement`` in ``world``, compose it with the photographs, and store it as the result."""
    rendering = studio.coarser(arrangement.rendered_halvings).with_world(without_photographs(world))
    generated = draw_region(job, rendering, arrangement.rendered_region, engine_lock=engine_lock)
    picture = job.folder / f"{job.kind}.png"
    picture.write_bytes(encode(arrangement.compose(generated, seed=world.seed), "png"))
    job.result = picture.name


def draw_region(job: Job, studio: Studio, region: Region, *, engine_lock: FairLock) -> Pixels:
    """Render ``region``, (h, w, 3) uint8. Releases the engine to queued tiles between batches. Raises like ``Job.check``."""
    plan = studio.plan(region)
    picture = np.empty((plan.region.h, plan.region.w, 3), np.uint8)
    with engine_lock:
        for tile, pixels in render_tiles(studio.scene, plan):
            picture[tile.y : tile.y + pixels.shape[0], tile.x : tile.x + pixels.shape[1]] = pixels
            job.check()
            engine_lock.hand_over()
    return picture
