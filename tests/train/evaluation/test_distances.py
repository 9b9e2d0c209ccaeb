"""Distances of feature sets against plain formulas."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from infgen.errors import InputError, MissingExtraError
from infgen.train.evaluation.distances import frechet, inception_score, kernel


def normals(seed: int, *, count: int = 60, width: int = 5, spread: float = 1.0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * spread


def plain_frechet(a: Tensor, b: Tensor) -> float:
    """The formula with a symmetric square root."""
    x, y = a.double().numpy(), b.double().numpy()
    values, vectors = np.linalg.eigh(np.cov(x.T))
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    middle = np.linalg.eigvalsh(root @ np.cov(y.T) @ root).clip(0)
    mean = np.square(x.mean(0) - y.mean(0)).sum()
    return float(mean + np.trace(np.cov(x.T)) + np.trace(np.cov(y.T)) - 2 * np.sqrt(middle).sum())


def test_equal_sets_have_frechet_distance_0() -> None:
    assert frechet(normals(0), normals(0)) == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_equals_the_plain_formula() -> None:
    a, b = normals(0), normals(1, spread=2.0) + 0.5
    assert frechet(a, b) == pytest.approx(plain_frechet(a, b), rel=1e-9)


def test_the_distance_equals_the_plain_formula_for_more_features_than_pictures() -> None:
    a, b = normals(0, count=20, width=50), normals(1, count=20, width=50)
    assert frechet(a, b) == pytest.approx(plain_frechet(a, b), rel=1e-5)


def test_the_frechet_distance_is_symmetric() -> None:
    a, b = normals(0), normals(1, spread=2.0)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)


@settings(max_examples=20)
@given(st.lists(st.floats(-5, 5), min_size=5, max_size=5))
def test_a_shifted_set_is_as_far_as_the_square_of_the_shift(shift: list[float]) -> None:
    a = normals(0).double()
    assert frechet(a, a + torch.tensor(shift, dtype=torch.float64)) == pytest.approx(
        sum(s * s for s in shift), abs=1e-6
    )


def test_the_kernel_distance_of_all_pictures_equals_the_plain_formula() -> None:
    a, b = normals(0).double().numpy(), normals(1).double().numpy() + 0.3
    k = lambda x, y: (x @ y.T / 5 + 1) ** 3  # noqa: E731
    n = len(a)
    expected = ((k(a, a).sum() - np.trace(k(a, a))) + (k(b, b).sum() - np.trace(k(b, b)))) / (n * (n - 1))
    expected -= 2 * k(a, b).mean()
    assert kernel(normals(0), normals(1) + 0.3).mean == pytest.approx(expected, rel=1e-6)


def test_the_kernel_distance_of_subsets_is_a_function_of_the_seed() -> None:
    a, b = normals(0, count=150), normals(1, count=150)
    assert kernel(a, b, seed=1) == kernel(a, b, seed=1)
    assert kernel(a, b, seed=1) != kernel(a, b, seed=2)


def test_random_subsets_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    kernel(normals(0), normals(1))
    inception_score(normals(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_equal_classes_have_inception_score_1() -> None:
    assert inception_score(torch.ones(40, 7)).mean == pytest.approx(1, abs=1e-9)


def test_two_sure_classes_in_equal_shares_have_an_inception_score_near_2() -> None:
    logits = torch.zeros(4000, 6)
    logits[torch.arange(4000), torch.arange(4000) % 2] = 30.0
    assert inception_score(logits).mean == pytest.approx(2, abs=0.01)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="1 generated pictures are too few"):
        frechet(normals(0), normals(1, count=1))


def test_too_few_pictures_for_a_score_are_refused() -> None:
    with pytest.raises(InputError, match="19 pictures are too few"):
        inception_score(normals(0, count=19))


def test_features_that_are_not_finite_are_refused() -> None:
    broken = normals(1)
    broken[3, 2] = float("nan")
    with pytest.raises(InputError, match="features of the generated pictures are not finite"):
        frechet(normals(0), broken)


def test_a_missing_torchmetrics_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(MissingExtraError, match=r"infgen\[train\]"):
        frechet(normals(0), normals(1))
