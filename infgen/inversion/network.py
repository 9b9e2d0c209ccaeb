"""Prepare the generator for inversion: freeze weights, add checkpointing, and estimate memory."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from infgen.errors import LimitError
from infgen.inversion.settings import Settings
from infgen.inversion.window import Cover, Latents
from infgen.limits import MIB, TILE_MEMORY_MB
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator, Style
from infgen.model.structure import StructureSynthesizer
from infgen.perceptual import Network
from infgen.rendering.cost import layer_costs
from infgen.rendering.preflight import tile_memory

# Bytes per px that LPIPS stores for its gradient: inputs and outputs of convolutions, before and after ReLU.
_LPIPS_BYTES: dict[Network, int] = {"alex": 300, "vgg": 4000}


class _Checkpointed(nn.Module):
    """Gradient checkpointing: stores only the layer's input, and recomputes the layer for the gradient."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> Tensor:
        return checkpoint(self.layer, *inputs, use_reentrant=False, preserve_rng_state=False)


def freeze(generator: Generator) -> Generator:
    """Copy ``generator`` with parameters that need no gradient. The original does not change."""
    return deepcopy(generator).eval().requires_grad_(False)


def add_checkpointing(generator: Generator) -> Generator:
    """Copy ``generator`` with gradient checkpointing: equal output, less memory, a third more time for gradients."""
    copy = deepcopy(generator)
    if isinstance(copy.structure, StructureSynthesizer):
        copy.structure.layers = nn.ModuleList(_Checkpointed(layer) for layer in copy.structure.layers)
    copy.texture.convs = nn.ModuleList(_Checkpointed(conv) for conv in copy.texture.convs)
    return copy


def draw(generator: Generator, latents: Latents, coordinates: Tensor) -> Tensor:
    """Render ``latents``: (1, 3, H, W), about [-1, 1], not clipped."""
    return generator(latents.z_l, coordinates, Style(latents.z_g, latents.w_plus), latents.noises)


def needs_checkpointing(cover: Cover, config: GeneratorConfig, settings: Settings, device: torch.device) -> bool:
    """Whether the gradient of the window needs checkpointing to stay below the memory limit of a tile batch.

    Raises LimitError if checkpointing does not suffice.
    """
    allowed = tile_memory(device)
    plain, least = (memory(cover.cells, config, settings, checkpointed=kept) for kept in (False, True))
    if least > allowed:
        raise LimitError(
            f"inverting {cover.x.pixels.size} x {cover.y.pixels.size} px takes about {least // MIB} MiB, over the limit of "
            f"{allowed // MIB} MiB ({TILE_MEMORY_MB.name}, at most half of the memory); make the picture smaller"
        )
    return plain > allowed


def memory(cells: tuple[int, int], config: GeneratorConfig, settings: Settings, *, checkpointed: bool) -> int:
    """Estimate the bytes of one step for a window of ``cells`` (rows, columns) of z_S, without the weights."""
    kept, worst, pixels = 0, 0, 0
    for layer in layer_costs(config, cells):
        read, written = (size[0] * size[1] for size in (layer.read, layer.written))
        pixels = written
        if layer.name.startswith("rgb"):
            continue
        # Scaled input, convolution output, sum with noise and bias, activation; one more output before a blur.
        inside = 4 * (read * layer.in_channels + (3 + (written > read)) * written * layer.out_channels)
        kept += 4 * written * layer.out_channels if checkpointed else inside
        worst = max(worst, inside)
    return kept + 2 * worst + pixels * _LPIPS_BYTES[settings.lpips] + _latent_bytes(cells, config, settings)


def _latent_bytes(cells: tuple[int, int], config: GeneratorConfig, settings: Settings) -> int:
    """Estimate the bytes of latents, gradients, best values and optimiser state."""
    rows, columns = (n + 24 for n in cells)
    values = rows * columns * config.local_channels + sum(h * w for h, w in config.noise_shapes(cells))
    remembered = 2 * settings.history if settings.descent_steps < settings.steps else 0
    return 4 * values * (8 + remembered)
