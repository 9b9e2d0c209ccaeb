"""The configurations to measure: a model in an engine, ready to render one region of worlds with 1, 2, 4 ... styles."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from infgen.engines.eager import Precision
from infgen.engines.exported import ExportedEngine
from infgen.errors import InputError, LimitError
from infgen.geometry import Region
from infgen.model.checkpoint import resolve
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.rendering.engine_files import FileKind
from infgen.rendering.plan import Plan
from infgen.rendering.preflight import Preflight, check_styles, estimate
from infgen.rendering.render import Scene, render_tiles
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.layout import ResolvedCentre, ResolvedLayout, ResolvedStyle
from infgen.world.world import World

TRANSITION_PX = 127  # the paper's
MAX_STYLES = 16  # in one tile; demodulating K styles needs K (K + 3) / 2 maps as large as the tile
MAX_TILES = 4096
MIN_RADIUS_PX = 8
HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Request:
    """The square of ``side`` px around the origin of world 0, with every engine, precision and number of styles.

    Engines are PyTorch at each of ``precisions``, and the runtimes of ``engine_files`` and ``engines``; the latter use
    default files. With files, every engine uses the tile of the first one. Other numbers of styles are compared with
    ``styles[0]``. ``write``: keys of file
    formats. ``fresh``: render each configuration once more in a new process.
    """

    model: Path
    _: KW_ONLY
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
    engines: tuple[FileKind, ...] = ()

    @property
    def region(self) -> Region:
        """The region to render, with the horizon in its middle. Raises InputError if ``side`` is not a valid size."""
        return Region(-(self.side // 2), -(self.side // 2), self.side, self.side)

    def options(self) -> list[Options]:
        """List the options of each engine: PyTorch once per precision, then each engine file."""
        common = Options(tile_px=self.tile_px, threads=self.threads, device=self.device)
        eager = [replace(common, precision=precision) for precision in self.precisions]
        files = [replace(common, engine_file=file) for file in self.engine_files]
        most = max(self.styles, default=1)
        return eager + files + [replace(common, engine=name, engine_styles=most) for name in self.engines]


@dataclass(frozen=True)
class Configuration:
    """One engine at one precision. ``studios`` by number of styles share the engine."""

    options: Options
    plan: Plan
    studios: Mapping[int, Studio]
    preflight: Preflight

    @property
    def scene(self) -> Scene:
        """The scene with the first number of styles."""
        return next(iter(self.studios.values())).scene

    @property
    def engine(self) -> str:
        """Name of the engine in the results."""
        return self.scene.engine.name

    @property
    def precision(self) -> str:
        """Precision of weights and activations."""
        return self.scene.engine.precision

    @property
    def dtype(self) -> torch.dtype:
        """Type of the computation: float32 if activations take four bytes."""
        return torch.float32 if self.scene.engine.bytes_per_value == 4 else HALF[self.precision]


def open_configurations(request: Request, *, report: Callable[[str], None] = lambda line: None) -> list[Configuration]:
    """Open every engine at every precision, with checks and estimates, before anything is measured.

    ``report`` gets a line about each default file. Raises InputError for an unusable model, device, size or tile,
    LimitError if there is too little memory.
    """
    options = request.options()
    if len(options) > len(request.precisions) and request.tile_px is None:
        file = options[len(request.precisions)]
        first = open_studio(World(seed=0), model=request.model, options=file, report=report)
        request = replace(request, tile_px=first.plan(request.region).tile_px[0])
    return [_open_configuration(request, options, report) for options in request.options()]


def _open_configuration(request: Request, options: Options, report: Callable[[str], None]) -> Configuration:
    for styles in request.styles:
        if not 1 <= styles <= MAX_STYLES:
            raise InputError(f"styles {styles} is out of range; allowed are 1 to {MAX_STYLES}")
    studio = open_studio(World(seed=0), model=request.model, options=options, report=report)
    plan = studio.plan(request.region)
    if plan.tile_count > MAX_TILES:
        raise LimitError(
            f"side {request.side} px needs {plan.tile_count} tiles; allowed are {MAX_TILES}; give a smaller side"
        )
    studios = {k: studio.with_world(ring_world(plan, k)) for k in request.styles}
    for one in studios.values():
        if isinstance(one.scene.engine, ExportedEngine):
            check_styles(one.scene, plan, one.scene.engine)
    return Configuration(studio.options, plan, studios, estimate(studio.scene, plan, disk=0, encode_memory=0))


def ring_centres(plan: Plan, styles: int) -> tuple[ResolvedCentre, ...]:
    """Place ``styles`` centres in a ring around the middle of every tile, so that all styles reach every tile.

    The borders between styles cross each tile from its middle outwards. A plan of one tile has one ring.
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
    """Make ``count`` styles: "style 0" from seed 0 and so on."""
    return tuple(ResolvedStyle(name=f"style {k}", seed=k) for k in range(count))


def ring_world(plan: Plan, styles: int) -> World:
    """Make world 0 with ``styles`` styles in every tile of ``plan``."""
    centres = ring_centres(plan, styles)
    layout = ResolvedLayout(styles=seeded_styles(styles), centres=centres, transition=TRANSITION_PX)
    return World(seed=0, layout=layout)


def random_generator(name: str) -> Generator:
    """Make a generator of preset ``name`` with random weights and noise strengths. Every call gives the same ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(preset(name)).eval().requires_grad_(False)
    for key, parameter in generator.named_parameters():
        if key.endswith("noise_strength"):
            parameter.fill_(0.1)
    return generator


@contextmanager
def model_file(*, model: str | Path | None, preset_name: str | None) -> Iterator[Path]:
    """Yield the model file to measure: ``model``, a temporary file with random weights of a preset, or the shipped model.

    Raises InputError if both are given or the model does not exist.
    """
    if model is not None and preset_name is not None:
        raise InputError(f"model {model} and preset {preset_name} are both given; give one of them")
    if preset_name is None:
        yield resolve(model)
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"random-{preset_name}.safetensors"
        random_generator(preset_name).save_pretrained(path)
        yield path


def drain(studio: Studio, plan: Plan) -> None:
    """Compute every tile and discard it."""
    for _ in render_tiles(studio.scene, plan):
        pass
