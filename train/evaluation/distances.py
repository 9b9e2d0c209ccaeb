"""Distances between two sets of features, through torchmetrics in float64.

torchmetrics wants a network that turns pictures into features. Features are computed once here and shared by all metrics,
so its "network" is the identity.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from infgen.errors import InputError
from infgen.extras import require_extra

KID_SUBSETS, KID_SUBSET_SIZE = 100, 100
IS_SPLITS = 10
NEIGHBOURS = 3  # of a ball in precision and recall
_ROWS = 1024  # features whose distances to all others are held at once
MIN_SCORE_PICTURES = 2 * IS_SPLITS  # splits of one picture have score 1


@dataclass(frozen=True)
class Estimate:
    """A mean over subsets or splits, and their standard deviation."""

    mean: float
    deviation: float


class _Identity(nn.Module):
    """Features in, features out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) -> the same."""
        return features


def _image_metrics() -> tuple[type, type, type]:
    """The three torchmetrics classes. Raises MissingExtraError where the package is missing."""
    with require_extra("train", "evaluation"):
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.inception import InceptionScore
        from torchmetrics.image.kid import KernelInceptionDistance

    return FrechetInceptionDistance, KernelInceptionDistance, InceptionScore


def frechet(real: Tensor, fake: Tensor) -> float:
    """Frechet distance of Gaussians fitted to features (N, D) and (M, D) (Heusel et al., NeurIPS 2017, Eq. 6).

    Strongly biased upwards for small N and M: compare only values of equal numbers. Raises InputError for fewer than two
    pictures or features that are not finite.
    """
    _check(real, fake)
    metric = _image_metrics()[0](feature=_Identity(real.shape[1]))
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    return max(0.0, float(metric.compute()))  # rounding may leave a tiny negative number for equal sets


def kernel(real: Tensor, fake: Tensor, *, seed: int = 0) -> Estimate:
    """Kernel distance (Binkowski et al., ICLR 2018): unbiased squared MMD with the kernel (x.y / D + 1)^3.

    Mean over 100 random subsets of 100 pictures (of all, where there are fewer). Features (N, D) and (M, D). Raises
    InputError as ``frechet``.
    """
    _check(real, fake)
    size = min(KID_SUBSET_SIZE, len(real), len(fake))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():  # it draws subsets from the global generator
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all")
        torch.manual_seed(seed)
        metric = _image_metrics()[1](feature=_Identity(real.shape[1]), subsets=KID_SUBSETS, subset_size=size)
        metric.update(real.double(), real=True)
        metric.update(fake.double(), real=False)
        mean, deviation = metric.compute()
    return Estimate(float(mean), float(deviation))


def inception_score(logits: Tensor, *, seed: int = 0) -> Estimate:
    """Inception Score (Salimans et al., NeurIPS 2016): exp of the mean KL divergence of a picture's classes from all.

    Mean over 10 random splits of logits (N, classes). Raises InputError for fewer than 20 pictures.
    """
    if len(logits) < MIN_SCORE_PICTURES:
        raise InputError(
            f"{len(logits)} pictures are too few for an Inception Score; give {MIN_SCORE_PICTURES} or more"
        )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `InceptionScore` will save all")
        torch.manual_seed(seed)
        metric = _image_metrics()[2](feature=_Identity(logits.shape[1]), splits=IS_SPLITS)
        metric.update(logits.double())
        mean, deviation = metric.compute()
    return Estimate(float(mean), float(deviation))


def coverage(reference: Tensor, points: Tensor, *, neighbours: int = NEIGHBOURS) -> float:
    """Share of ``points`` (M, D) that lie in the manifold of ``reference`` (N, D) (Kynkaanniemi et al., NeurIPS 2019).

    The manifold is the union of balls around the reference features, each up to its third nearest other one. Precision is
    the share of generated pictures in the manifold of real ones, recall the opposite. Both fall as N grows: compare only
    equal N. Raises InputError as ``frechet``, and for fewer pictures than neighbours.
    """
    _check(reference, points)
    if len(reference) <= neighbours:
        raise InputError(
            f"{len(reference)} pictures are too few for precision and recall; give {neighbours + 1} or more"
        )
    reference, points = reference.double(), points.double()
    parts = torch.split(reference, _ROWS)
    radii = torch.cat([torch.cdist(part, reference).kthvalue(neighbours + 1).values for part in parts])
    inside = [(torch.cdist(part, reference) <= radii).any(1) for part in torch.split(points, _ROWS)]
    return float(torch.cat(inside).double().mean())


def _check(real: Tensor, fake: Tensor) -> None:
    for what, features in (("real", real), ("generated", fake)):
        if len(features) < 2:
            raise InputError(f"{len(features)} {what} pictures are too few for a distance; give 2 or more")
        if not bool(torch.isfinite(features).all()):
            raise InputError(f"features of the {what} pictures are not finite numbers; check model and weights")
