"""The generator with one style folded into its weights: plain convolutions, for rendering many windows of one look.

``conv(x * s, W) * demod`` with constant ``s`` and ``demod`` is a convolution with ``W * s * demod``. The activation's gain
of sqrt(2) moves into weights, biases and noise strengths, since a leaky ReLU is homogeneous.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.model.generator import Generator, Style
from infgen.model.layers import GAIN, LEAK, StyledConv, ToRGB, upsample_skip
from infgen.model.structure import CoordinateConv, centre_crop

BLUR_TAPS = (1.0, 2.0, 1.0)


@dataclass(frozen=True)
class FoldedConv:
    """A convolution and what follows it. ``strength`` is None where no noise is added, ``blur`` (O, 1, 3, 3) where none is."""

    weight: Tensor  # (O, I, k, k); (I, O, k, k) for an upsampling one
    bias: Tensor
    strength: Tensor | None = None
    blur: Tensor | None = None

    def __call__(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, I, H, W) and noise (B, 1, H', W') -> (B, O, H', W'), activated."""
        if self.blur is None:
            out = F.conv2d(x, self.weight, self.bias)
        else:
            out = F.conv_transpose2d(x, self.weight, stride=2, padding=1)
            out = F.conv2d(out, self.blur, self.bias, groups=out.shape[1])
        if self.strength is not None and noise is not None:
            out.add_(noise * self.strength)
        return F.leaky_relu_(out, LEAK)


@dataclass(frozen=True)
class FoldedRGB:
    """1x1 convolution to RGB, no activation."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 3, H, W), float32."""
        return F.conv2d(x, self.weight).float() + self.bias


@dataclass(frozen=True)
class FoldedGenerator:
    """``Generator.forward`` for one style, in the type and memory layout of its weights."""

    structure: Sequence[FoldedConv]
    texture: Sequence[FoldedConv]
    to_rgbs: Sequence[FoldedRGB]

    @torch.inference_mode()
    def __call__(self, z_l: Tensor, coordinates: Tensor, noises: Sequence[Tensor]) -> Tensor:
        """z_l (B, C, n+24, m+24), coordinates (B, K, n+24, m+24), noises[i] (B, 1, h_i, w_i) -> RGB (B, 3, H, W), float32."""
        weight = self.structure[0].weight
        x, coordinates = z_l.to(weight), coordinates.to(weight)
        for layer in self.structure:
            x = layer(torch.cat([x, centre_crop(coordinates, *x.shape[-2:])], dim=1))
        rgb = None
        for level, to_rgb in enumerate(self.to_rgbs):
            for i in (2 * level, 2 * level + 1):
                x = self.texture[i](x, noises[i].to(weight))
            rgb = to_rgb(x) if rgb is None else upsample_skip(rgb) + to_rgb(x)
        assert rgb is not None
        return rgb


@torch.inference_mode()
def fold(generator: Generator, style: Style, *, noise_strength: float = 1.0, dtype: torch.dtype) -> FoldedGenerator:
    """Fold ``style`` (batch of one) into the weights; ``noise_strength`` multiplies every layer's learnt one.

    Weights are folded in float32 and stored as ``dtype``, channels last. Raises ValueError for a batch of styles.
    """
    if style.z_g.shape[0] != 1 or style.w_plus.shape[0] != 1:
        raise ValueError(f"one style can be folded, not {style.z_g.shape[0]}")
    z_g, w_plus = style.z_g[0], style.w_plus[0]
    texture = generator.texture
    return FoldedGenerator(
        structure=[_fold_structure(layer, z_g, dtype) for layer in generator.structure.layers],
        texture=[_fold_texture(conv, w_plus[i], noise_strength, dtype) for i, conv in enumerate(texture.convs)],
        to_rgbs=[_fold_rgb(rgb, w_plus[texture.rgb_row(i)], dtype) for i, rgb in enumerate(texture.to_rgbs)],
    )


def _stored(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(dtype).contiguous(memory_format=torch.channels_last)


def _fold_structure(layer: CoordinateConv, z_g: Tensor, dtype: torch.dtype) -> FoldedConv:
    return FoldedConv(_stored(layer.conv.folded_weight(z_g) * GAIN, dtype), (layer.bias * GAIN).to(dtype))


def _fold_texture(layer: StyledConv, style: Tensor, noise_strength: float, dtype: torch.dtype) -> FoldedConv:
    weight = layer.conv.folded_weight(style) * GAIN
    taps = torch.tensor(BLUR_TAPS, device=weight.device)
    kernel = (torch.outer(taps, taps) / 4).expand(weight.shape[0], 1, 3, 3)
    return FoldedConv(
        weight=_stored(weight.transpose(0, 1) if layer.conv.up else weight, dtype),
        bias=(layer.bias * GAIN).to(dtype),
        strength=(layer.noise_strength * GAIN * noise_strength).to(dtype),
        blur=_stored(kernel, dtype) if layer.conv.up else None,
    )


def _fold_rgb(layer: ToRGB, style: Tensor, dtype: torch.dtype) -> FoldedRGB:
    return FoldedRGB(_stored(layer.conv.folded_weight(style), dtype), layer.bias[:, None, None])
