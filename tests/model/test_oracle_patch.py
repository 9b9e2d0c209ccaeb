"""One patch of the official generator, layer by layer (oracle ``generator_small``, case A)."""

from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor, nn

from infgen.model.generator import Generator, Style
from infgen.model.layers import upsample_skip
from tests import oracle
from tests.model.networks import official_generator, tensor

NOISES = range(8)


@pytest.fixture(scope="module")
def data() -> dict[str, oracle.Array]:
    return oracle.load("generator_small")


@pytest.fixture(scope="module")
def generator() -> Generator:
    return official_generator()


@pytest.fixture(scope="module")
def layers(data: dict[str, oracle.Array], generator: Generator) -> dict[str, Tensor]:
    """Outputs of every layer for the oracle's inputs, under the oracle's names."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, inputs, output: found.__setitem__(name, output)

    groups = {"ss": generator.structure.layers, "feat": generator.texture.convs, "to_rgb": generator.texture.to_rgbs}
    hooks = [
        layer.register_forward_hook(keep(f"A_{name}_{i}"))
        for name, modules in groups.items()
        for i, layer in enumerate(modules)
    ]
    found["A_image"] = render(data, generator, generator.style(tensor(data, "A_global_latent")[:, 0]))
    for hook in hooks:
        hook.remove()
    found["A_structure_latent"] = found["A_ss_3"]
    for j in range(4):
        contribution = found[f"A_to_rgb_{j}"]
        found[f"A_rgb_{j}"] = contribution if j == 0 else upsample_skip(found[f"A_rgb_{j - 1}"]) + contribution
    return found


def render(data: dict[str, oracle.Array], generator: Generator, style: Style) -> Tensor:
    noises = [tensor(data, f"A_noise_{i}") for i in NOISES]
    image: Tensor = generator(tensor(data, "A_local_latent"), tensor(data, "A_coords"), style, noises)
    return image


def assert_same(data: dict[str, oracle.Array], key: str, computed: Tensor) -> None:
    np.testing.assert_allclose(oracle.select(data, key, computed.numpy()), data[key], rtol=0, atol=1e-4)


@pytest.mark.parametrize("key", [f"A_ss_{i}" for i in range(4)] + ["A_structure_latent"])
def test_every_structure_layer_is_the_official_one(
    key: str, data: dict[str, oracle.Array], layers: dict[str, Tensor]
) -> None:
    assert_same(data, key, layers[key])


@pytest.mark.parametrize("key", [f"A_feat_{i}" for i in (0, 1, 2, 3, 4, 5, 7)])
def test_every_texture_feature_is_the_official_one(
    key: str, data: dict[str, oracle.Array], layers: dict[str, Tensor]
) -> None:
    assert_same(data, key, layers[key])


@pytest.mark.parametrize("key", [f"A_rgb_{j}" for j in range(4)])
def test_rgb_of_every_level_is_the_official_one(
    key: str, data: dict[str, oracle.Array], layers: dict[str, Tensor]
) -> None:
    assert_same(data, key, layers[key])


def test_the_image_is_the_official_one(data: dict[str, oracle.Array], layers: dict[str, Tensor]) -> None:
    assert_same(data, "A_image", layers["A_image"])


def test_mapped_styles_are_the_official_ones(data: dict[str, oracle.Array], generator: Generator) -> None:
    assert_same(data, "A_w", generator.mapping(tensor(data, "A_global_latent")))


def test_style_mixing_changes_styles_at_the_official_layer(data: dict[str, oracle.Array], generator: Generator) -> None:
    first, second = tensor(data, "A_global_latent").unbind(1)
    style = generator.style(first, mix=second, crossover=int(data["A_inject_index"]))
    assert_same(data, "A_image_mix", render(data, generator, style))


def test_w_plus_rows_reach_the_official_layers(data: dict[str, oracle.Array], generator: Generator) -> None:
    style = Style(tensor(data, "A_global_latent")[:, 0], tensor(data, "A_wplus"))
    assert_same(data, "A_image_wplus", render(data, generator, style))
