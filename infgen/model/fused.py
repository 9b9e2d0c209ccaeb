"""The generator with several styles mixed over space (DESIGN's form of the paper's spatial style fusion, Appendix L).

Modulation is affine, so a position's scales ``s(p) = A(sum_k m_k(p) w_k)`` are a 1x1 convolution of the K weight maps, never a
style per pixel. Demodulation, ``sum_i s_i(p)^2 E[o, i]``, is then a quadratic polynomial in m(p) with K (K + 1) / 2 + K + 1
coefficients per output channel. A convolution of the scaled input with the plain weight does the rest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.model.folded import FoldedInput, check_seamless, finish, interleave, stored, strips, upsampling_kernels
from infgen.model.generator import Generator, Style
from infgen.model.layers import EPS, GAIN, ModulatedConv, StyledConv, ToRGB, upsample_skip
from infgen.model.structure import CoordinateConv, DirectInput, centre_crop, trimmed


@dataclass(frozen=True)
class StyleWeights:
    """Weights of K styles wherever a layer reads them; they sum to 1 over K at every position.

    ``structure`` (B, K, n+24, m+24) on the cells of z_l; ``texture[i]`` (B, K, h, w) on the input lattice of texture
    convolution ``i``.
    """

    structure: Tensor
    texture: tuple[Tensor, ...]


@dataclass(frozen=True)
class Mixer:
    """Scales and demodulation of one layer from weight maps."""

    scales: Tensor  # A without its bias, of each style (I, K, 1, 1)
    shift: Tensor  # the bias of A (I,)
    energy: Tensor | None  # (O, K (K + 1) / 2 + K, 1, 1); None without demodulation
    constant: Tensor | None  # (O,)

    @classmethod
    def of(cls, conv: ModulatedConv, styles: Tensor) -> "Mixer":
        """Of ``conv`` and K styles (K, D)."""
        shift = conv.modulation.bias * conv.modulation.factor
        s = conv.modulation(styles) - shift  # (K, I)
        scales = s.t()[:, :, None, None].contiguous()
        if not conv.demodulate:
            return cls(scales, shift, None, None)
        first, second = _pairs(len(s), device=s.device)
        products = s[first] * s[second] * torch.where(first == second, 1.0, 2.0)[:, None]  # (pairs, I)
        kernel = (conv.weight * conv.scale).square().sum((2, 3))  # (O, I)
        energy = kernel @ torch.cat([products, 2 * s * shift]).t()
        return cls(scales, shift, energy[:, :, None, None].contiguous(), kernel @ shift.square() + EPS)

    def scaled(self, x: Tensor, weights: Tensor) -> Tensor:
        """``x * s`` for (B, I, H, W) and weights (B, K, H, W)."""
        out = torch.empty_like(x)
        for top, rows in strips(x):
            s = F.conv2d(weights[:, :, top : top + rows], self.scales, self.shift)
            torch.mul(x[:, :, top : top + rows], s.to(x.dtype), out=out[:, :, top : top + rows])
        return out

    def demodulation(self, weights: Tensor) -> Tensor:
        """Factors (B, O, H, W) from weights (B, K, H, W)."""
        assert self.energy is not None
        first, second = _pairs(weights.shape[1], device=weights.device)
        terms = torch.cat([weights[:, first] * weights[:, second], weights], dim=1)
        return torch.rsqrt(F.conv2d(terms, self.energy, self.constant))


def _pairs(count: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices k <= l of all pairs of ``count`` styles."""
    first, second = torch.triu_indices(count, count, device=device)
    return first, second


@dataclass(frozen=True)
class FusedConv:
    """Modulated convolution with demodulation at the middle of the kernel, noise and activation."""

    mixer: Mixer
    weight: Tensor  # (O, I, k, k), gain included
    bias: Tensor
    strength: Tensor | None = None
    margin: int = 0

    def __call__(self, x: Tensor, weights: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, I, H, W), weights (B, K, H, W) on the same positions, noise (B, 1, H', W') -> (B, O, H', W')."""
        out = F.conv2d(self.mixer.scaled(x, weights), self.weight)
        inner = centre_crop(weights, *out.shape[-2:])
        for top, rows in strips(out):
            strip = out[:, :, top : top + rows]
            strip.mul_(self.mixer.demodulation(inner[:, :, top : top + rows]).to(strip.dtype))
            strip.add_(self.bias[:, None, None])
        return finish(out, noise, self.strength)


@dataclass(frozen=True)
class FusedUpsampling:
    """Stride-2 transposed convolution, demodulation interpolated to the finer lattice, blur, noise and activation."""

    mixer: Mixer
    phases: tuple[Tensor, Tensor, Tensor, Tensor]
    blur: Tensor
    bias: Tensor
    strength: Tensor

    def __call__(self, x: Tensor, weights: Tensor, noise: Tensor) -> Tensor:
        """(B, I, H, W), weights (B, K, H, W), noise (B, 1, 2H-3, 2W-3) -> (B, O, 2H-3, 2W-3)."""
        x = self.mixer.scaled(x, weights)
        parts = [F.conv2d(x, weight) for weight in self.phases]
        for part, factors in zip(parts, _phases_of(self.mixer.demodulation(weights)), strict=True):
            part.mul_(factors.to(part.dtype))
        batch, channels, height, width = x.shape[0], self.bias.shape[0], 2 * x.shape[2] - 3, 2 * x.shape[3] - 3
        out = parts[0].new_empty(batch, height, width, channels).permute(0, 3, 1, 2)  # channels last
        for top, rows in strips(out):
            strip = F.conv2d(interleave(parts, top, rows + 2), self.blur, self.bias, groups=channels)
            out[:, :, top : top + rows] = finish(strip, noise[:, :, top : top + rows], self.strength)
        return out


def _phases_of(coarse: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bilinear interpolation of (B, O, H, W) to 2H-1 x 2W-1, as its four parities of rows and columns."""
    between_columns = (coarse[..., :-1] + coarse[..., 1:]) / 2
    between_rows = (coarse[..., :-1, :] + coarse[..., 1:, :]) / 2
    between_both = (between_columns[..., :-1, :] + between_columns[..., 1:, :]) / 2
    return coarse, between_columns, between_rows, between_both


@dataclass(frozen=True)
class FusedRGB:
    """1x1 modulated convolution to RGB, without demodulation or activation."""

    mixer: Mixer
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor, weights: Tensor) -> Tensor:
        """(B, C, H, W), weights (B, K, >= H, >= W) around the same centre -> (B, 3, H, W), float32."""
        scaled = self.mixer.scaled(x, centre_crop(weights, *x.shape[-2:]))
        return F.conv2d(scaled, self.weight).float() + self.bias


@dataclass(frozen=True)
class FusedGenerator:
    """``Generator.forward`` for K styles mixed over space, in the type and memory layout of its weights."""

    structure: Sequence[FusedConv | FoldedInput]
    texture: Sequence[FusedUpsampling | FusedConv]  # alternating
    to_rgbs: Sequence[FusedRGB]

    @torch.inference_mode()
    def __call__(self, z_l: Tensor, coordinates: Tensor, noises: Sequence[Tensor], weights: StyleWeights) -> Tensor:
        """As ``FoldedGenerator``, with the weights of the styles on the same windows -> RGB (B, 3, H, W), float32."""
        kind = self.structure[0].weight
        x, coordinates = z_l.to(kind), coordinates.to(kind)
        for layer in self.structure:
            x = trimmed(x, layer.margin)
            x = torch.cat([x, centre_crop(coordinates, *x.shape[-2:])], dim=1)
            here = centre_crop(weights.structure, *x.shape[-2:])
            x = layer(x, here) if isinstance(layer, FusedConv) else layer(x)
        rgb = None
        for level, to_rgb in enumerate(self.to_rgbs):
            for i in (2 * level, 2 * level + 1):
                x = self.texture[i](x, weights.texture[i], noises[i].to(kind))
            contribution = to_rgb(x, weights.texture[2 * level + 1])
            rgb = contribution if rgb is None else upsample_skip(rgb) + contribution
        assert rgb is not None
        return rgb


@torch.inference_mode()
def fuse(generator: Generator, styles: Style, *, noise_strength: float = 1.0, dtype: torch.dtype) -> FusedGenerator:
    """Prepare ``generator`` for mixing ``styles`` (a batch of K); ``noise_strength`` multiplies every learnt one.

    Convolution weights are stored as ``dtype``, channels last; what depends on styles stays float32. Raises InputError for a
    model with zero padding.
    """
    check_seamless(generator.config)
    texture, w_plus = generator.texture, styles.w_plus
    convs, rgbs = cast("Iterable[StyledConv]", texture.convs), cast("Iterable[ToRGB]", texture.to_rgbs)
    return FusedGenerator(
        structure=_structure(generator, styles.z_g, dtype),
        texture=[_texture(conv, w_plus[:, i], noise_strength, dtype) for i, conv in enumerate(convs)],
        to_rgbs=[_rgb(rgb, w_plus[:, texture.rgb_row(level)], dtype) for level, rgb in enumerate(rgbs)],
    )


def _structure(generator: Generator, z_g: Tensor, dtype: torch.dtype) -> list[FusedConv] | list[FoldedInput]:
    structure = generator.structure
    if isinstance(structure, DirectInput):
        return [FoldedInput(stored(structure.weight * structure.scale, dtype), structure.bias.to(dtype, copy=True))]
    return [
        FusedConv(
            Mixer.of(layer.conv, z_g),
            stored(layer.conv.weight * layer.conv.scale * GAIN, dtype),
            (layer.bias * GAIN).to(dtype),
            margin=layer.margin,
        )
        for layer in cast("Iterable[CoordinateConv]", structure.layers)
    ]


def _texture(
    layer: StyledConv, styles: Tensor, noise_strength: float, dtype: torch.dtype
) -> FusedUpsampling | FusedConv:
    mixer, weight = Mixer.of(layer.conv, styles), layer.conv.weight * layer.conv.scale * GAIN
    bias, strength = (layer.bias * GAIN).to(dtype), (layer.noise_strength * GAIN * noise_strength).to(dtype)
    if not layer.conv.up:
        return FusedConv(mixer, stored(weight, dtype), bias, strength)
    return FusedUpsampling(mixer, *upsampling_kernels(weight, dtype), bias, strength)


def _rgb(layer: ToRGB, styles: Tensor, dtype: torch.dtype) -> FusedRGB:
    weight = layer.conv.weight * layer.conv.scale
    return FusedRGB(Mixer.of(layer.conv, styles), stored(weight, dtype), layer.bias[:, None, None])
