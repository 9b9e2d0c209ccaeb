"""Where styles lie: a normal distribution of mapped latents after a leaky ReLU that undoes the last one of the mapping.

Wulff and Torralba, "Improving Inversion and Generation Diversity in StyleGAN using a Gaussianized Latent Space", 2020.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.model.generator import MEAN_STYLE_SAMPLES, Generator

SLOPE = 5.0  # undoes a leaky ReLU of slope 0.2
_LEAST_VARIANCE = 1e-9  # of the largest: directions with less hold rounding errors only


def gaussianised(w: Tensor) -> Tensor:
    """Styles w (..., D) -> values that are about normal: leaky ReLU of slope 5, divided by the activation's gain sqrt(2)."""
    return F.leaky_relu(w, SLOPE) / math.sqrt(2)


def degaussianised(v: Tensor) -> Tensor:
    """The inverse of ``gaussianised``."""
    return F.leaky_relu(v * math.sqrt(2), 1 / SLOPE)


@dataclass(frozen=True, eq=False)
class StylePrior:
    """Mean and covariance of gaussianised styles, as a change of coordinates in which they are standard normal.

    ``colour`` (D, D) turns whitened values u into gaussianised ones: v = mean + u colour; ``white`` (D, D) the other way.
    """

    mean: Tensor
    colour: Tensor
    white: Tensor

    def style(self, whitened: Tensor) -> Tensor:
        """Whitened (..., D) -> w (..., D). Zeros give the mean style of this space."""
        return degaussianised(self.mean + whitened @ self.colour)

    def whitened(self, w: Tensor) -> Tensor:
        """w (..., D) -> whitened (..., D): the squared length is the squared Mahalanobis distance."""
        return (gaussianised(w) - self.mean) @ self.white

    @classmethod
    def of_samples(cls, w: Tensor) -> Self:
        """The prior that styles ``w`` (N, D) show. Directions in which they do not vary are left alone."""
        v = gaussianised(w.double())
        variances, directions = torch.linalg.eigh(torch.cov(v.T))
        deviations = variances.clamp_min(0).sqrt()
        varies = variances > _LEAST_VARIANCE * variances[-1]
        inverse = torch.where(varies, 1 / deviations.clamp_min(1e-30), 0)
        colour, white = (deviations * varies)[:, None] * directions.T, directions * inverse
        return cls(v.mean(0).to(w.dtype), colour.to(w.dtype), white.to(w.dtype))

    @classmethod
    @torch.no_grad()
    def of(cls, generator: Generator) -> Self:
        """The prior of ``generator``'s styles, from 10,000 fixed draws."""
        dim, mean = generator.config.global_channels, generator.mean_style
        draws = torch.randn(MEAN_STYLE_SAMPLES, dim, generator=torch.Generator().manual_seed(0))
        return cls.of_samples(generator.mapping(draws.to(mean)))
