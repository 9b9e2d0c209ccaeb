"""What a training step draws at random: latents, coordinates, noises, style mixing. A function of seed and step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from infgen.model.config import PATCH_CELLS
from infgen.model.generator import Generator, Style
from infgen.train.presets import BEYOND_CELLS, VERTICAL_STARTS, Recipe
from infgen.world import coordinates

# Row at which the trained strip begins: with 0.3 per cell the 45 rows of the strip run from -6.6 to 6.6 inside tanh.
FIRST_ROW = -22
MIDDLE_START = 5  # start of the patch whose 35 rows lie around the horizon, -17 to 17
ONE_PLACE = FIRST_ROW + MIDDLE_START  # first row and column of unpatched training, whose samples all show one window


@dataclass(frozen=True)
class Draw:
    """Inputs of one generator call in training.

    ``position`` (B,): vertical targets in [-1, 1], each of its own sample; 0 where pictures have no vertical position.
    """

    z_l: Tensor
    coordinates: Tensor
    noises: list[Tensor]
    z_g: Tensor  # (B, D), samples 2k and 2k+1 equal where there is a diversity loss
    z_mix: Tensor  # (B, D)
    crossover: int  # first row of the W+ style that comes from z_mix
    position: Tensor


def step_rng(seed: int, step: int, purpose: int) -> torch.Generator:
    """The random numbers of one step and purpose, independent of every other step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 16 + purpose)


def vertical_target(start: Tensor) -> Tensor:
    """Target of the auxiliary head for a patch that begins at row ``start`` of the strip: 2 i / (V - 1) - 1.

    Beyond the strip it stays at -1 (above) or 1 (below), as at the upper and lower edge of a photograph.
    """
    return (2 * start / (VERTICAL_STARTS - 1) - 1).clamp(-1, 1)


def vertical_starts(count: int, beyond: float, rng: torch.Generator) -> Tensor:
    """Rows (count,) at which patches begin: 0 .. V-1, and with probability ``beyond`` up to 24 cells above or below that.

    The paper trains the strip alone; a picture taller than a patch then shows what the network never learnt.
    """
    inside = torch.randint(0, VERTICAL_STARTS, (count,), generator=rng)
    if not beyond:
        return inside
    above, away = -torch.randint(1, BEYOND_CELLS + 1, (2, count), generator=rng)
    outside = torch.where(torch.rand(count, generator=rng) < 0.5, above, VERTICAL_STARTS - 1 - away)
    return torch.where(torch.rand(count, generator=rng) < beyond, outside, inside)


def first_rows(recipe: Recipe, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(first rows of the patches' coordinates in cells, vertical targets), both (count,).

    Texture coordinates come around after 139 cells, so that every row of a period is as good as another; without patches
    there is one place. Neither has a vertical position: the target is 0.
    """
    if recipe.has_position:
        starts = vertical_starts(count, recipe.beyond, rng)
        return FIRST_ROW + starts, vertical_target(starts.float())
    if recipe.patches:
        rows = torch.randint(0, coordinates.HORIZONTAL_PERIOD, (count,), generator=rng)
    else:
        rows = torch.full((count,), ONE_PLACE)
    return rows, torch.zeros(count)


def first_columns(recipe: Recipe, count: int, rng: torch.Generator) -> Tensor:
    """First columns (count,) of the patches' coordinates in cells: anywhere in a turn, or the one place of whole views.

    A whole view has edges. What is shown at every column of an endless picture has none, so it could never be learnt.
    """
    if not recipe.patches:
        return torch.full((count,), ONE_PLACE)
    return torch.randint(0, coordinates.HORIZONTAL_PERIOD, (count,), generator=rng)


def rng_on(device: torch.device, rng: torch.Generator) -> torch.Generator:
    """Random numbers on ``device`` that depend on ``rng`` alone; on the CPU ``rng`` itself.

    Millions of normals a step drawn on the CPU would keep a GPU waiting.
    """
    if device.type == "cpu":
        return rng
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=rng)))


def draw(recipe: Recipe, batch: int, rng: torch.Generator, *, device: torch.device, dtype: torch.dtype) -> Draw:
    """Draw everything for ``batch`` patches.

    For the diversity loss (Eq. 2), pairs share z_g and coordinates; without it a batch is worth more where none are shared.
    z_l and noises are all different.
    """
    config = recipe.generator_config
    alike = 2 if recipe.diversity_weight else 1
    cells = recipe.local_cells

    values = rng_on(device, rng)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=values, device=device)

    def shared(x: Tensor) -> Tensor:
        return x.repeat_interleave(alike, dim=0)

    rows, position = first_rows(recipe, batch // alike, rng)
    columns = first_columns(recipe, batch // alike, rng)
    jitter = (torch.rand(batch // alike, config.coordinate_channels, generator=rng) * 2 - 1) * coordinates.JITTER_CELLS
    run = torch.arange(cells)
    coords = coordinates.encode(columns[:, None] + run, rows[:, None] + run, system=config.coordinates, jitter=jitter)
    mixes = float(torch.rand((), generator=rng)) < recipe.mixing
    crossover = int(torch.randint(1, config.style_layers, (), generator=rng)) if mixes else config.style_layers
    return Draw(
        z_l=normal(batch, config.local_channels, cells, cells).to(dtype),
        coordinates=shared(coords).to(device),
        noises=[normal(batch, 1, *shape).to(dtype) for shape in config.noise_shapes((PATCH_CELLS, PATCH_CELLS))],
        z_g=shared(normal(batch // alike, config.global_channels)),
        z_mix=shared(normal(batch // alike, config.global_channels)),
        crossover=crossover,
        position=shared(position).to(device),
    )


def style_of(generator: Generator, drawn: Draw) -> Style:
    """The style of a draw; samples of a pair share it."""
    return generator.style(drawn.z_g, mix=drawn.z_mix, crossover=drawn.crossover)
