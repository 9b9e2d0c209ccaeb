"""Compare an engine with the plain network before the first tile."""

import torch

from infgen import geometry
from infgen.engines import EagerEngine, Engine
from infgen.engines.base import TileBatch, to_pixels
from infgen.errors import InfgenError
from infgen.model.config import PATCH_CELLS
from infgen.model.generator import Generator
from infgen.rendering.palette import world_palette
from infgen.rendering.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World

CLOSE, MOSTLY = 1, 0.999  # fp32: largest difference of 255, on this share of values
ROUGH_MEAN = 8.0  # bf16 and fp16: largest mean difference of 255


def is_reference(engine: Engine) -> bool:
    """Return whether ``engine`` is the reference: PyTorch in fp32 on a CPU."""
    return isinstance(engine, EagerEngine) and engine.precision == "fp32" and engine.device.type == "cpu"


@torch.inference_mode()
def check_engine(engine: Engine, generator: Generator, *, model: str) -> None:
    """Render a window of world 0 with ``engine``, and compare its middle with ``generator``, loaded from the file ``model``.

    Raises InfgenError if they differ by more than the engine's precision allows.
    """
    rows, columns = engine.fixed_cells or (PATCH_CELLS, PATCH_CELLS)
    inner = min(rows, PATCH_CELLS), min(columns, PATCH_CELLS)
    down, across = (rows - inner[0]) // 2, (columns - inner[1]) // 2
    first = TilePosition(-columns // 2, -rows // 2)
    batch = world_batch(generator, TilePosition(first.cell_x + across, first.cell_y + down), inner)
    expected = to_pixels(generator(batch.z_l, batch.coordinates, batch.style, batch.noises)).int()
    drawn = to_pixels(engine.render_float(world_batch(generator, first, (rows, columns))))
    cell_px = geometry.cell_px(engine.config.levels)  # of the engine's own pixels
    y, x = down * cell_px, across * cell_px
    part = drawn[:, y : y + expected.shape[1], x : x + expected.shape[2]]
    difference = (part.to(expected) - expected).abs()
    if engine.precision == "fp32":
        good = float((difference <= CLOSE).float().mean()) >= MOSTLY
    else:
        good = float(difference.float().mean()) <= ROUGH_MEAN
    if not good:
        raise InfgenError(
            f"self-test failed: engine {engine.name} differs by up to {int(difference.max())} of 255 from the network of "
            f"{model}; use another --engine, or export the model again"
        )


def world_batch(generator: Generator, tile: TilePosition, cells: tuple[int, int]) -> TileBatch:
    """Return the inputs of the window of world 0 that begins at ``tile`` and has ``cells`` (rows, columns)."""
    world = World()
    return tile_batch(
        world,
        [tile],
        cells=cells,
        config=generator.config,
        palette=world_palette(world, generator),
        device=generator.mean_style.device,
    )
