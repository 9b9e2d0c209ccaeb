"""The paper's discriminator compared with the official values."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from infgen.train.networks.discriminator import (
    DiscriminatorOutput,
    PaperDiscriminator,
    antialias,
    append_group_deviation,
    channels_at,
)
from tests import oracle
from tests.model.networks import tensor
from tests.train.networks.official import official_discriminator, our_name

# Patch side -> channels from the stem on, parameters of the released network.
RELEASED = {
    101: ([256, 512, 512, 512, 512, 512], 28_915_460),
    197: ([128, 256, 512, 512, 512, 512, 512], 29_390_468),
    389: ([64, 128, 256, 512, 512, 512, 512, 512], 29_509_188),
    773: ([32, 64, 128, 256, 512, 512, 512, 512, 512], 29_538_852),
}
UNTRAINED_OUTPUTS = 2 * (512 + 1)  # of the released auxiliary head, which has three


@pytest.fixture(scope="module")
def data() -> dict[str, oracle.Array]:
    return oracle.load("discriminator_small")


@pytest.fixture(scope="module")
def layers(data: Mapping[str, oracle.Array]) -> dict[str, Tensor]:
    """Output of every layer for the oracle's input, under the oracle's names."""
    discriminator, found = official_discriminator().requires_grad_(False), {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = output
            if name == "final_conv_out":
                found["final_conv_in"] = inputs[0]

        return hook

    discriminator.final.register_forward_hook(keep("final_conv_out"))
    for i, module in enumerate([discriminator.stem, *discriminator.blocks]):
        module.register_forward_hook(keep(f"block_{i}"))
    output = discriminator(tensor(data, "input"))
    found |= {"d_patch": output.logits[0], "position": output.position, "conv_feat": found["block_5"]}
    return found | {f"block_{i}_sample0": found[f"block_{i}"][:1] for i in range(6)}


def assert_same(data: dict[str, oracle.Array], key: str, computed: Tensor) -> None:
    np.testing.assert_allclose(oracle.select(data, key, computed.numpy()), data[key], rtol=0, atol=1e-4)


def test_every_official_weight_is_used(data: dict[str, oracle.Array]) -> None:
    nameless = {key for key in data if key.startswith("sd/") and our_name(key[3:]) is None}
    assert all(key.endswith(".kernel") for key in nameless)


@pytest.mark.parametrize(
    "key", [f"block_{i}_sample0" for i in range(6)] + ["conv_feat", "final_conv_in", "final_conv_out", "d_patch"]
)
def test_every_layer_is_the_official_one(key: str, data: dict[str, oracle.Array], layers: dict[str, Tensor]) -> None:
    assert_same(data, key, layers[key])


def test_the_position_is_the_official_heads_first_output(
    data: dict[str, oracle.Array], layers: dict[str, Tensor]
) -> None:
    np.testing.assert_allclose(layers["position"].numpy(), data["ac_coords_pred"][:, 0], rtol=0, atol=1e-4)


def classify_official(data: dict[str, oracle.Array], *, group: int, samples: int = 8) -> DiscriminatorOutput:
    with torch.no_grad():
        output: DiscriminatorOutput = official_discriminator(group=group)(tensor(data, "input")[:samples])
    return output


def test_groups_of_four_give_the_official_logits(data: dict[str, oracle.Array]) -> None:
    assert_same(data, "d_patch_group4", classify_official(data, group=4).logits[0])


def test_groups_of_four_give_the_official_position(data: dict[str, oracle.Array]) -> None:
    expected = data["ac_coords_pred_group4"][:, 0]
    np.testing.assert_allclose(classify_official(data, group=4).position.numpy(), expected, rtol=0, atol=1e-4)


def test_a_batch_of_four_gives_the_official_logits(data: dict[str, oracle.Array]) -> None:
    assert_same(data, "d_patch_group4_first4", classify_official(data, group=4, samples=4).logits[0])


@pytest.mark.parametrize("patch_px", RELEASED)
def test_full_width_has_the_released_channels(patch_px: int) -> None:
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in PaperDiscriminator(patch_px).named_parameters()}
    widths = [shape[0] for name, shape in shapes.items() if name.endswith(("stem.conv.weight", "conv2.conv.weight"))]
    assert widths == RELEASED[patch_px][0]


@pytest.mark.parametrize("patch_px", RELEASED)
def test_full_width_has_the_released_number_of_parameters(patch_px: int) -> None:
    with torch.device("meta"):
        network = PaperDiscriminator(patch_px)
    assert sum(p.numel() for p in network.parameters()) + UNTRAINED_OUTPUTS == RELEASED[patch_px][1]


@pytest.mark.parametrize("patch_px", [101, 197, 389])
def test_every_patch_size_gives_one_logit_and_one_position(patch_px: int) -> None:
    with torch.no_grad():
        output = PaperDiscriminator(patch_px, width=1 / 64)(torch.zeros(2, 3, patch_px, patch_px))
    assert ([tuple(v.shape) for v in output.logits], tuple(output.position.shape)) == ([(2, 1)], (2,))


@pytest.mark.parametrize(("size", "channels"), [(3, 512), (64, 512), (65, 256), (128, 256), (256, 128), (1024, 32)])
def test_channels_halve_above_64_px(size: int, channels: int) -> None:
    assert channels_at(size, width=1.0) == channels


def test_the_low_pass_filter_keeps_a_constant_inside() -> None:
    torch.testing.assert_close(antialias(torch.ones(1, 2, 9, 9), 2)[:, :, 3:-3, 3:-3], torch.ones(1, 2, 4, 4))


def test_equal_samples_have_no_deviation() -> None:
    plane = append_group_deviation(torch.ones(4, 2, 3, 3), 4)[:, 2]
    torch.testing.assert_close(plane, torch.full((4, 3, 3), 1e-4))


def test_the_deviation_of_a_group_is_that_of_its_own_samples() -> None:
    images = torch.tensor([0.0, 0.0, 0.0, 2.0]).view(4, 1, 1, 1)  # samples 0 and 2 are one group, 1 and 3 the other
    deviation = append_group_deviation(images, 2)[:, 1, 0, 0]
    torch.testing.assert_close(deviation, torch.tensor([1e-4, 1.0, 1e-4, 1.0]), rtol=0, atol=1e-6)


def test_features_are_the_images_themselves() -> None:
    images = torch.zeros(2, 3, 101, 101)
    assert PaperDiscriminator(101, width=1 / 64).extract_features(images)[0] is images
