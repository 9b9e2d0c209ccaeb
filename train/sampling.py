"""Random inputs of the generator in a training step: latents, coordinates, noises, style mixing.

Every number depends only on the seed, the step and the purpose of the draw.
"""

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

FIRST_ROW = -22  # first row of the trained strip: with 0.3 per cell its 45 rows span -6.6 to 6.6 inside tanh
MIDDLE_START = 5  # start of the patch whose 35 rows are centred on the horizon, -17 to 17
STYLE_CENTRES_PX = 1000  # distance between the centres of two mixed styles: large enough for a straight border
UNPATCHED_START = FIRST_ROW + MIDDLE_START  # first row and column of all samples of unpatched training


@dataclass(frozen=True, kw_only=True)
class GeneratorInputs:
    """Inputs of one generator call in training.

    ``position`` (B,): the vertical target of each sample in [-1, 1]; 0 if pictures have no vertical position.
    """

    z_l: Tensor
    coordinates: Tensor
    noises: list[Tensor]
    z_g: Tensor  # (B, D), samples 2k and 2k+1 equal if there is a diversity loss
    z_mix: Tensor  # (B, D)
    crossover: int  # first row of W+ whose style comes from z_mix
    position: Tensor
    crop: tuple[slice, slice] = (slice(None), slice(None))  # rows and columns of the patch in its window
    weights: StyleWeights | None = None  # of the styles of z_g and z_mix, if they are mixed over space


def step_rng(seed: int, step: int, purpose: int) -> torch.Generator:
    """Make the random generator of one step and purpose, independent of all other steps."""
    return torch.Generator().manual_seed(((seed * 1_000_003 + step) * 16 + purpose) % 2**64)


def vertical_target(start: Tensor) -> Tensor:
    """Target of the auxiliary head for a patch whose first row is row ``start`` of the strip: 2 i / (V - 1) - 1.

    Beyond the strip it stays at -1 (above) or 1 (below), as at the top and bottom edge of a photograph.
    """
    return (2 * start / (VERTICAL_STARTS - 1) - 1).clamp(-1, 1)


def vertical_starts(count: int, beyond: float, rng: torch.Generator) -> Tensor:
    """First rows (count,) of patches: 0 .. V-1, and with probability ``beyond`` up to 24 cells above or below that.

    The paper trains only the strip, so pictures taller than a patch show coordinates that were never trained.
    """
    inside = torch.randint(0, VERTICAL_STARTS, (count,), generator=rng)
    if not beyond:
        return inside
    above, away = -torch.randint(1, BEYOND_CELLS + 1, (2, count), generator=rng)
    outside = torch.where(torch.rand(count, generator=rng) < 0.5, above, VERTICAL_STARTS - 1 - away)
    return torch.where(torch.rand(count, generator=rng) < beyond, outside, inside)


def scale_starts(scale: Scale, count: int, beyond: float, rng: torch.Generator) -> Tensor:
    """First rows (count,) of z_S, in cells, of windows whose centre is a possible centre of a photograph's patch.

    World rows are rows of the view: the centre is at most half of ``scale.room_px`` from the horizon, or as near as
    whole cells allow. With probability ``beyond`` it is up to 24 cells farther above or below.
    """
    span = scale.cells - 1  # twice the centre, in cells, is 2 * start + span
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
    """L_ar's target for patches of ``scale``: offset of the patch centre from the view centre over its maximum, -1 to 1."""
    middle = (starts + (scale.cells - 1) / 2) * geometry.cell_px(scale.level)
    offset = middle + crop_row - (scale.window_px - scale.patch_px) / 2
    return (offset / (scale.room_px / 2)).clamp(-1, 1)


def random_crop(scale: Scale, rng: torch.Generator) -> tuple[int, int]:
    """Draw the first row and column of the patch inside a window of ``scale``."""
    room = scale.window_px - scale.patch_px
    row, column = torch.randint(0, room + 1, (2,), generator=rng).tolist() if room else (0, 0)
    return row, column


def first_rows(
    recipe: Recipe, scale: Scale, count: int, rng: torch.Generator, *, crop_row: int = 0
) -> tuple[Tensor, Tensor]:
    """Draw (first rows of the patches' coordinates in cells, vertical targets), both (count,).

    Texture coordinates repeat after 139 cells, so rows are drawn from one period. Without patches there is one fixed
    row. Both have no vertical position, and the target is 0.
    """
    if recipe.has_position and recipe.scales:
        coarsest = scale == recipe.trained_scales[0]  # full views: no photograph shows what is above or below them
        starts = scale_starts(scale, count, 0.0 if coarsest else recipe.beyond, rng)
        return starts - geometry.STRUCTURE_HALO, scale_target(starts, crop_row, scale)
    if recipe.has_position:
        starts = vertical_starts(count, recipe.beyond, rng)
        return FIRST_ROW + starts, vertical_target(starts.float())
    if recipe.patches:
        rows = torch.randint(0, coordinates.HORIZONTAL_PERIOD, (count,), generator=rng)
    else:
        rows = torch.full((count,), UNPATCHED_START)
    return rows, torch.zeros(count)


def first_columns(recipe: Recipe, count: int, rng: torch.Generator) -> Tensor:
    """Draw first columns (count,) of the patches' coordinates in cells: from one period, or one fixed column for full views.

    A full view has left and right edges. At random columns of an endless picture, they could not be learnt.
    """
    if not recipe.patches:
        return torch.full((count,), UNPATCHED_START)
    return torch.randint(0, coordinates.HORIZONTAL_PERIOD, (count,), generator=rng)


def rng_on(device: torch.device, rng: torch.Generator) -> torch.Generator:
    """Make a generator on ``device`` seeded by ``rng``; on the CPU, return ``rng`` itself.

    Drawing millions of normals per step on the CPU would slow down a GPU.
    """
    if device.type == "cpu":
        return rng
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=rng)))


def draw_inputs(
    recipe: Recipe, scale: Scale, batch: int, rng: torch.Generator, *, device: torch.device, dtype: torch.dtype
) -> GeneratorInputs:
    """Draw all inputs for ``batch`` patches of ``scale``.

    For the diversity loss (Eq. 2), pairs of samples share z_g and coordinates. Without it, no samples share them.
    z_l and the noises always differ.
    """
    config = recipe.generator_config.coarser(scale.halvings)
    repeats = 2 if recipe.diversity_weight else 1
    cells = scale.cells + 2 * geometry.STRUCTURE_HALO

    device_rng = rng_on(device, rng)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=device_rng, device=device)

    def repeat(x: Tensor) -> Tensor:
        return x.repeat_interleave(repeats, dim=0)

    top, left = random_crop(scale, rng)
    rows, position = first_rows(recipe, scale, batch // repeats, rng, crop_row=top)
    columns = first_columns(recipe, batch // repeats, rng)
    jitter = (
        torch.rand(batch // repeats, config.coordinate_channels, generator=rng) * 2 - 1
    ) * coordinates.JITTER_CELLS
    steps = torch.arange(cells)
    coords = coordinates.encode(
        columns[:, None] + steps, rows[:, None] + steps, system=config.coordinates, jitter=jitter
    )
    mixes = float(torch.rand((), generator=rng)) < recipe.mixing
    crossover = int(torch.randint(1, config.style_layers, (), generator=rng)) if mixes else config.style_layers
    fuses = bool(recipe.fusion) and float(torch.rand((), generator=rng)) < recipe.fusion
    return GeneratorInputs(
        z_l=normal(batch, config.local_channels, cells, cells).to(dtype, memory_format=torch.channels_last),
        coordinates=repeat(coords).to(device, memory_format=torch.channels_last),
        noises=[normal(batch, 1, *shape).to(dtype) for shape in config.noise_shapes((scale.cells, scale.cells))],
        z_g=repeat(normal(batch // repeats, config.global_channels)),
        z_mix=repeat(normal(batch // repeats, config.global_channels)),
        crossover=crossover,
        position=repeat(position).to(device),
        crop=(slice(top, top + scale.patch_px), slice(left, left + scale.patch_px)),
        weights=two_style_weights(config, scale, batch, rng, device=device) if fuses else None,
    )


def two_style_weights(
    config: GeneratorConfig, scale: Scale, batch: int, rng: torch.Generator, *, device: torch.device
) -> StyleWeights | None:
    """Draw weights of two styles that meet at a straight line across the window of ``scale``, equal for ``batch`` samples.

    They are the renderer's weights of a layout with two centres. None if one style fills the window.
    """
    px = geometry.cell_px(config.halvings)
    first = geometry.first_px(0, levels=scale.level)
    x, y = ((first + torch.rand(2, generator=rng) * scale.window_px) * px).tolist()  # a point of the line
    angle = float(torch.rand((), generator=rng)) * 2 * math.pi
    offset = (STYLE_CENTRES_PX * math.cos(angle) / 2, STYLE_CENTRES_PX * math.sin(angle) / 2)
    layout = ResolvedLayout.model_validate(
        {
            "styles": [{"name": "one", "seed": 0}, {"name": "other", "seed": 1}],
            "centres": [
                {"style": name, "x": round(x + sign * offset[0]), "y": round(y + sign * offset[1])}
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


def make_style(generator: Generator, inputs: GeneratorInputs) -> Style:
    """Compute the style of ``inputs``. With weights it has two styles per sample, (B, 2, ...)."""
    if inputs.weights is None:
        return generator.style(inputs.z_g, mix=inputs.z_mix, crossover=inputs.crossover)
    styles = [generator.style(z) for z in (inputs.z_g, inputs.z_mix)]
    return Style(torch.stack([s.z_g for s in styles], dim=1), torch.stack([s.w_plus for s in styles], dim=1))


def generate(generator: Generator, inputs: GeneratorInputs) -> tuple[Tensor, Tensor, Style]:
    """Generate (patches (B, 3, H, W), z_S, style). ``generator``: the one of the inputs' scale."""
    style, maps = make_style(generator, inputs), inputs.weights
    z_s = generator.structure(inputs.z_l, inputs.coordinates, style.z_g, None if maps is None else maps.structure)
    images = generator.texture(z_s, style.w_plus, inputs.noises, () if maps is None else maps.texture)
    return images[..., inputs.crop[0], inputs.crop[1]], z_s, style
