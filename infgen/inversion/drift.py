"""Measure how far inverted latents lie from the prior. Distant latents extend badly beyond the photograph."""

import math
from dataclasses import dataclass
from typing import Self

import torch

from infgen.inversion.prior import StylePrior
from infgen.inversion.window import Latents


@dataclass(frozen=True)
class Drift:
    """Distance of latents from the prior. For sampled latents, ``noise_mean`` is about 0 and all others about 1.

    ``style``, ``style_most``: Mahalanobis distance of W+ rows over sqrt(D), mean and maximum. ``z_g``, ``z_l``: root mean
    square. ``noise_mean``, ``noise_std``: of the noise that deviates most from 0 and 1.
    """

    style: float
    style_most: float
    z_g: float
    z_l: float
    noise_mean: float
    noise_std: float

    @classmethod
    @torch.no_grad()
    def of(cls, latents: Latents, prior: StylePrior) -> Self:
        """Compute the drift of ``latents``."""
        lengths = prior.whiten(latents.w_plus[0]).norm(dim=-1) / math.sqrt(latents.w_plus.shape[-1])
        means = [float(noise.mean()) for noise in latents.noises]
        deviations = [float(noise.std()) for noise in latents.noises]
        return cls(
            style=float(lengths.mean()),
            style_most=float(lengths.max()),
            z_g=float(latents.z_g.square().mean().sqrt()),
            z_l=float(latents.z_l.square().mean().sqrt()),
            noise_mean=max(means, key=abs),
            noise_std=max(deviations, key=lambda deviation: abs(deviation - 1)),
        )
