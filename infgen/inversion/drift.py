"""How far inverted latents lie from what a world draws: what is far off continues badly outside the photograph."""

import math
from dataclasses import dataclass
from typing import Self

import torch

from infgen.inversion.prior import StylePrior
from infgen.inversion.window import Latents


@dataclass(frozen=True)
class Drift:
    """Latents against the prior; every number but ``noise_mean`` (0) is about 1 for latents that are drawn.

    ``style``, ``style_most``: Mahalanobis distance of a W+ row over sqrt(D), the mean of rows and the largest.
    ``z_g``, ``z_l``: root mean square. ``noise_mean``, ``noise_std``: of the noise in which they are farthest from 0 and 1.
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
        """The drift of ``latents``."""
        lengths = prior.whitened(latents.w_plus[0]).norm(dim=-1) / math.sqrt(latents.w_plus.shape[-1])
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
