"""The projected discriminator (Sauer et al., NeurIPS 2021): small heads on frozen features, for few photographs.

Fixed random projections mix features of an ImageNet EfficientNet-Lite0 across channels and across four scales. Four
spectrally normalised heads classify them, and a fifth predicts the vertical position.
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
from infgen.train.networks.discriminator import Discriminator, DiscriminatorOutput

FEATURE_PX = 128  # images are resized to this side for the feature network
FEATURE_BLOCKS = (0, 2, 4, 10)
FEATURE_CHANNELS = (16, 24, 40, 112)  # at 64, 32, 16, 8 px
FEATURE_SCALES = (5.7, 7.5, 6.5, 5.4)  # standard deviations on landscape photographs, which divide the features
PROJECTED_CHANNELS = (32, 64, 128, 256)
HEAD_CHANNELS = (32, 64, 128, 256)
PROJECTION_SEED = 2021


class FrozenFeatures(nn.Module):
    """EfficientNet-Lite0 up to block 10 with batch normalisation folded into its convolutions; never trained."""

    def __init__(self) -> None:
        super().__init__()
        network: Any = efficientnet.load("the projected discriminator")
        self.stem = _fold_batch_norm(network._conv_stem, network._bn0)
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


def _fold_batch_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.weight, conv.bias = weight, bias
    return conv


def _fold_block(block: Any) -> None:
    for conv, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
        if hasattr(block, conv):
            _fold_batch_norm(getattr(block, conv), getattr(block, norm))
            setattr(block, norm, nn.Identity())
    block._depthwise_conv = FrozenDepthwiseConv(block._depthwise_conv)


class FrozenDepthwiseConv(nn.Module):
    """A folded depthwise convolution whose padding, if equal on all sides, is a part of the convolution."""

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self.weight, self.bias, self.stride = conv.weight, conv.bias, conv.stride[0]
        left, right, top, bottom = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
        even = left == right == top == bottom
        self.padding = left if even else 0
        self.margin = None if even else (left, right, top, bottom)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride))."""
        if self.margin is not None:
            x = F.pad(x, self.margin)
        if self.stride > 1 and x.device.type == "cpu" and x.dtype != torch.float32:
            output: Tensor = StridedDepthwise.apply(x, self.weight, self.bias, self.stride)  # type: ignore[no-untyped-call]
            return output
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, groups=x.shape[1])


class StridedDepthwise(torch.autograd.Function):
    """A depthwise convolution with stride whose input gradient is computed in float32.

    oneDNN has no fast kernel for it in bfloat16: it is ten times as slow as in float32.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W'), without padding."""
        ctx.save_for_backward(weight)
        ctx.size, ctx.stride = x.shape, stride
        return F.conv2d(x, weight, bias, stride, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of the input; the weights are frozen."""
        (weight,), (gradient,) = ctx.saved_tensors, gradients
        wide = gradient.float().contiguous(memory_format=torch.channels_last)
        like = torch.empty(ctx.size, memory_format=torch.channels_last)  # gives the layout; its values are not read
        stride, groups = [ctx.stride] * 2, weight.shape[0]
        wanted, layout = [True, False, False], ([0, 0], [1, 1], False, [0, 0], groups)
        found = torch.ops.aten.convolution_backward(wide, like, weight.float(), None, stride, *layout, wanted)
        return found[0].to(gradient.dtype), None, None, None


class RandomProjection(nn.Module):
    """Fixed random mixing: 1x1 across channels, then 3x3 from the coarsest scale to the finest (as in a U-Net)."""

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
    """Spectrally normalised convolution that computes in the dtype of its input.

    Only ``update_normalization`` runs the power iteration, not the forward pass. The number of forward passes per step
    depends on the number of micro-batches and processes, and the result must not.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.conv = cast("nn.Conv2d", spectral_norm(nn.Conv2d(in_channels, out_channels, kernel)))
        self.stride, self.padding = stride, padding
        self.train()

    @property
    def _normalization(self) -> nn.Module:
        parametrizations = cast("nn.ModuleDict", self.conv.parametrizations)
        return cast("nn.ModuleList", parametrizations["weight"])[0]

    def train(self, mode: bool = True) -> "SpectralConv":
        """Set the mode. Neither mode runs the power iteration in the forward pass."""
        super().train(mode)
        self._normalization.eval()
        return self

    @torch.no_grad()
    def update_normalization(self) -> None:
        """Run one step of the power iteration."""
        self._normalization.train()
        _ = self.conv.weight  # reading the weight runs the iteration
        self._normalization.eval()

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H', W')."""
        weight, bias = self.conv.weight.to(x.dtype), self.conv.bias
        assert bias is not None
        return F.conv2d(x, weight, bias.to(x.dtype), stride=self.stride, padding=self.padding)


def _downsampling_layers(in_channels: int, out_channels: int) -> list[nn.Module]:
    # No batch normalisation: real and generated images are separate batches, and it would give both the same mean and
    # deviation. The heads could not see that generated pictures are too bright or too colourful.
    return [SpectralConv(in_channels, out_channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]


def _build_head(scale: int) -> nn.Sequential:
    """Build a head that halves scale ``scale`` (0 is 64 px) to 8 px and computes 5x5 logits by a 4x4 convolution."""
    layers: list[nn.Module] = []
    channels = PROJECTED_CHANNELS[scale]
    for target in HEAD_CHANNELS[scale + 1 :]:
        layers += _downsampling_layers(channels, min(target, 128))
        channels = min(target, 128)
    if not layers:
        layers += [SpectralConv(channels, 128, 3, padding=1), nn.LeakyReLU(0.2)]
        channels = 128
    return nn.Sequential(*layers, SpectralConv(channels, 1, 4))


class ProjectedDiscriminator(Discriminator):
    """Frozen features, fixed random projections, four trained heads and a position head.

    ``like``: another one, whose frozen network and projections this one shares; only the heads are its own.
    """

    def __init__(self, like: "ProjectedDiscriminator | None" = None) -> None:
        super().__init__()
        self.network: FrozenFeatures = FrozenFeatures() if like is None else like.network
        self.projection: RandomProjection = RandomProjection() if like is None else like.projection
        self.heads = nn.ModuleList(_build_head(scale) for scale in range(len(PROJECTED_CHANNELS)))
        self.position = nn.Sequential(*_downsampling_layers(PROJECTED_CHANNELS[-1], 128), SpectralConv(128, 1, 4))

    def update_normalization(self) -> None:
        """Run one step of the power iteration of every head."""
        for layer in self.modules():
            if isinstance(layer, SpectralConv):
                layer.update_normalization()

    def set_feature_dtype(self, dtype: torch.dtype) -> None:
        """Compute the frozen network and the fixed projections in ``dtype``."""
        self.network.to(dtype)
        self.projection.to(dtype)

    def extract_features(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) in [-1, 1] -> four mixed feature maps at 64, 32, 16 and 8 px."""
        return self.projection(self.network(images))

    def classify(self, features: Sequence[Tensor]) -> DiscriminatorOutput:
        """Feature maps -> logits (B, 1, 5, 5) of each head and the vertical position (B,)."""
        logits = [head(f).float() for head, f in zip(self.heads, features, strict=True)]
        return DiscriminatorOutput(logits, self.position(features[-1]).float()[:, 0, 0, 0])
