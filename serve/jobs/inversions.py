"""Run inversions as jobs: invert photographs, add them to a world, and render the region around them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from infgen.engines.base import to_pixels
from infgen.inversion.arrangement import Arrangement
from infgen.inversion.continuation import invert_photograph
from infgen.inversion.optimise import Settings, Step
from infgen.inversion.placing import Placed
from infgen.inversion.settings import CONTINUING
from infgen.pixels import Pixels
from infgen.rendering.render import render_tiles
from infgen.rendering.studio import Studio
from infgen.serve.fair_lock import FairLock
from infgen.serve.jobs.board import Job, JobCancelled
from infgen.serve.tiles.painter import encode
from infgen.serve.worlds.photographs import add_photographs
from infgen.serve.worlds.store import WorldStore
from infgen.world.anchors import AnchoredLatents


def run_inversions(
    job: Job, *, arrangement: Arrangement, steps: int, studio: Studio, store: WorldStore, engine_lock: FairLock
) -> None:
    """Invert each photograph in ``steps`` steps, add all to the world in one revision, and render the region."""
    world, photographs = store.get(job.world).world, arrangement.photographs
    settings = replace(CONTINUING, steps=steps, seed=world.seed)
    found: list[AnchoredLatents] = []
    for i, photo in enumerate(photographs):
        report = partial(_report, job, engine_lock, before=i * steps, total=len(photographs) * steps)
        found.append(
            _invert(photo, job, settings, studio=studio, period=world.period, engine_lock=engine_lock, report=report)
        )
    record = store.add_latents(job.world, found, lambda now, files: add_photographs(now, files, arrangement))
    job.region, job.revision = arrangement.world_region, record.revision
    rendering = studio.coarser(arrangement.rendered_halvings).with_world(record.world)
    generated = _draw_region(job, rendering, arrangement, engine_lock)
    picture = job.folder / f"{job.kind}.png"
    picture.write_bytes(encode(arrangement.compose(generated), "png"))
    job.result = picture.name


def _invert(
    photo: Placed,
    job: Job,
    settings: Settings,
    *,
    studio: Studio,
    period: int | None,
    engine_lock: FairLock,
    report: Callable[[Step], None],
) -> AnchoredLatents:
    """Return the latents of one photograph. Raises JobCancelled."""
    inversion = invert_photograph(
        photo,
        studio=studio,
        settings=settings,
        period=period,
        progress=report,
        stop=lambda: job.cancelled,
        lock=engine_lock,
    )
    if job.cancelled:
        raise JobCancelled
    return inversion.latents


def _report(job: Job, engine_lock: FairLock, step: Step, *, before: int, total: int) -> None:
    """Update the job's preview and progress. ``before``: steps of finished photographs; ``total``: steps of all."""
    job.show(lambda: encode(_pixels(step), "webp"))
    if job.cancelled:  # the stop callback ends the inversion
        return
    job.report(before + step.step, total, terms={"psnr": step.psnr, **step.terms})
    engine_lock.hand_over()


def _pixels(step: Step) -> Pixels:
    return np.ascontiguousarray(to_pixels(step.image[None])[0].cpu().numpy())


def _draw_region(job: Job, studio: Studio, arrangement: Arrangement, engine_lock: FairLock) -> Pixels:
    plan = studio.plan(arrangement.rendered_region)
    picture = np.empty((plan.region.h, plan.region.w, 3), np.uint8)
    with engine_lock:
        for tile, pixels in render_tiles(studio.scene, plan):
            picture[tile.y : tile.y + pixels.shape[0], tile.x : tile.x + pixels.shape[1]] = pixels
            job.check()
            engine_lock.hand_over()
    return picture
