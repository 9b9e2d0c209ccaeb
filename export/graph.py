"""The generator as exported: a fixed window of cells, convolutions with constant weights and scaled activations, any style.

It computes ``conv(x * s, W) * demodulation``, with ``s`` and demodulation from the styles: one style, or K mixed over space (as
in ``infgen.model.fused``). ``W`` and ``s`` are divided by their maxima, as in StyleGAN2-ADA. So the values between convolution
and demodulation do not depend on the size of the style and fit half precision. Demodulation reverses both divisions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infgen.export.epilogues import demodulation, modulated_conv_epilogue, upsample_epilogue
from infgen.export.modulation import TINY, modulation
from infgen.geometry import STRUCTURE_HALO
from infgen.model.folded import check_seamless
from infgen.model.generator import Generator
from infgen.model.layers import EPS, GAIN, LEAK, ModulatedConv, StyledConv, ToRGB, centre_crop, upsample_skip
from infgen.model.structure import CoordinateConv, DirectInput, trim


@dataclass(frozen=True)
class Modulation:
    """Modulation of one layer (see ``infgen.export.modulation``). All tensors have the axis B if tiles have their own styles."""

    scales: Tensor  # (K, I), in [-1, 1]
    size: Tensor  # (), divisor of the scales
    energy: Tensor  # (P, O), of all pairs of styles

    def scale_input(self, x: Tensor, weights: Tensor | None) -> Tensor:
        """Multiply ``x`` (B, I, H, W) by the scales of one style, or of K mixed by ``weights`` (B, K, H, W) at its positions."""
        scales = self.scales.to(x.dtype)
        if weights is None:
            return x * scales.mT[..., None]  # (I, 1, 1) or (B, I, 1, 1)
        return x * (scales.mT @ weights.to(x.dtype).flatten(2)).view(-1, x.shape[1], x.shape[2], x.shape[3])


class ConstantConv(nn.Module):
    """The constants of a modulated convolution: its weight divided by its size, and the inputs of modulation."""

    weight: Tensor  # (O, I, k, k), or (I, O, k, k) for a transposed convolution
    size: Tensor  # (O,), divisor of the weight
    kernel: Tensor  # (I, O), sum over k of weight^2, without the gain of the activation
    floor: Tensor  # (O,), epsilon of demodulation in the same unit
    affine: Tensor  # (D, I)
    shift: Tensor  # (I,)
    first: Tensor  # (P,), k of all pairs k <= l of styles
    second: Tensor  # (P,), l of all pairs
    times: Tensor  # (P, 1), 2 for k < l, because the pair also counts for (l, k)

    def __init__(self, conv: ModulatedConv, *, styles: int, dtype: torch.dtype) -> None:
        super().__init__()
        weight = (conv.weight * conv.scale).detach()
        size = weight.abs().amax((1, 2, 3)).clamp_min(TINY) * weight[0].numel() ** 0.5
        unit = weight / size[:, None, None, None]
        first, second = torch.triu_indices(styles, styles)
        self.up = conv.up
        buffers = {
            "weight": (unit.transpose(0, 1).contiguous() if conv.up else unit).to(dtype),
            "size": size,
            "kernel": unit.square().sum((2, 3)).t().contiguous() / GAIN**2,
            "floor": EPS / size.square() / GAIN**2,
            "affine": (conv.modulation.weight * conv.modulation.scale).detach().t().contiguous(),
            "shift": (conv.modulation.bias * conv.modulation.factor).detach(),
            "first": first.clone(),
            "second": second.clone(),
            "times": torch.where(first == second, 1.0, 2.0)[:, None],
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def modulation(self, styles: Tensor) -> Modulation:
        """Compute the modulation by ``styles`` (K, D) or (B, K, D)."""
        constants = self.affine, self.shift, self.kernel, self.floor, self.first, self.second, self.times
        return Modulation(*modulation(styles, *constants))

    def terms(self, weights: Tensor | None) -> Tensor:
        """Compute the factors of the energy, (B, P, H, W): products of ``weights`` (B, K, H, W); 1 for one style."""
        if weights is None:
            return torch.ones(1, 1, 1, 1, device=self.weight.device)
        return weights.index_select(1, self.first) * weights.index_select(1, self.second)

    def forward(self, x: Tensor, style: Modulation, weights: Tensor | None) -> Tensor:
        """(B, I, H, W) -> (B, O, H', W'), before demodulation; a transposed convolution gives 2H+1 x 2W+1."""
        x = style.scale_input(x, weights)
        return F.conv_transpose2d(x, self.weight, stride=2) if self.up else F.conv2d(x, self.weight)


class StructureLayer(nn.Module):
    """Convolution over features and coordinates, demodulation, bias, activation."""

    bias: Tensor

    def __init__(self, layer: CoordinateConv, *, styles: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = ConstantConv(layer.conv, styles=styles, dtype=dtype)
        self.margin = layer.margin
        self.register_buffer("bias", (layer.bias * GAIN).detach()[:, None, None])

    def forward(self, x: Tensor, coordinates: Tensor, z_g: Tensor, weights: Tensor | None) -> Tensor:
        """(B, C, H, W), coordinates and weights around the same centre, z_g (K, D) -> (B, C, H-6, W-6)."""
        x = trim(x, self.margin)
        x = torch.cat([x, centre_crop(coordinates, *x.shape[-2:])], dim=1)
        style = self.conv.modulation(z_g)
        y = self.conv(x, style, _crop_weights(weights, x))
        factors = demodulation(self.conv.terms(_crop_weights(weights, y)), style.energy)
        return F.leaky_relu(y.float() * factors + self.bias, LEAK).to(y.dtype)


class InputLayer(nn.Module):
    """A 1x1 convolution without style or activation, for models without a structure synthesizer."""

    weight: Tensor
    bias: Tensor

    def __init__(self, structure: DirectInput, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", (structure.weight * structure.scale).detach().to(dtype))
        self.register_buffer("bias", structure.bias.detach().to(dtype))

    def forward(self, x: Tensor, coordinates: Tensor, z_g: Tensor, weights: Tensor | None) -> Tensor:
        """(B, C, n+24, m+24) -> (B, C, n, m)."""
        return F.conv2d(trim(torch.cat([x, coordinates], dim=1), STRUCTURE_HALO), self.weight, self.bias)


class TextureLayer(nn.Module):
    """Modulated 3x3 convolution and its epilogue."""

    bias: Tensor
    strength: Tensor

    def __init__(self, layer: StyledConv, *, styles: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = ConstantConv(layer.conv, styles=styles, dtype=dtype)
        self.register_buffer("bias", (layer.bias * GAIN).detach())
        self.register_buffer("strength", (layer.noise_strength * GAIN).detach())

    def forward(
        self, x: Tensor, styles: Tensor, noise: Tensor, noise_strength: Tensor, weights: Tensor | None
    ) -> Tensor:
        """(B, I, H, W), styles (K, D), noise (B, 1, H', W'), weights (B, K, H, W) -> (B, O, H', W')."""
        style = self.conv.modulation(styles)
        y = self.conv(x, style, weights)
        strength = self.strength * noise_strength
        epilogue = upsample_epilogue if self.conv.up else modulated_conv_epilogue
        terms = self.conv.terms(weights if self.conv.up else _crop_weights(weights, y))
        out: Tensor = epilogue(y, terms, style.energy, noise, strength, self.bias)
        return out


class ColourLayer(nn.Module):
    """1x1 convolution to RGB without demodulation. The sizes of weight and style are multiplied in float32."""

    bias: Tensor

    def __init__(self, layer: ToRGB, *, styles: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = ConstantConv(layer.conv, styles=styles, dtype=dtype)
        self.register_buffer("bias", layer.bias.detach()[:, None, None])

    def forward(self, x: Tensor, styles: Tensor, weights: Tensor | None) -> Tensor:
        """(B, C, H, W), styles (K, D), weights around the same centre -> (B, 3, H, W), float32."""
        style = self.conv.modulation(styles)
        y: Tensor = self.conv(x, style, _crop_weights(weights, x))
        return y.float() * (self.conv.size * style.size[..., None])[..., None, None] + self.bias


def _crop_weights(weights: Tensor | None, x: Tensor) -> Tensor | None:
    return None if weights is None else centre_crop(weights, *x.shape[-2:])


class TileGraph(nn.Module):
    """``Generator.forward`` for windows of one size, with one style or with ``styles`` mixed over space.

    Raises InputError for a model with zero padding.
    """

    def __init__(self, generator: Generator, *, styles: int = 1, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        check_seamless(generator.config)
        self.config, self.styles, self.dtype = generator.config, styles, dtype
        texture = generator.texture
        convs, rgbs = cast("Iterable[StyledConv]", texture.convs), cast("Iterable[ToRGB]", texture.to_rgbs)
        self.structure = nn.ModuleList(self._build_structure(generator.structure))
        self.convs = nn.ModuleList(TextureLayer(conv, styles=styles, dtype=dtype) for conv in convs)
        self.to_rgbs = nn.ModuleList(ColourLayer(rgb, styles=styles, dtype=dtype) for rgb in rgbs)
        self.rgb_rows = [texture.rgb_row(level) for level in range(self.config.levels)]

    def _build_structure(self, structure: nn.Module) -> Iterable[nn.Module]:
        if isinstance(structure, DirectInput):
            return [InputLayer(structure, dtype=self.dtype)]
        layers = cast("Iterable[CoordinateConv]", structure.layers)
        return [StructureLayer(layer, styles=self.styles, dtype=self.dtype) for layer in layers]

    def forward(
        self,
        z_l: Tensor,
        coordinates: Tensor,
        noises: Sequence[Tensor],
        noise_strength: Tensor,
        z_g: Tensor,
        w_plus: Tensor,
        weights: Sequence[Tensor] = (),
    ) -> Tensor:
        """RGB (B, 3, H, W), float32, about [-1, 1], not clipped. All inputs are float32.

        ``z_l`` (B, C, n+24, m+24), ``coordinates`` (B, channels, n+24, m+24), ``noises[i]`` (B, 1, h_i, w_i), ``noise_strength``
        (), ``z_g`` (K, D), ``w_plus`` (K, rows, D), or (B, 1, 1, 1), (B, K, D) and (B, K, rows, D) if every tile has its own
        styles. ``weights``, empty for one style: (B, K, n+24, m+24) on cells, then (B, K, h, w) on the input lattice of every
        texture convolution; they sum to 1 over K.
        """
        x, coordinates = z_l.to(self.dtype), coordinates.to(self.dtype)
        cell_weights, texture_weights = (weights[0], weights[1:]) if weights else (None, [None] * len(self.convs))
        for layer in self.structure:
            x = layer(x, coordinates, z_g, cell_weights)
        rgb = None
        for level, to_rgb in enumerate(self.to_rgbs):
            for i in (2 * level, 2 * level + 1):
                x = self.convs[i](x, w_plus[..., i, :], noises[i], noise_strength, texture_weights[i])
            contribution = to_rgb(x, w_plus[..., self.rgb_rows[level], :], texture_weights[2 * level + 1])
            rgb = contribution if rgb is None else upsample_skip(rgb) + contribution
        assert rgb is not None
        return rgb
