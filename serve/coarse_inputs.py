"""What the first levels of a network need for a square on their last lattice: latents, coordinates, noises, styles."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from infgen.engines.base import TileBatch
from infgen.model.config import GeneratorConfig
from infgen.model.fused import StyleWeights
from infgen.rendering.render import Scene
from infgen.world import coordinates, world_fields
from infgen.world.geometry import (
    STRUCTURE_HALO,
    LayerSpans,
    Span,
    Window,
    cell_px,
    cells_covering,
    first_cell,
    first_px,
    lattice_period,
    layer_spans,
)
from infgen.world.layout import ResolvedLayout
from infgen.world.mixing import StyleCounts, covering
from infgen.world.tile_inputs import TilePosition
from infgen.world.world import World


@dataclass(frozen=True)
class Square:
    """``side`` x ``side`` positions from (``x``, ``y``) of the lattice of level ``depth``, and the window of cells they need."""

    x: int
    y: int
    side: int
    depth: int

    @property
    def position(self) -> TilePosition:
        """First cell of the window of z_S."""
        return TilePosition(first_cell(self.x, levels=self.depth), first_cell(self.y, levels=self.depth))

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of the window of z_S."""
        starts = (self.y, self.position.cell_y), (self.x, self.position.cell_x)
        rows, columns = (
            cells_covering(start + self.side - first_px(cell, levels=self.depth), levels=self.depth)
            for start, cell in starts
        )
        return rows, columns

    @property
    def spans(self) -> tuple[LayerSpans, LayerSpans]:
        """Along x and y, of the first ``depth`` levels."""
        (rows, columns), position = self.cells, self.position
        return (
            layer_spans(position.cell_x, columns, levels=self.depth),
            layer_spans(position.cell_y, rows, levels=self.depth),
        )


def inside(values: Tensor, square: Square, *, window: Square | None = None) -> Tensor:
    """The positions of ``square`` from (C, H, W) of all that its window gives, or the ``window`` of a larger one.

    ``window`` may reach a finer lattice: its cells count.
    """
    position, cells = (square.position, square.cells) if window is None else (window.position, window.cells)
    left = layer_spans(position.cell_x, cells[1], levels=square.depth).pixels.start
    top = layer_spans(position.cell_y, cells[0], levels=square.depth).pixels.start
    x, y = square.x - left, square.y - top
    return values[:, y : y + square.side, x : x + square.side]


def coarse_batch(scene: Scene, square: Square, *, config: GeneratorConfig, device: torch.device) -> TileBatch:
    """Inputs of the first ``square.depth`` levels, for a batch of one."""
    world, (x, y) = scene.world, square.spans
    numbers, weights = coarse_styles(world.layout, x, y, depth=square.depth, levels=config.levels, period=world.period)
    return TileBatch(
        z_l=world_fields.local_latent(world, Window(x.local, y.local), sizes=config, device=device)[None],
        coordinates=_coordinates(world, x.local, y.local, config).to(device),
        noises=tuple(
            world_fields.noise(world, Window(x.noise[i], y.noise[i]), conv=i, levels=config.levels, device=device)[None]
            for i in range(2 * square.depth)
        ),
        style=scene.palette.subset(numbers),
        weights=None if weights is None else _on(weights, device),
        noise_strength=world.noise,
    )


def _on(weights: StyleWeights, device: torch.device) -> StyleWeights:
    return StyleWeights(weights.structure.to(device), tuple(w.to(device) for w in weights.texture))


def _coordinates(world: World, x: Span, y: Span, config: GeneratorConfig) -> Tensor:
    cell_x, cell_y = (torch.arange(span.start, span.stop, dtype=torch.int64)[None] for span in (x, y))
    period = None if world.period is None else lattice_period(world.period, 0, levels=config.levels)
    return coordinates.encode(cell_x, cell_y, system=config.coordinates, period_cells=period)


def coarse_styles(
    layout: ResolvedLayout | None, x: LayerSpans, y: LayerSpans, *, depth: int, levels: int, period: int | None
) -> tuple[tuple[int, ...], StyleWeights | None]:
    """Numbers of the styles that reach a window, and their weights; None where it is one style.

    Ownership is looked up at the positions of level ``depth`` only: the map of styles itself is drawn coarse.
    """
    if layout is None or len(layout.styles) == 1:
        return (0,), None
    apart, spacing = cell_px(levels - depth), cell_px(depth)  # px between positions, positions between cells
    transition = max(1, round(layout.transition / apart)) | 1
    window = covering(x.local, y.local, spacing=spacing, transition=transition)
    xs, ys = ([apart * i for i in range(span.start, span.stop)] for span in (window.x, window.y))
    labels = layout.labels_at(xs, ys, period=period)
    numbers = tuple(int(n) for n in np.unique(labels))
    if len(numbers) == 1:
        return numbers, None
    counts = StyleCounts.of(labels, window, styles=numbers)
    return numbers, _weights(counts, x, y, transition=transition, depth=depth)


def _weights(counts: StyleCounts, x: LayerSpans, y: LayerSpans, *, transition: int, depth: int) -> StyleWeights:
    """Weights on every lattice that a layer reads, as ``infgen.world.tile_inputs`` has them for all levels."""

    def at(level: int, across: Span, down: Span) -> Tensor:
        spacing = cell_px(depth) >> level
        return torch.from_numpy(counts.weights(across, down, spacing=spacing, transition=transition)[None])

    structure, halo = at(0, x.local, y.local), STRUCTURE_HALO
    texture = [structure[..., halo:-halo, halo:-halo]]
    for level in range(1, depth + 1):
        upsampled = at(level, x.noise[2 * level - 2], y.noise[2 * level - 2])
        texture += [upsampled, upsampled[..., 1:-1, 1:-1]]
    return StyleWeights(structure, tuple(texture[:-1]))
