"""How fast a picture is drawn, against the speed of the machine's own convolutions, measured in the same process.

    python benchmarks/render.py                        # full-width scenery-101, 1024 x 1024, fp32 and bf16
    python benchmarks/render.py --scaling              # seconds per megapixel at 1, 4 and 16 megapixels
    python benchmarks/render.py --layers               # where the time goes, layer by layer

The bound is arithmetic: GFLOP counted from the layers, divided by the rate of the largest layer's convolution alone
(channels-last, at the tile's own shape). The share says how much of that rate the whole render reaches.
"""

import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import psutil
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from infgen.cli.main import LARGE_PAGES
from infgen.engines import EagerEngine
from infgen.engines.eager import DTYPES
from infgen.model.config import PRESETS, GeneratorConfig, preset
from infgen.model.folded import fold
from infgen.model.generator import Generator
from infgen.rendering.cost import layer_costs, tile_flops
from infgen.rendering.plan import Plan, Region, make_plan
from infgen.rendering.preflight import tile_memory
from infgen.rendering.render import Scene, batch_inputs, render_tiles
from infgen.world.tile_inputs import world_style
from infgen.world.world import World

console = Console(width=120)


def machine() -> str:
    """The machine in plain words."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    memory = psutil.virtual_memory().total >> 30
    return f"{name}, {torch.get_num_threads()} threads, {memory} GiB, PyTorch {torch.__version__}"


def seconds_of(work: Callable[[], object], *, repeats: int = 1) -> float:
    """Shortest wall time of ``work`` over ``repeats`` runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def random_generator(name: str) -> Generator:
    """A generator of preset ``name`` with random weights and noise."""
    torch.manual_seed(0)
    generator = Generator(preset(name)).eval().requires_grad_(False)
    for conv in generator.texture.convs:
        conv.noise_strength.fill_(0.1)
    return generator


def largest_convolution(plan: Plan, config: GeneratorConfig, dtype: torch.dtype) -> tuple[Callable[[], Tensor], int]:
    """The largest layer's plain convolution alone, at the tile's shape, channels-last, and its floating-point operations."""
    plain = [c for c in layer_costs(config, plan.cells) if c.name.startswith("texture") and c.read > c.written]
    cost = max(plain, key=lambda c: c.flops)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)

    x, w = random(plan.batch, cost.in_channels, *cost.read), random(cost.out_channels, cost.in_channels, 3, 3)
    return lambda: torch.nn.functional.conv2d(x, w), plan.batch * cost.flops


def make_scene(generator: Generator, precision: str) -> Scene:
    """World 0 of ``generator``."""
    world = World(seed=0)
    return Scene(world, world_style(world, generator), EagerEngine(generator, precision=precision))  # type: ignore[arg-type]


def drain(scene: Scene, plan: Plan) -> None:
    """Compute every tile and throw it away."""
    for _ in render_tiles(scene, plan):
        pass


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


def report_speed(generator: Generator, side: int, tile: int | None, *, precisions: Sequence[str], repeats: int) -> None:
    """One table row per run: the convolution alone before and after each render, since a shared machine's speed wanders."""
    headings = ("precision", "tile", "seconds", "GFLOP", "GFLOP/s", "peak GFLOP/s", "share")
    table = Table(*headings, title=f"{side} x {side} px")
    for precision in precisions:
        scene = make_scene(generator, precision)
        plan = plan_for(scene, side, tile)
        flops = tile_flops(generator.config, plan.cells) * plan.batch * plan.batch_count
        convolve, convolution_flops = largest_convolution(plan, generator.config, DTYPES[precision])
        with torch.inference_mode():
            convolve()
            peaks, shares = [convolution_flops / seconds_of(convolve)], []
            drain(scene, plan)
            for _ in range(repeats):
                rate = flops / seconds_of(lambda scene=scene, plan=plan: drain(scene, plan))
                peaks.append(convolution_flops / seconds_of(convolve))
                peak = (peaks[-2] + peaks[-1]) / 2
                shares.append(rate / peak)
                row = (f"{flops / rate:.2f}", f"{flops / 1e9:.0f}", f"{rate / 1e9:.0f}", f"{peak / 1e9:.0f}")
                table.add_row(precision, f"{plan.tile_count} x {plan.tile_px}", *row, f"{shares[-1]:.2f}")
        table.add_row(precision, "median", "", "", "", "", f"{statistics.median(shares):.2f}", end_section=True)
    console.print(table)


def report_scaling(generator: Generator, precision: str, tile: int | None, *, rounds: int = 32) -> None:
    """Seconds per megapixel at three sizes, drawn in lockstep: every round computes one tile of each, in turned order.

    A shared machine's speed changes within seconds; in lockstep it changes for all sizes alike, so that the ratio holds.
    """
    scene = make_scene(generator, precision)
    plans = [plan_for(scene, side, tile) for side in (1024, 2048, 4096)]
    renders = [itertools.chain.from_iterable(render_tiles(scene, p) for _ in itertools.count()) for p in plans]
    for render in renders:
        next(render)
    times: list[list[float]] = [[] for _ in plans]
    for turn in range(rounds):
        for i in sorted(range(len(plans)), key=lambda i: (i + turn) % len(plans)):
            start = time.perf_counter()
            next(renders[i])
            times[i].append(time.perf_counter() - start)
    headings = (
        "size",
        "tiles",
        "s per megapixel (median tile)",
        "against 1024",
        "s per megapixel (mean)",
        "against 1024",
    )
    table = Table(*headings, title=f"scaling, {precision}, {rounds} rounds")
    scale = [p.tile_count * 2**20 / (p.region.w * p.region.h) for p in plans]
    medians = [statistics.median(t) * k for t, k in zip(times, scale, strict=True)]
    means = [statistics.mean(t) * k for t, k in zip(times, scale, strict=True)]
    for plan, median, mean in zip(plans, medians, means, strict=True):
        size, tiles = f"{plan.region.w} x {plan.region.h}", f"{plan.tile_count} x {plan.tile_px}"
        row = (f"{median:.3f}", f"{median / medians[0]:.3f}", f"{mean:.3f}", f"{mean / means[0]:.3f}")
        table.add_row(size, tiles, *row)
    console.print(table)


def report_layers(generator: Generator, side: int, precision: str, tile: int | None) -> None:
    """Seconds and rate of every folded layer on the first tile."""
    scene = make_scene(generator, precision)
    plan = plan_for(scene, side, tile)
    start = time.perf_counter()
    inputs = batch_inputs(scene, plan, [plan.tile(0)])
    table = Table("layer", "seconds", "GFLOP", "GFLOP/s", title=f"one tile of {plan.tile_px}, {precision}")
    table.add_row("fields and coordinates", f"{time.perf_counter() - start:.3f}", "", "")
    folded = fold(generator, scene.style, dtype=DTYPES[precision])
    calls = {f"structure.{i}": c for i, c in enumerate(folded.structure)}
    calls |= {f"texture.{i}": c for i, c in enumerate(folded.texture)}
    calls |= {f"rgb.{i}": c for i, c in enumerate(folded.to_rgbs)}
    for cost in layer_costs(generator.config, plan.cells):
        x = (
            torch.randn(1, cost.in_channels, *cost.read)
            .to(DTYPES[precision])
            .contiguous(memory_format=torch.channels_last)
        )
        index = int(cost.name.rpartition(".")[2])
        noise: tuple[Tensor, ...] = (inputs.noises[index].to(x),) if cost.name.startswith("texture") else ()
        with torch.inference_mode():
            seconds = seconds_of(lambda call=calls[cost.name], x=x, noise=noise: call(x, *noise), repeats=2)
        table.add_row(cost.name, f"{seconds:.3f}", f"{cost.flops / 1e9:.1f}", f"{cost.flops / seconds / 1e9:.0f}")
    console.print(table)


@click.command()
@click.option("--preset", "name", type=click.Choice(list(PRESETS)), default="scenery-101", show_default=True)
@click.option("--side", default=1024, show_default=True, help="Pixels along one side.")
@click.option("--tile", type=int, help="Tile size in px, instead of the planner's choice.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--scaling", is_flag=True, help="Seconds per megapixel at 1, 4 and 16 megapixels.")
@click.option("--layers", is_flag=True, help="Time of each layer.")
@click.option("--precision", "precisions", type=click.Choice(list(DTYPES)), multiple=True, default=list(DTYPES))
def main(
    name: str, side: int, tile: int | None, repeats: int, scaling: bool, layers: bool, precisions: tuple[str, ...]
) -> None:
    """Measure rendering; see the module's docstring."""
    os.environ.setdefault(*LARGE_PAGES)  # as the command line does, before the first allocation
    generator = random_generator(name)
    console.print(f"{name}; {machine()}")
    for precision in precisions if layers or scaling else ():
        if layers:
            report_layers(generator, side, precision, tile)
        else:
            report_scaling(generator, precision, tile)
    if not layers and not scaling:
        report_speed(generator, side, tile, precisions=precisions, repeats=repeats)


if __name__ == "__main__":
    main()
