"""Differentiable augmentation (Zhao et al., NeurIPS 2020): colour, translation and cutout, for real and generated images.

Translation moves the picture's content, so the vertical-position target changes with it.
"""

import torch
from torch import Tensor

TRANSLATION = 0.125  # maximum, of the image side
CUTOUT = 0.5  # side of the cleared square, of the image side


def _uniform(batch: int, low: float, high: float, images: Tensor, rng: torch.Generator) -> Tensor:
    return torch.empty(batch, 1, 1, 1).uniform_(low, high, generator=rng).to(images)


def _integers(batch: int, low: int, high: int, images: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randint(low, high + 1, (batch, 1, 1), generator=rng).to(images.device)


def jitter_colour(images: Tensor, rng: torch.Generator, *, strength: float = 1.0) -> Tensor:
    """Change brightness by +-0.5, saturation by 0 to 2 and contrast by 0.5 to 1.5 on (B, 3, H, W).

    ``strength``: factor on these three ranges, 0 to 1.
    """
    batch = images.shape[0]
    images = images + _uniform(batch, -0.5 * strength, 0.5 * strength, images, rng)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * _uniform(batch, 1 - strength, 1 + strength, images, rng)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * _uniform(batch, 1 - 0.5 * strength, 1 + 0.5 * strength, images, rng)


def translate(images: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift (B, 3, H, W) by up to an eighth in each direction, with zeros outside. Also returns the downward shift (B,) in px."""
    batch, _, height, width = images.shape
    reach_y, reach_x = round(height * TRANSLATION), round(width * TRANSLATION)
    down = _integers(batch, -reach_y, reach_y, images, rng)
    right = _integers(batch, -reach_x, reach_x, images, rng)
    rows = torch.arange(height, device=images.device)[None, :, None] - down  # (B, H, 1)
    columns = torch.arange(width, device=images.device)[None, None, :] - right  # (B, 1, W)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    sample = torch.arange(batch, device=images.device)[:, None, None]
    shifted = images.permute(0, 2, 3, 1)[sample, rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return (shifted * inside.unsqueeze(-1)).permute(0, 3, 1, 2), down[:, 0, 0].float()


def cutout(images: Tensor, rng: torch.Generator) -> Tensor:
    """Set one square of half the side at a random position of (B, 3, H, W) to zero."""
    batch, _, height, width = images.shape
    half_y, half_x = round(height * CUTOUT) // 2, round(width * CUTOUT) // 2
    y = _integers(batch, 0, height - 1, images, rng)
    x = _integers(batch, 0, width - 1, images, rng)
    rows = torch.arange(height, device=images.device)[None, :, None]
    columns = torch.arange(width, device=images.device)[None, None, :]
    mask = ((rows - y).abs() <= half_y) & ((columns - x).abs() <= half_x)
    return images * ~mask.unsqueeze(1)


def augment(
    images: Tensor, target: Tensor, *, px_per_unit: float, rng: torch.Generator, colour: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Augment images (B, 3, H, W). Also returns their vertical-position targets (B,).

    ``px_per_unit``: pixels between targets 0 and 1. A shift down by d px shows content from d px higher.
    ``colour``: strength of the colour changes, 0 to 1.
    """
    images, down = translate(jitter_colour(images, rng, strength=colour), rng)
    return cutout(images, rng), target - down / px_per_unit
