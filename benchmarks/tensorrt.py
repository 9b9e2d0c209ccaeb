"""TensorRT engines of a model: how large they are and how long building takes; on a GPU also against eager PyTorch.

    python -m benchmarks.tensorrt                                        # shipped model, fp32 and fp16, one style and four
    python -m benchmarks.tensorrt --tiles 229,485 --precisions fp16 --styles 1 --batch 8

Builds need no GPU with TensorRT-RTX. Seconds of building are those of the TensorRT part: reading the network, building, writing.
On a GPU: seconds of one batch, PyTorch in fp32 (without TF32, as engines) over the engine, and how far pixels are apart.
"""

import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch
from rich.table import Table

from benchmarks.engines import compare, numbers
from benchmarks.render import console, machine
from infgen.bench.configurations import model_file
from infgen.engines.tensorrt import TensorRTEngine
from infgen.engines.tile_file import DEFAULT_BATCH
from infgen.export.tensorrt import export_tensorrt
from infgen.limits import MIB
from infgen.model.checkpoint import file_hash
from infgen.model.generator import Generator
from infgen.rendering.plan import tile_option_cells


def rows(
    model: Path, tiles: list[int], precisions: list[str], styles: list[int], batch: int
) -> Iterator[tuple[str, ...]]:
    """One for each engine."""
    for tile, precision, count in product(tiles, precisions, styles):
        with TemporaryDirectory() as folder:
            path = Path(folder) / "tiles.engine"
            built = build(path, model, tile=tile, precision=precision, styles=count, batch=batch)
            yield (f"{tile} px", precision, str(count), *built, *beside_pytorch(path, model, batch, count))


def build(path: Path, model: Path, *, tile: int, **what: Any) -> tuple[str, ...]:
    """(MiB, layers, seconds of building, seconds with the export to ONNX)."""
    generator = Generator.from_pretrained(model)
    cells = tile_option_cells(tile, levels=generator.config.levels)
    start = time.perf_counter()
    done = export_tensorrt(generator, path, model_sha256=file_hash(model), cells=(cells, cells), **what)
    whole = time.perf_counter() - start
    assert done.stats is not None
    return f"{path.stat().st_size / MIB:.1f}", str(done.stats.layers), f"{done.stats.seconds:.1f}", f"{whole:.1f}"


def beside_pytorch(path: Path, model: Path, batch: int, styles: int) -> tuple[str, ...]:
    """(seconds of PyTorch, seconds of the engine, ratio, steps of 255 apart), empty without a GPU."""
    if not torch.cuda.is_available():
        return ()
    engine = TensorRTEngine(path)
    eager, other, ratio, apart = compare(
        Generator.from_pretrained(model).to(engine.device), engine, batch=batch, styles=styles
    )
    return f"{eager:.4f}", f"{other:.4f}", f"{ratio.median:.2f}", f"{apart:.3f}"


@click.command()
@click.option("--model", help="Model file. [default: the shipped model]")
@click.option("--preset", help="Random weights of this size instead.")
@click.option("--tiles", default="485", show_default=True)
@click.option("--precisions", default="fp32,fp16", show_default=True)
@click.option("--styles", default="1,4", show_default=True)
@click.option("--batch", default=DEFAULT_BATCH, show_default=True)
def main(model: str | None, preset: str | None, tiles: str, precisions: str, styles: str, batch: int) -> None:
    """Measure; see the module's docstring."""
    torch.backends.cudnn.allow_tf32 = False
    names = ["tile", "precision", "styles", "MiB", "layers", "build s", "with export s"]
    if torch.cuda.is_available():
        names += ["PyTorch s", "engine s", "ratio", "apart"]
    table = Table(*names)
    with model_file(model=model, preset_name=preset) as path:
        for row in rows(path, numbers(tiles), precisions.split(","), numbers(styles), batch):
            console.print(*row)
            table.add_row(*row)
        console.print(f"{path.name}, batches of 1 to {batch}; {machine()}")
    console.print(table)


if __name__ == "__main__":
    main()
