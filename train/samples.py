"""Sample sheets of a run: a grid of patches and one wide window, always of the same latents so that sheets compare."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from infgen.atomic import write_atomically
from infgen.model.config import PATCH_CELLS
from infgen.model.generator import Generator
from infgen.world import coordinates, geometry

SEED = 20220429
ROWS, COLUMNS = 4, 8
WIDE_CELLS = (23, 54)  # rows, columns: 293 x 789 px at four levels


@torch.no_grad()
def window(generator: Generator, batch: int, cells: tuple[int, int], *, dtype: torch.dtype, seed: int = SEED) -> Tensor:
    """Random windows of ``cells`` (rows, columns) centred on the horizon -> (B, 3, H, W) in about [-1, 1]."""
    config, rng = generator.config, torch.Generator().manual_seed(seed)
    device = generator.mean_style.device
    spans = [geometry.layer_spans(-(n // 2), n, levels=config.levels) for n in cells]
    rows, columns = (torch.arange(s.local.start, s.local.stop).expand(batch, -1) for s in spans)

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=rng).to(device, dtype)

    style = generator.style(normal(config.global_channels).float())
    z_l = normal(config.local_channels, spans[0].local.size, spans[1].local.size)
    coords = coordinates.encode(columns, rows, system=config.coordinates).to(device)
    noises = [normal(1, *shape) for shape in config.noise_shapes(cells)]
    return generator(z_l, coords, style, noises)


def to_uint8(images: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8, clipped."""
    pixels: np.ndarray = images.float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def sheet(generator: Generator, *, dtype: torch.dtype) -> np.ndarray:
    """A picture (H, W, 3) uint8: ROWS x COLUMNS patches, and below them one wide window of another style."""
    side = generator.config.patch_px
    patches = to_uint8(window(generator, ROWS * COLUMNS, (PATCH_CELLS, PATCH_CELLS), dtype=dtype))
    rows = patches.reshape(ROWS, COLUMNS, side, side, 3).transpose(0, 2, 1, 3, 4)
    grid = rows.reshape(ROWS * side, COLUMNS * side, 3)
    wide = to_uint8(window(generator, 1, WIDE_CELLS, dtype=dtype, seed=SEED + 1))[0][:, : grid.shape[1]]
    picture = np.zeros((grid.shape[0] + wide.shape[0], grid.shape[1], 3), np.uint8)
    picture[: grid.shape[0]] = grid
    picture[grid.shape[0] :, : wide.shape[1]] = wide
    return picture


def save(picture: np.ndarray, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with write_atomically(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
