"""One picture from its description to its file: everything is checked and estimated before the first tile is drawn."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from infgen import __version__
from infgen.engines import EagerEngine, pick_device
from infgen.engines.eager import Precision
from infgen.model.checkpoint import SHIPPED, file_hash, load, resolve
from infgen.rendering.plan import Plan, Region, make_plan
from infgen.rendering.preflight import Preflight, estimate, tile_memory
from infgen.rendering.render import Pixels, Scene, render_array, render_to
from infgen.sinks import check_picture, check_recipe, open_sink
from infgen.world.tile_inputs import world_style
from infgen.world.world import World

Phase = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def _silent(title: str) -> AbstractContextManager[Callable[[int, int], None]]:
    return nullcontext(lambda done, total: None)


@dataclass(frozen=True)
class Options:
    """How a picture is computed; changes no pixel by more than rounding, except ``precision``."""

    tile_px: int | None = None  # None: the planner's choice
    batch: int = 1
    precision: Precision = "fp32"
    threads: int | None = None  # CPU threads
    device: str | None = None  # None: a GPU where there is one


@dataclass(frozen=True)
class Studio:
    """A loaded model and a world, ready to draw any region."""

    scene: Scene
    options: Options
    model_name: str
    model_hash: str

    def plan(self, region: Region) -> Plan:
        """The tiles for ``region``."""
        engine = self.scene.engine
        return make_plan(
            region,
            engine.config,
            memory=tile_memory(engine.device),
            bytes_per_value=engine.bytes_per_value,
            tile_px=self.options.tile_px,
            batch=self.options.batch,
        )

    def array(self, region: Region) -> Pixels:
        """The pixels of ``region``, (h, w, 3) uint8."""
        return render_array(self.scene, self.plan(region))

    def recipe(self, plan: Plan) -> dict[str, Any]:
        """Everything needed to draw the same picture again."""
        region, options = plan.region, self.options
        return {
            "infgen": __version__,
            "model": {"name": self.model_name, "sha256": self.model_hash},
            "world": self.scene.world.model_dump(mode="json", by_alias=True),
            "region": {"x": region.x, "y": region.y, "w": region.w, "h": region.h},
            "tile": list(plan.tile_px),
            "batch": plan.batch,
            "precision": options.precision,
            "device": str(self.scene.engine.device),
        }


def open_studio(world: World, *, model: str | Path | None = None, options: Options | None = None) -> Studio:
    """Load ``model`` (the shipped one where it is None) for ``world``. Raises InputError for unusable models or devices."""
    options = Options() if options is None else options
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    path = SHIPPED if model is None else resolve(model)
    generator = load(path, device=pick_device(options.device))
    engine = EagerEngine(generator, precision=options.precision)
    return Studio(Scene(world, world_style(world, generator), engine), options, path.name, file_hash(path))


@dataclass(frozen=True)
class Job:
    """One picture that passed all checks."""

    studio: Studio
    plan: Plan
    output: Path
    preflight: Preflight

    def run(self, *, phase: Phase = _silent) -> None:
        """Draw and write the file. Nothing is left behind on failure.

        ``phase(title)`` gives a context with a callback for (pixels done, pixels in all): one for drawing, one for writing.
        """
        region = self.plan.region
        with open_sink(self.output, width=region.w, height=region.h) as sink:
            with phase("rendering") as progress:
                render_to(self.studio.scene, self.plan, sink.write_tile, progress=progress)
            with phase("writing") as progress:
                sink.finish(self.studio.recipe(self.plan), progress=progress)


def prepare(studio: Studio, region: Region, output: Path) -> Job:
    """Check and estimate the picture of ``region`` in the file ``output``. Raises InputError before any work is done."""
    plan = studio.plan(region)
    file_format = check_picture(output, width=region.w, height=region.h)
    check_recipe(studio.recipe(plan))
    preflight = estimate(
        studio.scene,
        plan,
        disk=file_format.disk_bytes(region.w, region.h),
        encode_memory=file_format.encode_memory_bytes(region.w, region.h),
    )
    return Job(studio, plan, output, preflight)
