"""Inversions as jobs: photographs become latents, then part of a world, and the region around them is drawn."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from infgen.engines.base import to_pixels
from infgen.inversion.arrangement import Arrangement
from infgen.inversion.continuation import invert_photograph
from infgen.inversion.invert import CONTINUING
from infgen.inversion.optimise import Settings, Step
from infgen.inversion.outputs import Outputs
from infgen.inversion.placing import Placed
from infgen.pixels import Pixels
from infgen.rendering.render import render_tiles
from infgen.rendering.studio import Studio
from infgen.serve.jobs import Job, JobCancelled
from infgen.serve.painting import encoded
from infgen.serve.photographs import with_photographs
from infgen.serve.turns import Turns
from infgen.serve.worlds import WorldStore
from infgen.world.anchors import AnchoredLatents


def run_inversions(
    job: Job, *, arrangement: Arrangement, steps: int, studio: Studio, store: WorldStore, turns: Turns
) -> None:
    """Invert the photographs in ``steps`` each, add all to the job's world in one change, and draw the region."""
    world, photographs = store.get(job.world).world, arrangement.photographs
    settings = replace(CONTINUING, steps=steps, seed=world.seed)
    working = studio.coarser(arrangement.halvings)
    found: list[AnchoredLatents] = []
    for i, photo in enumerate(photographs):
        tell = partial(_tell, job, turns, before=i * steps, total=len(photographs) * steps)
        found.append(_inverted(photo, job, settings, studio=working, period=world.period, turns=turns, tell=tell))
    outputs = Outputs(store.folder(job.world) / "photo.png")
    latents = [outputs.save_latents(each) for each in found]
    record = store.change(job.world, lambda now: with_photographs(now, latents, arrangement))
    job.region, job.revision = arrangement.world_region, record.revision
    generated = _drawn(job, working.with_world(record.world), arrangement, turns)
    picture = job.folder / f"{job.kind}.png"
    picture.write_bytes(encoded(arrangement.finished(generated), "png"))
    job.result = picture.name


def _inverted(
    photo: Placed,
    job: Job,
    settings: Settings,
    *,
    studio: Studio,
    period: int | None,
    turns: Turns,
    tell: Callable[[Step], None],
) -> AnchoredLatents:
    """The latents of one photograph. Raises JobCancelled."""
    inversion = invert_photograph(
        photo,
        studio=studio,
        settings=settings,
        period=period,
        progress=tell,
        stop=lambda: job.cancelled,
        turn=turns,
    )
    if job.cancelled:
        raise JobCancelled
    return inversion.latents


def _tell(job: Job, turns: Turns, step: Step, *, before: int, total: int) -> None:
    """``before``: steps of the photographs that are done, of ``total`` for all."""
    job.show(lambda: encoded(_pixels(step), "webp"))
    if job.cancelled:  # the inversion ends by itself
        return
    job.tell(before + step.step, total, terms={"psnr": step.psnr, **step.terms})
    turns.hand_over()


def _pixels(step: Step) -> Pixels:
    return np.ascontiguousarray(to_pixels(step.image[None])[0].cpu().numpy())


def _drawn(job: Job, studio: Studio, arrangement: Arrangement, turns: Turns) -> Pixels:
    plan = studio.plan(arrangement.region)
    picture = np.empty((plan.region.h, plan.region.w, 3), np.uint8)
    with turns:
        for tile, pixels in render_tiles(studio.scene, plan):
            picture[tile.y : tile.y + pixels.shape[0], tile.x : tile.x + pixels.shape[1]] = pixels
            job.check()
            turns.hand_over()
    return picture
