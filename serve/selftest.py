"""Before the first request: does the engine draw what the plain network draws?"""

import torch

from infgen.engines.base import to_pixels
from infgen.errors import InfgenError
from infgen.model.config import PATCH_CELLS
from infgen.rendering.job import Studio
from infgen.world.tile_inputs import TilePosition, tile_batch

CLOSE, MOSTLY = 1, 0.999  # of 255, on so many values: what engines may differ by in fp32
ROUGH_MEAN = 8.0  # of 255: what bf16 and fp16 stay below


@torch.inference_mode()
def check_engine(studio: Studio) -> None:
    """Draw one window of the studio's world twice. Raises InfgenError where the engine differs from the plain network."""
    scene, generator = studio.scene, studio.generator
    cells = scene.engine.fixed_cells or (PATCH_CELLS, PATCH_CELLS)
    batch = tile_batch(
        scene.world,
        [TilePosition(-cells[1] // 2, -cells[0] // 2)],
        cells=cells,
        config=generator.config,
        palette=scene.palette,
        device=generator.mean_style.device,
    )
    expected = to_pixels(generator(batch.z_l, batch.coordinates, batch.style, batch.noises)).int()
    difference = (to_pixels(scene.engine.render_float(batch)).to(expected) - expected).abs()
    if scene.engine.precision == "fp32":
        good = float((difference <= CLOSE).float().mean()) >= MOSTLY
    else:
        good = float(difference.float().mean()) <= ROUGH_MEAN
    if not good:
        raise InfgenError(
            f"self-test failed: engine {scene.engine.name} differs by up to {int(difference.max())} of 255 from the network of "
            f"{studio.model_path.name}; use another --engine, or export the model again"
        )
