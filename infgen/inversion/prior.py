"""Model styles as a normal distribution after a leaky ReLU that inverts the last activation of the mapping.

Wulff and Torralba, "Improving Inversion and Generation Diversity in StyleGAN using a Gaussianized Latent Space", 2020.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.model.generator import MEAN_STYLE_SAMPLES, Generator

SLOPE = 5.0  # inverts a leaky ReLU of slope 0.2
_LEAST_VARIANCE = 1e-9  # share of the largest variance; smaller ones are rounding errors


def gaussianise(w: Tensor) -> Tensor:
    """Map styles w (..., D) to about normal values: leaky ReLU of slope 5, divided by the activation gain sqrt(2)."""
    return F.leaky_relu(w, SLOPE) / math.sqrt(2)


def degaussianise(v: Tensor) -> Tensor:
    return F.leaky_relu(v * math.sqrt(2), 1 / SLOPE)


@dataclass(frozen=True, eq=False)
class StylePrior:
    """Mean and covariance of gaussianised styles, stored as transforms to and from standard normal coordinates.

    ``colour`` (D, D) maps whitened values u to gaussianised values v = mean + u colour. ``white`` (D, D): the inverse.
    """

    mean: Tensor
    colour: Tensor
    white: Tensor

    def style(self, whitened: Tensor) -> Tensor:
        """Map whitened (..., D) to w (..., D). Zeros give the mean style of this space."""
        return degaussianise(self.mean + whitened @ self.colour)

    def whiten(self, w: Tensor) -> Tensor:
        """Map w (..., D) to whitened (..., D), whose norm is the Mahalanobis distance."""
        return (gaussianise(w) - self.mean) @ self.white

    @classmethod
    def of_samples(cls, w: Tensor) -> Self:
        """Fit the prior to styles ``w`` (N, D). Directions without variance stay zero."""
        v = gaussianise(w.double())
        variances, directions = torch.linalg.eigh(torch.cov(v.T))
        deviations = variances.clamp_min(0).sqrt()
        varies = variances > _LEAST_VARIANCE * variances[-1]
        inverse = torch.where(varies, 1 / deviations.clamp_min(1e-30), 0)
        colour, white = (deviations * varies)[:, None] * directions.T, directions * inverse
        return cls(v.mean(0).to(w.dtype), colour.to(w.dtype), white.to(w.dtype))

    @classmethod
    @torch.no_grad()
    def of(cls, generator: Generator) -> Self:
        """Fit the prior of ``generator`` from 10,000 samples with a fixed seed."""
        dim, mean = generator.config.global_channels, generator.mean_style
        draws = torch.randn(MEAN_STYLE_SAMPLES, dim, generator=torch.Generator().manual_seed(0))
        return cls.of_samples(generator.mapping(draws.to(mean)))
