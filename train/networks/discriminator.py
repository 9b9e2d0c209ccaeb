"""The interface of discriminators, and the paper's: StyleGAN2's residual network with a head for vertical position.

A discriminator has two steps: ``extract_features`` (images -> features) and ``classify`` (features -> logits, position).
So the training step computes expensive features of a batch once, for the updates of both networks.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infgen.model.layers import EPS, GAIN, EqualizedLinear, leaky_relu


@dataclass(frozen=True)
class DiscriminatorOutput:
    """``logits``: one tensor (B, ...) per head. ``position``: predicted vertical position (B,)."""

    logits: list[Tensor]
    position: Tensor


class Discriminator(nn.Module, ABC):
    """The interface of a discriminator in the training step."""

    @abstractmethod
    def extract_features(self, images: Tensor) -> list[Tensor]:
        """Compute the inputs of ``classify`` from images (B, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def classify(self, features: Sequence[Tensor]) -> DiscriminatorOutput:
        """Compute logits and vertical positions."""

    def update_normalization(self) -> None:
        """Update the norms that the weights are divided by. Called once per step."""

    def set_feature_dtype(self, dtype: torch.dtype) -> None:
        """Compute frozen features in ``dtype``."""

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        """Classify images (B, 3, H, W) in [-1, 1]."""
        return self.classify(self.extract_features(images))


class EqualizedConv(nn.Module):
    """Convolution without bias, with weights of unit variance that are scaled at run time."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.scale = 1 / math.sqrt(in_channels * kernel * kernel)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H', W')."""
        return F.conv2d(x, (self.weight * self.scale).to(x.dtype), stride=self.stride, padding=self.padding)


class ConvLayer(nn.Module):
    """Convolution, bias, activation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.conv = EqualizedConv(in_channels, out_channels, kernel, stride=stride, padding=padding)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H', W')."""
        return leaky_relu(self.conv(x) + self.bias.to(x.dtype)[:, None, None])


def antialias(x: Tensor, padding: int, *, stride: int = 1) -> Tensor:
    """Apply the low-pass filter outer([1,3,3,1])/64 before an image is halved, with zeros outside the image."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device)
    kernel = (torch.outer(taps, taps) / 64).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, stride=stride, padding=padding, groups=x.shape[1])


class ResidualBlock(nn.Module):
    """Halve the image: two 3x3 convolutions plus a 1x1 skip, divided by sqrt(2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(in_channels, in_channels, 3, padding=1)
        self.conv2 = ConvLayer(in_channels, out_channels, 3, stride=2)
        self.skip = EqualizedConv(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H // 2, W // 2)."""
        main = self.conv2(antialias(self.conv1(x), 2))
        # The filter applies the stride: oneDNN 3.12 writes past a buffer in the backward pass of strided 1x1 convolutions
        # with fewer than 16 input channels.
        return (main + self.skip(antialias(x, 1, stride=2))) / GAIN


def append_group_deviation(x: Tensor, group: int) -> Tensor:
    """Append the minibatch standard deviation (Karras et al. 2018) as a channel: (B, C, H, W) -> (B, C+1, H, W)."""
    batch, channels, height, width = x.shape
    group = min(group, batch)
    grouped = x.float().view(group, batch // group, channels, height, width)
    deviation = (grouped.var(0, unbiased=False) + EPS).sqrt().mean((1, 2, 3))  # (B / group,)
    plane = deviation.repeat(group)[:, None, None, None].expand(batch, 1, height, width)
    return torch.cat([x, plane.to(x.dtype)], dim=1)


def channels_at(size: int, *, width: float) -> int:
    """Number of channels at ``size`` px: 512 up to 64 px, halved with every doubling of the size."""
    return max(8, round(width * min(512, 32768 // (1 << math.ceil(math.log2(size))))))


class PaperDiscriminator(Discriminator):
    """The paper's discriminator with auxiliary head (Section 3.5, Figure 18) for patches of ``patch_px``."""

    def __init__(self, patch_px: int, *, width: float = 1.0, head_channels: int | None = None, group: int = 16) -> None:
        super().__init__()
        blocks = round(math.log2(patch_px)) - 2
        sizes = [1 << (blocks + 2 - i) for i in range(blocks + 1)]
        widths = [channels_at(s, width=width) for s in sizes]
        deep = widths[-1]
        head = deep if head_channels is None else head_channels
        self.group = group
        self.stem = ConvLayer(3, widths[0], 1)
        self.blocks = nn.ModuleList(ResidualBlock(i, o) for i, o in pairwise(widths))
        self.final = ConvLayer(deep + 1, deep, 3, padding=1)
        area = self._final_px(patch_px, blocks) ** 2
        self.logit = nn.ModuleList([EqualizedLinear(deep * area, head), EqualizedLinear(head, 1)])
        self.position = nn.ModuleList([EqualizedLinear(deep * area, head), EqualizedLinear(head, 1)])

    @staticmethod
    def _final_px(patch_px: int, blocks: int) -> int:
        return patch_px >> blocks

    def extract_features(self, images: Tensor) -> list[Tensor]:
        """Return the images: this discriminator has no frozen features."""
        return [images]

    def classify(self, features: Sequence[Tensor]) -> DiscriminatorOutput:
        """Images (B, 3, H, W) in [-1, 1] -> one logit (B, 1) and the vertical position (B,)."""
        x = self.stem(features[0])
        for block in self.blocks:
            x = block(x)
        flat = self.final(append_group_deviation(x, self.group)).flatten(1).float()
        logit = self.logit[1](leaky_relu(self.logit[0](flat)))
        return DiscriminatorOutput([logit], self.position[1](leaky_relu(self.position[0](flat)))[:, 0])
