"""How long until the first tile of a large picture is there, from the start of a new ``infgen render`` process.

    python -m benchmarks.first_tile                    # the shipped model, 8192 x 8192 px
    python -m benchmarks.first_tile --repeats 10 --tile 517

Each repeat starts a process that does what the command line does, reads the clock on the way and ends with the first
stored tile. The first repeat may read the program from the disk, later ones have it in memory: all are shown. The last
lines compare processor time, which other programs change little: ``infgen render`` of one small tile, and ``import torch``.
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


def show(title: str, runs: list[ColdStart]) -> None:
    """One line per run and their medians."""
    table = Table("run", "Python and imports", "model", "preflight", "first tile", "all, s", title=title)
    for i, run in enumerate(runs):
        values = [getattr(run, part) for part in PARTS]
        table.add_row(str(i + 1), *(f"{v:.2f}" for v in values), f"{run.until_first_tile:.2f}")
    medians = [statistics.median(getattr(run, part) for run in runs) for part in PARTS]
    whole = statistics.median(run.until_first_tile for run in runs)
    table.add_row("median", *(f"{v:.2f}" for v in medians), f"{whole:.2f}")
    console.print(table)


def cpu_seconds(words: list[str]) -> float:
    """Processor time of a Python process with these arguments."""
    before = os.times()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def compare_with_import(model: Path, repeats: int) -> str:
    """Render 256 x 256 px to a PNG and import PyTorch, in turns. Returns a line with the median seconds of both."""
    bare, whole = [], []
    for _ in range(repeats):
        with TemporaryDirectory() as folder:
            window = ["--w", "256", "--h", "256", "--threads", "1", "--quiet", "-o", f"{folder}/tile.png"]
            bare.append(cpu_seconds(["-c", "import torch"]))
            whole.append(cpu_seconds(["-m", "infgen", "render", "--model", str(model), *window]))
    first, second = statistics.median(bare), statistics.median(whole)
    return (
        f"infgen render, 256 px: {second:.2f} s of a processor; import torch: {first:.2f} s; {second / first:.2f} times"
    )


@click.command()
@click.option("--model", help="Model file. [default: the shipped model]")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Random weights of this size instead.")
@click.option("--side", default=8192, show_default=True)
@click.option("--tile", type=int, help="Tile size in px, instead of the planner's choice.")
@click.option("--precision", type=click.Choice(list(DTYPES)), default="fp32", show_default=True)
@click.option("--threads", type=int)
@click.option("--repeats", default=5, show_default=True)
def main(
    model: str | None,
    preset: str | None,
    side: int,
    tile: int | None,
    precision: Precision,
    threads: int | None,
    repeats: int,
) -> None:
    """Measure; see the module's docstring."""
    if threads is not None:
        torch.set_num_threads(threads)  # for the line about the machine; the processes set it on their own
    region, options = Region(0, -(side // 2), side, side), Options(tile_px=tile, precision=precision, threads=threads)
    with model_file(model=model, preset_name=preset) as path:
        runs = [
            measure_cold_start(World(seed=0), region, model=path, options=options, only_first_tile=True)
            for _ in range(repeats)
        ]
        show(f"{path.name}, {precision}, {side} x {side} px", runs)
        console.print(compare_with_import(path, repeats))
    console.print(machine())


if __name__ == "__main__":
    main()
