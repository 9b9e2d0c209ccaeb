"""The building blocks: equalised linear layers, modulated convolutions in activation-scaled form, noise and activation.

Every layer computes in the type of its input and keeps styles and demodulation in float32: a bfloat16 input gives a
bfloat16 network. No layer pads unless ``padding`` is set, which gives StyleGAN2's own layers for comparison.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-8
LEAK = 0.2
GAIN = math.sqrt(2.0)  # keeps the variance of a leaky ReLU's output near that of its input


@dataclass(frozen=True)
class StyleWeights:
    """Weights of K styles on the input lattice of every layer; they sum to 1 over K at every position.

    ``structure`` (B, K, n+24, m+24) on the cells of z_l; ``texture[i]`` (B, K, h, w) on the input lattice of texture
    convolution ``i``.
    """

    structure: Tensor
    texture: tuple[Tensor, ...]


def pixel_norm(z: Tensor) -> Tensor:
    """z / sqrt(mean(z^2)) over the last axis (StyleGAN2's normalisation of latents)."""
    return z * torch.rsqrt(z.square().mean(-1, keepdim=True) + EPS)


def leaky_relu(x: Tensor) -> Tensor:
    """sqrt(2) * leaky ReLU with slope 0.2, the activation of every layer."""
    return F.leaky_relu(x, LEAK) * GAIN


def activate_(x: Tensor, bias: Tensor) -> Tensor:
    """Add GAIN * ``bias`` (C,) to (B, C, H, W) in place, and apply the leaky ReLU in place.

    ``x`` contains GAIN already, so this equals ``leaky_relu(x / GAIN + bias)`` without a pass over memory for the factor.
    """
    x += (bias * GAIN).to(x.dtype)[:, None, None]
    return F.leaky_relu_(x, LEAK)


def blur(x: Tensor) -> Tensor:
    """Binomial 3x3 filter outer([1,2,1])/16 * 4 without padding, (B, C, H, W) -> (B, C, H-2, W-2).

    The factor 4 compensates for the zeros that a stride-2 transposed convolution inserts.
    """
    channels = x.shape[1]
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype, device=x.device)
    kernel = (torch.outer(taps, taps) / 4).expand(channels, 1, 3, 3)
    return F.conv2d(x, kernel, groups=channels)


def padded_blur(x: Tensor) -> Tensor:
    """StyleGAN2's filter outer([1,3,3,1])/64 * 4 with one zero around, (B, C, 2H+1, 2W+1) -> (B, C, 2H, 2W)."""
    return F.conv2d(x, _wide_taps(x), padding=1, groups=x.shape[1])


def padded_upsample_skip(rgb: Tensor) -> Tensor:
    """StyleGAN2's doubling of RGB, bilinear between pixels and zero around, (B, 3, H, W) -> (B, 3, 2H, 2W)."""
    return F.conv_transpose2d(rgb, _wide_taps(rgb), stride=2, padding=1, groups=rgb.shape[1])


def _wide_taps(x: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device)
    return (torch.outer(taps, taps) / 16).expand(x.shape[1], 1, 4, 4)


def upsample_skip(rgb: Tensor) -> Tensor:
    """Upsample RGB to the next level's window: bilinear at exact half steps, (B, 3, H, W) -> (B, 3, 2H-5, 2W-5)."""
    height, width = rgb.shape[-2:]
    inner = rgb[:, :, 1:-1, 1:-1]
    return F.interpolate(inner, size=(2 * height - 5, 2 * width - 5), mode="bilinear", align_corners=True)


def standard_normal(*shape: int, scale: float = 1.0) -> Tensor:
    """Return initial weights; on the meta device, used for loading models, only their shape.

    Random numbers for tensors without storage would make PyTorch import its compiler, which takes a second.
    """
    weight = torch.empty(shape)
    return weight if weight.is_meta else torch.randn(shape) * scale


def centre_crop(x: Tensor, height: int, width: int) -> Tensor:
    """Crop the middle (height, width) of (B, C, H, W); an odd difference removes one more at the bottom and right."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def mix_planes(planes: Tensor, values: Tensor) -> Tensor:
    """Sum planes (B, K, H, W) times values (B, K, C) or (K, C) over K, giving (B, C, H, W) in channels-last order."""
    rows = planes.flatten(2).transpose(1, 2) @ values  # (B, H * W, C)
    return rows.unflatten(1, planes.shape[2:]).permute(0, 3, 1, 2)  # type: ignore[no-untyped-call]


class EqualizedLinear(nn.Module):
    """Linear layer with weights stored at unit variance and scaled at run time (equalised learning rate)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias_init: float = 0.0,
        learning_rate_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(standard_normal(out_features, in_features, scale=1 / learning_rate_factor))
        self.bias = nn.Parameter(torch.full((out_features,), bias_init))
        self.factor = learning_rate_factor
        self.scale = learning_rate_factor / math.sqrt(in_features)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return F.linear(x, self.weight * self.scale, self.bias * self.factor)


class ModulatedConv(nn.Module):
    """Convolution whose input channels are scaled by a style: conv(x * s, W) * demod (StyleGAN2, Section 2.2).

    ``s = A(style)``; ``demod = rsqrt(sum_i s_i^2 * sum_k W[o, i, k]^2 + eps)``, left out where ``demodulate`` is false.
    ``up`` doubles the lattice: transposed convolution 2n+1, crop to 2n-1, demodulation, blur to 2n-3.
    ``padding`` keeps sizes, as StyleGAN2 does, with zeros around: n -> n, and with ``up`` n -> 2n.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        style_dim: int,
        demodulate: bool = True,
        up: bool = False,
        padding: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(standard_normal(out_channels, in_channels, kernel, kernel))
        self.modulation = EqualizedLinear(style_dim, in_channels, bias_init=1.0)
        self.scale = 1 / math.sqrt(in_channels * kernel * kernel)
        self.demodulate = demodulate
        self.up = up
        self.padding = padding

    def demodulation(self, s: Tensor) -> Tensor:
        """Return factors (B, O) that restore unit variance of each output channel, from scales ``s`` (B, I)."""
        energy = self.weight.square().sum((2, 3)) * self.scale**2  # (O, I)
        return torch.rsqrt(F.linear(s.square(), energy) + EPS)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Apply the convolution with ``weight`` (O, I, k, k), before any blur."""
        if not self.up:
            return F.conv2d(x, weight, padding=weight.shape[-1] // 2 if self.padding else 0)
        return F.conv_transpose2d(x, weight.transpose(0, 1), stride=2, padding=0 if self.padding else 1)

    def demodulation_map(self, s: Tensor, weights: Tensor, height: int, width: int) -> Tensor:
        """Return factors (B, O, height, width) for K styles' scales ``s`` (B, K, I) and ``weights`` (B, K, H, W).

        The energy of mixed scales is a quadratic polynomial in the weights: no product of channels per position. An
        upsampling convolution interpolates factors between its inputs; the others read them at the middle of the kernel.
        """
        energy = self.weight.square().sum((2, 3)) * self.scale**2  # (O, I)
        first, second = torch.triu_indices(s.shape[1], s.shape[1], device=s.device)
        twice = torch.where(first == second, 1.0, 2.0)[:, None]
        coefficients = F.linear(s[:, first] * s[:, second] * twice, energy)  # (B, pairs, O)
        inputs = weights if self.up else centre_crop(weights, height, width)
        factors = torch.rsqrt(mix_planes(inputs[:, first] * inputs[:, second], coefficients) + EPS)
        if not self.up:
            return factors
        return F.interpolate(factors, size=(height, width), mode="bilinear", align_corners=True)

    def forward(self, x: Tensor, style: Tensor, weights: Tensor | None = None, *, gain: float = 1.0) -> Tensor:
        """(B, I, H, W) and style (B, D) -> (B, O, H', W'), times ``gain``.

        With ``weights`` (B, K, H, W), which sum to 1 over K, K styles (B, K, D) are mixed over space (paper Appendix L).
        """
        s = self.modulation(style)
        scales = s[:, :, None, None] if weights is None else mix_planes(weights.to(x.dtype), s.to(x.dtype))
        out = self.convolve(x * scales.to(x.dtype), (self.weight * (self.scale * gain)).to(x.dtype))
        if self.demodulate:
            factors = (
                self.demodulation(s)[:, :, None, None]
                if weights is None
                else self.demodulation_map(s, weights, *out.shape[-2:])
            )
            out = out * factors.to(x.dtype)
        if not self.up:
            return out
        return padded_blur(out) if self.padding else blur(out)

    def folded_weight(self, style: Tensor) -> Tensor:
        """Return W * s * demod (O, I, k, k) for one style (D,): a plain convolution with it equals ``forward`` for that style."""
        s = self.modulation(style)
        weight = self.weight * self.scale * s[None, :, None, None]
        return weight * self.demodulation(s[None])[0, :, None, None, None] if self.demodulate else weight


class StyledConv(nn.Module):
    """One texture layer: modulated 3x3 convolution, noise, bias, activation (paper Figure 19)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        style_dim: int,
        up: bool = False,
        padding: bool = False,
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv(in_channels, out_channels, 3, style_dim=style_dim, up=up, padding=padding)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor, weights: Tensor | None = None) -> Tensor:
        """(B, I, H, W), style (B, D), noise (B, 1, H', W') -> (B, O, H', W'). Raises ValueError for a noise of another size.

        ``weights`` (B, K, H, W) mix styles (B, K, D), see ``ModulatedConv``.
        """
        out = self.conv(x, style, weights, gain=GAIN)
        if noise.shape[-2:] != out.shape[-2:]:
            raise ValueError(f"noise has size {tuple(noise.shape[-2:])}, its layer gives {tuple(out.shape[-2:])}")
        strength = (self.noise_strength * GAIN).to(x.dtype)
        if not out.is_contiguous(memory_format=torch.channels_last):
            out += strength * noise
            return activate_(out, self.bias)
        bias = (self.bias * GAIN).to(x.dtype)
        # One matrix product: broadcasting is slow here, and 30 times as slow if O is no multiple of 16.
        out += mix_planes(
            torch.cat([noise, torch.ones_like(noise)], dim=1), torch.stack([strength.expand_as(bias), bias])
        )
        return F.leaky_relu_(out, LEAK)


class ToRGB(nn.Module):
    """1x1 modulated convolution to three channels, without demodulation, plus bias. Returns float32."""

    def __init__(self, in_channels: int, *, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(in_channels, 3, 1, style_dim=style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, style: Tensor, weights: Tensor | None = None) -> Tensor:
        """(B, C, H, W), style (B, D) -> (B, 3, H, W). ``weights`` (B, K, H, W) mix styles (B, K, D)."""
        rgb: Tensor = self.conv(x, style, weights).float()
        return rgb + self.bias[:, None, None]


def run_levels(
    x: Tensor,
    *,
    levels: int,
    convolve: Callable[[int, Tensor], Tensor],
    to_rgb: Callable[[int, Tensor], Tensor],
    upsample: Callable[[Tensor], Tensor] = upsample_skip,
) -> Tensor:
    """Run the levels of G_T: two convolutions, then an RGB contribution that is added to the upsampled RGB (Figure 19).

    Returns the RGB sum after the last level, (B, 3, H, W), from z_S ``x`` (B, C, n, m). Three networks share this loop: for
    training, for one style, and for mixed styles. The export graph has its own, because exporters need plain module calls.
    ``convolve(i, x)`` applies texture convolution ``i``: an even one upsamples. ``to_rgb(level, x)`` gives the contribution of
    a level. ``upsample`` brings RGB to the next level's window.
    """
    rgb: Tensor | None = None
    for level in range(levels):
        x = convolve(2 * level, x)
        x = convolve(2 * level + 1, x)
        contribution = to_rgb(level, x)
        rgb = contribution if rgb is None else upsample(rgb) + contribution
    assert rgb is not None  # a configuration has at least one level
    return rgb
