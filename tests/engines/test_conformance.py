"""Test the common behaviour of engines, with a model of four levels and one of six at each of its scales.

A new engine joins by an entry in ``ENGINES``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from infgen.engines import EagerEngine, Engine, TileBatch, pick_device
from infgen.engines.base import to_pixels
from infgen.errors import InputError
from infgen.model.checkpoint import SHIPPED
from infgen.model.generator import Generator
from infgen.model.layers import StyleWeights
from infgen.rendering.palette import world_palette
from infgen.rendering.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World
from tests.export import tensorrt_double
from tests.export.files import onnx_engine, scaled_engine, scaled_file
from tests.export.kserve import scaled_triton_engine, triton_engine
from tests.model.scaled import FOUR_LEVELS, NETWORKS, network

WORLD = World(seed=11)
STYLES = 4
MIXED = World.create(
    seed=11,
    layout={
        "styles": [{"name": name, "seed": 40 + i} for i, name in enumerate("abcd")],
        "centres": [{"style": name, "x": 60 * i, "y": 90 * (i % 2)} for i, name in enumerate("abcd")],
        "transition": 63,
    },
)
# Windows for engines that draw any: (rows, columns) of cells, of about 100 by 130 px at the finest scale.
ANY_CELLS = {FOUR_LEVELS: (11, 14), "1": (6, 7), "1/2": (8, 9), "1/4": (11, 14), "1/8": (17, 20)}
STEP = 2 / 255  # one grey level, in RGB from -1 to 1


@dataclass(frozen=True)
class Case:
    """An engine and the network that runs in it, one of ``NETWORKS``."""

    engine: str
    network: str

    @property
    def generator(self) -> Generator:
        """The network."""
        return network(self.network)

    @property
    def is_single(self) -> bool:
        """Whether it computes in fp32."""
        return self.engine.endswith("fp32")


def tensorrt_engine(case: Case, styles: int, folder: Path) -> Engine:
    if case.network == FOUR_LEVELS:
        return tensorrt_double.double_engine(folder, styles=styles)
    return tensorrt_double.scaled_double_engine(folder, case.network)


# Each draws windows of one style or of four mixed ones. Some files are for four only, and draw one, too.
ENGINES: dict[str, Callable[[Case, int, Path], Engine]] = {
    "eager-fp32": lambda case, styles, folder: EagerEngine(case.generator),
    "eager-bf16": lambda case, styles, folder: EagerEngine(case.generator, precision="bf16"),
    "onnx-fp32": lambda case, styles, folder: (
        onnx_engine(styles=styles) if case.network == FOUR_LEVELS else scaled_engine(case.network)
    ),
    "onnx-fp16": lambda case, styles, folder: (
        onnx_engine(styles=STYLES, precision="fp16")
        if case.network == FOUR_LEVELS
        else scaled_engine(case.network, "fp16")
    ),
    "triton-fp32": lambda case, styles, folder: (
        triton_engine(styles) if case.network == FOUR_LEVELS else scaled_triton_engine(case.network)
    ),
    "trt-fp32": tensorrt_engine,
}
MIN_PSNR = {"fp32": 90.0, "bf16": 30.0, "fp16": 45.0}
# An export takes longer than all that is drawn with it: half precision has a file of one scale.
CASES = [
    Case(engine, name)
    for name in NETWORKS
    for engine in ENGINES
    if engine != "onnx-fp16" or name in (FOUR_LEVELS, "1/4")
]


def label(case: Case) -> str:
    return f"{case.engine}-{case.network}"


@pytest.fixture(params=CASES, ids=label)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture
def open_case(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Engine]:
    """Open the engine of ``case`` for a number of styles."""
    if case.engine.startswith("trt"):
        if case.network != FOUR_LEVELS:
            scaled_file(case.network)  # PyTorch's exporter does not work beside the double
        tensorrt_double.install(monkeypatch)
    return lambda styles: ENGINES[case.engine](case, styles, tmp_path)


@pytest.fixture
def engine(open_case: Callable[[int], Engine]) -> Engine:
    return open_case(1)


@pytest.fixture
def mixing(open_case: Callable[[int], Engine]) -> Engine:
    return open_case(STYLES)


def inputs(engine: Engine, case: Case, world: World = WORLD, *, count: int = 3) -> TileBatch:
    return inputs_of(case.network, world, engine.fixed_cells or ANY_CELLS[case.network], count)


@cache
def inputs_of(name: str, world: World, cells: tuple[int, int], count: int) -> TileBatch:
    """Make the inputs once for all engines with windows of this size."""
    generator = network(name)
    tiles = [TilePosition(7 * i - 5, 3 - i) for i in range(count)]
    palette = world_palette(world, generator)
    return tile_batch(world, tiles, cells=cells, config=generator.config, palette=palette, device=torch.device("cpu"))


def psnr(rgb: Tensor, expected: Tensor) -> float:
    return float(10 * torch.log10(4 / (rgb - expected).square().mean()))


def test_an_engine_gives_float_rgb_of_the_tile_size(engine: Engine, case: Case):
    batch = inputs(engine, case)
    rgb = engine.render_float(batch)
    assert rgb.shape == (3, 3, *batch.noises[-1].shape[-2:])
    assert rgb.dtype == torch.float32


def test_an_engine_agrees_with_the_unfolded_network(engine: Engine, case: Case):
    batch = inputs(engine, case)
    style = type(batch.style)(batch.style.z_g.expand(3, -1), batch.style.w_plus.expand(3, -1, -1))
    with torch.inference_mode():
        expected = case.generator(batch.z_l, batch.coordinates, style, batch.noises)
    assert psnr(engine.render_float(batch), expected) > MIN_PSNR[engine.precision]


def test_an_engine_mixes_styles_as_the_reference_does(mixing: Engine, case: Case):
    batch = inputs(mixing, case, MIXED)
    assert len(batch.style.z_g) == STYLES
    expected = EagerEngine(case.generator).render_float(batch)
    assert psnr(mixing.render_float(batch), expected) > MIN_PSNR[mixing.precision]


@pytest.mark.parametrize(("world", "styles"), [(WORLD, 1), (MIXED, STYLES)], ids=["one style", "several styles"])
@pytest.mark.parametrize("case", [case for case in CASES if case.is_single and case.engine != "eager-fp32"], ids=label)
def test_single_precision_is_within_one_step_of_the_reference_everywhere(
    open_case: Callable[[int], Engine], case: Case, world: World, styles: int
):
    engine = open_case(styles)
    batch = inputs(engine, case, world)
    difference = engine.render_float(batch) - EagerEngine(case.generator).render_float(batch)
    assert difference.abs().max() <= STEP


@pytest.mark.parametrize("world", [WORLD, MIXED], ids=["one style", "several styles"])
def test_bf16_draws_the_shipped_model_close_to_single_precision(world: World):
    generator = Generator.from_pretrained(SHIPPED)
    exact, rough = EagerEngine(generator), EagerEngine(generator, precision="bf16")
    tiles, cells = [TilePosition(9 * i - 5, 3 - 2 * i) for i in range(4)], (8, 9)  # neighbours differ by 10 dB
    palette = world_palette(world, generator)
    device = torch.device("cpu")
    batch = tile_batch(world, tiles, cells=cells, config=generator.config, palette=palette, device=device)
    assert psnr(rough.render_float(batch), exact.render_float(batch)) > 40


def test_an_engine_follows_the_weights_of_styles(mixing: Engine, case: Case):
    batch = inputs(mixing, case, MIXED)
    assert batch.weights is not None
    turned = StyleWeights(batch.weights.structure.flip(1), tuple(w.flip(1) for w in batch.weights.texture))
    assert not torch.equal(mixing.render_float(batch), mixing.render_float(replace(batch, weights=turned)))


def test_mixing_is_deterministic(mixing: Engine, case: Case):
    batch = inputs(mixing, case, MIXED)
    assert torch.equal(mixing.render_float(batch), mixing.render_float(batch))


def test_a_mixed_tile_does_not_depend_on_its_neighbours_in_the_batch(mixing: Engine, case: Case):
    batch = inputs(mixing, case, MIXED)
    together = mixing.render_float(batch)[:1]
    assert batch.weights is not None
    first = StyleWeights(batch.weights.structure[:1], tuple(w[:1] for w in batch.weights.texture))
    fields = {"z_l": batch.z_l[:1], "coordinates": batch.coordinates[:1], "noises": tuple(n[:1] for n in batch.noises)}
    alone = mixing.render_float(replace(batch, weights=first, **fields))
    assert torch.allclose(alone, together, atol=1e-4 if case.is_single else 0.1)


def test_an_engine_is_deterministic(engine: Engine, case: Case):
    batch = inputs(engine, case)
    assert torch.equal(engine.render_float(batch), engine.render_float(batch))


def test_a_tile_does_not_depend_on_its_neighbours_in_the_batch(engine: Engine, case: Case):
    alone, together = (engine.render_float(inputs(engine, case, count=count))[0] for count in (1, 3))
    assert torch.allclose(alone, together, atol=1e-4 if case.is_single else 0.1)


def test_an_engine_follows_a_change_of_style_and_noise(engine: Engine, case: Case):
    worlds = (WORLD, World(seed=12), World(seed=11, noise=0.0), WORLD)
    pictures = [engine.render_float(inputs(engine, case, world)) for world in worlds]
    assert not torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])
    assert torch.equal(pictures[0], pictures[3])


def test_pixels_are_rounded_and_clipped():
    rgb = torch.tensor([-3.0, -1.0, 0.0, 1 / 255, 1.0, 5.0]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_pixels(rgb)[0, 0, :, 0].tolist() == [0, 0, 128, 128, 255, 255]


def test_an_unknown_device_is_refused_in_one_line():
    with pytest.raises(InputError, match="try --device cpu") as refusal:
        pick_device("abacus")
    assert "\n" not in str(refusal.value)


def test_an_unknown_precision_is_refused(tiny: Generator):
    with pytest.raises(InputError, match="fp32, bf16"):
        EagerEngine(tiny, precision="fp4")  # type: ignore[arg-type]
