"""Loss terms against official values and manual calculations."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from infgen.inversion import losses
from tests import oracle
from tests.model.networks import tensor


@pytest.fixture(scope="module")
def data() -> dict[str, oracle.Array]:
    return oracle.load("inversion")


def close(computed: Tensor, expected: oracle.Array | float, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(computed.numpy(), expected, rtol=tolerance, atol=1e-7)


def test_the_pixel_loss_is_the_official_one(data: dict[str, oracle.Array]) -> None:
    close(losses.pixel(tensor(data, "pix_a"), tensor(data, "pix_b")), data["pix_l2_all"])


@pytest.mark.parametrize("sample", [0, 1])
def test_the_pixel_loss_of_one_picture_is_the_official_one(data: dict[str, oracle.Array], sample: int) -> None:
    a, b = (tensor(data, key)[sample : sample + 1] for key in ("pix_a", "pix_b"))
    close(losses.pixel(a, b), data["pix_l2_per_sample"][sample])


@pytest.mark.parametrize("index", range(4))
def test_the_regularity_of_a_noise_is_the_official_one(data: dict[str, oracle.Array], index: int) -> None:
    close(losses.noise_regularity(tensor(data, f"noise_{index}")), data["noise_reg_each"][index])


def test_the_regularity_of_all_noises_is_the_official_sum(data: dict[str, oracle.Array]) -> None:
    each = [losses.noise_regularity(tensor(data, f"noise_{i}")) for i in range(4)]
    close(torch.stack(each).sum(), data["noise_reg_total"])


@pytest.mark.parametrize("index", range(4))
def test_a_renormalised_noise_is_the_official_one(data: dict[str, oracle.Array], index: int) -> None:
    close(losses.renormalise(tensor(data, f"noise_{index}")), data[f"noise_renorm_{index}"])


def test_the_distance_of_z_l_is_the_official_one(data: dict[str, oracle.Array]) -> None:
    close(losses.root_mean_square(tensor(data, "zl")), data["zl_prior_l2_mode"])


def test_the_distance_of_z_g_is_the_papers_and_not_the_mean_that_the_code_takes(data: dict[str, oracle.Array]) -> None:
    z_g = tensor(data, "zg")
    close(z_g.mean().abs(), data["zg_prior_mean_mode"])
    close(losses.root_mean_square(z_g), data["zg_prior_l2_mode"])


def test_the_deviation_of_z_l_is_the_official_one(data: dict[str, oracle.Array]) -> None:
    close(losses.deviation(tensor(data, "zl")), data["zl_std_loss"])


def test_the_excess_follows_from_the_official_distance(data: dict[str, oracle.Array]) -> None:
    close(losses.excess(tensor(data, "zl")), (data["zl_prior_l2_mode"] ** 2 - 1) ** 2, 1e-4)


def test_the_excess_is_zero_where_the_codes_deviation_loss_is(data: dict[str, oracle.Array]) -> None:
    z_l = tensor(data, "zl")
    close((z_l.std() - 1).abs(), data["zl_std_loss"])
    assert losses.excess(losses.renormalise(z_l)) < 1e-6


def test_unknown_pixels_do_not_count() -> None:
    known = torch.zeros(4, 5, dtype=torch.bool)
    known[1:3, 2:] = True
    a, b = torch.rand(1, 3, 4, 5), torch.rand(1, 3, 4, 5)
    expected = 0.5 * (a - b)[..., 1:3, 2:].square().mean()
    close(losses.pixel(a, b, known), float(expected))


def test_psnr_by_hand() -> None:
    close(losses.psnr(torch.full((1, 3, 2, 2), 0.2), torch.zeros(1, 3, 2, 2)), 20.0)


def test_psnr_clips_values_outside_the_range_of_pixels() -> None:
    close(losses.psnr(torch.full((1, 3, 2, 2), 3.0), torch.full((1, 3, 2, 2), 0.8)), 20.0)


def test_a_constant_noise_is_as_irregular_as_can_be() -> None:
    close(losses.noise_regularity(torch.ones(1, 1, 16, 16)), 4.0)


def test_a_root_has_a_gradient_at_zero() -> None:
    z = torch.zeros(5, requires_grad=True)
    losses.root_mean_square(z).backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())


@given(st.integers(2, 20), st.integers(2, 20), st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 2**31))
def test_a_renormalised_noise_has_mean_0_and_deviation_1(h: int, w: int, mean: float, std: float, seed: int) -> None:
    noise = torch.randn(1, 1, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * std + mean
    renormalised = losses.renormalise(noise)
    assert abs(float(renormalised.mean())) < 1e-9
    assert abs(float(renormalised.std()) - 1) < 1e-9
