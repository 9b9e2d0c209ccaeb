"""Photographs in a world: inverted, set into it as an anchor, and continued as far as was asked."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from infgen.engines.base import to_pixels
from infgen.errors import InputError
from infgen.inversion.arrangement import Arrangement, Extension, outpainting
from infgen.inversion.invert import CONTINUING, SMALLEST_PX
from infgen.inversion.optimise import Step, optimise
from infgen.inversion.outputs import Outputs
from infgen.inversion.placing import Placed, place
from infgen.photo import open_photograph
from infgen.rendering.job import Studio
from infgen.rendering.render import Pixels, render_tiles
from infgen.serve.jobs import Job, JobCancelled
from infgen.serve.painting import encoded
from infgen.serve.turns import Turns
from infgen.serve.worlds import WorldStore
from infgen.world.document import cut
from infgen.world.layout import ResolvedCentre, ResolvedLayout
from infgen.world.world import StyleSource, World

PICTURE = "outpainted.png"
APART_PX = 512  # between photographs that are not placed by hand
TRANSITION_PX = 127


@dataclass(frozen=True)
class Request:
    """What was asked. ``path``, ``name``: the upload and what it is called. ``x``: px of its left edge; None: beside others."""

    path: Path
    name: str
    extension: Extension
    steps: int
    x: int | None


def arrange(request: Request, world: World) -> Arrangement:
    """The photograph at its place in ``world``, and the region that is drawn around it.

    Raises InputError, or LimitError, where it cannot be read or placed, or the region is too large.
    """
    check_layout(world)
    try:
        photograph = open_photograph(request.path, short_px=SMALLEST_PX)
    except InputError as error:  # does not tell where uploads lie
        raise type(error)(str(error).replace(str(request.path), cut(request.name))) from None
    placed = place(replace(photograph, name=cut(request.name)), x=_beside(world) if request.x is None else request.x)
    if request.extension == Extension():
        arrangement = Arrangement((placed,), placed.region)
    else:
        arrangement = outpainting(placed, request.extension)
    arrangement.check_size()
    return arrangement


def check_layout(world: World) -> None:
    """Raise InputError where a photograph's style finds no place in the world's layout."""
    if world.layout is not None and world.layout.painting is not None:
        raise InputError(
            "this world's styles are painted, which leaves no place for a photograph's; use a world with style centres"
        )


def _beside(world: World) -> int:
    """Where a photograph lies beside the others: right of them, the first one at 0."""
    edges = [anchor.x.pixels.stop for anchor in world.placed_anchors]
    return max(edges) + APART_PX if edges else 0


def run_outpaint(
    job: Job, *, request: Request, arrangement: Arrangement, studio: Studio, store: WorldStore, turns: Turns
) -> None:
    """Invert the photograph, add it to the job's world, and draw the region around it."""
    (placed,) = arrangement.photographs
    world = store.get(job.world).world
    with turns:
        inversion = optimise(
            placed.target(),
            studio.generator,
            model_sha256=studio.model_hash,
            settings=replace(CONTINUING, steps=request.steps, seed=world.seed),
            period=world.period,
            progress=lambda step: _tell(job, step, turns),
            stop=lambda: job.cancelled,
        )
    if job.cancelled:
        raise JobCancelled
    latents = Outputs(job.folder / "photo.png").save_latents(inversion.latents)
    kept = store.folder(job.world) / latents.name
    if not kept.exists():
        shutil.copyfile(latents, temporary := kept.with_suffix(".new"))
        os.replace(temporary, kept)
    record = store.change(job.world, lambda now: with_photograph(now, kept, placed))
    job.region, job.revision = arrangement.region, record.revision
    generated = _drawn(job, studio.with_world(record.world), arrangement, turns)
    (job.folder / PICTURE).write_bytes(encoded(arrangement.finished(generated), "png"))
    job.result = PICTURE
    request.path.unlink()


def _tell(job: Job, step: Step, turns: Turns) -> None:
    job.show(lambda: encoded(_pixels(step), "webp"))
    if job.cancelled:  # the inversion ends by itself
        return
    job.tell(step.step, step.steps, terms={"psnr": step.psnr, **step.terms})
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


def with_photograph(world: World, latents: Path, placed: Placed) -> World:
    """``world`` with the anchor ``latents``, and its style: everywhere, or where it is nearest if there are centres."""
    check_layout(world)
    alone = World.from_inversions([latents], seed=world.seed, transition=TRANSITION_PX)
    assert alone.layout is not None
    (style,), (centre,) = alone.layout.styles, alone.layout.centres
    others = () if world.layout is None or not world.layout.centres else world.layout.styles
    name = _free_name(cut(placed.photograph.name, 40), {other.name for other in others})
    style = style.model_copy(update={"name": name, "truncation": None if world.truncation == 1 else 1.0})
    centre = ResolvedCentre(style=name, x=centre.x, y=centre.y)
    layout = alone.layout.model_copy(update={"styles": (style,), "centres": (centre,)})
    if others and world.layout is not None:
        centres = (*world.layout.centres, centre)
        layout = world.layout.model_copy(update={"styles": (*others, style), "centres": centres})
    checked = ResolvedLayout.from_json(layout.to_json())
    anchors = (*world.anchors, *alone.anchors)
    return world.changed(layout=checked, style=StyleSource(), anchors=anchors).in_folder(latents.parent)


def _free_name(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} {number}"
    return found
