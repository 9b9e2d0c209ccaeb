"""Where the time of a render goes, and how it grows with the picture. ``infgen bench render`` measures everything else.

    python benchmarks/render.py --scaling              # seconds per megapixel at 1, 4 and 16 megapixels
    python benchmarks/render.py --layers               # layer by layer
    python benchmarks/render.py --model old.safetensors --model new.safetensors    # one against the other

Random weights; full-width scenery-101, fp32 and bf16, unless said otherwise.
"""

import itertools
import statistics
import time

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from infgen.bench.configurations import random_generator
from infgen.bench.machine import machine
from infgen.bench.timing import Ratio, Work, lockstep, seconds_of
from infgen.engines import EagerEngine
from infgen.engines.eager import DTYPES, Precision
from infgen.geometry import Region
from infgen.model.config import PRESETS
from infgen.model.folded import fold
from infgen.model.generator import Generator
from infgen.process import use_large_pages
from infgen.rendering.cost import layer_costs
from infgen.rendering.palette import world_palette
from infgen.rendering.plan import Plan, make_plan
from infgen.rendering.preflight import tile_memory
from infgen.rendering.render import Scene, batch_inputs, render_batch
from infgen.world.world import World

__all__ = ["console", "machine"]

SIDES = (1024, 2048, 4096)
console = Console(width=120)


def make_scene(generator: Generator, precision: Precision) -> Scene:
    """World 0 of ``generator``."""
    world = World(seed=0)
    return Scene(world, world_palette(world, generator), EagerEngine(generator, precision=precision))


def plan_for(scene: Scene, side: int, tile: int | None) -> Plan:
    """The plan of a square region of ``side`` px."""
    engine = scene.engine
    return make_plan(
        Region(0, -side // 2, side, side),
        engine.config,
        memory=tile_memory(engine.device),
        bytes_per_value=engine.bytes_per_value,
        tile_px=tile,
    )


def tile_by_tile(scene: Scene, plan: Plan) -> Work:
    """A work that computes the next tile at each call, round and round, after one that warms up."""
    numbers = itertools.cycle(range(plan.batch_count))
    render_batch(scene, plan, 0)
    return lambda: render_batch(scene, plan, next(numbers))


def report_scaling(generator: Generator, precision: Precision, tile: int | None, *, rounds: int) -> None:
    """Seconds per megapixel at three sizes, drawn in lockstep: every round computes one tile of each."""
    scene = make_scene(generator, precision)
    plans = [plan_for(scene, side, tile) for side in SIDES]
    turns = lockstep([tile_by_tile(scene, plan) for plan in plans], rounds=rounds)
    headings = ("size", "tiles", "s per Mpx (median tile)", "s per Mpx (mean)", f"against {SIDES[0]}", "mean")
    table = Table(*headings, title=f"scaling, {precision}, {rounds} rounds")
    times = [
        [t.seconds * plan.tile_count * 1e6 / plan.region.pixels for t in own]
        for plan, own in zip(plans, turns, strict=True)
    ]
    for plan, own in zip(plans, times, strict=True):
        ratio = Ratio.of(own, times[0])
        size, tiles = f"{plan.region.w} x {plan.region.h}", f"{plan.tile_count} x {plan.tile_px}"
        seconds = (f"{statistics.median(own):.3f}", f"{statistics.mean(own):.3f}")
        table.add_row(size, tiles, *seconds, f"{ratio.median:.3f}", f"{ratio.mean:.3f}")
    console.print(table)


def report_models(models: tuple[str, ...], precision: Precision, *, rounds: int) -> None:
    """Megapixels per second of model files on 2048 x 1024 px, in lockstep; the last column is against the first model."""
    scenes = [make_scene(Generator.from_pretrained(model), precision) for model in models]
    plans = [_demo_plan(scene) for scene in scenes]
    turns = lockstep([tile_by_tile(scene, plan) for scene, plan in zip(scenes, plans, strict=True)], rounds=rounds)
    rates = [
        [t.seconds * plan.tile_count / plan.region.pixels for t in own] for plan, own in zip(plans, turns, strict=True)
    ]
    table = Table(
        "model", "tiles", "Mpx/s (median tile)", "speed", title=f"2048 x 1024 px, {precision}, {rounds} rounds"
    )
    for model, plan, own in zip(models, plans, rates, strict=True):
        speed = 1 / Ratio.of(own, rates[0]).median
        tiles = f"{plan.tile_count} x {plan.tile_px}"
        table.add_row(model, tiles, f"{1e-6 / statistics.median(own):.2f}", f"{speed:.2f}")
    console.print(table)


def _demo_plan(scene: Scene) -> Plan:
    engine = scene.engine
    memory = tile_memory(engine.device)
    return make_plan(Region(0, -512, 2048, 1024), engine.config, memory=memory, bytes_per_value=engine.bytes_per_value)


def report_layers(generator: Generator, side: int, precision: Precision, tile: int | None) -> None:
    """Seconds and rate of every folded layer on the first tile."""
    scene = make_scene(generator, precision)
    plan = plan_for(scene, side, tile)
    start = time.perf_counter()
    inputs = batch_inputs(scene, plan, [plan.tile(0)])
    table = Table("layer", "seconds", "GFLOP", "GFLOP/s", title=f"one tile of {plan.tile_px}, {precision}")
    table.add_row("fields and coordinates", f"{time.perf_counter() - start:.3f}", "", "")
    folded = fold(generator, scene.palette.styles, dtype=DTYPES[precision])
    calls = {f"structure.{i}": c for i, c in enumerate(folded.structure)}
    calls |= {f"texture.{i}": c for i, c in enumerate(folded.texture)}
    calls |= {f"rgb.{i}": c for i, c in enumerate(folded.to_rgbs)}
    for cost in layer_costs(generator.config, plan.cells):
        x = torch.randn(1, cost.in_channels, *cost.read).to(DTYPES[precision])
        x = x.contiguous(memory_format=torch.channels_last)
        index = int(cost.name.rpartition(".")[2])
        noise: tuple[Tensor, ...] = (inputs.noises[index].to(x),) if cost.name.startswith("texture") else ()
        with torch.inference_mode():
            seconds = seconds_of(lambda call=calls[cost.name], x=x, noise=noise: call(x, *noise), repeats=2)
        table.add_row(cost.name, f"{seconds:.3f}", f"{cost.flops / 1e9:.1f}", f"{cost.flops / seconds / 1e9:.0f}")
    console.print(table)


@click.command()
@click.option("--preset", "name", type=click.Choice(list(PRESETS)), default="scenery-101", show_default=True)
@click.option("--side", default=1024, show_default=True, help="Pixels along one side, with --layers.")
@click.option("--tile", type=int, help="Tile size in px, instead of the planner's choice.")
@click.option("--rounds", default=32, show_default=True, help="Tiles of each size, with --scaling.")
@click.option("--scaling", is_flag=True, help="Seconds per megapixel at 1, 4 and 16 megapixels.")
@click.option("--layers", is_flag=True, help="Time of each layer.")
@click.option("--model", "models", multiple=True, help="Model files to compare with one another.")
@click.option("--precision", "precisions", type=click.Choice(list(DTYPES)), multiple=True, default=list(DTYPES))
def main(
    name: str,
    side: int,
    tile: int | None,
    rounds: int,
    scaling: bool,
    layers: bool,
    models: tuple[str, ...],
    precisions: tuple[Precision, ...],
) -> None:
    """Measure; see the module's docstring."""
    if not (scaling or layers or models):
        raise click.UsageError("give --scaling, --layers or --model; speed is measured by: infgen bench render")
    use_large_pages()  # as the command line does, before the first allocation
    generator = random_generator(name)
    console.print(f"{name}; {machine()}")
    for precision in precisions:
        if models:
            report_models(models, precision, rounds=rounds)
        if layers:
            report_layers(generator, side, precision, tile)
        if scaling:
            report_scaling(generator, precision, tile, rounds=rounds)


if __name__ == "__main__":
    main()
