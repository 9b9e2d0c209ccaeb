"""The network as engines run it, in PyTorch: the same pictures, and room for any style in half precision."""

from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.engines import EagerEngine, TileBatch
from infgen.errors import InputError
from infgen.export.graph import ConstantConv, TileGraph
from infgen.model.config import GeneratorConfig, preset
from infgen.model.generator import Generator
from infgen.model.layers import GAIN, StyledConv, ToRGB
from infgen.rendering.palette import world_palette
from infgen.rendering.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World
from tests.model.networks import psnr, random_generator
from tests.rendering.test_fused_seams import four_styles

KINDS = [("scenery", "implicit"), ("texture", "implicit"), ("object", "pointwise"), ("scenery", "none")]


def batch_for(generator: Generator, *, styles: int) -> TileBatch:
    layout = None if styles == 1 else four_styles((-400, -400))
    world = World.create(seed=5, layout=layout)
    tiles = [TilePosition(-6, -4), TilePosition(2, 4)]
    palette = world_palette(world, generator)
    return tile_batch(world, tiles, cells=(8, 9), config=generator.config, palette=palette, device=torch.device("cpu"))


def draw(generator: Generator, batch: TileBatch, dtype: torch.dtype = torch.float32) -> Tensor:
    network = TileGraph(generator, styles=len(batch.style.z_g), dtype=dtype)
    weights = () if batch.weights is None else (batch.weights.structure, *batch.weights.texture)
    strength = torch.tensor(batch.noise_strength)
    with torch.inference_mode():
        rgb: Tensor = network(
            batch.z_l, batch.coordinates, batch.noises, strength, batch.style.z_g, batch.style.w_plus, weights
        )
    return rgb


@pytest.mark.parametrize("styles", [1, 4])
@pytest.mark.parametrize(("system", "structure"), KINDS)
def test_every_kind_of_model_renders_the_same_as_eager_pytorch(system: str, structure: str, styles: int):
    config = GeneratorConfig((6, 4) * 3, 4, 8, coordinates=system, structure=structure)  # type: ignore[arg-type]
    generator = random_generator(config, seed=3)
    batch = batch_for(generator, styles=styles)
    expected = EagerEngine(generator).render_float(batch)
    torch.testing.assert_close(draw(generator, batch), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("dtype", "least"), [(torch.float16, 60.0), (torch.bfloat16, 45.0)])
@pytest.mark.parametrize("styles", [1, 4])
def test_half_precision_draws_nearly_the_same(tiny: Generator, styles: int, dtype: torch.dtype, least: float):
    batch = batch_for(tiny, styles=styles)
    exact, rough = (draw(tiny, batch, kind).clamp(-1, 1) for kind in (torch.float32, dtype))
    assert psnr(rough, exact) > least


LOUD = 1e6  # scales of a style so large that products with them leave float16


def first_conv(generator: Generator) -> StyledConv:
    return cast(StyledConv, generator.texture.convs[1])


def test_a_style_that_overflows_the_plain_form_in_float16_does_not_overflow_here(tiny: Generator):
    layer = first_conv(tiny)
    x, style = torch.randn(1, 8, 9, 9), LOUD * torch.randn(1, 16)
    s = layer.conv.modulation(style)[:, :, None, None]
    plain = F.conv2d(x.half() * s.half(), (layer.conv.weight * layer.conv.scale).half())
    assert not plain.isfinite().all()
    conv = ConstantConv(layer.conv, styles=1, dtype=torch.float16)
    modulation = conv.modulation(style)
    demodulated = conv(x.half(), modulation, None) * modulation.energy.rsqrt()[:, :, None, None]
    torch.testing.assert_close(demodulated / GAIN, layer.conv(x, style), rtol=0, atol=0.01)


@pytest.mark.parametrize("scale", [1e-6, LOUD], ids=["faint", "loud"])
def test_the_size_of_a_demodulated_style_does_not_matter_in_float16(tiny: Generator, scale: float):
    layer = first_conv(tiny)
    conv = ConstantConv(layer.conv, styles=1, dtype=torch.float16)
    conv.shift.zero_()
    style = torch.randn(1, 16, generator=torch.Generator().manual_seed(1))
    small, large = (conv.modulation(style * factor) for factor in (1.0, scale))
    torch.testing.assert_close(small.scales, large.scales)


def test_rgb_of_a_loud_style_is_summed_in_float32(tiny: Generator):
    generator = random_generator(preset("tiny"), seed=7)
    batch = batch_for(generator, styles=1)
    for layer in generator.texture.to_rgbs:
        assert isinstance(layer, ToRGB)
        layer.conv.modulation.weight.data *= LOUD
    exact, rough = draw(generator, batch), draw(generator, batch, torch.float16)
    assert exact.abs().max() > torch.finfo(torch.float16).max
    assert (rough - exact).abs().max() < 0.01 * exact.abs().max()


def test_a_model_with_padding_is_refused():
    generator = random_generator(preset("tiny", padding=True), seed=1)
    with pytest.raises(InputError, match="padding"):
        TileGraph(generator)
