"""G_S, the structure synthesizer: an implicit function of coordinates, global latent and local latents (paper Figure 18).

Four modulated 7x7 convolutions, each reading its features together with the coordinates (feature unfolding, Section 3.2).
The global latent z_g modulates them raw: this network has no mapping of its own. The ablations "pointwise" (no unfolding)
and "none" (no G_S) have the same input and output windows, so that geometry does not depend on them.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infgen.geometry import STRUCTURE_HALO
from infgen.model.config import GeneratorConfig
from infgen.model.layers import GAIN, ModulatedConv, activate_, centre_crop, standard_normal

LAYERS = 4
KERNEL = 7


def trim(x: Tensor, margin: int) -> Tensor:
    """Crop ``margin`` positions from each side of (B, C, H, W)."""
    return x[..., margin : x.shape[-2] - margin, margin : x.shape[-1] - margin]


class CoordinateConv(nn.Module):
    """Modulated convolution over features and coordinates, bias, activation.

    ``kernel`` 7 is the paper's. With 1 a cell reads only itself, and 3 cells per side are cropped before the convolution.
    """

    def __init__(self, channels: int, *, coordinate_channels: int, style_dim: int, kernel: int = KERNEL) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels + coordinate_channels, channels, kernel, style_dim=style_dim)
        self.margin = (KERNEL - kernel) // 2
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, coordinates: Tensor, z_g: Tensor, weights: Tensor | None = None) -> Tensor:
        """(B, C, H, W), coordinates at least as large around the same centre, z_g (B, D) -> (B, C, H-6, W-6).

        ``weights`` (B, K, ...), as large as coordinates, mix latents (B, K, D) over space.
        """
        x = trim(x, self.margin)
        x = torch.cat([x, centre_crop(coordinates, *x.shape[-2:])], dim=1)
        here = None if weights is None else centre_crop(weights, *x.shape[-2:])
        return activate_(self.conv(x, z_g, here, gain=GAIN), self.bias)


class StructureSynthesizer(nn.Module):
    """z_l and coordinates on n + 24 cells -> structure z_S on n cells."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            CoordinateConv(
                config.local_channels,
                coordinate_channels=config.coordinate_channels,
                style_dim=config.global_channels,
                kernel=1 if config.structure == "pointwise" else KERNEL,
            )
            for _ in range(LAYERS)
        )

    def forward(self, z_l: Tensor, coordinates: Tensor, z_g: Tensor, weights: Tensor | None = None) -> Tensor:
        """z_l (B, C, n+24, m+24), coordinates (B, channels, n+24, m+24), z_g (B, D) -> z_S (B, C, n, m).

        ``weights`` (B, K, n+24, m+24) mix latents z_g (B, K, D) over space.
        """
        coordinates = coordinates.to(z_l.dtype)
        for layer in self.layers:
            z_l = layer(z_l, coordinates, z_g, weights)
        return z_l


class DirectInput(nn.Module):
    """Replacement of G_S in the paper's ablation StyleGAN2 + NCI + PFG: a linear mix of z_l and coordinates.

    A learned 1x1 convolution with bias and equalised learning rate, without activation, from [z_l, coordinates] to the
    channels of z_l. The window loses 12 cells on each side. z_g is not used here; it acts only through the texture's styles.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        inputs = config.local_channels + config.coordinate_channels
        self.weight = nn.Parameter(standard_normal(config.local_channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.local_channels))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, z_l: Tensor, coordinates: Tensor, z_g: Tensor, weights: Tensor | None = None) -> Tensor:
        """z_l (B, C, n+24, m+24), coordinates (B, channels, n+24, m+24) -> z_S (B, C, n, m). Styles are not used."""
        x = trim(torch.cat([z_l, coordinates.to(z_l.dtype)], dim=1), STRUCTURE_HALO)
        return F.conv2d(x, (self.weight * self.scale).to(x.dtype), self.bias.to(x.dtype))


def build_structure(config: GeneratorConfig) -> StructureSynthesizer | DirectInput:
    """Build the structure network that ``config.structure`` selects."""
    return DirectInput(config) if config.structure == "none" else StructureSynthesizer(config)
