"""Styles mixed over space: the official fusion numbers, and agreement with one folded style."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from infgen.model.config import preset
from infgen.model.folded import fold
from infgen.model.fused import FusedGenerator, fuse, mixers
from infgen.model.generator import Generator, Style
from infgen.model.layers import StyleWeights
from infgen.model.structure import StructureSynthesizer
from tests import oracle
from tests.model.networks import official_generator, psnr, random_generator, random_inputs, tensor

CELLS = 7
CONFIG = preset("tiny")
COMPACT = "fusion_small_c3_k127"
FILES = ("fusion_small_c2_k31", "fusion_small_c2_k127", "fusion_small_c3_k31", "fusion_small_c3_k127")


def official(data: dict[str, oracle.Array]) -> tuple[StyleWeights, list[Tensor]]:
    weights = StyleWeights(tensor(data, "map_ss_0"), tuple(tensor(data, f"map_ts_{i}") for i in range(8)))
    return weights, [tensor(data, f"noise_{i}") for i in range(8)]


def render(data: dict[str, oracle.Array], weights: StyleWeights, noises: list[Tensor], styles: Style) -> Tensor:
    network = render_fused(official_generator(), styles)
    return network(tensor(data, "local_latent"), tensor(data, "coords"), noises, weights)


def render_fused(generator: Generator, styles: Style, **options: Any) -> Callable[..., Tensor]:
    """The network with ``styles`` put in: called with z_l, coordinates, noises and weights."""
    network: FusedGenerator = fuse(generator, **{"dtype": torch.float32, **options})
    return partial(network, mixers=mixers(generator, styles))


def test_a_patch_of_mixed_styles_is_the_official_one() -> None:
    assert_official(oracle.load(COMPACT))


@pytest.mark.parametrize("name", FILES)
def test_a_picture_of_mixed_styles_is_the_official_one(name: str) -> None:
    assert_official(oracle.full(name))


def assert_official(data: dict[str, oracle.Array]) -> None:
    weights, noises = official(data)
    w = tensor(data, "styles_w").transpose(0, 1)[0]  # (K, D)
    styles = Style(tensor(data, "global_latents")[:, 0], w[:, None].repeat(1, 9, 1))
    image = render(data, weights, noises, styles)
    torch.testing.assert_close(image, tensor(data, "meta_image"), rtol=0, atol=1e-4)


def test_a_picture_of_mixed_w_plus_styles_is_the_official_one() -> None:
    data = oracle.full("fusion_small_c2_k31")
    weights, noises = official(data)
    styles = Style(tensor(data, "global_latents")[:, 0], tensor(data, "wplus_styles")[:, 0])
    image = render(data, weights, noises, styles)
    torch.testing.assert_close(image, tensor(data, "meta_image_wplus"), rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def styles(tiny: Generator) -> Style:
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        return tiny.style(torch.randn(3, CONFIG.global_channels, generator=rng))


def weights_of(shares: Tensor, batch: int, noises: list[Tensor]) -> StyleWeights:
    """Weights ``shares`` (K,) everywhere."""

    def plane(height: int, width: int) -> Tensor:
        return shares[None, :, None, None].expand(batch, -1, height, width).contiguous()

    sizes = [(CELLS, CELLS), *(tuple(n.shape[-2:]) for n in noises[:-1])]
    return StyleWeights(plane(CELLS + 24, CELLS + 24), tuple(plane(*s) for s in sizes))


@pytest.mark.parametrize("structure", ["implicit", "pointwise", "none"])
@pytest.mark.parametrize("chosen", [0, 2])
def test_a_style_with_all_the_weight_is_that_style_folded(structure: str, chosen: int) -> None:
    config = preset("tiny", structure=structure)  # type: ignore[arg-type]
    generator = random_generator(config, seed=7)
    _z, z_l, coordinates, noises = random_inputs(config, cells=CELLS)
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        styles = generator.style(torch.randn(3, config.global_channels, generator=rng))
    shares = torch.eye(3)[chosen]
    mixed = render_fused(generator, styles)(z_l, coordinates, noises, weights_of(shares, len(z_l), noises))
    one = Style(styles.z_g[chosen : chosen + 1], styles.w_plus[chosen : chosen + 1])
    single = fold(generator, one, dtype=torch.float32)(z_l, coordinates, noises)
    torch.testing.assert_close(mixed, single, rtol=1e-4, atol=1e-4)


def test_equal_shares_are_the_mean_style_of_structure_and_texture(tiny: Generator, styles: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    shares = torch.tensor([0.5, 0.25, 0.25])
    mixed = render_fused(tiny, styles)(z_l, coordinates, noises, weights_of(shares, len(z_l), noises))
    mean = Style((shares @ styles.z_g)[None], torch.einsum("k,krd->rd", shares, styles.w_plus)[None])
    single = fold(tiny, mean, dtype=torch.float32)(z_l, coordinates, noises)
    torch.testing.assert_close(mixed, single, rtol=1e-4, atol=1e-4)


def test_half_precision_stays_close(tiny: Generator, styles: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    weights = weights_of(torch.tensor([0.5, 0.25, 0.25]), len(z_l), noises)
    exact = render_fused(tiny, styles)(z_l, coordinates, noises, weights)
    half = render_fused(tiny, styles, dtype=torch.bfloat16)(z_l, coordinates, noises, weights)
    assert psnr(half, exact) > 30


def test_the_noise_strength_multiplies_the_learnt_one(tiny: Generator, styles: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    weights = weights_of(torch.tensor([0.5, 0.25, 0.25]), len(z_l), noises)
    quiet = render_fused(tiny, styles, noise_strength=0.0)(z_l, coordinates, noises, weights)
    without = render_fused(tiny, styles)(z_l, coordinates, [0 * n for n in noises], weights)
    torch.testing.assert_close(quiet, without)


def test_the_implicit_structure_takes_the_weights_too(tiny: Generator, styles: Style) -> None:
    assert isinstance(tiny.structure, StructureSynthesizer)
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    even = weights_of(torch.tensor([0.5, 0.5, 0.0]), len(z_l), noises)
    other = weights_of(torch.tensor([0.0, 0.5, 0.5]), len(z_l), noises)
    network = render_fused(tiny, styles)
    one = network(z_l, coordinates, noises, even)
    mixed = network(z_l, coordinates, noises, StyleWeights(other.structure, even.texture))
    assert not np.allclose(one, mixed)
