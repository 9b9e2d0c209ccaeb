"""What a training step draws at random: latents, coordinates, noises, style mixing. A function of seed and step."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from infgen import geometry
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator, Style
from infgen.model.layers import StyleWeights
from infgen.model.scales import Scale
from infgen.rendering.tile_inputs import TilePosition, styles_of_tiles
from infgen.train.presets import BEYOND_CELLS, VERTICAL_STARTS, Recipe
from infgen.world import coordinates
from infgen.world.layout import DEFAULT_TRANSITION, ResolvedLayout

# Row at which the trained strip begins: with 0.3 per cell the 45 rows of the strip run from -6.6 to 6.6 inside tanh.
FIRST_ROW = -22
MIDDLE_START = 5  # start of the patch whose 35 rows lie around the horizon, -17 to 17
STYLE_CENTRES_PX = 1000  # between the centres of two styles that are mixed in training: far enough for a straight line
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
    crop: tuple[slice, slice] = (slice(None), slice(None))  # rows and columns of the patch in its window
    weights: StyleWeights | None = None  # of the styles of z_g and z_mix, where they are mixed over space


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


def scale_starts(scale: Scale, count: int, beyond: float, rng: torch.Generator) -> Tensor:
    """First rows (count,) of z_S, in cells, of windows whose middle lies where the patch of a photograph may have its own.

    World rows are rows of the view: the middle is at most half of ``scale.room_px`` from the horizon, or as near as whole
    cells allow. With probability ``beyond`` it lies up to 24 cells farther above or below.
    """
    span = scale.cells - 1  # twice the middle, in cells, is 2 * start + span
    reach = max(scale.room_px // geometry.cell_px(scale.level), span % 2)
    reach -= (reach - span) % 2
    lowest, highest = (-reach - span) // 2, (reach - span) // 2
    inside = torch.randint(lowest, highest + 1, (count,), generator=rng)
    if not beyond:
        return inside
    above, below = torch.randint(1, BEYOND_CELLS + 1, (2, count), generator=rng)
    outside = torch.where(torch.rand(count, generator=rng) < 0.5, lowest - above, highest + below)
    return torch.where(torch.rand(count, generator=rng) < beyond, outside, inside)


def scale_target(starts: Tensor, crop_row: int, scale: Scale) -> Tensor:
    """L_ar's target for patches of ``scale``: offset of the patch's middle from the view's over its reach, -1 to 1."""
    middle = (starts + (scale.cells - 1) / 2) * geometry.cell_px(scale.level)
    offset = middle + crop_row - (scale.window_px - scale.patch_px) / 2
    return (offset / (scale.room_px / 2)).clamp(-1, 1)


def random_crop(scale: Scale, rng: torch.Generator) -> tuple[int, int]:
    """First row and column of the patch inside a window of ``scale``."""
    room = scale.window_px - scale.patch_px
    row, column = torch.randint(0, room + 1, (2,), generator=rng).tolist() if room else (0, 0)
    return row, column


def first_rows(
    recipe: Recipe, scale: Scale, count: int, rng: torch.Generator, *, crop_row: int = 0
) -> tuple[Tensor, Tensor]:
    """(first rows of the patches' coordinates in cells, vertical targets), both (count,).

    Texture coordinates come around after 139 cells, so that every row of a period is as good as another; without patches
    there is one place. Neither has a vertical position: the target is 0.
    """
    if recipe.has_position and recipe.scales:
        whole = scale == recipe.judged[0]  # of whole views no photograph says how they go on above and below
        starts = scale_starts(scale, count, 0.0 if whole else recipe.beyond, rng)
        return starts - geometry.STRUCTURE_HALO, scale_target(starts, crop_row, scale)
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


def draw(
    recipe: Recipe, scale: Scale, batch: int, rng: torch.Generator, *, device: torch.device, dtype: torch.dtype
) -> Draw:
    """Draw everything for ``batch`` patches of ``scale``.

    For the diversity loss (Eq. 2), pairs share z_g and coordinates; without it a batch is worth more where none are shared.
    z_l and noises are all different.
    """
    config = recipe.generator_config.coarser(scale.halvings)
    alike = 2 if recipe.diversity_weight else 1
    cells = scale.cells + 2 * geometry.STRUCTURE_HALO

    values = rng_on(device, rng)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=values, device=device)

    def shared(x: Tensor) -> Tensor:
        return x.repeat_interleave(alike, dim=0)

    top, left = random_crop(scale, rng)
    rows, position = first_rows(recipe, scale, batch // alike, rng, crop_row=top)
    columns = first_columns(recipe, batch // alike, rng)
    jitter = (torch.rand(batch // alike, config.coordinate_channels, generator=rng) * 2 - 1) * coordinates.JITTER_CELLS
    run = torch.arange(cells)
    coords = coordinates.encode(columns[:, None] + run, rows[:, None] + run, system=config.coordinates, jitter=jitter)
    mixes = float(torch.rand((), generator=rng)) < recipe.mixing
    crossover = int(torch.randint(1, config.style_layers, (), generator=rng)) if mixes else config.style_layers
    fuses = bool(recipe.fusion) and float(torch.rand((), generator=rng)) < recipe.fusion
    return Draw(
        z_l=normal(batch, config.local_channels, cells, cells).to(dtype),
        coordinates=shared(coords).to(device),
        noises=[normal(batch, 1, *shape).to(dtype) for shape in config.noise_shapes((scale.cells, scale.cells))],
        z_g=shared(normal(batch // alike, config.global_channels)),
        z_mix=shared(normal(batch // alike, config.global_channels)),
        crossover=crossover,
        position=shared(position).to(device),
        crop=(slice(top, top + scale.patch_px), slice(left, left + scale.patch_px)),
        weights=two_style_weights(config, scale, batch, rng, device=device) if fuses else None,
    )


def two_style_weights(
    config: GeneratorConfig, scale: Scale, batch: int, rng: torch.Generator, *, device: torch.device
) -> StyleWeights | None:
    """Weights of two styles that meet in a straight line across the window of ``scale``, for ``batch`` samples alike.

    They are those of a layout with two centres, as the renderer makes them. None where one style fills the window.
    """
    px = geometry.cell_px(config.halvings)
    first = geometry.first_px(0, levels=scale.level)
    x, y = ((first + torch.rand(2, generator=rng) * scale.window_px) * px).tolist()  # a point of the line
    angle = float(torch.rand((), generator=rng)) * 2 * math.pi
    away = (STYLE_CENTRES_PX * math.cos(angle) / 2, STYLE_CENTRES_PX * math.sin(angle) / 2)
    layout = ResolvedLayout.model_validate(
        {
            "styles": [{"name": "one", "seed": 0}, {"name": "other", "seed": 1}],
            "centres": [
                {"style": name, "x": round(x + sign * away[0]), "y": round(y + sign * away[1])}
                for name, sign in (("one", 1), ("other", -1))
            ],
            "transition": DEFAULT_TRANSITION,
        }
    )
    _, weights = styles_of_tiles(layout, [TilePosition(0, 0)], cells=(scale.cells, scale.cells), config=config)
    if weights is None:
        return None
    maps = [w.to(device).expand(batch, -1, -1, -1) for w in (weights.structure, *weights.texture)]
    return StyleWeights(maps[0], tuple(maps[1:]))


def style_of(generator: Generator, drawn: Draw) -> Style:
    """The style of a draw; samples of a pair share it. With weights two styles for each sample, (B, 2, ...)."""
    if drawn.weights is None:
        return generator.style(drawn.z_g, mix=drawn.z_mix, crossover=drawn.crossover)
    styles = [generator.style(z) for z in (drawn.z_g, drawn.z_mix)]
    return Style(torch.stack([s.z_g for s in styles], dim=1), torch.stack([s.w_plus for s in styles], dim=1))


def generate(generator: Generator, drawn: Draw) -> tuple[Tensor, Tensor, Style]:
    """(patches (B, 3, H, W), z_S, style) of a draw. ``generator``: that of the draw's scale."""
    style, maps = style_of(generator, drawn), drawn.weights
    z_s = generator.structure(drawn.z_l, drawn.coordinates, style.z_g, None if maps is None else maps.structure)
    images = generator.texture(z_s, style.w_plus, drawn.noises, () if maps is None else maps.texture)
    return images[..., drawn.crop[0], drawn.crop[1]], z_s, style
