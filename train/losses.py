"""Training losses as pure functions (paper Section 3.5, Eq. 2, 5 and 6; StyleGAN2 for the regularisers).

Logits are lists: one tensor for the paper's discriminator, one per head for the projected one.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

DistanceNorm = Literal["mean", "sum"]  # of absolute differences, over the elements of one sample


def logistic_discriminator(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """mean softplus(-D(x)) + mean softplus(D(G(z))), summed over heads (Goodfellow et al. 2014)."""
    return torch.stack([F.softplus(-r).mean() + F.softplus(f).mean() for r, f in zip(real, fake, strict=True)]).sum()


def logistic_generator(fake: Sequence[Tensor]) -> Tensor:
    """mean softplus(-D(G(z))), the non-saturating generator loss, summed over heads."""
    return torch.stack([F.softplus(-f).mean() for f in fake]).sum()


def hinge_discriminator(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """mean relu(1 - D(x)) + mean relu(1 + D(G(z))), summed over heads (Lim and Ye 2017)."""
    return torch.stack([F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]).sum()


def hinge_generator(fake: Sequence[Tensor]) -> Tensor:
    """-mean D(G(z)), summed over heads."""
    return torch.stack([-f.mean() for f in fake]).sum()


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """mean_b |d sum(D) / d x_b|^2 for real ``images`` (B, 3, H, W) that require a gradient (Mescheder et al. 2018)."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def path_lengths(images: Tensor, w_plus: Tensor, *, direction: Tensor) -> Tensor:
    """|J_w^T y| of each sample (B,): ``images`` (B, 3, H, W) of ``w_plus`` (B, rows, D), with ``direction`` ~ N(0, 1).

    y = direction / sqrt(H W); squares are summed over D and averaged over rows (StyleGAN2, Appendix B).
    """
    height, width = images.shape[-2:]
    projected = (images * direction).sum() / math.sqrt(height * width)
    (gradient,) = torch.autograd.grad(projected, w_plus, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def path_penalty(lengths: Tensor, mean: Tensor, *, decay: float = 0.01) -> tuple[Tensor, Tensor]:
    """(penalty, new running mean): mean (a - m)^2 with m moved by ``decay`` towards the batch mean (StyleGAN2, Eq. 4)."""
    new_mean = torch.lerp(mean, lengths.mean(), decay)
    return (lengths - new_mean).square().mean(), new_mean.detach()


def diversity(z_l: Tensor, z_s: Tensor, *, norm: DistanceNorm = "mean") -> Tensor:
    """Mode-seeking diversity loss of Eq. 2: mean over pairs of |z_l1 - z_l2|_1 / |z_S1 - z_S2|_1.

    ``z_l`` (B, C, H, W) and ``z_s`` (B, C, h, w): samples 2k and 2k+1 are a pair that shares z_g and coordinates.
    ``norm`` "mean" divides both distances by their numbers of elements, as the released code's L1 variant does. "sum"
    does not: the loss is then larger by H*W / (h*w), a factor of 10 for a patch of 11 cells.
    """
    latent = (z_l[0::2] - z_l[1::2]).abs().flatten(1)
    structure = (z_s[0::2] - z_s[1::2]).abs().flatten(1)
    if norm == "sum":
        return (latent.sum(1) / (structure.sum(1) + 1e-5)).mean()
    return (latent.mean(1) / (structure.mean(1) + 1e-5)).mean()


def position(predicted: Tensor, target: Tensor) -> Tensor:
    """L_ar: mean |c_y predicted - c_y|, both (B,) (paper Eq. 5)."""
    return (predicted - target).abs().mean()
