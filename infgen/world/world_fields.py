"""Compute the random fields of a world: the seed's values, then anchors, then edits. A value depends only on its position."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from infgen.errors import WorldError
from infgen.geometry import Window, cell_px, lattice_period
from infgen.world import fields as seeded
from infgen.world.anchoring import PlacedAnchor, write_anchors
from infgen.world.document import validate
from infgen.world.edits import FIELDS, Edit, FieldName, Shape, redraw
from infgen.world.overlaps import positions_in
from infgen.world.surroundings import continued_latents
from infgen.world.world import World

if TYPE_CHECKING:
    from infgen.geometry import Region

MAX_LIKE_CELLS = 2**16  # most cells for statistics


class Sizes(Protocol):
    """Model sizes that fields depend on: those of a ``GeneratorConfig`` or of ``AnchoredLatents``."""

    @property
    def world_levels(self) -> int:
        """L, the number of upsampling levels of the whole generator; a cell has 2**L px of the world."""

    @property
    def local_channels(self) -> int:
        """Number of channels of z_l."""


def local_latent(world: World, window: Window, *, sizes: Sizes, device: torch.device | str = "cpu") -> Tensor:
    """Compute z_l of a window of cells: (C, H, W), float32. Raises WorldError if an anchor file cannot be read."""
    spacing = cell_px(sizes.world_levels)
    period, period_y = _periods(world, 0, sizes.world_levels)

    def draw(seed: int, part: Window) -> Tensor:
        return seeded.local_latent(
            seed, part, channels=sizes.local_channels, period=period, period_y=period_y, device=device
        )

    def redraw_normals(edit: Edit, part: Window) -> Tensor:
        normals = draw(edit.seed, part)
        return normals.mul_(world.local_truncation) if edit.mean is None else edit.apply_statistics(normals)

    values = draw(world.seed, window).mul_(world.local_truncation)

    def read_local(anchor: PlacedAnchor) -> tuple[Tensor, Window]:
        if not anchor.reach:
            return anchor.local
        seed = world.seed if anchor.seed is None else anchor.seed
        return _surround(anchor, seed, period, sizes.local_channels, world.local_truncation)

    write_anchors(values, window, world.placed_anchors, read_local, spacing=spacing, period=world.period)
    redraw(
        values,
        window,
        world.edit_tables["local"],
        redraw_normals,
        spacing=spacing,
        period=world.period,
        period_y=world.period_y,
    )
    return values


@lru_cache(maxsize=16)
def _surround(
    anchor: PlacedAnchor, seed: int, period: int | None, channels: int, truncation: float
) -> tuple[Tensor, Window]:
    with torch.inference_mode(False):  # ordinary tensors, independent of the mode of the first caller

        def draw(part: Window) -> Tensor:
            return seeded.local_latent(seed, part, channels=channels, period=period).mul_(truncation)

        return continued_latents(anchor, draw, seed=seed, period=period)


def noise(world: World, window: Window, *, conv: int, levels: int, device: torch.device | str = "cpu") -> Tensor:
    """Compute z_n of texture convolution ``conv`` on a window of the lattice of level conv // 2 + 1: (1, H, W), float32.

    Raises WorldError if an anchor file cannot be read.
    """
    level = conv // 2 + 1
    spacing = cell_px(levels) >> level
    period, period_y = _periods(world, level, levels)

    def draw(seed: int, part: Window) -> Tensor:
        return seeded.noise(seed, part, conv=conv, period=period, period_y=period_y, device=device)

    values = draw(world.seed, window)
    stored = [anchor for anchor in world.placed_anchors if conv < len(anchor.latents.noises)]
    write_anchors(values, window, stored, lambda a: a.noise(conv), spacing=spacing, period=world.period)
    redraw(
        values,
        window,
        world.edit_tables["noise"],
        lambda e, part: draw(e.seed, part),
        spacing=spacing,
        period=world.period,
        period_y=world.period_y,
    )
    return values


def _periods(world: World, level: int, levels: int) -> tuple[int | None, int | None]:
    """Return the periods along x and y on the lattice of ``level``."""
    across, down = (
        None if px is None else lattice_period(px, level, levels=levels) for px in (world.period, world.period_y)
    )
    return across, down


def resampling(
    world: World,
    shape: Shape,
    *,
    seed: int,
    sizes: Sizes,
    fields: Sequence[FieldName] = FIELDS,
    like: "Region | None" = None,
) -> Edit:
    """Make the edit that ``World.resample`` appends. Parameters and errors as there."""
    values = {**asdict(shape), "fields": tuple(fields), "seed": seed}
    if like is not None and "local" not in fields:
        raise WorldError("statistics of another region apply to local latents; add local to fields")
    if like is not None:
        values["mean"], values["std"] = local_statistics(world, cells_in(like, sizes.world_levels), sizes=sizes)
    edit = validate(Edit, values, source="edit")
    size = cell_px(sizes.world_levels)
    if "local" in fields and not _has_cell(edit, size):
        raise WorldError(
            f"region of {shape.w} x {shape.h} px at ({shape.x}, {shape.y}) holds no centre of a cell; centres lie on "
            f"multiples of {size} px: give a region of {size} x {size} px or more, or only the field noise"
        )
    return edit


def _has_cell(edit: Edit, size: int) -> bool:
    cells = edit.block(spacing=size)
    if 0 in cells.shape:
        return False
    inside = edit.mask(cells, spacing=size)
    return inside is None or bool(inside.any())


def cells_in(region: "Region", levels: int) -> Window:
    """Return the window of cells whose centres lie in ``region`` (px)."""
    spacing = cell_px(levels)
    return Window(positions_in(region.x, region.w, spacing=spacing), positions_in(region.y, region.h, spacing=spacing))


def local_statistics(world: World, cells: Window, *, sizes: Sizes) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and standard deviation of each channel of z_l over a window of ``cells``, rounded to float32.

    Raises WorldError for fewer than 2 cells or more than ``MAX_LIKE_CELLS``.
    """
    count, size = cells.x.size * cells.y.size, cell_px(sizes.world_levels)
    if not 2 <= count <= MAX_LIKE_CELLS:
        raise WorldError(
            f"the region for statistics has {count} cells of {size} px; allowed are 2 to {MAX_LIKE_CELLS}: "
            f"give a {'larger' if count < 2 else 'smaller'} one"
        )
    values = local_latent(world, cells, sizes=sizes).double().flatten(1)
    mean, std = (statistic.float().tolist() for statistic in (values.mean(1), values.std(1)))
    return tuple(mean), tuple(std)
