"""Sample sheets of a run: small pictures and one wide window, always from the same latents, so that sheets can be compared."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from infgen import geometry
from infgen.atomic import write_atomically
from infgen.model.config import PATCH_CELLS
from infgen.model.generator import Generator
from infgen.model.scales import Scale, judged_scales
from infgen.world import coordinates

SEED = 20220429
ROWS, COLUMNS = 4, 8
WIDE_CELLS = (23, 54)  # rows, columns: 293 x 789 px at four levels
VIEW_ROWS, VIEW_COLUMNS = 3, 4


@torch.no_grad()
def draw_window(
    generator: Generator, batch: int, cells: tuple[int, int], *, dtype: torch.dtype, seed: int = SEED
) -> Tensor:
    """Draw random windows of ``cells`` (rows, columns) centred on the horizon: (B, 3, H, W) in about [-1, 1]."""
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
    """Convert (B, 3, H, W) in [-1, 1] to (B, H, W, 3) uint8, clipped."""
    pixels: np.ndarray = images.float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def draw_sheet(generator: Generator, *, dtype: torch.dtype) -> np.ndarray:
    """Draw a sheet (H, W, 3) uint8: a grid of small pictures, and below it one wide window of another style.

    The small pictures are patches. For a model with scales they are full views at its second coarsest scale.
    """
    if generator.config.scales:
        return _draw_view_sheet(generator, dtype=dtype)
    patches = to_uint8(draw_window(generator, ROWS * COLUMNS, (PATCH_CELLS, PATCH_CELLS), dtype=dtype))
    wide = to_uint8(draw_window(generator, 1, WIDE_CELLS, dtype=dtype, seed=SEED + 1))[0]
    return _stack(_arrange_grid(patches, COLUMNS), wide)


def _draw_view_sheet(generator: Generator, *, dtype: torch.dtype) -> np.ndarray:
    """Draw views at the second coarsest scale, and one at the finest."""
    scale, last = judged_scales(generator.config)[:2][-1], judged_scales(generator.config)[-1]
    views = _draw_views(generator.coarser(scale.halvings), scale, VIEW_ROWS * VIEW_COLUMNS, dtype=dtype, seed=SEED)
    wide = _draw_views(generator, last, 1, dtype=dtype, seed=SEED + 1)[0]
    return _stack(_arrange_grid(views, VIEW_COLUMNS), wide)


def _draw_views(generator: Generator, scale: Scale, count: int, *, dtype: torch.dtype, seed: int) -> np.ndarray:
    """Draw full views of ``scale`` with aspect 3:2, (count, H, W, 3) uint8."""
    height, width = scale.view_px, scale.view_px * 3 // 2
    cells = geometry.cells_covering(height, levels=scale.level), geometry.cells_covering(width, levels=scale.level)
    pictures = to_uint8(draw_window(generator, count, cells, dtype=dtype, seed=seed))
    top, left = (pictures.shape[1] - height) // 2, (pictures.shape[2] - width) // 2
    return pictures[:, top : top + height, left : left + width]


def _arrange_grid(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Place pictures (N, H, W, 3) side by side, ``columns`` in a row."""
    count, height, width, _ = pictures.shape
    rows = count // columns
    return (
        pictures.reshape(rows, columns, height, width, 3)
        .transpose(0, 2, 1, 3, 4)
        .reshape(rows * height, columns * width, 3)
    )


def _stack(grid: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """Place ``wide`` below ``grid``, cut to its width or padded with black."""
    wide = wide[:, : grid.shape[1]]
    picture = np.zeros((grid.shape[0] + wide.shape[0], grid.shape[1], 3), np.uint8)
    picture[: grid.shape[0]] = grid
    picture[grid.shape[0] :, : wide.shape[1]] = wide
    return picture


def save_png(picture: np.ndarray, path: Path) -> None:
    """Write a PNG file, complete or not at all."""
    with write_atomically(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
