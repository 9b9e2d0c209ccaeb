"""ONNX Runtime against eager PyTorch: the same tile, the same batch, in turn, in one process.

    python -m benchmarks.engines                                     # shipped model, one style
    python -m benchmarks.engines --styles 4 --tiles 229,485 --batches 1

Prints seconds of one batch and the ratio (above 1: PyTorch is faster), and how far the pixels are apart.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from rich.table import Table

from benchmarks.render import console, machine
from infgen.bench.configurations import model_file, ring_world
from infgen.bench.timing import Ratio, lockstep
from infgen.engines import EagerEngine, Engine, OnnxEngine
from infgen.engines.tile_file import PRECISIONS, Precision
from infgen.export.onnx import export_onnx
from infgen.geometry import Region, tile_px
from infgen.model.checkpoint import file_hash
from infgen.model.generator import Generator
from infgen.rendering.palette import world_palette
from infgen.rendering.plan import make_plan, tile_option_cells
from infgen.rendering.render import Scene, batch_inputs


def numbers(text: str) -> list[int]:
    """Whole numbers between commas."""
    return [int(part) for part in text.split(",")]


def export(
    model: Path, generator: Generator, folder: Path, cells: int, styles: int, precision: Precision
) -> OnnxEngine:
    """Export an engine for tiles of so many cells."""
    path = folder / f"{cells}.onnx"
    export_onnx(
        generator, path, model_sha256=file_hash(model), cells=(cells, cells), styles=styles, precision=precision
    )
    return OnnxEngine(path, threads=torch.get_num_threads())


@torch.inference_mode()
def compare(
    generator: Generator, onnx: OnnxEngine, *, batch: int, styles: int, seconds: float
) -> tuple[float, float, Ratio, float]:
    """(seconds of eager, seconds of ONNX Runtime, their ratio, largest difference in steps of 255).

    ``seconds``: how long to measure, at least two rounds.
    """
    assert onnx.fixed_cells is not None
    side = tile_px(onnx.fixed_cells[0], levels=generator.config.levels) - generator.config.cell_px - 4
    plan = make_plan(
        Region(0, 0, side * batch, side), generator.config, memory=2**40, fixed_cells=onnx.fixed_cells, batch=batch
    )
    world = ring_world(plan, styles)
    scene = Scene(world, world_palette(world, generator), EagerEngine(generator))
    inputs = batch_inputs(scene, plan, plan.batch_tiles(0))
    engines: list[Engine] = [scene.engine, onnx]
    pictures = [engine.render_float(inputs) for engine in engines]
    works = [lambda engine=engine: engine.render_float(inputs) for engine in engines]
    first = lockstep(works, rounds=1)
    rounds = max(2, round(seconds / sum(turns[0].seconds for turns in first)))
    eager, other = ([turn.seconds for turn in turns] for turns in lockstep(works, rounds=rounds))
    apart = float((pictures[0] - pictures[1]).abs().max()) * 127.5
    return sum(eager) / len(eager), sum(other) / len(other), Ratio.of(other, eager), apart


def rows(
    model: Path, tiles: list[int], batches: list[int], styles: int, precision: Precision, seconds: float
) -> Iterator[tuple[str, ...]]:
    """One for each tile and batch."""
    generator = Generator.from_pretrained(model)
    for tile in tiles:
        cells = tile_option_cells(tile, levels=generator.config.levels)
        with TemporaryDirectory() as folder:
            onnx = export(model, generator, Path(folder), cells, styles, precision)
            for batch in batches:
                eager, other, ratio, apart = compare(generator, onnx, batch=batch, styles=styles, seconds=seconds)
                values = (f"{eager:.4f}", f"{other:.4f}", f"{ratio.median:.2f}", f"{ratio.mean:.2f}", f"{apart:.4f}")
                yield (f"{tile} px", str(batch), *values)


@click.command()
@click.option("--model", help="Model file. [default: the shipped model]")
@click.option("--preset", help="Random weights of this size instead.")
@click.option("--tiles", default="101,229,485,997", show_default=True)
@click.option("--batches", default="1,4,8", show_default=True)
@click.option("--styles", default=1, show_default=True)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True, help="Of the ONNX file.")
@click.option("--threads", type=int)
@click.option("--seconds", default=6.0, show_default=True, help="Measure each combination for so long.")
def main(
    model: str | None,
    preset: str | None,
    tiles: str,
    batches: str,
    styles: int,
    precision: Precision,
    threads: int | None,
    seconds: float,
) -> None:
    """Measure; see the module's docstring."""
    if threads is not None:
        torch.set_num_threads(threads)
    table = Table("tile", "batch", "PyTorch s", "ONNX Runtime s", "ratio", "of means", "apart")
    with model_file(model=model, preset_name=preset) as path:
        for row in rows(path, numbers(tiles), numbers(batches), styles, precision, seconds):
            console.print(*row)
            table.add_row(*row)
        console.print(f"{path.name}, {styles} styles, {precision} in ONNX Runtime, fp32 in PyTorch; {machine()}")
    console.print(table)


if __name__ == "__main__":
    main()
