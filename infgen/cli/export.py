"""``infgen export``: model file -> file for another runtime."""

from pathlib import Path

import click

from infgen.engines.tile_file import MAX_STYLES, PRECISIONS, Precision, TileFile
from infgen.errors import InputError
from infgen.model.checkpoint import SHIPPED, file_hash, load, resolve
from infgen.rendering.plan import MIN_TILE_CELLS, tile_option_cells
from infgen.world.geometry import cells_covering

DEFAULT_TILE_PX = 485  # or the next smaller size of the model


@click.command("export")
@click.argument("model", required=False)
@click.option("--onnx", "kind", flag_value="onnx", help="An ONNX file, for ONNX Runtime and all that reads its files.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--tile", type=int, help=f"Side of the tiles that it draws, px. [default: about {DEFAULT_TILE_PX}]")
@click.option(
    "--styles",
    type=click.IntRange(1, MAX_STYLES),
    default=1,
    show_default=True,
    help="How many styles of a layout can meet in one batch of tiles.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--quiet", is_flag=True, help="Only the name of the file.")
def command(
    model: str | None,
    kind: str | None,
    output: Path,
    tile: int | None,
    styles: int,
    precision: Precision,
    quiet: bool,
) -> None:
    """Write MODEL for another runtime: a model file or Hugging Face hub id, by default the shipped model.

    The file draws tiles of one size.
    """
    if kind is None:
        raise InputError("no kind of file was chosen; give --onnx")
    source = SHIPPED if model is None else resolve(model)
    generator = load(source)
    levels = generator.config.levels
    cells = default_tile_cells(levels) if tile is None else tile_option_cells(tile, levels=levels)
    from infgen.export.onnx import export_onnx

    file = export_onnx(
        generator, output, model_sha256=file_hash(source), cells=(cells, cells), styles=styles, precision=precision
    )
    if not quiet:
        click.echo(describe(file, output), err=True)
    click.echo(output)


def default_tile_cells(levels: int) -> int:
    """Cells of the largest legal tile of at most ``DEFAULT_TILE_PX`` px, or of the smallest one."""
    return max(MIN_TILE_CELLS, cells_covering(DEFAULT_TILE_PX + 1, levels=levels) - 1)


def describe(file: TileFile, path: Path) -> str:
    """What was written, in one line."""
    height, width = file.tile_px
    looks = "one style" if file.styles == 1 else f"up to {file.styles} styles in a batch"
    return f"tiles of {height} x {width} px, {looks}, {file.precision}, {path.stat().st_size / 2**20:.1f} MiB"
