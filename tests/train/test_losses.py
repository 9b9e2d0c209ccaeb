"""Loss terms compared with the official values and with values computed by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from infgen.model.generator import Style
from infgen.train import losses
from tests import oracle
from tests.model.networks import official_generator, tensor
from tests.train.networks.official import official_discriminator, our_name

R1_WEIGHT, R1_EVERY, PATH_WEIGHT, PATH_EVERY = 10, 16, 2, 4
DIM = 32  # of the styles in the official values


@pytest.fixture(scope="module")
def data() -> dict[str, oracle.Array]:
    return oracle.load("losses")


def assert_close(computed: Tensor, expected: oracle.Array | list[float] | float, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(computed.detach().numpy(), expected, rtol=tolerance)


def test_the_discriminators_logistic_loss_is_the_official_one(data: dict[str, oracle.Array]) -> None:
    real, fake = tensor(data, "adv_real_logits"), tensor(data, "adv_fake_logits")
    assert_close(losses.logistic_discriminator([real], [fake]), data["adv_d_loss"])


def test_the_generators_logistic_loss_is_the_official_one(data: dict[str, oracle.Array]) -> None:
    assert_close(losses.logistic_generator([tensor(data, "adv_fake_logits")]), data["adv_g_loss"])


def test_heads_add_up(data: dict[str, oracle.Array]) -> None:
    fake = tensor(data, "adv_fake_logits")
    assert_close(losses.logistic_generator([fake, fake]), 2 * data["adv_g_loss"])


def test_a_head_too_many_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        losses.logistic_discriminator([torch.zeros(1)], [torch.zeros(1), torch.zeros(1)])


def test_the_discriminators_hinge_loss_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.0, 1.0])
    assert_close(losses.hinge_discriminator([real], [fake]), (0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3)


def test_the_generators_hinge_loss_by_hand() -> None:
    assert_close(losses.hinge_generator([torch.tensor([-2.0, 0.0, 5.0]), torch.tensor([1.0])]), -1.0 - 1.0)


@pytest.fixture(scope="module")
def r1(data: dict[str, oracle.Array]) -> dict[str, Tensor]:
    """The penalty on the official images, and the gradient norms of its weighted value by parameter name."""
    discriminator = official_discriminator()
    images = tensor(oracle.load("discriminator_small"), "input").requires_grad_()
    logits = discriminator(images).logits[0]
    value = losses.r1_penalty(logits, images)
    names, parameters = zip(*discriminator.named_parameters(), strict=True)
    gradients = torch.autograd.grad(R1_WEIGHT / 2 * R1_EVERY * value, parameters, allow_unused=True)
    norms = {n: torch.zeros(()) if g is None else g.norm() for n, g in zip(names, gradients, strict=True)}
    return {"value": value, **norms}


def test_r1_is_the_official_value(data: dict[str, oracle.Array], r1: dict[str, Tensor]) -> None:
    assert_close(r1["value"], data["r1_value"], 1e-4)


def test_weighted_r1_is_the_official_value(data: dict[str, oracle.Array], r1: dict[str, Tensor]) -> None:
    assert_close(R1_WEIGHT / 2 * R1_EVERY * r1["value"], data["r1_weighted"], 1e-4)


def test_r1_is_the_mean_over_samples(data: dict[str, oracle.Array]) -> None:
    per_sample = tensor(data, "r1_per_sample")
    images = torch.ones(8, 1, 1, 1, requires_grad=True)
    logits = (images[:, 0, 0, 0] * per_sample.sqrt()).unsqueeze(1)
    assert_close(losses.r1_penalty(logits, images), data["r1_value"], 1e-4)


def test_parameter_gradients_of_r1_have_the_official_norms(
    data: dict[str, oracle.Array], r1: dict[str, Tensor]
) -> None:
    prefix = "r1_paramgrad_norm/"
    official = {str(our_name(k.removeprefix(prefix))): float(v) for k, v in data.items() if k.startswith(prefix)}
    computed = {name: float(value) for name, value in r1.items() if name != "value"}
    assert computed == pytest.approx(official, rel=1e-3, abs=1e-6)


@pytest.fixture(scope="module")
def lengths(data: dict[str, oracle.Array]) -> Tensor:
    """Path lengths of the official image with W+ of one mapped latent in every row."""
    case, generator = oracle.load("generator_small"), official_generator()
    styles = tensor(data, "pl_styles").requires_grad_()
    noises = [tensor(case, f"A_noise_{i}") for i in range(8)]
    style = Style(tensor(case, "A_global_latent")[:, 0], styles)
    image = generator(tensor(case, "A_local_latent"), tensor(case, "A_coords"), style, noises)
    return losses.path_lengths(image, styles, direction=tensor(data, "pl_image_noise")).detach()


def test_path_lengths_are_those_of_stylegan2(data: dict[str, oracle.Array], lengths: Tensor) -> None:
    assert_close(lengths, data["pl_lengths_stylegan2_sum"], 1e-4)


def test_released_path_lengths_are_smaller_by_the_root_of_the_style_size(
    data: dict[str, oracle.Array], lengths: Tensor
) -> None:
    assert_close(lengths / DIM**0.5, data["pl_lengths"], 1e-4)


def test_the_path_penalty_is_the_official_one_for_the_same_lengths(data: dict[str, oracle.Array]) -> None:
    penalty, _ = losses.path_penalty(tensor(data, "pl_lengths"), tensor(data, "pl_mean_in"))
    assert_close(penalty, data["pl_penalty"])


def test_the_weighted_path_penalty_is_the_official_one_for_the_same_lengths(data: dict[str, oracle.Array]) -> None:
    penalty, _ = losses.path_penalty(tensor(data, "pl_lengths"), tensor(data, "pl_mean_in"))
    assert_close(PATH_WEIGHT * PATH_EVERY * penalty, data["pl_weighted"])


def test_the_running_path_length_is_the_official_one(data: dict[str, oracle.Array]) -> None:
    _, mean = losses.path_penalty(tensor(data, "pl_lengths"), tensor(data, "pl_mean_in"))
    assert_close(mean, data["pl_mean_out"])


def test_the_running_path_length_carries_no_gradient() -> None:
    _, mean = losses.path_penalty(torch.ones(2, requires_grad=True), torch.zeros(()))
    assert not mean.requires_grad


def test_the_path_penalty_passes_gradients_through_the_running_mean() -> None:
    lengths = torch.tensor([1.0, 3.0], requires_grad=True)
    penalty, _ = losses.path_penalty(lengths, torch.tensor(1.0))
    penalty.backward()  # type: ignore[no-untyped-call]
    mean = 1.0 + 0.01 * (2.0 - 1.0)
    expected = [(length - mean) - 0.01 / 2 * ((1 - mean) + (3 - mean)) for length in (1.0, 3.0)]
    assert lengths.grad is not None
    assert_close(lengths.grad, expected)


def test_diversity_is_equation_2(data: dict[str, oracle.Array]) -> None:
    z_l, z_s = tensor(data, "div_local_latent"), tensor(data, "div_structure_latent")
    assert_close(losses.diversity(z_l, z_s, norm="sum"), data["div_eq2_norms_mean"])


@pytest.mark.parametrize("pair", range(3))
def test_diversity_of_one_pair_is_its_ratio_of_l1_norms(pair: int, data: dict[str, oracle.Array]) -> None:
    samples = slice(2 * pair, 2 * pair + 2)
    z_l, z_s = tensor(data, "div_local_latent")[samples], tensor(data, "div_structure_latent")[samples]
    assert_close(losses.diversity(z_l, z_s, norm="sum"), data["div_eq2_norms_per_pair"][pair])


def test_the_mean_norm_divides_equation_2_by_the_numbers_of_elements(data: dict[str, oracle.Array]) -> None:
    z_l, z_s = tensor(data, "div_local_latent"), tensor(data, "div_structure_latent")
    per_element = data["div_eq2_norms_mean"] * (z_s[0].numel() / z_l[0].numel())
    assert_close(losses.diversity(z_l, z_s), per_element, 1e-4)  # epsilon counts more beside means


def test_the_mean_norm_is_that_of_the_released_l1_variant(data: dict[str, oracle.Array]) -> None:
    """The released one divides means over all pairs; ours averages the ratios of pairs."""
    z_l, z_s = tensor(data, "div_local_latent"), tensor(data, "div_structure_latent")
    assert float(losses.diversity(z_l, z_s)) == pytest.approx(float(data["div_code_l1"]), rel=0.01)


def test_more_different_structures_lower_the_diversity_loss(data: dict[str, oracle.Array]) -> None:
    z_l, z_s = tensor(data, "div_local_latent"), tensor(data, "div_structure_latent")
    assert losses.diversity(z_l, 2 * z_s) < losses.diversity(z_l, z_s)


def test_equal_structures_give_a_large_finite_diversity_loss() -> None:
    loss = losses.diversity(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.zeros(2, 1, 1, 1))
    assert_close(loss, 1e5)


def test_the_position_loss_is_the_official_one(data: dict[str, oracle.Array]) -> None:
    assert_close(losses.position(tensor(data, "ar_pred")[:, 0], tensor(data, "ar_label")[:, 0]), data["ar_vert_only"])
