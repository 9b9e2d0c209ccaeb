"""The prior of styles against the official numbers, and its change of coordinates."""

import numpy as np
import pytest
import torch

from infgen.inversion.losses import mahalanobis
from infgen.inversion.prior import StylePrior, degaussianise, gaussianise
from infgen.model.generator import Generator
from tests import oracle
from tests.model.networks import tensor


@pytest.fixture(scope="module")
def data() -> dict[str, oracle.Array]:
    return oracle.load("inversion")


@pytest.fixture(scope="module")
def prior(data: dict[str, oracle.Array]) -> StylePrior:
    return StylePrior.of_samples(tensor(data, "w_samples"))


def test_gaussianised_styles_are_the_official_ones(data: dict[str, oracle.Array]) -> None:
    found = gaussianise(tensor(data, "w_samples"))
    np.testing.assert_allclose(found.numpy(), data["w_gaussianized"], rtol=1e-5, atol=1e-6)


def test_the_inverse_of_gaussianisation_is_the_official_one(data: dict[str, oracle.Array]) -> None:
    found = degaussianise(tensor(data, "gau_mean"))
    np.testing.assert_allclose(found.numpy(), data["degaussianize_of_mean"], rtol=1e-5, atol=1e-6)


def test_gaussianisation_is_undone_by_its_inverse() -> None:
    w = torch.linspace(-3, 3, 50, dtype=torch.float64)
    torch.testing.assert_close(degaussianise(gaussianise(w)), w)


def test_the_mean_is_the_official_one(data: dict[str, oracle.Array], prior: StylePrior) -> None:
    np.testing.assert_allclose(prior.mean.numpy(), data["gau_mean"], rtol=1e-4, atol=1e-5)


def test_the_standard_deviations_are_the_official_ones(data: dict[str, oracle.Array], prior: StylePrior) -> None:
    samples = len(data["w_samples"])
    variances = prior.colour.square().sum(0) * (samples - 1) / samples  # the official ones are divided by N
    np.testing.assert_allclose(variances.sqrt().numpy(), data["gau_std"], rtol=1e-4)


def test_the_inverse_covariance_is_the_official_one(data: dict[str, oracle.Array], prior: StylePrior) -> None:
    found = (prior.white @ prior.white.T).numpy()
    np.testing.assert_allclose(found, data["gau_invcov"], atol=2e-4 * float(np.abs(data["gau_invcov"]).max()))


def test_the_prior_loss_is_the_official_one(data: dict[str, oracle.Array], prior: StylePrior) -> None:
    found = mahalanobis(prior.whiten(tensor(data, "w_plus")))
    np.testing.assert_allclose(float(found), data["ts_prior_loss"], rtol=1e-3)


def test_the_prior_loss_of_one_row_is_the_official_one(data: dict[str, oracle.Array], prior: StylePrior) -> None:
    found = mahalanobis(prior.whiten(tensor(data, "w_plus")[:, :1]))
    np.testing.assert_allclose(float(found), data["ts_prior_loss_layer0"], rtol=1e-3)


def test_whitened_samples_are_uncorrelated_and_of_unit_variance(
    data: dict[str, oracle.Array], prior: StylePrior
) -> None:
    whitened = prior.whiten(tensor(data, "w_samples"))
    torch.testing.assert_close(torch.cov(whitened.T), torch.eye(whitened.shape[1]), atol=1e-3, rtol=0)


def test_a_style_comes_back_from_its_whitened_coordinates(data: dict[str, oracle.Array], prior: StylePrior) -> None:
    w = tensor(data, "w_samples")[:20]
    torch.testing.assert_close(prior.style(prior.whiten(w)), w, atol=1e-4, rtol=1e-4)


def test_directions_in_which_styles_do_not_vary_are_left_alone() -> None:
    w = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    w[:, 3] = 0.5
    prior = StylePrior.of_samples(w)
    found = prior.style(torch.full((4,), 100.0))
    assert float(found[3]) == pytest.approx(0.5, abs=1e-4)


def test_the_prior_of_a_generator_is_a_function_of_it_alone(tiny: Generator) -> None:
    before = torch.get_rng_state()
    first, second = StylePrior.of(tiny), StylePrior.of(tiny)
    assert torch.equal(first.colour, second.colour)
    assert torch.equal(before, torch.get_rng_state())
