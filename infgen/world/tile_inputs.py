"""What an engine needs for given tiles of a world: fields and coordinates of each tile's window, and the world's style."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from infgen.engines.base import TileBatch
from infgen.errors import WorldError
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator, Style
from infgen.world import coordinates, fields
from infgen.world.geometry import LayerSpans, Window, lattice_period, layer_spans
from infgen.world.world import World


@dataclass(frozen=True)
class TilePosition:
    """First cell of a tile's z_S window."""

    cell_x: int
    cell_y: int


def check_world(world: World, config: GeneratorConfig) -> None:
    """Raise WorldError where ``world`` asks for what a model of ``config`` cannot do."""
    if world.period is not None and world.period % config.cell_px:
        below = world.period // config.cell_px * config.cell_px
        raise WorldError(
            f"period {world.period} px is not a multiple of this model's cell of {config.cell_px} px; "
            f"nearest are {below or config.cell_px} and {below + config.cell_px}"
        )
    if world.style.mix is not None and world.style.mix.crossover > config.style_layers:
        raise WorldError(
            f"style.mix.crossover {world.style.mix.crossover} is past this model's {config.style_layers} style rows; "
            f"allowed are 1 to {config.style_layers}"
        )


@torch.inference_mode()
def world_style(world: World, generator: Generator) -> Style:
    """The style of ``world``, batch of one."""
    check_world(world, generator.config)
    channels, device = generator.config.global_channels, generator.mean_style.device
    z_g = fields.global_latent(world.style_seed, channels=channels).to(device)[None]
    mix = world.style.mix
    other = None if mix is None else fields.global_latent(mix.seed, channels=channels).to(device)[None]
    crossover = None if mix is None else mix.crossover
    return generator.style(z_g, mix=other, crossover=crossover, truncation=world.truncation)


def tile_batch(
    world: World,
    tiles: Sequence[TilePosition],
    *,
    cells: tuple[int, int],
    config: GeneratorConfig,
    style: Style,
    device: torch.device,
) -> TileBatch:
    """Inputs of ``tiles``, each ``cells`` (rows, columns) of z_S large."""
    rows, columns = cells
    spans = [
        (
            layer_spans(t.cell_x, columns, levels=config.levels),
            layer_spans(t.cell_y, rows, levels=config.levels),
        )
        for t in tiles
    ]
    return TileBatch(
        z_l=torch.stack([_local(world, x, y, config, device) for x, y in spans]),
        coordinates=_coordinates(world, spans, config).to(device),
        noises=tuple(
            torch.stack([_noise(world, x, y, i, config, device) for x, y in spans])
            for i in range(len(config.texture_channels))
        ),
        style=style,
        noise_strength=world.noise,
    )


def _period(world: World, level: int, config: GeneratorConfig) -> int | None:
    return None if world.period is None else lattice_period(world.period, level, levels=config.levels)


def _local(world: World, x: LayerSpans, y: LayerSpans, config: GeneratorConfig, device: torch.device) -> Tensor:
    return fields.local_latent(
        world.seed,
        Window(x.local, y.local),
        channels=config.local_channels,
        period=_period(world, 0, config),
        device=device,
    )


def _noise(
    world: World, x: LayerSpans, y: LayerSpans, conv: int, config: GeneratorConfig, device: torch.device
) -> Tensor:
    return fields.noise(
        world.seed,
        Window(x.noise[conv], y.noise[conv]),
        conv=conv,
        period=_period(world, conv // 2 + 1, config),
        device=device,
    )


def _coordinates(world: World, spans: Sequence[tuple[LayerSpans, LayerSpans]], config: GeneratorConfig) -> Tensor:
    def positions(starts: list[int], size: int) -> Tensor:
        return torch.tensor(starts, dtype=torch.int64)[:, None] + torch.arange(size)

    cell_x = positions([x.local.start for x, _ in spans], spans[0][0].local.size)
    cell_y = positions([y.local.start for _, y in spans], spans[0][1].local.size)
    return coordinates.encode(cell_x, cell_y, system=config.coordinates, period_cells=_period(world, 0, config))
