"""G_S, the structure synthesizer: an implicit function of coordinates, global latent and local latents (paper Figure 18).

Four modulated 7x7 convolutions, each reading its features together with the coordinates (feature unfolding, Section 3.2).
The global latent z_g modulates them raw: this network has no mapping of its own.
"""

import torch
from torch import Tensor, nn

from infgen.model.config import GeneratorConfig
from infgen.model.layers import ModulatedConv, leaky_relu

LAYERS = 4
KERNEL = 7


def centre_crop(x: Tensor, height: int, width: int) -> Tensor:
    """The middle (height, width) of (B, C, H, W); both differences are even."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


class CoordinateConv(nn.Module):
    """Modulated 7x7 convolution over features and coordinates, bias, activation."""

    def __init__(self, channels: int, *, coordinate_channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels + coordinate_channels, channels, KERNEL, style_dim=style_dim)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, coordinates: Tensor, z_g: Tensor) -> Tensor:
        """(B, C, H, W), coordinates at least as large around the same centre, z_g (B, D) -> (B, C, H-6, W-6)."""
        x = torch.cat([x, centre_crop(coordinates, *x.shape[-2:])], dim=1)
        return leaky_relu(self.conv(x, z_g) + self.bias.to(x.dtype)[:, None, None])


class StructureSynthesizer(nn.Module):
    """z_l and coordinates on n + 24 cells -> structure z_S on n cells."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            CoordinateConv(
                config.local_channels,
                coordinate_channels=config.coordinate_channels,
                style_dim=config.global_channels,
            )
            for _ in range(LAYERS)
        )

    def forward(self, z_l: Tensor, coordinates: Tensor, z_g: Tensor) -> Tensor:
        """z_l (B, C, n+24, m+24), coordinates (B, K, n+24, m+24), z_g (B, D) -> z_S (B, C, n, m)."""
        coordinates = coordinates.to(z_l.dtype)
        for layer in self.layers:
            z_l = layer(z_l, coordinates, z_g)
        return z_l
