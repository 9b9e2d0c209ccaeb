"""Where samples lie: for each a world of its own and a rectangle of it, in px of a scale.

Sample ``i`` is a function of seed and ``i`` alone: of no batch, no order and no other sample.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from infgen import geometry
from infgen.geometry import Region
from infgen.model.config import GeneratorConfig
from infgen.model.scales import Scale
from infgen.train.sampling import FIRST_ROW, vertical_starts
from infgen.world.coordinates import HORIZONTAL_PERIOD
from infgen.world.layout import DEFAULT_TRANSITION, ResolvedCentre, ResolvedLayout, ResolvedStyle
from infgen.world.world import World

ANCHOR_CELLS = 13  # between two styles: a training window of 11 cells, and 2 more


@dataclass(frozen=True)
class Sample:
    """Which world a sample shows, and where: cell_x, cell_y is the first cell of its z_S window."""

    world: World
    cell_x: int
    cell_y: int


@dataclass(frozen=True)
class Place:
    """A world and the part of it that a sample shows, px of a scale."""

    world: World
    region: Region


def sample(seed: int, index: int, *, purpose: str = "patch") -> Sample:
    """Sample ``index``: its own world and style, any column, one of the V rows at which training patches begin.

    ``purpose`` keeps the samples of different measurements apart.
    """
    number = _number(f"{purpose}:{seed}:{index}")
    rng = torch.Generator().manual_seed(number >> 1)
    row = int(vertical_starts(1, 0.0, rng))
    column = int(torch.randint(0, HORIZONTAL_PERIOD, (), generator=rng))
    return Sample(
        World(seed=number, truncation=1.0, local_truncation=1.0), column, FIRST_ROW + geometry.STRUCTURE_HALO + row
    )


def patch_region(place: Sample, *, levels: int, patch_px: int) -> Region:
    """The training patch of a sample, px."""
    x, y = (geometry.first_px(cell, levels=levels) for cell in (place.cell_x, place.cell_y))
    return Region(x, y, patch_px, patch_px)


def place(
    config: GeneratorConfig, scale: Scale, index: int, *, seed: int, purpose: str = "patch", styles: int | None = None
) -> Place:
    """Place ``index`` of a patch of ``scale``. ``config``: of the generator that draws this scale.

    The rows of the patch are those that a photograph's patch has in its view, or any without a horizon, and it begins at
    any column. A model without
    scales begins its patches at the rows of the paper's strip, which are whole cells. With ``styles`` the world has so many,
    one view apart, and the patch lies anywhere in as many views, one around each style.
    """
    first = sample(seed, index, purpose=purpose)
    rng = torch.Generator().manual_seed(_number(f"{scale.name}, {styles} styles:{first.world.seed}") >> 1)
    if config.scales:
        period_px = geometry.cell_px(scale.level) * HORIZONTAL_PERIOD
        y = scale.view_top + _up_to(scale.room_px, rng) if config.has_horizon else _up_to(period_px - 1, rng)
        x = _up_to(period_px - 1, rng)
    else:
        region = patch_region(first, levels=scale.level, patch_px=scale.patch_px)
        x, y = region.x, region.y
    if styles is None:
        return Place(first.world, Region(x, y, scale.patch_px, scale.patch_px))
    world = first.world.replace(
        layout=_layout(styles, x, scale.view_px, seed=first.world.seed, halvings=config.halvings)
    )
    x += _up_to(styles * scale.view_px - scale.patch_px, rng)
    return Place(world, Region(x, y, scale.patch_px, scale.patch_px))


def places(
    config: GeneratorConfig, scale: Scale, *, n: int, seed: int, times: int = 1, styles: int | None = None
) -> Iterator[Place]:
    """The first ``n`` places, each region ``times`` larger about the horizon; see ``place`` and ``scaled``."""
    for i in range(n):
        found = place(config, scale, i, seed=seed, styles=styles)
        yield replace(found, region=scale_region(found.region, times))


def scale_region(region: Region, scale: int) -> Region:
    """``region`` made ``scale`` times larger about the point of the horizon (y = 0) below or above its centre.

    Row r of the patch becomes rows scale*r and on, so the larger picture, brought to the size of a patch, shows sky and
    ground in the same shares. Scale 1 is the region itself.
    """
    x = region.x - (scale - 1) * region.w // 2
    return replace(region, x=x, y=scale * region.y, w=scale * region.w, h=scale * region.h)


def with_anchors(world: World, scale: Scale, *, x: int, width_px: int) -> World:
    """Return ``world`` with random styles 13 cells apart, from the column ``x`` over ``width_px`` (px of ``scale``).

    Transitions have the share of the distance that the released configuration gives them, 255 px of 416.
    """
    step = geometry.cell_px(scale.level) * ANCHOR_CELLS
    transition = (step << scale.halvings) * 255 // 416 | 1
    layout = _layout(
        -(-width_px // step) + 1, x - step // 2, step, seed=world.seed, halvings=scale.halvings, transition=transition
    )
    return world.replace(layout=layout)


def _layout(
    styles: int, left: int, view_px: int, *, seed: int, halvings: int, transition: int = DEFAULT_TRANSITION
) -> ResolvedLayout:
    """``styles`` random styles in the middles of as many views, the first of which begins at column ``left``.

    ``left`` and ``view_px`` are px of a scale, one of which covers 2**halvings px of the world; ``transition`` is of those.
    """
    names = [str(k) for k in range(styles)]
    middles = [(2 * (left + k * view_px) + view_px << halvings) // 2 for k in range(styles)]
    return ResolvedLayout(
        styles=tuple(ResolvedStyle(name=name, seed=_number(f"style {name}:{seed}")) for name in names),
        centres=tuple(ResolvedCentre(style=name, x=x, y=0) for name, x in zip(names, middles, strict=True)),
        transition=transition,
    )


def _number(text: str) -> int:
    """64 bits that depend on nothing but ``text``."""
    return int.from_bytes(hashlib.blake2b(f"infgen evaluation:{text}".encode(), digest_size=8).digest(), "little")


def _up_to(high: int, rng: torch.Generator) -> int:
    """A whole number from 0 to ``high``, both included."""
    return int(torch.randint(0, high + 1, (), generator=rng))
