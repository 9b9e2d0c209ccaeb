"""What every engine must do. A new engine joins by an entry in ``ENGINES``."""

from collections.abc import Callable

import pytest
import torch

from infgen.engines import EagerEngine, Engine, TileBatch, pick_device
from infgen.engines.base import to_pixels
from infgen.errors import InputError
from infgen.model.generator import Generator
from infgen.world.styles import world_palette
from infgen.world.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World

ENGINES: dict[str, Callable[[Generator], Engine]] = {
    "eager-fp32": lambda generator: EagerEngine(generator),
    "eager-bf16": lambda generator: EagerEngine(generator, precision="bf16"),
}
WORLD = World(seed=11)
CELLS = (11, 14)
MIN_PSNR = {"eager-fp32": 90.0, "eager-bf16": 30.0}


@pytest.fixture(params=list(ENGINES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str, tiny: Generator) -> Engine:
    return ENGINES[name](tiny)


def inputs(generator: Generator, world: World = WORLD, count: int = 3) -> TileBatch:
    tiles = [TilePosition(7 * i - 5, 3 - i) for i in range(count)]
    palette = world_palette(world, generator)
    device = generator.mean_style.device
    return tile_batch(world, tiles, cells=CELLS, config=generator.config, palette=palette, device=device)


def test_an_engine_gives_float_rgb_of_the_tile_size(engine: Engine, tiny: Generator):
    rgb = engine.render_float(inputs(tiny))
    assert rgb.shape == (3, 3, 101, 149)
    assert rgb.dtype == torch.float32


def test_an_engine_agrees_with_the_unfolded_network(engine: Engine, name: str, tiny: Generator):
    batch = inputs(tiny)
    style = type(batch.style)(batch.style.z_g.expand(3, -1), batch.style.w_plus.expand(3, -1, -1))
    with torch.inference_mode():
        expected = tiny(batch.z_l, batch.coordinates, style, batch.noises)
    error = (engine.render_float(batch) - expected).square().mean()
    assert 10 * torch.log10(4 / error) > MIN_PSNR[name]


def test_an_engine_is_deterministic(engine: Engine, tiny: Generator):
    batch = inputs(tiny)
    assert torch.equal(engine.render_float(batch), engine.render_float(batch))


def test_a_tile_does_not_depend_on_its_neighbours_in_the_batch(engine: Engine, tiny: Generator, name: str):
    alone, together = engine.render_float(inputs(tiny, count=1))[0], engine.render_float(inputs(tiny))[0]
    assert torch.allclose(alone, together, atol=1e-4 if name.endswith("fp32") else 0.1)


def test_an_engine_follows_a_change_of_style_and_noise(engine: Engine, tiny: Generator):
    pictures = [engine.render_float(inputs(tiny, w)) for w in (WORLD, World(seed=12), World(seed=11, noise=0.0), WORLD)]
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
