"""Fold one style into the generator's weights: plain convolutions, for rendering many windows of one style.

``conv(x * s, W) * demod`` with constant ``s`` and ``demod`` is a convolution with ``W * s * demod``. The activation's gain
of sqrt(2) is folded into weights, biases and noise strengths, because a leaky ReLU is homogeneous.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.errors import InputError
from infgen.geometry import STRUCTURE_HALO
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator, Style
from infgen.model.layers import GAIN, LEAK, StyledConv, ToRGB, centre_crop, run_levels
from infgen.model.structure import CoordinateConv, DirectInput, trim

BLUR_TAPS = (1.0, 2.0, 1.0)
STRIP_BYTES = 8 * 2**20  # bytes of a layer's output per strip, small enough for the cache
# Kernel taps of a stride-2 transposed convolution, cropped by one. Even outputs read one input, odd ones also the next.
EVEN, ODD, PAIR = [1], [2, 0], 2


@dataclass(frozen=True)
class FoldedConv:
    """A convolution, noise (unless ``strength`` is None) and activation."""

    weight: Tensor  # (O, I, k, k)
    bias: Tensor
    strength: Tensor | None = None
    margin: int = 0  # positions cropped from each side of the input

    def __call__(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, I, H, W) and noise (B, 1, H', W') -> (B, O, H', W')."""
        return finish(F.conv2d(x, self.weight, self.bias), noise, self.strength)


@dataclass(frozen=True)
class FoldedInput:
    """A 1x1 convolution without activation, the folded ``DirectInput``."""

    weight: Tensor  # (O, I, 1, 1)
    bias: Tensor
    margin: int = STRUCTURE_HALO

    def __call__(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H, W)."""
        return F.conv2d(x, self.weight, self.bias)


@dataclass(frozen=True)
class UpsamplingKernels:
    """The rows of one parity of a stride-2 transposed 3x3 convolution, as plain convolutions.

    ``pairs`` (2 O, I, r, 2) gives an even and an odd column as 2 O channels. In channels-last memory these are 2 columns of O
    channels: the columns need no interleaving. ``last`` (O, I, r, 1) gives the last even column, which has no partner.
    Even rows have r = 1, odd rows r = 2.
    """

    pairs: Tensor
    last: Tensor

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, I, H, W) -> rows as (B, H', 2 W - 2, O) and their last column (B, H', 1, O); H' is H for even rows, or H - 1."""
        pairs, last = rows_last(F.conv2d(x, self.pairs)), rows_last(F.conv2d(x[..., -1:], self.last))
        return pairs.reshape(*pairs.shape[:2], -1, last.shape[-1]), last


@dataclass(frozen=True)
class FoldedUpsampling:
    """A stride-2 transposed convolution, blur, noise and activation."""

    even: UpsamplingKernels
    odd: UpsamplingKernels
    blur: Tensor  # (O, 1, 3, 3)
    bias: Tensor
    strength: Tensor

    def __call__(self, x: Tensor, noise: Tensor) -> Tensor:
        """(B, I, H, W) and noise (B, 1, 2H-3, 2W-3) -> (B, O, 2H-3, 2W-3)."""
        return blur_rows((self.even(x), self.odd(x)), self.blur, self.bias, noise, self.strength)


Rows = tuple[Tensor, Tensor]  # rows of one parity without their last column, and that column: see UpsamplingKernels


def blur_rows(rows: tuple[Rows, Rows], blur: Tensor, bias: Tensor, noise: Tensor, strength: Tensor) -> Tensor:
    """Interleave even and odd ``rows``, then apply blur, noise and activation.

    ``blur`` (O, 1, 3, 3), ``bias`` (O,), ``noise`` (B, 1, h, w) -> (B, O, h, w).
    """
    channels, (batch, _, height, width) = len(bias), noise.shape
    out = bias.new_empty(batch, height, width, channels).permute(0, 3, 1, 2)  # channels last
    for top, count in strips(out):
        strip = F.conv2d(interleave(rows, top, count + 2), blur, bias, groups=channels)
        add_planes_(strip, noise[:, :, top : top + count], strength.expand(1, channels))
        # Writes the result where it belongs: one pass over memory less than an activation in place and a copy.
        torch.ops.aten.leaky_relu.out(strip, LEAK, out=out[:, :, top : top + count])
    return out


def interleave(rows: tuple[Rows, Rows], top: int, count: int) -> Tensor:
    """Interleave even and odd ``rows`` to rows ``top`` (even) to ``top + count`` of the fine image (B, O, count, 2W-1)."""
    batch, _, columns, channels = rows[0][0].shape
    fine = rows[0][0].new_empty(batch, count, columns + 1, channels)
    for parity, (most, last) in enumerate(rows):
        own = slice(top // 2, top // 2 + (count + 1 - parity) // 2)
        fine[:, parity::2, :-1] = most[:, own]
        fine[:, parity::2, -1:] = last[:, own]
    return fine.permute(0, 3, 1, 2)


def rows_last(x: Tensor) -> Tensor:
    """View (B, C, H, W) as (B, H, W, C), the memory order of all activations here."""
    return x.permute(0, 2, 3, 1)


def strips(x: Tensor) -> Iterator[tuple[int, int]]:
    """Yield (first row, rows) of strips of ``x`` (B, C, H, W) that fit a CPU's cache; one strip on other devices."""
    height = x.shape[2]
    row_bytes = x.numel() * x.element_size() // height
    step = max(2, STRIP_BYTES // row_bytes // 2 * 2) if x.device.type == "cpu" else height + height % 2
    for top in range(0, height, step):
        yield top, min(step, height - top)


def finish(out: Tensor, noise: Tensor | None, strength: Tensor | None) -> Tensor:
    """Apply noise and activation in place. Weights, bias and strength already include the gain."""
    for top, rows in strips(out):
        strip = out[:, :, top : top + rows]
        if noise is not None and strength is not None:
            add_planes_(strip, noise[:, :, top : top + rows], strength.expand(1, out.shape[1]))
        F.leaky_relu_(strip, LEAK)
    return out


def add_planes_(x: Tensor, planes: Tensor, values: Tensor) -> Tensor:
    """Add planes (B, K, H, W) times values (K, C), summed over K, to ``x`` (B, C, H, W) in place.

    On a CPU it is a matrix product: an addition that repeats planes over few channels is ten times as slow in bf16.
    """
    if x.device.type != "cpu":
        for k, value in enumerate(values):
            x.add_(planes[:, k : k + 1] * value[:, None, None])
        return x
    for image, own in zip(rows_last(x), planes, strict=True):
        image.view(-1, x.shape[1]).addmm_(own.flatten(1).t(), values)
    return x


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

    structure: Sequence[FoldedConv | FoldedInput]
    texture: Sequence[FoldedUpsampling | FoldedConv]  # alternating
    to_rgbs: Sequence[FoldedRGB]

    @torch.inference_mode()
    def __call__(self, z_l: Tensor, coordinates: Tensor, noises: Sequence[Tensor]) -> Tensor:
        """z_l (B, C, n+24, m+24), coordinates (B, K, n+24, m+24), noises[i] (B, 1, h_i, w_i) -> RGB (B, 3, H, W), float32."""
        weight = self.structure[0].weight
        x, coordinates = z_l.to(weight), coordinates.to(weight)
        for layer in self.structure:
            x = trim(x, layer.margin)
            x = layer(torch.cat([x, centre_crop(coordinates, *x.shape[-2:])], dim=1))
        return run_levels(
            x,
            levels=len(self.to_rgbs),
            convolve=lambda i, x: self.texture[i](x, noises[i].to(weight)),
            to_rgb=lambda level, x: self.to_rgbs[level](x),
        )


def check_seamless(config: GeneratorConfig) -> None:
    """Raise InputError for a model with padding, whose windows would not fit together."""
    if config.padding:
        raise InputError(
            "this model has padding true (ablation StyleGAN2 + NCI), so its windows do not fit together; rendering needs "
            "padding false: train a model without this ablation, and keep this one for comparisons"
        )


@torch.inference_mode()
def fold(generator: Generator, style: Style, *, noise_strength: float = 1.0, dtype: torch.dtype) -> FoldedGenerator:
    """Fold ``style`` (batch of one) into the weights; ``noise_strength`` multiplies every layer's learnt one.

    Weights are folded in float32 and stored as ``dtype``, channels last. Raises ValueError for a batch of styles, and
    InputError for a model with zero padding.
    """
    check_seamless(generator.config)
    if style.z_g.shape[0] != 1 or style.w_plus.shape[0] != 1:
        raise ValueError(f"one style can be folded, not {style.z_g.shape[0]}")
    z_g, w_plus = style.z_g[0], style.w_plus[0]
    texture = generator.texture
    convs, rgbs = cast("Iterable[StyledConv]", texture.convs), cast("Iterable[ToRGB]", texture.to_rgbs)
    return FoldedGenerator(
        structure=_fold_structure(generator, z_g, dtype),
        texture=[_fold_texture(conv, w_plus[i], noise_strength, dtype) for i, conv in enumerate(convs)],
        to_rgbs=[_fold_rgb(rgb, w_plus[texture.rgb_row(i)], dtype) for i, rgb in enumerate(rgbs)],
    )


def cast_weight(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """``weight`` as ``dtype``, channels last."""
    return weight.to(dtype).contiguous(memory_format=torch.channels_last)


def _fold_structure(generator: Generator, z_g: Tensor, dtype: torch.dtype) -> list[FoldedConv] | list[FoldedInput]:
    structure = generator.structure
    if isinstance(structure, DirectInput):
        return [
            FoldedInput(cast_weight(structure.weight * structure.scale, dtype), structure.bias.to(dtype, copy=True))
        ]
    return [
        FoldedConv(
            cast_weight(layer.conv.folded_weight(z_g) * GAIN, dtype), (layer.bias * GAIN).to(dtype), margin=layer.margin
        )
        for layer in cast("Iterable[CoordinateConv]", structure.layers)
    ]


def _fold_texture(
    layer: StyledConv, style: Tensor, noise_strength: float, dtype: torch.dtype
) -> FoldedUpsampling | FoldedConv:
    weight = layer.conv.folded_weight(style) * GAIN
    bias, strength = (layer.bias * GAIN).to(dtype), (layer.noise_strength * GAIN * noise_strength).to(dtype)
    if not layer.conv.up:
        return FoldedConv(cast_weight(weight, dtype), bias, strength)
    return FoldedUpsampling(*upsampling_kernels(weight, dtype), bias, strength)


def upsampling_kernels(weight: Tensor, dtype: torch.dtype) -> tuple[UpsamplingKernels, UpsamplingKernels, Tensor]:
    """Split a 3x3 transposed convolution with ``weight`` (O, I, 3, 3) into even and odd rows; add the blur (O, 1, 3, 3)."""
    taps = torch.tensor(BLUR_TAPS, device=weight.device)
    blur = (torch.outer(taps, taps) / 4).expand(weight.shape[0], 1, 3, 3)
    even, odd = (_row_kernels(weight[:, :, rows], dtype) for rows in (EVEN, ODD))
    return even, odd, cast_weight(blur, dtype)


def _row_kernels(weight: Tensor, dtype: torch.dtype) -> UpsamplingKernels:
    """Kernels of the rows that taps ``weight`` (O, I, r, 3) reach."""
    even = F.pad(weight[..., EVEN], (0, PAIR - len(EVEN)))
    return UpsamplingKernels(
        cast_weight(torch.cat([even, weight[..., ODD]]), dtype), cast_weight(weight[..., EVEN], dtype)
    )


def _fold_rgb(layer: ToRGB, style: Tensor, dtype: torch.dtype) -> FoldedRGB:
    return FoldedRGB(cast_weight(layer.conv.folded_weight(style), dtype), layer.bias[:, None, None])
