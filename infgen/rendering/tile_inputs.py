"""Make the inputs of an engine for tiles of a world: fields, coordinates and styles of each tile's window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from infgen.engines.base import TileBatch
from infgen.geometry import STRUCTURE_HALO, LayerSpans, Span, Window, cell_px, lattice_period, layer_spans
from infgen.model.config import GeneratorConfig
from infgen.model.layers import StyleWeights
from infgen.rendering.palette import Palette
from infgen.world import coordinates, world_fields
from infgen.world.layout import ResolvedLayout
from infgen.world.mixing import Labels, StyleCounts, Weights, coarse_weights, covering
from infgen.world.world import World


@dataclass(frozen=True)
class TilePosition:
    """First cell of a tile's z_S window."""

    cell_x: int
    cell_y: int


def tile_batch(
    world: World,
    tiles: Sequence[TilePosition],
    *,
    cells: tuple[int, int],
    config: GeneratorConfig,
    palette: Palette,
    device: torch.device,
) -> TileBatch:
    """Make the inputs of ``tiles``, each of ``cells`` (rows, columns) of z_S, with only the styles that reach them.

    With ``config.halvings`` these are the inputs of the first levels: cells, latents and noises as at full size.
    """
    spans = _spans(tiles, cells, config.levels)
    numbers, weights = styles_of_tiles(
        world.layout, tiles, cells=cells, config=config, period=world.period, period_y=world.period_y
    )
    return TileBatch(
        z_l=torch.stack(
            [world_fields.local_latent(world, Window(x.local, y.local), sizes=config, device=device) for x, y in spans]
        ),
        coordinates=_coordinates(world, spans, config).to(device),
        noises=tuple(
            torch.stack([_noise(world, x, y, i, config, device) for x, y in spans])
            for i in range(len(config.texture_channels))
        ),
        style=palette.subset(numbers),
        weights=None if weights is None else _on(weights, device),
        noise_strength=world.noise,
    )


Spans = tuple[LayerSpans, LayerSpans]  # x, y


def _spans(tiles: Sequence[TilePosition], cells: tuple[int, int], levels: int) -> list[Spans]:
    rows, columns = cells
    return [(layer_spans(t.cell_x, columns, levels=levels), layer_spans(t.cell_y, rows, levels=levels)) for t in tiles]


def styles_reaching(
    world: World, tile: TilePosition, *, cells: tuple[int, int], config: GeneratorConfig
) -> tuple[int, ...]:
    """Return the numbers of the layout's styles that reach the tile."""
    numbers, _ = styles_of_tiles(
        world.layout, [tile], cells=cells, config=config, period=world.period, period_y=world.period_y
    )
    return numbers


def styles_of_tiles(
    layout: ResolvedLayout | None,
    tiles: Sequence[TilePosition],
    *,
    cells: tuple[int, int],
    config: GeneratorConfig,
    period: int | None = None,
    period_y: int | None = None,
) -> tuple[tuple[int, ...], StyleWeights | None]:
    """Return the numbers of the layout's styles that reach any of the tiles, and their weights (None for a single style).

    A coarser network samples the style map at the world px of its own pixels.
    """
    if layout is None or len(layout.styles) == 1:
        return (0,), None
    levels, px = config.levels, cell_px(config.halvings)  # world px from pixel to pixel
    spans = _spans(tiles, cells, levels)
    transition = max(1, layout.transition // px) | 1
    windows = [covering(x.local, y.local, spacing=cell_px(levels), transition=transition) for x, y in spans]
    periods = {"period": period, "period_y": period_y}
    labels = [layout.labels(window, step=px, **periods) if layout.has_places else None for window in windows]
    strokes = [layout.stroke_table.touching(_world_px(x.local, y.local, levels, px), **periods) for x, y in spans]
    numbers = _numbers(layout, labels, strokes)
    if len(numbers) == 1:
        return numbers, None
    maps = [
        _StyleMap(layout, numbers, part, window, found, transition, px, periods)
        for part, window, found in zip(labels, windows, strokes, strict=True)
    ]
    weights = _weights(maps, spans, levels=levels)
    return _without_unused(numbers, weights) if any(strokes) else (numbers, weights)


def _world_px(x: Span, y: Span, levels: int, px: int) -> Window:
    """Return the window of px of the world from the first to the last cell of ``x`` and ``y``."""
    size = px * cell_px(levels)
    return Window(*(Span(span.start * size, (span.size - 1) * size + 1) for span in (x, y)))


def _numbers(
    layout: ResolvedLayout, labels: Sequence[Labels | None], strokes: Sequence[Sequence[int]]
) -> tuple[int, ...]:
    """Return the numbers of the styles of ``labels`` (None: the first style) and of the layout's ``strokes``, by index."""
    below = {number for part in labels for number in ([0] if part is None else _present(part))}
    painted = {layout.strokes[i].style for found in strokes for i in found}
    return tuple(sorted({*below, *(layout.numbers[name] for name in painted if name is not None)}))


def _present(labels: Labels) -> list[int]:
    """Return the numbers that occur in ``labels``, in order. Reads the start of each row, and each change along it."""
    changes = labels[:, 1:][labels[:, 1:] != labels[:, :-1]]
    return np.flatnonzero(np.bincount(np.concatenate([labels[:, 0], changes]))).tolist()


@dataclass(frozen=True)
class _StyleMap:
    """Weights of the styles ``numbers`` around one tile: ``labels`` of the layout, with the strokes ``found`` over them.

    ``labels``: None if the first style is everywhere below the strokes.
    """

    layout: ResolvedLayout
    numbers: tuple[int, ...]
    labels: Labels | None
    window: Window  # of labels
    found: Sequence[int]
    transition: int  # in pixels of the network
    px: int  # of the world, from pixel to pixel
    periods: Mapping[str, int | None]  # of the world, along x and y

    def on_cells(self, x: Span, y: Span, *, spacing: int) -> Weights:
        """Return weights (K, y.size, x.size) on the cells, ``spacing`` pixels apart."""
        if self.labels is None:
            return self._paint(self._first(x, y), x, y, spacing)
        below = coarse_weights(
            self.labels, self.window, x, y, styles=self.numbers, spacing=spacing, transition=self.transition
        )
        return self._paint(below, x, y, spacing)

    def on_lattices(self, lattices: Sequence[tuple[Span, Span, int]]) -> list[Weights]:
        """Return weights (K, y.size, x.size) on lattices (x, y, spacing in pixels) inside the cells."""
        if self.labels is None:
            return [self._paint(self._first(x, y), x, y, spacing) for x, y, spacing in lattices]
        read = [covering(x, y, spacing=spacing, transition=self.transition) for x, y, spacing in lattices]
        inner = Window(*(_union([getattr(window, axis) for window in read]) for axis in ("x", "y")))
        rows, columns = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in ((inner.y, self.window.y), (inner.x, self.window.x))
        )
        counts = StyleCounts.of(self.labels[rows, columns], inner, styles=self.numbers)
        return [
            self._paint(counts.weights(x, y, spacing=spacing, transition=self.transition), x, y, spacing)
            for x, y, spacing in lattices
        ]

    def _first(self, x: Span, y: Span) -> Weights:
        """Return the weights where the first style is everywhere."""
        weights = np.zeros((len(self.numbers), y.size, x.size), np.float32)
        weights[self.numbers.index(0)] = 1
        return weights

    def _paint(self, weights: Weights, x: Span, y: Span, spacing: int) -> Weights:
        """Paint the strokes over ``weights``."""
        if not self.found:
            return weights
        step = self.px * spacing
        xs, ys = (range(step * span.start, step * span.stop, step) for span in (x, y))
        rows = {self.layout.styles[number].name: row for row, number in enumerate(self.numbers)}
        table = self.layout.stroke_table
        return table.paint(weights, xs, ys, found=self.found, rows=rows, **self.periods)


def _union(spans: Sequence[Span]) -> Span:
    start = min(span.start for span in spans)
    return Span(start, max(span.stop for span in spans) - start)


def _weights(maps: Sequence[_StyleMap], spans: Sequence[Spans], *, levels: int) -> StyleWeights:
    """Compute weights on every lattice that a layer reads. A level's second layer reads the inside of the first map."""
    size, halo = cell_px(levels), STRUCTURE_HALO
    cells = [styles.on_cells(x.local, y.local, spacing=size) for styles, (x, y) in zip(maps, spans, strict=True)]
    finer = [
        styles.on_lattices([(x.noise[2 * k - 2], y.noise[2 * k - 2], size >> k) for k in range(1, levels + 1)])
        for styles, (x, y) in zip(maps, spans, strict=True)
    ]
    structure = torch.from_numpy(np.stack(cells))
    texture = [structure[..., halo:-halo, halo:-halo]]
    for upsampled in (torch.from_numpy(np.stack(level)) for level in zip(*finer, strict=True)):
        texture += [upsampled, upsampled[..., 1:-1, 1:-1]]
    return StyleWeights(structure, tuple(texture[:-1]))


def _without_unused(numbers: tuple[int, ...], weights: StyleWeights) -> tuple[tuple[int, ...], StyleWeights | None]:
    """Drop styles without weight: those below strokes, and those of strokes that reach no position."""
    maps = (weights.structure, *weights.texture)
    used = [i for i in range(len(numbers)) if any(bool((plane[:, i] > 0).any()) for plane in maps)]
    kept = tuple(numbers[i] for i in used)
    if len(kept) == 1:
        return kept, None
    if len(kept) == len(numbers):
        return numbers, weights
    return kept, StyleWeights(weights.structure[:, used], tuple(plane[:, used] for plane in weights.texture))


def _on(weights: StyleWeights, device: torch.device) -> StyleWeights:
    return StyleWeights(weights.structure.to(device), tuple(w.to(device) for w in weights.texture))


def _noise(
    world: World, x: LayerSpans, y: LayerSpans, conv: int, config: GeneratorConfig, device: torch.device
) -> Tensor:
    window = Window(x.noise[conv], y.noise[conv])
    return world_fields.noise(world, window, conv=conv, levels=config.world_levels, device=device)


def _coordinates(world: World, spans: Sequence[tuple[LayerSpans, LayerSpans]], config: GeneratorConfig) -> Tensor:
    def positions(starts: list[int], size: int) -> Tensor:
        return torch.tensor(starts, dtype=torch.int64)[:, None] + torch.arange(size)

    cell_x = positions([x.local.start for x, _ in spans], spans[0][0].local.size)
    cell_y = positions([y.local.start for _, y in spans], spans[0][1].local.size)
    across, down = (
        None if px is None else lattice_period(px, 0, levels=config.world_levels)
        for px in (world.period, world.period_y)
    )
    return coordinates.encode(cell_x, cell_y, system=config.coordinates, period_cells=across, period_cells_y=down)
