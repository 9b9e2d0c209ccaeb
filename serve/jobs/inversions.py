"""Run inversions as jobs: invert photographs, add them to a world, and draw continuations to choose from."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from infgen.engines.base import to_pixels
from infgen.inversion.arrangement import Arrangement
from infgen.inversion.continuation import SEEDS, invert_photograph
from infgen.inversion.optimise import Settings, Step
from infgen.inversion.placing import Placed
from infgen.inversion.run import COMPOSITION
from infgen.inversion.selecting import select_seed
from infgen.inversion.settings import CONTINUING
from infgen.pixels import Pixels
from infgen.rendering.studio import Studio
from infgen.serve.fair_lock import FairLock
from infgen.serve.jobs.board import UPLOAD, Job, JobCancelled
from infgen.serve.jobs.pictures import draw_region, write_composed
from infgen.serve.tiles.painter import encode
from infgen.serve.worlds.files import Upload
from infgen.serve.worlds.photographs import Placing, add_photographs, arrange, with_seed
from infgen.serve.worlds.store import Record, WorldStore
from infgen.world.anchors import AnchoredLatents
from infgen.world.world import World

CANDIDATES = 4  # seeds tried for each continuation but the first, which has the world's own seed
STAGES = {COMPOSITION: "Finding the composition", "detail": "Finding the detail"}


def run_inversions(job: Job, *, studio: Studio, store: WorldStore, engine_lock: FairLock) -> None:
    """Invert the photographs of ``job``, add all to its world in one revision, and draw continuations.

    The request has the entries of ``Placing``, names (of the photographs, whose files are uploads), steps and samples.
    """
    world, steps = store.get(job.world).world, int(job.request["steps"])
    names = job.request["names"]
    uploads = [Upload(job.folder / f"{UPLOAD}{i}", name) for i, name in enumerate(names, 1)]
    arrangement = arrange(
        uploads, Placing.from_json(job.request["placing"]), world=world, config=studio.generator.config
    )
    photographs = arrangement.photographs
    settings = replace(CONTINUING, steps=steps, seed=world.seed)
    found: list[AnchoredLatents] = []
    for i, photo in enumerate(photographs):
        report = partial(_report, job, engine_lock, before=i * steps, total=len(photographs) * steps)
        found.append(
            _invert(photo, job, settings, studio=studio, period=world.period, engine_lock=engine_lock, report=report)
        )
    record = store.add_latents(
        job.world,
        found,
        lambda now, files, copies: add_photographs(now, files, arrangement, copies=copies),
        photographs=uploads,
    )
    job.region, job.revision = arrangement.world_region, record.revision
    job.anchors = [anchor.file for anchor in record.world.anchors[-len(found) :]]
    _draw_continuations(job, record, arrangement, studio=studio, engine_lock=engine_lock)
    job.stage = "Drawing the picture"
    write_composed(job, arrangement, record.world, studio=studio, engine_lock=engine_lock)


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
    job.stage = STAGES.get(step.stage)
    job.report(before + step.step, total, terms={"psnr": step.psnr, **step.terms})
    engine_lock.hand_over()


def _pixels(step: Step) -> Pixels:
    return np.ascontiguousarray(to_pixels(step.image[None])[0].cpu().numpy())


def sample_path(folder: Path, number: int) -> Path:
    """Return the path of the picture of continuation ``number``, from 0."""
    return folder / f"continuation-{number}.webp"


def _draw_continuations(
    job: Job, record: Record, arrangement: Arrangement, *, studio: Studio, engine_lock: FairLock
) -> None:
    """Draw each continuation in the world at working size. The job lists the seed of each as soon as it is drawn."""
    files = _files(record.world, job.anchors)
    working = studio.coarser(arrangement.halvings)
    for i in range(int(job.request["samples"])):
        job.stage, job.seconds_left = f"Drawing continuation {i + 1}", None
        job.check()
        with engine_lock:
            seed = record.world.seed
            if i:
                seed = select_seed(arrangement, files, studio=studio, seed=(seed + i) % SEEDS, candidates=CANDIDATES)
        shown = working.with_world(with_seed(record.world, job.anchors, seed))
        pixels = draw_region(job, shown, arrangement.region, engine_lock=engine_lock)
        sample_path(job.folder, i).write_bytes(encode(pixels, "webp"))
        job.seeds = [*job.seeds, seed]


def _files(world: World, names: Sequence[str]) -> list[Path]:
    assert world.folder is not None
    return [world.folder / name for name in names]
