"""The picture at a half, a quarter or an eighth of its size from the first levels of the texture synthesizer alone.

The RGB skips of these levels are terms of a sum that was only trained as a whole: without the last ones it is pale and off in
colour. So the last ToRGB that is computed is replaced by a readout: the 1x1 convolution that comes nearest, in least squares, to
the mean colours of the whole picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from infgen.model.folded import FoldedGenerator, FoldedRGB, stored
from infgen.model.fused import FusedGenerator, Mixers, StyleWeights
from infgen.model.structure import centre_crop

RIDGE = 1e-4  # of the features' mean energy: keeps features that hardly vary out of the readout


@dataclass(frozen=True)
class Readout:
    """Colours from the features of a level: ``weight`` (3, C), ``bias`` (3,)."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def fitted(cls, features: Tensor, colours: Tensor) -> Self:
        """The best one from ``features`` (C, N) to ``colours`` (3, N): ridge regression, in float64."""
        x, y = features.double(), colours.double()
        x_mean, y_mean = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
        x, y = x - x_mean, y - y_mean
        energy = x @ x.t()
        energy.diagonal().add_(RIDGE * energy.diagonal().mean() + torch.finfo(torch.float32).tiny)
        weight = torch.linalg.solve(energy, x @ y.t()).t()
        return cls(weight.float(), (y_mean - weight @ x_mean)[:, 0].float())

    @classmethod
    def of_features(cls, channels: int, device: torch.device) -> Self:
        """The one that gives the features themselves, (C, C)."""
        return cls(torch.eye(channels, device=device), torch.zeros(channels, device=device))


def pixel_grid(values: Tensor, factor: int) -> Tensor:
    """Values on a lattice ``factor`` px apart, (..., h + 1, w + 1), at the middles of blocks of ``factor`` px, (..., h, w).

    Position j lies on pixel j * factor, and the middle of the block that begins there (factor - 1) / 2 px farther.
    """
    share = (factor - 1) / (2 * factor)
    across = torch.lerp(values[..., :-1], values[..., 1:], share)
    return torch.lerp(across[..., :-1, :], across[..., 1:, :], share)


def shallow(network: FoldedGenerator, *, depth: int, readout: Readout) -> FoldedGenerator:
    """The first ``depth`` levels of ``network``: what ``readout`` makes of their features, on the lattice of level ``depth``."""
    outputs, kind = readout.bias.shape[0], network.structure[0].weight.dtype
    silent = [_silent(rgb, outputs) for rgb in network.to_rgbs[: depth - 1]]
    last = FoldedRGB(stored(readout.weight[:, :, None, None], kind), readout.bias[:, None, None])
    return replace(network, texture=network.texture[: 2 * depth], to_rgbs=[*silent, last])


def _silent(rgb: FoldedRGB, outputs: int) -> FoldedRGB:
    weight = rgb.weight
    return FoldedRGB(weight.new_zeros(outputs, *weight.shape[1:]), rgb.bias.new_zeros(outputs, 1, 1))


@dataclass(frozen=True)
class ShallowMix:
    """The same with several styles, each with a readout of its own. ``biases`` (K, 3)."""

    network: FusedGenerator
    mixers: Mixers
    biases: Tensor

    @classmethod
    def of(cls, network: FusedGenerator, mixers: Mixers, *, depth: int, readouts: Sequence[Readout]) -> Self:
        """The first ``depth`` levels of ``network`` for the styles of ``mixers``, with a readout for each of them."""
        weights = [torch.zeros_like(readouts[0].weight), *(readout.weight for readout in readouts)]
        last = torch.cat(weights)[:, :, None, None]
        silent = [torch.zeros_like(kernels) for kernels in mixers.to_rgbs[: depth - 1]]
        nothing = [torch.zeros_like(bias) for bias in network.rgb_biases[:depth]]
        return cls(
            replace(network, texture=network.texture[: 2 * depth], rgb_biases=nothing),
            replace(mixers, to_rgbs=[*silent, last]),
            torch.stack([readout.bias for readout in readouts]),
        )

    @torch.inference_mode()
    def __call__(self, z_l: Tensor, coordinates: Tensor, noises: Sequence[Tensor], weights: StyleWeights) -> Tensor:
        """As ``FusedGenerator``, with the noises and weights of the first levels -> RGB (B, 3, h, w), float32."""
        rgb = self.network(z_l, coordinates, noises, weights, self.mixers)
        shares = centre_crop(weights.texture[-1], *rgb.shape[-2:])
        return rgb + torch.einsum("bkhw,kc->bchw", shares, self.biases)
