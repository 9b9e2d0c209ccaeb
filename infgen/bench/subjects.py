"""What is measured: a model in an engine, ready to draw one region in worlds of one, two, four ... styles."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from infgen.engines.eager import Precision
from infgen.engines.exported import ExportedEngine
from infgen.errors import InputError, LimitError
from infgen.model.checkpoint import SHIPPED, resolve
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.rendering.job import Options, Studio, open_studio
from infgen.rendering.plan import Plan, Region
from infgen.rendering.preflight import Preflight, check_styles, estimate
from infgen.rendering.render import Scene, render_tiles
from infgen.world.layout import ResolvedCentre, ResolvedLayout, ResolvedStyle
from infgen.world.world import World

TRANSITION_PX = 127  # the paper's
MAX_STYLES = 16  # in one tile; the demodulation of K styles has K (K + 3) / 2 maps as large as the tile
MAX_TILES = 4096
MIN_RADIUS_PX = 8
HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Request:
    """What to measure: the square of ``side`` px around the origin of world 0, with every engine, precision and number of styles.

    Engines are PyTorch at every one of ``precisions``, and what runs each of ``engine_files``, whose tile all then have.
    ``styles[0]`` is what the others are compared with. ``write``: keys of file formats. ``fresh``: whether to render each
    configuration once more in a process of its own.
    """

    model: Path
    side: int = 1024
    styles: tuple[int, ...] = (1, 2, 4)
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    repeats: int = 3
    tile_px: int | None = None
    threads: int | None = None
    device: str | None = None
    write: tuple[str, ...] = ()
    fresh: bool = True
    engine_files: tuple[str, ...] = ()

    @property
    def region(self) -> Region:
        """The region that is drawn, the horizon in its middle. Raises InputError where ``side`` is no size."""
        return Region(-(self.side // 2), -(self.side // 2), self.side, self.side)

    def options(self) -> list[Options]:
        """How it is computed: each engine, once for each precision that it has."""
        common = Options(self.tile_px, 1, None, self.threads, self.device)
        eager = [replace(common, precision=precision) for precision in self.precisions]
        return eager + [replace(common, engine_file=file) for file in self.engine_files]


@dataclass(frozen=True)
class Subject:
    """One engine at one precision. ``studios`` by number of styles share the engine."""

    options: Options
    plan: Plan
    studios: Mapping[int, Studio]
    preflight: Preflight

    @property
    def scene(self) -> Scene:
        """That of the first number of styles."""
        return next(iter(self.studios.values())).scene

    @property
    def engine(self) -> str:
        """Name of the engine, in the results."""
        return self.scene.engine.name

    @property
    def precision(self) -> str:
        """Of weights and activations."""
        return self.scene.engine.precision

    @property
    def dtype(self) -> torch.dtype:
        """Type in which it computes: float32 wherever its activations take four bytes."""
        return torch.float32 if self.scene.engine.bytes_per_value == 4 else HALF[self.precision]


def open_subjects(request: Request) -> list[Subject]:
    """Every engine at every precision, checked and estimated before anything is measured.

    Raises InputError for a model, device, size or tile that cannot be used, LimitError where memory is short.
    """
    if request.engine_files and request.tile_px is None:
        first = open_studio(World(seed=0), model=request.model, options=request.options()[-len(request.engine_files)])
        request = replace(request, tile_px=first.plan(request.region).tile_px[0])
    return [_open_subject(request, options) for options in request.options()]


def _open_subject(request: Request, options: Options) -> Subject:
    for styles in request.styles:
        if not 1 <= styles <= MAX_STYLES:
            raise InputError(f"styles {styles} is out of range; allowed are 1 to {MAX_STYLES}")
    studio = open_studio(World(seed=0), model=request.model, options=options)
    plan = studio.plan(request.region)
    if plan.tile_count > MAX_TILES:
        raise LimitError(
            f"side {request.side} px makes {plan.tile_count} tiles; at most {MAX_TILES} are measured: give a smaller side"
        )
    studios = {k: studio.with_world(ring_world(plan, k)) for k in request.styles}
    for drawn in studios.values():
        if isinstance(drawn.scene.engine, ExportedEngine):
            check_styles(drawn.scene, plan, drawn.scene.engine)
    return Subject(options, plan, studios, estimate(studio.scene, plan, disk=0, encode_memory=0))


def ring_centres(plan: Plan, styles: int) -> tuple[ResolvedCentre, ...]:
    """``styles`` centres in a ring round the middle of every tile, so that all of them reach every tile.

    The borders between them cross each tile from its middle outwards; a plan of one tile has one ring.
    """
    step_x, step_y = plan.across.step_px, plan.down.step_px
    radius = max(MIN_RADIUS_PX, min(step_x, step_y) // 4)
    places = [(math.cos(2 * math.pi * k / styles), math.sin(2 * math.pi * k / styles)) for k in range(styles)]
    return tuple(
        ResolvedCentre(style=f"style {k}", x=middle_x + round(radius * dx), y=middle_y + round(radius * dy))
        for middle_y in range(plan.region.y + step_y // 2, plan.region.y + plan.down.count * step_y, step_y)
        for middle_x in range(plan.region.x + step_x // 2, plan.region.x + plan.across.count * step_x, step_x)
        for k, (dx, dy) in enumerate(places)
    )


def seeded_styles(count: int) -> tuple[ResolvedStyle, ...]:
    """``count`` styles, "style 0" drawn from seed 0 and so on."""
    return tuple(ResolvedStyle(name=f"style {k}", seed=k) for k in range(count))


def ring_world(plan: Plan, styles: int) -> World:
    """World 0 with ``styles`` styles in every tile of ``plan``."""
    centres = ring_centres(plan, styles)
    layout = ResolvedLayout(styles=seeded_styles(styles), centres=centres, transition=TRANSITION_PX)
    return World(seed=0, layout=layout)


def random_generator(name: str) -> Generator:
    """A generator of preset ``name`` with random weights and noise, the same ones every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(preset(name)).eval().requires_grad_(False)
    for key, parameter in generator.named_parameters():
        if key.endswith("noise_strength"):
            parameter.fill_(0.1)
    return generator


@contextmanager
def model_file(*, model: str | Path | None, preset_name: str | None) -> Iterator[Path]:
    """The model file to measure: ``model``, or random weights of a preset, or the shipped one.

    Raises InputError where both are given or the model is not there.
    """
    if model is not None and preset_name is not None:
        raise InputError(f"model {model} and preset {preset_name} are both given; give one of them")
    if preset_name is None:
        yield SHIPPED if model is None else resolve(model)
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"random-{preset_name}.safetensors"
        random_generator(preset_name).save_pretrained(path)
        yield path


def drain(studio: Studio, plan: Plan) -> None:
    """Compute every tile and throw it away."""
    for _ in render_tiles(studio.scene, plan):
        pass
