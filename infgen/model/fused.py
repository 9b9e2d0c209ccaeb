"""Mix several styles over space in the generator (the paper's spatial style fusion, Appendix L).

Modulation is affine, so a position's scales ``s(p) = A(sum_k m_k(p) w_k)`` are a 1x1 convolution of the K weight maps, never a
style per pixel. Demodulation, ``sum_i s_i(p)^2 E[o, i]``, is then a quadratic polynomial in m(p) with (K + 1) (K + 2) / 2
coefficients per output channel. A convolution of the scaled input with the plain weight does the rest.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.model.folded import (
    FoldedInput,
    Rows,
    UpsamplingKernels,
    add_planes_,
    blur_rows,
    cast_weight,
    check_seamless,
    rows_last,
    upsampling_kernels,
)
from infgen.model.generator import Generator, Style
from infgen.model.layers import (
    EPS,
    GAIN,
    LEAK,
    ModulatedConv,
    StyledConv,
    StyleWeights,
    ToRGB,
    centre_crop,
    run_levels,
)
from infgen.model.structure import CoordinateConv, DirectInput, trim

STRIP_VALUES = 2**18  # values of a layer per strip
HALF = 0.5  # share of each neighbour in an interpolated value


@dataclass(frozen=True)
class Mixer:
    """Scales and demodulation of one layer, as matrices to multiply with planes of style weights."""

    scales: Tensor  # (K + 1, I): A of each style without its bias, and the bias
    energy: Tensor | None  # ((K + 1) (K + 2) / 2, O), for products of two planes; None without demodulation

    @classmethod
    def of(cls, conv: ModulatedConv, styles: Tensor) -> "Mixer":
        """Make the mixer of ``conv`` for K styles (K, D)."""
        scales = _scales(conv, styles)
        if not conv.demodulate:
            return cls(scales, None)
        first, second = torch.triu_indices(len(scales), len(scales), device=scales.device)
        products = scales[first] * scales[second] * torch.where(first == second, 1.0, 2.0)[:, None]  # (pairs, I)
        kernel = (conv.weight * conv.scale).square().sum((2, 3))  # (O, I)
        energy = products @ kernel.t()
        energy[-1] += EPS
        return cls(scales, energy)

    def scale_(self, x: Tensor, weights: Tensor) -> Tensor:
        """Multiply ``x`` (B, I, H, W) in place by the scales for weights (B, K, H, W)."""
        planes, scales = _with_ones(weights.to(x.dtype)), self.scales.to(x.dtype)
        for rows in _strips(x):
            rows_last(x)[:, rows].mul_(_product(planes[:, :, rows], scales))
        return x

    def demodulation(self, weights: Tensor) -> Tensor:
        """Return factors (B, H, W, O) for weights (B, K, H, W): a quadratic polynomial in the weights."""
        assert self.energy is not None
        planes = _with_ones(weights)
        terms = torch.cat([planes[:, k : k + 1] * planes[:, k:] for k in range(planes.shape[1])], dim=1)
        return _product(terms, self.energy).rsqrt_()


def _scales(conv: ModulatedConv, styles: Tensor) -> Tensor:
    """Return A of K styles (K, D) without its bias, and the bias: (K + 1, I)."""
    shift = conv.modulation.bias * conv.modulation.factor
    return torch.cat([conv.modulation(styles) - shift, shift[None]])


def _with_ones(planes: Tensor) -> Tensor:
    return torch.cat([planes, torch.ones_like(planes[:, :1])], dim=1)


def _product(planes: Tensor, matrix: Tensor) -> Tensor:
    """Multiply contiguous planes (B, K, H, W) by a matrix (K, C), giving (B, H, W, C)."""
    flat = planes.flatten(2).transpose(1, 2) @ matrix
    return flat.view(-1, *planes.shape[2:], matrix.shape[1])


def _strips(x: Tensor, values: int | None = None) -> Iterator[slice]:
    """Yield slices of the rows of (B, C, H, W) whose float32 intermediates fit a CPU's cache.

    ``values``: number of values in all rows, of ``x`` by default.
    """
    height = x.shape[2]
    step = max(1, STRIP_VALUES * height // (values or x.numel())) if x.device.type == "cpu" else height
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


@dataclass(frozen=True)
class Mixers:
    """The mixers of all layers for one list of styles. ``structure`` is empty for a model without a structure synthesizer."""

    structure: Sequence[Mixer]
    texture: Sequence[Mixer]
    to_rgbs: Sequence[Tensor]  # ((K + 1) * 3, C): see _mixed_rgb


@dataclass(frozen=True)
class FusedConv:
    """Modulated convolution with demodulation at the middle of the kernel, noise and activation."""

    weight: Tensor  # (O, I, k, k), gain included
    bias: Tensor
    strength: Tensor | None = None
    margin: int = 0

    def __call__(self, x: Tensor, mixer: Mixer, weights: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, I, H, W), weights (B, K, H, W) on the same positions, noise (B, 1, H', W') -> (B, O, H', W')."""
        out = F.conv2d(mixer.scale_(x, weights), self.weight)
        inner = centre_crop(weights, *out.shape[-2:])
        for rows in _strips(out):
            strip = out[:, :, rows]
            rows_last(strip).mul_(mixer.demodulation(inner[:, :, rows]).to(strip.dtype))
            if noise is None or self.strength is None:
                planes, values = torch.ones_like(strip[:, :1]), self.bias[None]
            else:
                planes = _with_ones(noise[:, :, rows])
                values = torch.stack([self.strength.expand_as(self.bias), self.bias])
            F.leaky_relu_(add_planes_(strip, planes, values), LEAK)
        return out


@dataclass(frozen=True)
class FusedUpsampling:
    """Stride-2 transposed convolution, demodulation interpolated to the finer lattice, blur, noise and activation.

    The kernels of outputs between two positions contain ``HALF`` for each direction: factors there are sums of neighbours.
    """

    even: UpsamplingKernels
    odd: UpsamplingKernels
    blur: Tensor
    bias: Tensor
    strength: Tensor

    def __call__(self, x: Tensor, mixer: Mixer, weights: Tensor, noise: Tensor) -> Tensor:
        """(B, I, H, W), weights (B, K, H, W), noise (B, 1, 2H-3, 2W-3) -> (B, O, 2H-3, 2W-3)."""
        x = mixer.scale_(x, weights)
        rows = self.even(x), self.odd(x)
        _demodulate_rows(rows, mixer, weights)
        return blur_rows(rows, self.blur, self.bias, noise, self.strength)


def _demodulate_rows(rows: tuple[Rows, Rows], mixer: Mixer, weights: Tensor) -> None:
    """Multiply even and odd ``rows`` by the demodulation, bilinear between its positions, in place."""
    for strip in _strips(weights, values=rows[0][0].numel()):
        factors = mixer.demodulation(weights[:, :, strip.start : strip.stop + 1]).to(rows[0][0].dtype)
        count = strip.stop - strip.start
        for (most, last), own in zip(rows, (factors[:, :count], factors[:, :-1] + factors[:, 1:]), strict=True):
            if own.shape[1]:
                between = own[:, :, :-1] + own[:, :, 1:]
                columns = torch.stack([own[:, :, :-1], between], dim=3).flatten(2, 3)
                most[:, strip].mul_(columns)
                last[:, strip].mul_(own[:, :, -1:])


def _rgb_kernels(conv: ModulatedConv, styles: Tensor) -> Tensor:
    """Return the 1x1 kernels ((K + 1) * 3, C) of K styles (K, D), in the order of ``Mixer.scales``."""
    return (_scales(conv, styles)[:, None] * (conv.weight * conv.scale)[:, :, 0, 0]).flatten(0, 1)


def _mixed_rgb(x: Tensor, kernels: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """(B, C, H, W), weights (B, K, >= H, >= W) around the same centre -> (B, 3, H, W), float32.

    Without demodulation, mixing the colours that each style gives is the same as mixing scales, and far less work.
    """
    shares, kernels = centre_crop(weights, *x.shape[-2:]), kernels.to(x.dtype)
    rgb = x.new_empty(len(x), len(bias), *x.shape[-2:], dtype=torch.float32)
    for rows in _strips(x):
        strip = rows_last(x)[:, rows]
        colours = (kernels @ strip.flatten(1, 2).transpose(1, 2)).float()  # (B, (K + 1) * 3, positions)
        colours = colours.view(len(x), -1, len(bias), *strip.shape[1:3])
        own = torch.add(colours[:, -1], bias, out=rgb[:, :, rows])
        for k in range(shares.shape[1]):
            own.addcmul_(colours[:, k], shares[:, k : k + 1, rows])
    return rgb


@dataclass(frozen=True)
class FusedGenerator:
    """``Generator.forward`` for styles mixed over space, in the type and memory layout of its weights."""

    structure: Sequence[FusedConv | FoldedInput]
    texture: Sequence[FusedUpsampling | FusedConv]  # alternating
    rgb_biases: Sequence[Tensor]  # (3, 1, 1)

    @torch.inference_mode()
    def __call__(
        self, z_l: Tensor, coordinates: Tensor, noises: Sequence[Tensor], weights: StyleWeights, mixers: Mixers
    ) -> Tensor:
        """As ``FoldedGenerator``, with the weights of the styles on the same windows -> RGB (B, 3, H, W), float32."""
        kind = self.structure[0].weight
        x, coordinates = z_l.to(kind), coordinates.to(kind)
        for i, layer in enumerate(self.structure):
            x = trim(x, layer.margin)
            x = torch.cat([x, centre_crop(coordinates, *x.shape[-2:])], dim=1)
            here = centre_crop(weights.structure, *x.shape[-2:])
            x = layer(x, mixers.structure[i], here) if isinstance(layer, FusedConv) else layer(x)
        shares, to_rgbs, biases = weights.texture, mixers.to_rgbs, self.rgb_biases
        return run_levels(
            x,
            levels=len(biases),
            convolve=lambda i, x: self.texture[i](x, mixers.texture[i], shares[i], noises[i].to(kind)),
            to_rgb=lambda level, x: _mixed_rgb(x, to_rgbs[level], shares[2 * level + 1], biases[level]),
        )


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
        rgb_biases=[rgb.bias[:, None, None] for rgb in rgbs],
    )


@torch.inference_mode()
def mixers(generator: Generator, styles: Style) -> Mixers:
    """Compute the mixers of all layers for ``styles`` (a batch of K): small float32 tensors."""
    texture, w_plus = generator.texture, styles.w_plus
    convs, rgbs = cast("Iterable[StyledConv]", texture.convs), cast("Iterable[ToRGB]", texture.to_rgbs)
    return Mixers(
        structure=[Mixer.of(layer.conv, styles.z_g) for layer in _coordinate_convs(generator)],
        texture=[Mixer.of(conv.conv, w_plus[:, i]) for i, conv in enumerate(convs)],
        to_rgbs=[_rgb_kernels(rgb.conv, w_plus[:, texture.rgb_row(level)]) for level, rgb in enumerate(rgbs)],
    )


def _coordinate_convs(generator: Generator) -> Iterable[CoordinateConv]:
    structure = generator.structure
    return () if isinstance(structure, DirectInput) else cast("Iterable[CoordinateConv]", structure.layers)


def _structure(generator: Generator, dtype: torch.dtype) -> list[FusedConv] | list[FoldedInput]:
    structure = generator.structure
    if isinstance(structure, DirectInput):
        return [
            FoldedInput(cast_weight(structure.weight * structure.scale, dtype), structure.bias.to(dtype, copy=True))
        ]
    return [
        FusedConv(
            cast_weight(layer.conv.weight * layer.conv.scale * GAIN, dtype),
            (layer.bias * GAIN).to(dtype),
            margin=layer.margin,
        )
        for layer in _coordinate_convs(generator)
    ]


def _texture(layer: StyledConv, noise_strength: float, dtype: torch.dtype) -> FusedUpsampling | FusedConv:
    weight = layer.conv.weight * layer.conv.scale * GAIN
    bias, strength = (layer.bias * GAIN).to(dtype), (layer.noise_strength * GAIN * noise_strength).to(dtype)
    if not layer.conv.up:
        return FusedConv(cast_weight(weight, dtype), bias, strength)
    even, odd, blur = upsampling_kernels(weight, dtype)
    return FusedUpsampling(_halve_between(even), _halve_between(odd, HALF), blur, bias, strength)


def _halve_between(kernels: UpsamplingKernels, share: float = 1.0) -> UpsamplingKernels:
    """Multiply the kernels by ``share``, and those of odd columns by ``HALF`` too."""
    even, odd = (kernels.pairs * share).chunk(2)
    pairs = torch.cat([even, odd * HALF]).contiguous(memory_format=torch.channels_last)
    return UpsamplingKernels(pairs, kernels.last * share)
