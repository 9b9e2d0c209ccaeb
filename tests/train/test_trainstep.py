"""One training step of the official code, rebuilt from our modules: values and all gradients.

Our training differs on purpose in targets, wrap and diversity. For these, functions of this file follow the official
code, so that the comparison covers only networks and losses.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from infgen.model.convert import official_names
from infgen.train import losses
from infgen.world.coordinates import VERTICAL_RATE, encode
from tests import oracle
from tests.model.networks import official_generator, tensor
from tests.train.networks.official import assert_scaled, first_output, official_discriminator, our_name

FIRST_ROW = -22
STRIP = 140  # columns of the official training grid; the last one has the angle of the first


def repeat_pairs(x: Tensor) -> Tensor:
    """Replace samples 2k+1 by samples 2k."""
    return x[0::2].repeat_interleave(2, dim=0)


def official_coordinates(data: Mapping[str, oracle.Array]) -> Tensor:
    """Compute coordinates (4, 3, 35, 35) with the official wrap, jitter and pairing."""
    cells = torch.arange(35)
    columns = (tensor(data, "y_st").long()[:, None] + cells) % STRIP
    rows = tensor(data, "x_st").long()[:, None] + cells + FIRST_ROW
    mesh_per_cell = torch.tensor([VERTICAL_RATE, 2 / 139, 2 / 139])
    return repeat_pairs(encode(columns, rows, system="scenery", jitter=tensor(data, "perturb") / mesh_per_cell))


def official_diversity(z_l: Tensor, z_s: Tensor) -> Tensor:
    """The diversity term of the released configurations: similarity of latents over similarity of structures, as angles."""

    def similarity(x: Tensor) -> Tensor:
        cosine = torch.nn.functional.cosine_similarity(x[0::2].flatten(1), x[1::2].flatten(1))
        return (1 - torch.acos(cosine) / math.pi).mean()

    return 1 / (similarity(z_s) / similarity(z_l) + 1e-5)


@dataclass(frozen=True)
class Step:
    values: dict[str, Tensor]
    generator_gradients: dict[str, Tensor]  # by official name
    discriminator_gradients: dict[str, Tensor]  # by our name


@pytest.fixture(scope="module")
def data() -> dict[str, oracle.Array]:
    return oracle.load("trainstep_small")


@pytest.fixture(scope="module")
def step(data: dict[str, oracle.Array]) -> Step:
    generator, discriminator = official_generator().requires_grad_(True), official_discriminator()
    first, second = repeat_pairs(tensor(data, "global_latent")).unbind(1)
    style = generator.style(first, mix=second, crossover=int(data["inject_index"]))
    z_l, target = tensor(data, "local_latent"), tensor(data, "fake_ac_coords")[:, 0]
    z_s = generator.structure(z_l, official_coordinates(data), style.z_g)
    fake = generator.texture(z_s, style.w_plus, [tensor(data, f"noise_{i}") for i in range(8)])

    output = discriminator(fake)
    g = {"g_adv": losses.logistic_generator(output.logits), "g_ar": losses.position(output.position, target)}
    g["g_div"] = official_diversity(z_l, z_s)
    g["g_loss"] = g["g_adv"] + g["g_ar"] + g["g_div"]
    g_gradients = gradients(g["g_loss"], dict(generator.named_parameters()))

    detached, real = discriminator(fake.detach()), discriminator(tensor(data, "real"))
    d = {"d_adv": losses.logistic_discriminator(real.logits, detached.logits)}
    d["d_ar"] = losses.position(real.position, tensor(data, "real_ac")[:, 0]) + losses.position(
        detached.position, target
    )
    d["d_loss"] = d["d_adv"] + d["d_ar"]
    d_gradients = gradients(d["d_loss"], dict(discriminator.named_parameters()))

    outputs = {
        "fake_image": fake,
        "structure_latent": z_s,
        "fake_logits": detached.logits[0],
        "real_logits": real.logits[0],
    }
    values = {key: value.detach() for key, value in (g | d | outputs).items()}
    names = {ours: official for official, ours in official_names(generator.config)}
    return Step(values, {names[ours]: gradient for ours, gradient in g_gradients.items()}, d_gradients)


def gradients(loss: Tensor, parameters: dict[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values()), retain_graph=True), strict=True))


GENERATOR = sorted(k for k in oracle.load("trainstep_small") if k.startswith("ggrad/") and "const_z" not in k)
DISCRIMINATOR = sorted(k for k in oracle.load("trainstep_small") if k.startswith("dgrad/"))


@pytest.mark.parametrize("key", ["g_adv", "g_ar", "g_div", "g_loss", "d_adv", "d_ar", "d_loss"])
def test_every_loss_term_has_the_official_value(key: str, data: dict[str, oracle.Array], step: Step) -> None:
    assert float(step.values[key]) == pytest.approx(float(data[key]), rel=1e-4)


@pytest.mark.parametrize("key", ["fake_image", "structure_latent", "fake_logits", "real_logits"])
def test_every_output_is_the_official_one(key: str, data: dict[str, oracle.Array], step: Step) -> None:
    np.testing.assert_allclose(oracle.select(data, key, step.values[key].numpy()), data[key], rtol=0, atol=1e-4)


@pytest.mark.parametrize("key", GENERATOR)
def test_the_generators_gradient_is_the_official_one(key: str, data: dict[str, oracle.Array], step: Step) -> None:
    official = tensor(data, key)
    gradient = step.generator_gradients[key.removeprefix("ggrad/")]
    if oracle.RULE + key in data:
        gradient = gradient.unsqueeze(0)  # the rule counts the leading dimension that the official code keeps
    computed = torch.from_numpy(oracle.select(data, key, gradient.numpy()).copy())
    assert_scaled(computed.reshape(official.shape), official)


def test_every_parameter_of_the_generator_has_a_gradient(step: Step) -> None:
    assert {f"ggrad/{name}" for name in step.generator_gradients} == set(GENERATOR)


@pytest.mark.parametrize("key", DISCRIMINATOR)
def test_the_discriminators_gradient_is_the_official_one(key: str, data: dict[str, oracle.Array], step: Step) -> None:
    name = key.removeprefix("dgrad/")
    assert_scaled(step.discriminator_gradients[str(our_name(name))], first_output(name, tensor(data, key)))


@pytest.mark.parametrize("key", ["dgrad/coord_linear.1.weight", "dgrad/coord_linear.1.bias"])
def test_the_official_auxiliary_heads_other_outputs_get_no_gradient(key: str, data: dict[str, oracle.Array]) -> None:
    assert not data[key][1:].any()


def test_official_targets_of_every_second_sample_are_of_another_image(data: dict[str, oracle.Array]) -> None:
    starts = tensor(data, "x_st").float()
    torch.testing.assert_close(tensor(data, "fake_ac_coords")[:, 0], 2 * starts / 9 - 1)
    assert not torch.equal(starts, repeat_pairs(starts))


def test_the_official_diversity_term_favours_equal_structures_and_ours_different_ones() -> None:
    rng = torch.Generator().manual_seed(0)
    z_l, common, apart = (torch.randn(2, 4, 6, 6, generator=rng) for _ in range(3))
    near, far = common[:1] + 0.1 * apart, common[:1] + 2 * apart
    assert official_diversity(z_l, near) < official_diversity(z_l, far)
    assert losses.diversity(z_l, near) > losses.diversity(z_l, far)


def released_l1_diversity(z_l: Tensor, z_s: Tensor) -> Tensor:
    """The diversity term of the released code with ``diversity_angular: False``: means over all elements and pairs."""
    z, x = ((v[0::2] - v[1::2]).abs().mean() for v in (z_l, z_s))
    return 1 / (x / z + 1e-5)


def test_our_diversity_term_has_the_size_and_gradient_of_the_released_l1_variant(data: dict[str, oracle.Array]) -> None:
    z_l, z_s = tensor(data, "local_latent"), tensor(data, "structure_latent").requires_grad_()
    ours, released = losses.diversity(z_l, z_s), released_l1_diversity(z_l, z_s)
    assert float(ours.detach()) == pytest.approx(float(released.detach()), rel=0.02)
    norms = [torch.autograd.grad(loss, z_s)[0].norm() for loss in (ours, released)]
    assert float(norms[0]) == pytest.approx(float(norms[1]), rel=0.1)
