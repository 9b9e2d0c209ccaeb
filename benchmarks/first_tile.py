"""How long until the first tile of a large picture is there, from the start of a new ``infgen render`` process.

    python -m benchmarks.first_tile                    # the shipped model, 8192 x 8192 px
    python -m benchmarks.first_tile --repeats 10 --tile 517

Each repeat starts a process that does what the command line does, reads the processor time on the way and ends with the
first stored tile. Other programs change processor time little; ``--wall`` reads the clock instead. A process that only
imports PyTorch runs before each repeat. The last line is ``infgen render`` of one small tile.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from rich.table import Table

from benchmarks.render import console, machine
from infgen.bench.cold_start import ColdStart, measure_cold_start
from infgen.bench.configurations import model_file
from infgen.engines.eager import DTYPES, Precision
from infgen.geometry import Region
from infgen.model.config import PRESETS
from infgen.rendering.studio import Options
from infgen.world.world import World

PARTS = ("imports", "model", "preflight", "tile")


def show(title: str, runs: list[ColdStart], bare: list[float]) -> None:
    """One line per run and their medians. ``bare``: processor seconds of ``import torch`` before each run."""
    names = ("run", "Python and imports", "model", "preflight", "first tile", "all, s", "import torch", "ratio")
    table = Table(*names, title=title)
    rows = [
        [*(getattr(run, part) for part in PARTS), run.until_first_tile, own, run.until_first_tile / own]
        for run, own in zip(runs, bare, strict=True)
    ]
    for i, row in enumerate(rows):
        table.add_row(str(i + 1), *(f"{value:.2f}" for value in row))
    table.add_row("median", *(f"{statistics.median(column):.2f}" for column in zip(*rows, strict=True)))
    console.print(table)


def cpu_seconds(words: list[str]) -> float:
    """Processor time of a Python process with these arguments."""
    before = os.times()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def small_picture(model: Path) -> float:
    """Processor seconds of ``infgen render`` of 256 x 256 px to a PNG."""
    with TemporaryDirectory() as folder:
        window = ["--w", "256", "--h", "256", "--threads", "1", "--quiet", "-o", f"{folder}/tile.png"]
        return cpu_seconds(["-m", "infgen", "render", "--model", str(model), *window])


@click.command()
@click.option("--model", help="Model file. [default: the shipped model]")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Random weights of this size instead.")
@click.option("--side", default=8192, show_default=True)
@click.option("--tile", type=int, help="Tile size in px, instead of the planner's choice.")
@click.option("--precision", type=click.Choice(list(DTYPES)), default="fp32", show_default=True)
@click.option("--threads", type=int)
@click.option("--repeats", default=5, show_default=True)
@click.option("--wall", is_flag=True, help="Show seconds of the clock, not of the processor.")
def main(
    model: str | None,
    preset: str | None,
    side: int,
    tile: int | None,
    precision: Precision,
    threads: int | None,
    repeats: int,
    wall: bool,
) -> None:
    """Measure; see the module's docstring."""
    if threads is not None:
        torch.set_num_threads(threads)  # for the line about the machine; the processes set it on their own
    region, options = Region(0, -(side // 2), side, side), Options(tile_px=tile, precision=precision, threads=threads)
    runs, bare, small = [], [], []
    with model_file(model=model, preset_name=preset) as path:
        for _ in range(repeats):
            bare.append(cpu_seconds(["-c", "import torch"]))
            runs.append(
                measure_cold_start(
                    World(seed=0), region, model=path, options=options, only_first_tile=True, processor=not wall
                )
            )
            small.append(small_picture(path))
        show(f"{path.name}, {precision}, {side} x {side} px", runs, bare)
    part, whole = statistics.median(bare), statistics.median(small)
    console.print(
        f"infgen render, 256 px: {whole:.2f} s of a processor; import torch: {part:.2f} s; {whole / part:.2f} times"
    )
    console.print(machine())


if __name__ == "__main__":
    main()
