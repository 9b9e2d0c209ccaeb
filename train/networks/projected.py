"""The projected discriminator (Sauer et al., NeurIPS 2021): small heads on frozen features, for few photographs.

Features of an ImageNet EfficientNet-Lite0 at four scales are mixed by fixed random projections across channels and across
scales; four spectrally normalised heads judge them, a fifth predicts vertical position.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.nn.utils.parametrizations import spectral_norm

from infgen.train.networks import efficientnet
from infgen.train.networks.discriminator import Critic, Verdict

FEATURE_PX = 128  # images are brought to this size before the feature network
FEATURE_BLOCKS = (0, 2, 4, 10)
FEATURE_CHANNELS = (16, 24, 40, 112)  # at 64, 32, 16, 8 px
FEATURE_SCALES = (5.7, 7.5, 6.5, 5.4)  # their standard deviations on landscape photographs, divided out
PROJECTED_CHANNELS = (32, 64, 128, 256)
HEAD_CHANNELS = (32, 64, 128, 256)
PROJECTION_SEED = 2021


class FrozenFeatures(nn.Module):
    """EfficientNet-Lite0 up to block 10 with batch normalisation folded into its convolutions; never trained."""

    def __init__(self) -> None:
        super().__init__()
        network: Any = efficientnet.load("the projected discriminator")
        self.stem = _folded(network._conv_stem, network._bn0)
        blocks = network._blocks[: FEATURE_BLOCKS[-1] + 1]
        for block in blocks:
            _fold_block(block)
        self.blocks = nn.ModuleList(blocks)
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) in [-1, 1] -> features after blocks 0, 2, 4 and 10."""
        x = F.interpolate(images, size=(FEATURE_PX, FEATURE_PX), mode="bilinear", align_corners=False)
        x = F.relu6(self.stem(x * (127.5 / 128.0)))
        features: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in FEATURE_BLOCKS:
                features.append(x / FEATURE_SCALES[len(features)])
        return features


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.weight, conv.bias = weight, bias
    return conv


def _fold_block(block: nn.Module) -> None:
    for conv, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
        if hasattr(block, conv):
            _folded(getattr(block, conv), getattr(block, norm))
            setattr(block, norm, nn.Identity())


class RandomProjection(nn.Module):
    """Fixed random mixing: 1x1 across channels, then 3x3 from the coarsest scale to the finest (U-Net like)."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(PROJECTION_SEED)
            self.across_channels = nn.ModuleList(
                _random_conv(i, o, 1) for i, o in zip(FEATURE_CHANNELS, PROJECTED_CHANNELS, strict=True)
            )
            self.across_scales = nn.ModuleList(_random_conv(o, i, 3) for i, o in pairwise(PROJECTED_CHANNELS))
        self.requires_grad_(False)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Four feature maps, finest first -> four mixed maps of the same sizes, finest first."""
        mixed = [mix(f) for mix, f in zip(self.across_channels, features, strict=True)]
        for i in reversed(range(len(self.across_scales))):
            coarse = self.across_scales[i](mixed[i + 1])
            coarse = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
            mixed[i] = (mixed[i] + coarse) / math.sqrt(2)
        return mixed


def _random_conv(in_channels: int, out_channels: int, kernel: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    return conv


class SpectralConv(nn.Module):
    """Spectrally normalised convolution that computes in its input's type.

    The largest singular value is followed by ``refresh``, not by every forward pass: how many passes a step takes depends
    on the number of micro-batches and processes, the result must not.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.conv = cast("nn.Conv2d", spectral_norm(nn.Conv2d(in_channels, out_channels, kernel)))
        self.stride, self.padding = stride, padding
        self.train()

    @property
    def _normalisation(self) -> nn.Module:
        parametrizations = cast("nn.ModuleDict", self.conv.parametrizations)
        return cast("nn.ModuleList", parametrizations["weight"])[0]

    def train(self, mode: bool = True) -> "SpectralConv":
        """The power iteration stays with ``refresh`` in either mode."""
        super().train(mode)
        self._normalisation.eval()
        return self

    @torch.no_grad()
    def refresh(self) -> None:
        """One step of the power iteration."""
        self._normalisation.train()
        _ = self.conv.weight  # what reads the weight moves the iteration on
        self._normalisation.eval()

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H', W')."""
        weight, bias = self.conv.weight.to(x.dtype), self.conv.bias
        assert bias is not None
        return F.conv2d(x, weight, bias.to(x.dtype), stride=self.stride, padding=self.padding)


def _down(in_channels: int, out_channels: int) -> list[nn.Module]:
    # No batch normalisation: photographs and generated images pass as batches of their own, and it would bring both to the same
    # mean and deviation. A generator whose pictures are all too bright or too colourful would not be seen.
    return [SpectralConv(in_channels, out_channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]


def _head(scale: int) -> nn.Sequential:
    """Halve scale ``scale`` (0 is 64 px) to 8 px, then a 4x4 convolution to 5x5 logits."""
    layers: list[nn.Module] = []
    channels = PROJECTED_CHANNELS[scale]
    for target in HEAD_CHANNELS[scale + 1 :]:
        layers += _down(channels, min(target, 128))
        channels = min(target, 128)
    if not layers:
        layers += [SpectralConv(channels, 128, 3, padding=1), nn.LeakyReLU(0.2)]
        channels = 128
    return nn.Sequential(*layers, SpectralConv(channels, 1, 4))


class ProjectedDiscriminator(Critic):
    """Frozen features, fixed random projections, four trained heads and a position head.

    ``like``: another one whose network and projections serve this one, too; only heads are its own.
    """

    def __init__(self, like: "ProjectedDiscriminator | None" = None) -> None:
        super().__init__()
        self.network = FrozenFeatures() if like is None else like.network
        self.projection = RandomProjection() if like is None else like.projection
        self.heads = nn.ModuleList(_head(scale) for scale in range(len(PROJECTED_CHANNELS)))
        self.position = nn.Sequential(*_down(PROJECTED_CHANNELS[-1], 128), SpectralConv(128, 1, 4))

    def refresh(self) -> None:
        """One step of every head's power iteration."""
        for layer in self.modules():
            if isinstance(layer, SpectralConv):
                layer.refresh()

    def set_feature_dtype(self, dtype: torch.dtype) -> None:
        """Compute the frozen network and the fixed projections in ``dtype``."""
        self.network.to(dtype)
        self.projection.to(dtype)

    def features(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) in [-1, 1] -> four mixed feature maps at 64, 32, 16 and 8 px."""
        return self.projection(self.network(images))

    def judge(self, features: Sequence[Tensor]) -> Verdict:
        """Feature maps -> logits (B, 1, 5, 5) of each head and the vertical position (B,)."""
        logits = [head(f).float() for head, f in zip(self.heads, features, strict=True)]
        return Verdict(logits, self.position(features[-1]).float()[:, 0, 0, 0])
