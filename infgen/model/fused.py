"""The generator with several styles mixed over space (DESIGN's form of the paper's spatial style fusion, Appendix L).

Modulation is affine, so a position's scales ``s(p) = A(sum_k m_k(p) w_k)`` are a 1x1 convolution of the K weight maps, never a
style per pixel. Demodulation, ``sum_i s_i(p)^2 E[o, i]``, is then a quadratic polynomial in m(p) with K (K + 1) / 2 + K + 1
coefficients per output channel. A convolution of the scaled input with the plain weight does the rest.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.model.folded import FoldedInput, check_seamless, finish, interleave, stored, strips, upsampling_kernels
from infgen.model.generator import Generator, Style
from infgen.model.layers import EPS, GAIN, ModulatedConv, StyledConv, ToRGB, upsample_skip
from infgen.model.structure import CoordinateConv, DirectInput, centre_crop, trimmed

STRIP_VALUES = 2**18  # of a layer that are finished at a time
PHASE_SHARES = (1.0, 0.5, 0.5, 0.25)  # of each neighbour in a value between two or four


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
    """Scales and demodulation of one layer from weight maps. Maps are laid out (B, H, W, K) here: rows of one matrix."""

    scales: Tensor  # A without its bias, of each style (K, I)
    shift: Tensor  # the bias of A (I,)
    energy: Tensor | None  # (K (K + 1) / 2 + K, O); None without demodulation
    constant: Tensor | None  # (O,)

    @classmethod
    def of(cls, conv: ModulatedConv, styles: Tensor) -> "Mixer":
        """Of ``conv`` and K styles (K, D)."""
        shift = conv.modulation.bias * conv.modulation.factor
        s = conv.modulation(styles) - shift  # (K, I)
        if not conv.demodulate:
            return cls(s, shift, None, None)
        first, second = _pairs(len(s), device=s.device)
        products = s[first] * s[second] * torch.where(first == second, 1.0, 2.0)[:, None]  # (pairs, I)
        kernel = (conv.weight * conv.scale).square().sum((2, 3))  # (O, I)
        energy = torch.cat([products, 2 * s * shift]) @ kernel.t()
        return cls(s, shift, energy, kernel @ shift.square() + EPS)

    def scaled(self, x: Tensor, weights: Tensor) -> Tensor:
        """``x * s`` for (B, I, H, W) and weights (B, K, H, W)."""
        out = torch.empty_like(x)
        maps, scales, shift = (t.to(x.dtype) for t in (rows_last(weights), self.scales, self.shift))
        for rows in _strips(x):
            torch.mul(rows_last(x)[:, rows], _product(maps[:, rows], scales, shift), out=rows_last(out)[:, rows])
        return out

    def terms(self, weights: Tensor) -> Tensor:
        """What ``demodulation`` is linear in, before its root: products of weights (B, K, H, W), and they themselves."""
        maps = rows_last(weights)
        first, second = _pairs(maps.shape[-1], device=maps.device)
        return torch.cat([maps[..., first] * maps[..., second], maps], dim=-1)

    def demodulation(self, terms: Tensor) -> Tensor:
        """Factors (B, H, W, O) from terms (B, H, W, .)."""
        assert self.energy is not None
        assert self.constant is not None
        return _product(terms, self.energy, self.constant).rsqrt_()


def rows_last(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C), the order in memory of everything here that is large."""
    return x.permute(0, 2, 3, 1)


def _product(maps: Tensor, matrix: Tensor, constant: Tensor) -> Tensor:
    """``maps @ matrix + constant`` for (B, H, W, K), (K, C) and (C,)."""
    flat = torch.addmm(constant, maps.reshape(-1, maps.shape[-1]), matrix)
    return flat.view(*maps.shape[:-1], matrix.shape[1])


def _strips(x: Tensor) -> Iterator[slice]:
    """Slices of the rows of (B, C, H, W) for which what is made of them in float32 stays in a CPU's cache."""
    height = x.shape[2]
    step = max(1, STRIP_VALUES * height // x.numel()) if x.device.type == "cpu" else height
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


@dataclass(frozen=True)
class Mixers:
    """The mixers of all layers for one list of styles. ``structure`` is empty for a model without a structure synthesizer."""

    structure: Sequence[Mixer]
    texture: Sequence[Mixer]
    to_rgbs: Sequence[Mixer]


def _pairs(count: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices k <= l of all pairs of ``count`` styles."""
    first, second = torch.triu_indices(count, count, device=device)
    return first, second


@dataclass(frozen=True)
class FusedConv:
    """Modulated convolution with demodulation at the middle of the kernel, noise and activation."""

    weight: Tensor  # (O, I, k, k), gain included
    bias: Tensor
    strength: Tensor | None = None
    margin: int = 0

    def __call__(self, x: Tensor, mixer: Mixer, weights: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, I, H, W), weights (B, K, H, W) on the same positions, noise (B, 1, H', W') -> (B, O, H', W')."""
        out = F.conv2d(mixer.scaled(x, weights), self.weight)
        terms = mixer.terms(centre_crop(weights, *out.shape[-2:]))
        for rows in _strips(out):
            strip = rows_last(out)[:, rows]
            torch.addcmul(self.bias, strip, mixer.demodulation(terms[:, rows]).to(strip.dtype), out=strip)
            finish(out[:, :, rows], None if noise is None else noise[:, :, rows], self.strength)
        return out


@dataclass(frozen=True)
class FusedUpsampling:
    """Stride-2 transposed convolution, demodulation interpolated to the finer lattice, blur, noise and activation."""

    phases: tuple[Tensor, Tensor, Tensor, Tensor]
    blur: Tensor
    bias: Tensor
    strength: Tensor

    def __call__(self, x: Tensor, mixer: Mixer, weights: Tensor, noise: Tensor) -> Tensor:
        """(B, I, H, W), weights (B, K, H, W), noise (B, 1, 2H-3, 2W-3) -> (B, O, 2H-3, 2W-3)."""
        x = mixer.scaled(x, weights)
        parts = [F.conv2d(x, weight) for weight in self.phases]
        _demodulate_phases(parts, mixer, mixer.terms(weights))
        batch, channels, height, width = x.shape[0], self.bias.shape[0], 2 * x.shape[2] - 3, 2 * x.shape[3] - 3
        out = parts[0].new_empty(batch, height, width, channels).permute(0, 3, 1, 2)  # channels last
        for top, rows in strips(out):
            strip = F.conv2d(interleave(parts, top, rows + 2), self.blur, self.bias, groups=channels)
            out[:, :, top : top + rows] = finish(strip, noise[:, :, top : top + rows], self.strength)
        return out


def _demodulate_phases(parts: Sequence[Tensor], mixer: Mixer, terms: Tensor) -> None:
    """Multiply the four parities of rows and columns by the demodulation, bilinear between its positions, in place.

    ``PHASE_SHARES`` are in the weights already: here values between positions are sums of their neighbours.
    """
    for rows in _strips(parts[0]):
        with_next = slice(rows.start, rows.stop + 1)
        factors = mixer.demodulation(terms[:, with_next]).to(parts[0].dtype)
        between = factors[:, :, :-1] + factors[:, :, 1:]
        count = rows.stop - rows.start
        for parity, values in enumerate((factors, between)):
            rows_last(parts[parity])[:, rows].mul_(values[:, :count])
            if factors.shape[1] > 1:
                rows_last(parts[2 + parity])[:, rows].mul_(values[:, :-1] + values[:, 1:])


@dataclass(frozen=True)
class FusedRGB:
    """1x1 modulated convolution to RGB, without demodulation or activation."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor, mixer: Mixer, weights: Tensor) -> Tensor:
        """(B, C, H, W), weights (B, K, >= H, >= W) around the same centre -> (B, 3, H, W), float32."""
        scaled = mixer.scaled(x, centre_crop(weights, *x.shape[-2:]))
        return F.conv2d(scaled, self.weight).float() + self.bias


@dataclass(frozen=True)
class FusedGenerator:
    """``Generator.forward`` for styles mixed over space, in the type and memory layout of its weights."""

    structure: Sequence[FusedConv | FoldedInput]
    texture: Sequence[FusedUpsampling | FusedConv]  # alternating
    to_rgbs: Sequence[FusedRGB]

    @torch.inference_mode()
    def __call__(
        self, z_l: Tensor, coordinates: Tensor, noises: Sequence[Tensor], weights: StyleWeights, mixers: Mixers
    ) -> Tensor:
        """As ``FoldedGenerator``, with the weights of the styles on the same windows -> RGB (B, 3, H, W), float32."""
        kind = self.structure[0].weight
        x, coordinates = z_l.to(kind), coordinates.to(kind)
        for i, layer in enumerate(self.structure):
            x = trimmed(x, layer.margin)
            x = torch.cat([x, centre_crop(coordinates, *x.shape[-2:])], dim=1)
            here = centre_crop(weights.structure, *x.shape[-2:])
            x = layer(x, mixers.structure[i], here) if isinstance(layer, FusedConv) else layer(x)
        rgb = None
        for level, to_rgb in enumerate(self.to_rgbs):
            for i in (2 * level, 2 * level + 1):
                x = self.texture[i](x, mixers.texture[i], weights.texture[i], noises[i].to(kind))
            contribution = to_rgb(x, mixers.to_rgbs[level], weights.texture[2 * level + 1])
            rgb = contribution if rgb is None else upsample_skip(rgb) + contribution
        assert rgb is not None
        return rgb


@torch.inference_mode()
def fuse(generator: Generator, *, noise_strength: float = 1.0, dtype: torch.dtype) -> FusedGenerator:
    """Prepare ``generator`` for mixing any styles; ``noise_strength`` multiplies every learnt one.

    Convolution weights are stored as ``dtype``, channels last. Raises InputError for a model with zero padding.
    """
    check_seamless(generator.config)
    texture = generator.texture
    convs, rgbs = cast("Iterable[StyledConv]", texture.convs), cast("Iterable[ToRGB]", texture.to_rgbs)
    return FusedGenerator(
        structure=_structure(generator, dtype),
        texture=[_texture(conv, noise_strength, dtype) for conv in convs],
        to_rgbs=[FusedRGB(stored(r.conv.weight * r.conv.scale, dtype), r.bias[:, None, None]) for r in rgbs],
    )


@torch.inference_mode()
def mixers(generator: Generator, styles: Style) -> Mixers:
    """What mixing ``styles`` (a batch of K) needs besides the network: small tensors, float32."""
    texture, w_plus = generator.texture, styles.w_plus
    convs, rgbs = cast("Iterable[StyledConv]", texture.convs), cast("Iterable[ToRGB]", texture.to_rgbs)
    return Mixers(
        structure=[Mixer.of(layer.conv, styles.z_g) for layer in _coordinate_convs(generator)],
        texture=[Mixer.of(conv.conv, w_plus[:, i]) for i, conv in enumerate(convs)],
        to_rgbs=[Mixer.of(rgb.conv, w_plus[:, texture.rgb_row(level)]) for level, rgb in enumerate(rgbs)],
    )


def _coordinate_convs(generator: Generator) -> Iterable[CoordinateConv]:
    structure = generator.structure
    return () if isinstance(structure, DirectInput) else cast("Iterable[CoordinateConv]", structure.layers)


def _structure(generator: Generator, dtype: torch.dtype) -> list[FusedConv] | list[FoldedInput]:
    structure = generator.structure
    if isinstance(structure, DirectInput):
        return [FoldedInput(stored(structure.weight * structure.scale, dtype), structure.bias.to(dtype, copy=True))]
    return [
        FusedConv(
            stored(layer.conv.weight * layer.conv.scale * GAIN, dtype),
            (layer.bias * GAIN).to(dtype),
            margin=layer.margin,
        )
        for layer in _coordinate_convs(generator)
    ]


def _texture(layer: StyledConv, noise_strength: float, dtype: torch.dtype) -> FusedUpsampling | FusedConv:
    weight = layer.conv.weight * layer.conv.scale * GAIN
    bias, strength = (layer.bias * GAIN).to(dtype), (layer.noise_strength * GAIN * noise_strength).to(dtype)
    if not layer.conv.up:
        return FusedConv(stored(weight, dtype), bias, strength)
    phases, blur = upsampling_kernels(weight, dtype)
    first, second, third, fourth = (phase * share for phase, share in zip(phases, PHASE_SHARES, strict=True))
    return FusedUpsampling((first, second, third, fourth), blur, bias, strength)
