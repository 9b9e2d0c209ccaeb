"""The generator as inversion uses it: a copy with frozen weights, checkpointed where memory asks for it, and what it takes."""

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

# Bytes of feature maps per px that LPIPS keeps for its gradient: convolutions' inputs and outputs, before and after ReLU.
_LPIPS_BYTES: dict[Network, int] = {"alex": 300, "vgg": 4000}


class _Checkpointed(nn.Module):
    """Keeps a layer's input instead of all that its gradient needs, and computes the layer again for the gradient."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the layer gives."""
        return checkpoint(self.layer, *inputs, use_reentrant=False, preserve_rng_state=False)


def frozen(generator: Generator) -> Generator:
    """A copy of ``generator`` whose parameters need no gradient; the original stays as it is."""
    return deepcopy(generator).eval().requires_grad_(False)


def checkpointed(generator: Generator) -> Generator:
    """A copy of ``generator`` that draws the same, and takes less memory and a third more time for gradients."""
    copy = deepcopy(generator)
    if isinstance(copy.structure, StructureSynthesizer):
        copy.structure.layers = nn.ModuleList(_Checkpointed(layer) for layer in copy.structure.layers)
    copy.texture.convs = nn.ModuleList(_Checkpointed(conv) for conv in copy.texture.convs)
    return copy


def draw(generator: Generator, latents: Latents, coordinates: Tensor) -> Tensor:
    """The pixels (1, 3, H, W) of ``latents``, about [-1, 1], not clipped."""
    return generator(latents.z_l, coordinates, Style(latents.z_g, latents.w_plus), latents.noises)


def needs_checkpointing(cover: Cover, config: GeneratorConfig, settings: Settings, device: torch.device) -> bool:
    """Whether the window is checkpointed: where its gradient would take more memory than a batch of tiles may.

    Raises LimitError where it takes more even so.
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
    """Bytes that one step takes for a window of ``cells`` (rows, columns) of z_S, about. Weights come on top."""
    kept, worst, pixels = 0, 0, 0
    for layer in layer_costs(config, cells):
        read, written = (size[0] * size[1] for size in (layer.read, layer.written))
        pixels = written
        if layer.name.startswith("rgb"):
            continue
        # Scaled input, convolution's output, its sum with noise and bias, the activation; before the blur once more.
        inside = 4 * (read * layer.in_channels + (3 + (written > read)) * written * layer.out_channels)
        kept += 4 * written * layer.out_channels if checkpointed else inside
        worst = max(worst, inside)
    return kept + 2 * worst + pixels * _LPIPS_BYTES[settings.lpips] + _latent_bytes(cells, config, settings)


def _latent_bytes(cells: tuple[int, int], config: GeneratorConfig, settings: Settings) -> int:
    """Latents, their gradients and best values, and what the optimisers remember of them."""
    rows, columns = (n + 24 for n in cells)
    values = rows * columns * config.local_channels + sum(h * w for h, w in config.noise_shapes(cells))
    remembered = 2 * settings.history if settings.descent_steps < settings.steps else 0
    return 4 * values * (8 + remembered)
