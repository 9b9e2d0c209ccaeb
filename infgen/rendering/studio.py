"""A studio: a loaded model, an engine that runs it, and a world, ready to render any region."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from infgen.checks import check_whole
from infgen.engines import EagerEngine, Engine, pick_device
from infgen.engines.exported import ExportedEngine
from infgen.engines.selection import AUTO, engine_kind, open_exported
from infgen.engines.tile_file import Precision
from infgen.errors import InputError
from infgen.geometry import Region
from infgen.memory import keep_freed_memory
from infgen.model.checkpoint import file_hash, resolve
from infgen.model.config import scale_name
from infgen.model.generator import Generator
from infgen.pixels import Pixels
from infgen.rendering.engine_files import EngineNeeds, default_engine_file
from infgen.rendering.palette import check_anchors, world_palette
from infgen.rendering.photographs import place_photographs
from infgen.rendering.plan import MAX_BATCH, Plan, make_plan
from infgen.rendering.precision import AUTO_PRECISION, PrecisionChoice, compare_precisions
from infgen.rendering.preflight import tile_memory
from infgen.rendering.render import Scene, render_array, render_styles
from infgen.rendering.selftest import check_engine, is_reference
from infgen.version import __version__
from infgen.world.world import World

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to compute a picture. Only ``precision`` and ``halvings`` change pixels by more than rounding."""

    tile_px: int | None = None  # None: the planner's choice
    batch: int = 1
    precision: PrecisionChoice | None = None  # None: fp32, or that of the engine's file
    threads: int | None = None  # CPU threads
    device: str | None = None  # None: a GPU if available
    engine: str = AUTO  # a name of infgen.engines.selection.NAMES
    engine_file: str | None = None  # made by infgen export
    provider: str | None = None  # of ONNX Runtime; None: that of the device
    halvings: int = 0  # render at scale 1 / 2**halvings, with the model's coarser levels
    engine_styles: int | None = None  # styles of a file that is made for the engine; None: those of the world

    def __post_init__(self) -> None:
        check_whole("batch", self.batch, least=1, most=MAX_BATCH)
        if self.tile_px is not None:
            check_whole("tile", self.tile_px)
        if self.threads is not None:
            check_whole("threads", self.threads, least=1)


@dataclass(frozen=True)
class Studio:
    """A loaded model and a world, ready to render any region."""

    scene: Scene
    options: Options
    generator: Generator
    model_path: Path
    model_hash: str

    def with_world(self, world: World) -> Self:
        """Return a studio for another world and the same model. Raises WorldError if the model cannot render it."""
        check_anchors(world, model_sha256=self.model_hash)
        scene = Scene(world, world_palette(world, self.generator), self.scene.engine)
        return replace(self, scene=scene)._with_photographs()

    def coarser(self, halvings: int) -> Self:
        """Return a studio for the same model and world at scale 1 / 2**halvings, as ``infgen render --scale``.

        It uses PyTorch instead of an exported engine, whose file has one size only. Raises InputError if the model has no
        such scale, InfgenError if the engine fails its self-test.
        """
        if not halvings:
            return self
        world, engine = self.scene.world, self.scene.engine
        generator = self.generator.coarser(halvings)
        coarser = EagerEngine(generator, precision=engine.precision if isinstance(engine, EagerEngine) else "fp32")
        if not is_reference(coarser):
            check_engine(coarser, generator, model=self.model_path.name)
        options = replace(
            self.options, halvings=generator.config.halvings, engine=AUTO, engine_file=None, provider=None
        )
        scene = Scene(world, world_palette(world, generator), coarser)
        return replace(self, scene=scene, options=options, generator=generator)._with_photographs()

    def _with_photographs(self) -> Self:
        """Return the studio with the photographs of its world, which it lacks."""
        halvings = self.generator.config.halvings

        def draw(scale: int, region: Region) -> Pixels:
            coarse = self.coarser(scale - halvings)
            bare = replace(coarse, scene=replace(coarse.scene, photographs=None))
            return bare.array(region)

        found = place_photographs(self.scene.world, halvings=halvings, draw=draw)
        return replace(self, scene=replace(self.scene, photographs=found))

    def plan(self, region: Region) -> Plan:
        """Plan the tiles for ``region``."""
        engine = self.scene.engine
        return make_plan(
            region,
            engine.config,
            memory=tile_memory(engine.device),
            bytes_per_value=engine.bytes_per_value,
            tile_px=self.options.tile_px,
            fixed_cells=engine.fixed_cells,
            batch=self.options.batch,
        )

    def array(self, region: Region) -> Pixels:
        """Render ``region``, (h, w, 3) uint8."""
        return render_array(self.scene, self.plan(region))

    def pictures(self, worlds: Iterable[World], region: Region) -> Iterator[Pixels]:
        """Render ``region`` of each world, (h, w, 3) uint8. Neighbours that differ in their style only share their fields."""
        scenes = (self.with_world(world).scene for world in worlds)
        for _, own in itertools.groupby(scenes, key=lambda scene: _without_style(scene.world)):
            yield from render_styles(own, self.plan(region))

    def provenance(self, plan: Plan) -> dict[str, Any]:
        """Return everything needed to render the same picture again."""
        region, engine = plan.region, self.scene.engine
        coarse = {"scale": scale_name(self.options.halvings)} if self.options.halvings else {}
        return coarse | {
            "infgen": __version__,
            "model": {"name": self.model_path.name, "sha256": self.model_hash},
            "world": self.scene.world.to_dict(),
            "region": {"x": region.x, "y": region.y, "w": region.w, "h": region.h},
            "tile": list(plan.tile_px),
            "batch": plan.batch,
            "engine": engine.name,
            "precision": engine.precision,
            "device": engine.device.type,
        }


def _without_style(world: World) -> object:
    """Return what the fields of ``world`` depend on. It equals that of no other world if there is a layout."""
    return world.replace(style_seed=0, truncation=1.0) if world.layout is None else object()


def open_studio(
    world: World,
    *,
    model: str | Path | None = None,
    options: Options | None = None,
    report: Callable[[str], None] = logger.info,
) -> Studio:
    """Load ``model``, as for ``infgen.model.checkpoint.resolve``, for ``world``.

    From then on the process keeps the memory that it frees.

    An engine that needs a file and has none takes the default one, which is made if missing; ``report`` gets a line about
    it. Raises InputError for unusable models or devices, InfgenError if the engine fails its self-test.
    """
    options = Options() if options is None else options
    keep_freed_memory()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    path = resolve(model)
    options = _with_engine_file(_with_precision(options, path, report), path, world, report)
    generator, engine = _engine(path, options)
    model_hash = file_hash(path)
    check_anchors(world, model_sha256=model_hash)
    if isinstance(engine, ExportedEngine):
        engine.check(model_sha256=model_hash)
    if not is_reference(engine):
        check_engine(engine, generator, model=path.name)
    scene = Scene(world, world_palette(world, generator), engine)
    return Studio(scene, options, generator, path, model_hash)._with_photographs()


def _with_precision(options: Options, model: Path, report: Callable[[str], None]) -> Options:
    """Replace the precision "auto" by the one that suits this machine; an exported engine keeps that of its file."""
    if options.precision != AUTO_PRECISION:
        return options
    if engine_kind(options.engine, options.engine_file, provider=options.provider) != "eager":
        return replace(options, precision=None)
    generator = Generator.from_pretrained(model, device=pick_device(options.device)).coarser(options.halvings)
    comparison = compare_precisions(generator)
    report(str(comparison))
    return replace(options, precision=comparison.choice)


def _known(precision: PrecisionChoice | None) -> Precision | None:
    assert precision != AUTO_PRECISION  # open_studio has replaced it
    return precision


def _with_engine_file(options: Options, model: Path, world: World, report: Callable[[str], None]) -> Options:
    """Add the default file of an engine that needs one."""
    kind = engine_kind(options.engine, options.engine_file, provider=options.provider)
    if (kind != "onnx" and kind != "trt") or options.engine_file is not None:
        return options
    needs = EngineNeeds(
        kind,
        model,
        tile_px=options.tile_px,
        styles=options.engine_styles or count_styles(world),
        precision=_known(options.precision) or "fp32",
        halvings=options.halvings,
    )
    file = default_engine_file(needs, gpu=pick_device(options.device).index or 0, report=report)
    return replace(options, engine_file=str(file))


def count_styles(world: World) -> int:
    """Return the number of styles in the layout of ``world``, or 1 without a layout."""
    return 1 if world.layout is None else len(world.layout.styles)


def _engine(model: Path, options: Options) -> tuple[Generator, Engine]:
    """Open the generator, which computes styles, and the engine that renders."""
    if engine_kind(options.engine, options.engine_file, provider=options.provider) == "eager":
        generator = Generator.from_pretrained(model, device=pick_device(options.device)).coarser(options.halvings)
        return generator, EagerEngine(generator, precision=options.precision or "fp32")
    engine = open_exported(
        options.engine,
        options.engine_file,
        device=options.device,
        threads=options.threads,
        provider=options.provider,
        precision=_known(options.precision),
    )
    whole = Generator.from_pretrained(model, device=engine.device)
    generator = whole.coarser(options.halvings)
    if (drawn := engine.config.halvings) != generator.config.halvings:
        raise InputError(
            f"scale {scale_name(options.halvings)} was asked and what engine {engine.name} runs was exported at scale "
            f"{scale_name(drawn - whole.config.halvings)}; give that --scale, or export the model again"
        )
    return generator, engine
