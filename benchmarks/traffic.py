"""How many bytes does a tile move through memory, level by level, and how much time goes there?

    python -m benchmarks.traffic                       # the shipped model, a tile of 709 px, fp32 and bf16

The model counts bytes per pixel of the picture. "Least" is a level that reads its input once and writes its result and
its RGB once, with nothing between them in memory: what drawing depth first could reach. "Layers" reads and writes every
layer's activation once. "Operations" is what the network really moved: the inputs and outputs of every operation, counted
while it ran. A part of these stays in the cache, as operations work on strips. Fields never leave it, so their bytes do
not count. Times are processor seconds of one thread.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from infgen.bench.machine import machine
from infgen.engines.eager import DTYPES
from infgen.geometry import Region
from infgen.model.checkpoint import SHIPPED
from infgen.rendering.cost import layer_costs
from infgen.rendering.render import render_batch
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.world import World

VIEWS = {"reshape", "contiguous", "expand", "to"}
CONVOLUTIONS = {"convolution": 8, "conv2d": 6}  # operation: position of its groups
KINDS = {  # of operations that pass over memory; every other one is "fields and rest"
    "convolution": "convolution",
    "addmm_": "noise",
    "leaky_relu_": "activation",
    "leaky_relu": "activation",
    "copy_": "copies",
    "clone": "copies",
    "cat": "copies",
    "_to_copy": "copies",
    "upsample_bilinear2d": "RGB",
}
PARTS = ("convolution", "blur", "noise", "activation", "copies", "RGB", "fields and rest")
WARM_UP = 2
ROWS_MORE = 6  # an upsampling layer holds up to this many rows and columns more than the picture of its level


@dataclass
class Traffic:
    """Bytes and processor seconds of operations, by kind and by the level of their output."""

    moved: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    seconds: dict[tuple[str, int], float] = field(default_factory=lambda: defaultdict(float))


class Meter(TorchDispatchMode):
    """Counts every operation that is not a view. ``widths``: the width in px of each level's picture."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.traffic = Traffic()
        self._widths = widths
        self._last = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        start = time.process_time()
        result = func(*args, **(kwargs or {}))
        seconds = time.process_time() - start
        if not func.is_view and func.overloadpacket.__name__ not in VIEWS:
            read = args[1:] if func.overloadpacket.__name__ == "copy_" else args
            tensors = [x for x in tree_leaves((read, result)) if isinstance(x, Tensor)]
            key = _kind(func.overloadpacket.__name__, args, tensors), self._level(tensors)
            self.traffic.moved[key] += sum(x.numel() * x.element_size() for x in tensors)
            self.traffic.seconds[key] += seconds
        return result

    def _level(self, tensors: Iterable[Tensor]) -> int:
        """Level of the widest picture among the tensors; operations on flat tensors belong to the level before them."""
        widths = [max(x.shape[-3:-1]) if _is_channels_last(x) else max(x.shape[-2:]) for x in tensors if x.dim() == 4]
        if widths:
            side = max(widths)
            found = (i for i, own in enumerate(self._widths) if side <= own + ROWS_MORE)
            self._last = next(found, len(self._widths) - 1)
        return self._last


def _is_channels_last(x: Tensor) -> bool:
    """Whether (B, H, W, C) is meant: such views have channels next to each other in memory, in the last place."""
    return x.stride(-1) == 1 and x.shape[-1] < min(x.shape[-3:-1])


def _kind(name: str, args: Any, tensors: list[Tensor]) -> str:
    if name not in CONVOLUTIONS:
        three = any(x.dim() == 4 and x.shape[1] == 3 and x.shape[0] == 1 for x in tensors)
        return "RGB" if three and name in ("add", "add_", "_to_copy") else KINDS.get(name, "fields and rest")
    groups = CONVOLUTIONS[name]
    if len(args) > groups and args[groups] > 1:
        return "blur"
    return "RGB" if len(args[1]) == 3 else "convolution"


def measure(studio: Studio, plan: Any, rounds: int) -> tuple[Traffic, float]:
    """Medians over ``rounds`` of the seconds of operations in the first tile, and of the whole tile without a meter."""
    widths = [columns for _, columns in studio.generator.config.noise_shapes(plan.cells)][1::2]
    runs, whole = [], []
    for _ in range(rounds + WARM_UP):
        start = time.process_time()
        render_batch(studio.scene, plan, 0)
        whole.append(time.process_time() - start)
        with Meter(widths) as meter:
            render_batch(studio.scene, plan, 0)
        runs.append(meter.traffic)
    counted = Traffic(moved=runs[-1].moved)
    for key in counted.moved:
        counted.seconds[key] = statistics.median(run.seconds[key] for run in runs[WARM_UP:])
    return counted, statistics.median(whole[WARM_UP:])


def least_and_layers(studio: Studio, plan: Any, size: int) -> list[tuple[float, float]]:
    """Bytes per px of the picture by level: read once and written once by the level, and by every layer."""
    costs = [c for c in layer_costs(studio.generator.config, plan.cells) if c.name.startswith("texture")]
    picture = plan.tile_px[0] * plan.tile_px[1]
    levels = []
    for i, (up, plain) in enumerate(zip(costs[::2], costs[1::2], strict=True)):
        read, middle, written = (a * b for a, b in (up.read, up.written, plain.written))
        last = 2 * i + 2 == len(costs)
        kept = 0 if last else written * plain.out_channels * size
        rgb, noise = written * 3 * 4, (middle + written) * size
        least = read * up.in_channels * size + kept + rgb + noise
        layers = read * up.in_channels + 2 * middle * up.out_channels + 2 * written * plain.out_channels
        levels.append((least / picture, (layers * size + rgb + noise) / picture))
    return levels


def show(studio: Studio, plan: Any, precision: str, rounds: int) -> Iterable[Table]:
    """Yield the table of the levels, and the table of the parts of a tile."""
    traffic, whole = measure(studio, plan, rounds)
    model = least_and_layers(studio, plan, DTYPES[precision].itemsize)
    picture = plan.tile_px[0] * plan.tile_px[1]
    table = Table("level", "least, B/px", "layers, B/px", "operations, B/px", *(f"{part}, ms" for part in PARTS))
    network = {key: n for key, n in traffic.moved.items() if key[0] != PARTS[-1]}
    for level, (least, layers) in enumerate(model):
        moved = sum(n for (_, own), n in network.items() if own == level) / picture
        times = [traffic.seconds.get((part, level), 0.0) * 1e3 for part in PARTS]
        table.add_row(str(level), f"{least:.0f}", f"{layers:.0f}", f"{moved:.0f}", *(f"{t:.1f}" for t in times))
    sums = [sum(own) for own in zip(*model, strict=True)]
    parts = [sum(t for (part, _), t in traffic.seconds.items() if part == own) for own in PARTS]
    moved = sum(network.values()) / picture
    table.add_row("all", *(f"{n:.0f}" for n in (*sums, moved)), *(f"{t * 1e3:.1f}" for t in parts))
    shares = (f"{t / sum(parts):.0%}" for t in parts)
    table.add_row("share", "", "", "", *shares)
    table.title = f"{precision}, one tile of {plan.tile_px[0]} x {plan.tile_px[1]} px: {whole * 1e3:.0f} ms"
    yield table


@click.command()
@click.option("--model", type=click.Path(path_type=Path, exists=True), default=SHIPPED)
@click.option("--tile", default=709, show_default=True)
@click.option("--precision", multiple=True, default=("fp32", "bf16"), show_default=True)
@click.option("--rounds", default=7, show_default=True)
def main(model: Path, tile: int, precision: tuple[str, ...], rounds: int) -> None:
    """Count and measure; see the module's docstring."""
    console = Console(width=150)
    console.print(machine())
    for kind in precision:
        options = Options(threads=1, precision=kind, tile_px=tile)  # type: ignore[arg-type]
        studio = open_studio(World(seed=0), model=str(model.resolve()), options=options)
        torch.set_num_threads(1)
        plan = studio.plan(Region(0, 0, tile, tile))
        for table in show(studio, plan, kind, rounds):
            console.print(table)


if __name__ == "__main__":
    main()
