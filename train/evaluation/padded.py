"""Pictures of generators with zero padding (the ablations after StyleGAN2), whose windows do not fit together.

What they draw depends on where it ends, so a region of any size is drawn in one piece that ends where the region ends.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from infgen import geometry
from infgen.engines.base import to_pixels
from infgen.errors import LimitError
from infgen.geometry import Region, Span, Window
from infgen.limits import TILE_MEMORY_MB
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.pixels import Pixels
from infgen.rendering.cost import peak_bytes
from infgen.rendering.palette import world_palette
from infgen.rendering.preflight import tile_memory
from infgen.rendering.tile_inputs import TilePosition, tile_batch
from infgen.world import fields
from infgen.world.world import World


@dataclass(frozen=True)
class _Cover:
    """The cells of z_S that cover pixels along one axis, and how many pixels they give before the first one wanted."""

    cell: int
    cells: int
    margin_px: int

    @classmethod
    def of(cls, px: int, size: int, *, levels: int) -> "_Cover":
        cell = geometry.first_cell(px, levels=levels)
        margin = px - geometry.first_px(cell, levels=levels)
        return cls(cell, geometry.cells_covering(margin + size, levels=levels), margin)


@torch.inference_mode()
def draw_whole(generator: Generator, world: World, region: Region) -> Pixels:
    """Pixels of ``region``, (h, w, 3) uint8, drawn in one piece and in fp32.

    Raises LimitError where that needs more memory than a batch of tiles may take (INFGEN_TILE_MEMORY_MB).
    """
    config, device = generator.config, generator.mean_style.device
    down = _Cover.of(region.y, region.h, levels=config.levels)
    across = _Cover.of(region.x, region.w, levels=config.levels)
    needed = peak_bytes(config, (down.cells, across.cells), bytes_per_value=4)
    if needed > (allowed := tile_memory(device)):
        raise LimitError(
            f"a model with zero padding draws {region.w} x {region.h} px in one piece, which needs {needed >> 20} MiB, over "
            f"the limit of {allowed >> 20} MiB ({TILE_MEMORY_MB.name}); ask for smaller scales"
        )
    inputs = tile_batch(
        world,
        [TilePosition(across.cell, down.cell)],
        cells=(down.cells, across.cells),
        config=config,
        palette=world_palette(world, generator),
        device=device,
    )
    noises = _noises(world, down, across, config=config, device=device)
    picture = to_pixels(generator(inputs.z_l, inputs.coordinates, inputs.style, noises))[0].cpu().numpy()
    return picture[down.margin_px :, across.margin_px :][: region.h, : region.w]


def _noises(
    world: World, down: _Cover, across: _Cover, *, config: GeneratorConfig, device: torch.device
) -> list[Tensor]:
    """The world's noise for every texture convolution (1, 1, H, W), in the sizes that padding leaves."""
    noises = []
    for i, (height, width) in enumerate(config.noise_shapes((down.cells, across.cells))):
        level = i // 2 + 1
        window = Window(Span(across.cell << level, width), Span(down.cell << level, height))
        period, period_y = (
            None if px is None else geometry.lattice_period(px, level, levels=config.levels)
            for px in (world.period, world.period_y)
        )
        values = fields.noise(world.seed, window, conv=i, period=period, period_y=period_y, device=device)
        noises.append(world.noise * values[None])
    return noises
