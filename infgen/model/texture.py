"""G_T, the texture synthesizer: styled residual blocks without padding, noise, and an RGB skip per level (paper Figure 19)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from infgen.geometry import tile_px
from infgen.model.config import GeneratorConfig
from infgen.model.layers import (
    EqualizedLinear,
    StyledConv,
    ToRGB,
    centre_crop,
    leaky_relu,
    padded_upsample_skip,
    pixel_norm,
    run_levels,
    upsample_skip,
)

MAPPING_LAYERS = 8
MAPPING_LEARNING_RATE_FACTOR = 0.01


class MappingNetwork(nn.Module):
    """z_g -> style w: PixelNorm and eight fully connected layers at a hundredth of the learning rate."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EqualizedLinear(dim, dim, learning_rate_factor=MAPPING_LEARNING_RATE_FACTOR) for _ in range(MAPPING_LAYERS)
        )

    def forward(self, z: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        z = pixel_norm(z)
        for layer in self.layers:
            z = leaky_relu(layer(z))
        return z


class TextureSynthesizer(nn.Module):
    """z_S on n cells -> RGB on S*n - 5*(S - 1) pixels, in about [-1, 1] and not clipped.

    Convolution ``i`` takes row ``i`` of the W+ style; ToRGB of level ``l`` takes row ``2l + 3``, the last one the last row.
    With ``config.padding`` it is StyleGAN2's: zero padding, sizes double exactly, k cells give S*k pixels. It reads the
    middle ``config.texture_cells`` of z_S. It returns the middle of its pixels, as many as without padding: for n = 11 and
    S = 16, 101 of the 112 px of 7 cells. A pixel then depends on the borders of its window.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        dim, channels = config.global_channels, config.texture_channels
        inputs = (config.local_channels, *channels[:-1])
        self.config = config
        self.convs = nn.ModuleList(
            StyledConv(i, o, style_dim=dim, up=k % 2 == 0, padding=config.padding)
            for k, (i, o) in enumerate(zip(inputs, channels, strict=True))
        )
        self.to_rgbs = nn.ModuleList(ToRGB(c, style_dim=dim) for c in channels[1::2])

    def rgb_row(self, level: int) -> int:
        """Return the row of the W+ style for ToRGB of ``level`` (0 for the first)."""
        return min(2 * level + 3, self.config.style_layers - 1)

    def forward(self, z_s: Tensor, styles: Tensor, noises: Sequence[Tensor], weights: Sequence[Tensor] = ()) -> Tensor:
        """z_S (B, C, n, m), styles (B, rows, D), noises[i] (B, 1, h_i, w_i) -> RGB (B, 3, H, W), float32.

        ``weights[i]`` (B, K, h, w) on the input lattice of convolution ``i`` mix styles (B, K, rows, D) over space.
        """
        height, width = z_s.shape[-2:]

        def convolve(i: int, x: Tensor) -> Tensor:
            return self.convs[i](x, styles[..., i, :], noises[i].to(x.dtype), weights[i] if weights else None)

        def to_rgb(level: int, x: Tensor) -> Tensor:
            inner = centre_crop(weights[2 * level + 1], *x.shape[-2:]) if weights else None
            return self.to_rgbs[level](x, styles[..., self.rgb_row(level), :], inner)

        upsample = padded_upsample_skip if self.config.padding else upsample_skip
        levels = len(self.to_rgbs)
        rgb = run_levels(self._crop_cells(z_s), levels=levels, convolve=convolve, to_rgb=to_rgb, upsample=upsample)
        return self._crop_rgb(rgb, height, width)

    def _crop_cells(self, z_s: Tensor) -> Tensor:
        if not self.config.padding:
            return z_s
        return centre_crop(z_s, *(self.config.texture_cells(n) for n in z_s.shape[-2:]))

    def _crop_rgb(self, rgb: Tensor, rows: int, columns: int) -> Tensor:
        """Crop ``rgb`` to the pixels that (rows, columns) cells of z_S give without padding."""
        if not self.config.padding:
            return rgb
        return centre_crop(rgb, *(tile_px(n, levels=self.config.levels) for n in (rows, columns)))


def mix_styles(w: Tensor, *, rows: int, other: Tensor | None = None, crossover: int | None = None) -> Tensor:
    """Build W+ (B, rows, D) from a style ``w`` (B, D): every row is ``w``, or ``other`` from row ``crossover`` on."""
    plus = w.unsqueeze(1).repeat(1, rows, 1)
    if other is None or crossover is None:
        return plus
    later = torch.arange(rows, device=w.device) >= crossover
    return torch.where(later[None, :, None], other.unsqueeze(1), plus)
