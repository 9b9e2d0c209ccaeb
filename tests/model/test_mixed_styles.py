"""The reference network with styles mixed over space, as training uses it, against the renderer's."""

import pytest
import torch
from torch import Tensor

from infgen.model.config import preset
from infgen.model.fused import fuse, mixers
from infgen.model.generator import Generator, Style
from infgen.model.layers import StyledConv, StyleWeights
from infgen.rendering.tile_inputs import TilePosition, styles_of_tiles
from infgen.world.layout import ResolvedLayout
from tests.model.networks import random_generator

CELLS = (7, 8)
LAYOUT = ResolvedLayout.model_validate(
    {
        "styles": [{"name": name, "seed": i} for i, name in enumerate("abc")],
        "centres": [{"style": name, "x": 60 * i, "y": 40 * i} for i, name in enumerate("abc")],
        "transition": 63,
    }
)


@pytest.fixture(scope="module", params=[0, 2], ids=["full size", "1/4"])
def generator(request: pytest.FixtureRequest) -> Generator:
    return random_generator(preset("tiny-scales"), seed=2).coarser(request.param)


def inputs(generator: Generator) -> tuple[Tensor, Tensor, list[Tensor]]:
    rng, config = torch.Generator().manual_seed(4), generator.config
    size = (CELLS[0] + 24, CELLS[1] + 24)
    noises = [torch.randn(1, 1, *shape, generator=rng) for shape in config.noise_shapes(CELLS)]
    return (
        torch.randn(1, config.local_channels, *size, generator=rng),
        torch.randn(1, config.coordinate_channels, *size, generator=rng),
        noises,
    )


def styles(generator: Generator, count: int) -> Style:
    return generator.style(
        torch.randn(count, generator.config.global_channels, generator=torch.Generator().manual_seed(8))
    )


def maps(generator: Generator) -> StyleWeights:
    numbers, weights = styles_of_tiles(LAYOUT, [TilePosition(-1, -2)], cells=CELLS, config=generator.config)
    assert len(numbers) == 3
    assert weights is not None
    return weights


def test_mixed_styles_agree_with_the_fused_network(generator: Generator) -> None:
    z_l, coordinates, noises = inputs(generator)
    three, weights = styles(generator, 3), maps(generator)
    batch = Style(three.z_g[None], three.w_plus[None])
    expected = fuse(generator, dtype=torch.float32)(z_l, coordinates, noises, weights, mixers(generator, three))
    torch.testing.assert_close(generator(z_l, coordinates, batch, noises, weights), expected, rtol=1e-3, atol=2e-3)


def test_one_style_everywhere_agrees_with_the_plain_network(generator: Generator) -> None:
    z_l, coordinates, noises = inputs(generator)
    two, weights = styles(generator, 2), maps(generator)
    first = StyleWeights(*(_all_first(m) for m in (weights.structure,)), tuple(_all_first(m) for m in weights.texture))
    mixed = generator(z_l, coordinates, Style(two.z_g[None], two.w_plus[None]), noises, first)
    plain = generator(z_l, coordinates, Style(two.z_g[:1], two.w_plus[:1]), noises)
    torch.testing.assert_close(mixed, plain, rtol=1e-4, atol=1e-4)


def _all_first(weights: Tensor) -> Tensor:
    """Weights (B, 2, H, W) of the first of two styles alone."""
    ones = torch.ones_like(weights[:, :1])
    return torch.cat([ones, torch.zeros_like(ones)], dim=1)


def test_gradients_reach_every_style(generator: Generator) -> None:
    z_l, coordinates, noises = inputs(generator)
    three = styles(generator, 3)
    w_plus = three.w_plus[None].clone().requires_grad_()
    generator(z_l, coordinates, Style(three.z_g[None], w_plus), noises, maps(generator)).square().mean().backward()
    assert w_plus.grad is not None
    assert bool((w_plus.grad.abs().amax((0, 2, 3)) > 0).all())


@pytest.mark.parametrize("up", [False, True], ids=["same size", "doubled"])
@pytest.mark.parametrize("count", [1, 2], ids=["one style", "two styles"])
def test_gradients_of_a_styled_layer_are_those_of_finite_differences(count: int, up: bool) -> None:
    rng = torch.Generator().manual_seed(3)
    layer = StyledConv(2, 3, style_dim=2, up=up).double()
    weight = torch.rand(1, 2, 5, 5, generator=rng, dtype=torch.float64)
    weights = None if count == 1 else weight / weight.sum(1, keepdim=True)
    side = 7 if up else 3
    noise = torch.randn(1, 1, side, side, generator=rng, dtype=torch.float64)
    shapes = ((1, 2, 5, 5), (1, 2) if count == 1 else (1, 2, 2), (3, 2, 3, 3), (), (3,))
    given = [torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for shape in shapes]

    def draw(x: Tensor, style: Tensor, kernel: Tensor, strength: Tensor, bias: Tensor) -> Tensor:
        values = {"conv.weight": kernel, "noise_strength": strength, "bias": bias}
        result: Tensor = torch.func.functional_call(layer, values, (x, style, noise, weights))
        return result

    assert torch.autograd.gradcheck(draw, given)
