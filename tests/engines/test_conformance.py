"""What every engine must do. A new engine joins by an entry in ``ENGINES``."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from infgen.engines import EagerEngine, Engine, TileBatch, pick_device
from infgen.engines.base import to_pixels
from infgen.errors import InputError
from infgen.model.checkpoint import SHIPPED, load
from infgen.model.fused import StyleWeights
from infgen.model.generator import Generator
from infgen.world.styles import world_palette
from infgen.world.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World
from tests.export.files import onnx_engine
from tests.export.kserve import triton_engine

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


# Each draws windows of one style or of four mixed ones, by the model of the fixture ``tiny``.
ENGINES: dict[str, Callable[[Generator, int], Engine]] = {
    "eager-fp32": lambda generator, styles: EagerEngine(generator),
    "eager-bf16": lambda generator, styles: EagerEngine(generator, precision="bf16"),
    "onnx-fp32": lambda generator, styles: onnx_engine(styles=styles),
    "onnx-fp16": lambda generator, styles: onnx_engine(styles=styles, precision="fp16"),
    "triton-fp32": lambda generator, styles: triton_engine(styles),
}
MIN_PSNR = {"eager-fp32": 90.0, "eager-bf16": 30.0, "onnx-fp32": 90.0, "onnx-fp16": 45.0, "triton-fp32": 90.0}
ANY_CELLS = (11, 14)  # for engines that draw windows of any size
STEP = 2 / 255  # one grey level, in RGB from -1 to 1


@pytest.fixture(params=list(ENGINES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str, tiny: Generator) -> Engine:
    return ENGINES[name](tiny, 1)


@pytest.fixture
def mixing(name: str, tiny: Generator) -> Engine:
    return ENGINES[name](tiny, STYLES)


def inputs(engine: Engine, generator: Generator, world: World = WORLD, *, count: int = 3) -> TileBatch:
    cells = engine.fixed_cells or ANY_CELLS
    tiles = [TilePosition(7 * i - 5, 3 - i) for i in range(count)]
    palette = world_palette(world, generator)
    device = generator.mean_style.device
    return tile_batch(world, tiles, cells=cells, config=generator.config, palette=palette, device=device)


def psnr(rgb: Tensor, expected: Tensor) -> float:
    return float(10 * torch.log10(4 / (rgb - expected).square().mean()))


def test_an_engine_gives_float_rgb_of_the_tile_size(engine: Engine, tiny: Generator):
    batch = inputs(engine, tiny)
    rgb = engine.render_float(batch)
    assert rgb.shape == (3, 3, *batch.noises[-1].shape[-2:])
    assert rgb.dtype == torch.float32


def test_an_engine_agrees_with_the_unfolded_network(engine: Engine, name: str, tiny: Generator):
    batch = inputs(engine, tiny)
    style = type(batch.style)(batch.style.z_g.expand(3, -1), batch.style.w_plus.expand(3, -1, -1))
    with torch.inference_mode():
        expected = tiny(batch.z_l, batch.coordinates, style, batch.noises)
    assert psnr(engine.render_float(batch), expected) > MIN_PSNR[name]


def test_an_engine_mixes_styles_as_the_reference_does(mixing: Engine, name: str, tiny: Generator):
    batch = inputs(mixing, tiny, MIXED)
    assert len(batch.style.z_g) == STYLES
    expected = EagerEngine(tiny).render_float(batch)
    assert psnr(mixing.render_float(batch), expected) > MIN_PSNR[name]


@pytest.mark.parametrize(("world", "styles"), [(WORLD, 1), (MIXED, STYLES)], ids=["one style", "several styles"])
@pytest.mark.parametrize("name", [name for name in ENGINES if name.endswith("fp32")])
def test_single_precision_is_within_one_step_of_the_reference_everywhere(
    name: str, tiny: Generator, world: World, styles: int
):
    engine = ENGINES[name](tiny, styles)
    batch = inputs(engine, tiny, world)
    difference = engine.render_float(batch) - EagerEngine(tiny).render_float(batch)
    assert difference.abs().max() <= STEP


@pytest.mark.parametrize("world", [WORLD, MIXED], ids=["one style", "several styles"])
def test_bf16_draws_the_shipped_model_close_to_single_precision(world: World):
    generator = load(SHIPPED)
    exact, rough = EagerEngine(generator), EagerEngine(generator, precision="bf16")
    batch = inputs(exact, generator, world, count=1)
    assert psnr(rough.render_float(batch), exact.render_float(batch)) > 45


def test_an_engine_follows_the_weights_of_styles(mixing: Engine, tiny: Generator):
    batch = inputs(mixing, tiny, MIXED)
    assert batch.weights is not None
    turned = StyleWeights(batch.weights.structure.flip(1), tuple(w.flip(1) for w in batch.weights.texture))
    assert not torch.equal(mixing.render_float(batch), mixing.render_float(replace(batch, weights=turned)))


def test_mixing_is_deterministic(mixing: Engine, tiny: Generator):
    batch = inputs(mixing, tiny, MIXED)
    assert torch.equal(mixing.render_float(batch), mixing.render_float(batch))


def test_a_mixed_tile_does_not_depend_on_its_neighbours_in_the_batch(mixing: Engine, tiny: Generator, name: str):
    batch = inputs(mixing, tiny, MIXED)
    together = mixing.render_float(batch)[:1]
    assert batch.weights is not None
    first = StyleWeights(batch.weights.structure[:1], tuple(w[:1] for w in batch.weights.texture))
    fields = {"z_l": batch.z_l[:1], "coordinates": batch.coordinates[:1], "noises": tuple(n[:1] for n in batch.noises)}
    alone = mixing.render_float(replace(batch, weights=first, **fields))
    assert torch.allclose(alone, together, atol=1e-4 if name.endswith("fp32") else 0.1)


def test_an_engine_is_deterministic(engine: Engine, tiny: Generator):
    batch = inputs(engine, tiny)
    assert torch.equal(engine.render_float(batch), engine.render_float(batch))


def test_a_tile_does_not_depend_on_its_neighbours_in_the_batch(engine: Engine, tiny: Generator, name: str):
    alone, together = (engine.render_float(inputs(engine, tiny, count=count))[0] for count in (1, 3))
    assert torch.allclose(alone, together, atol=1e-4 if name.endswith("fp32") else 0.1)


def test_an_engine_follows_a_change_of_style_and_noise(engine: Engine, tiny: Generator):
    worlds = (WORLD, World(seed=12), World(seed=11, noise=0.0), WORLD)
    pictures = [engine.render_float(inputs(engine, tiny, world)) for world in worlds]
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
