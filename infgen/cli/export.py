"""``infgen export``: model file -> file for another runtime."""

from functools import partial
from pathlib import Path
from typing import Any

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
@click.option("--trt", "kind", flag_value="trt", help="A TensorRT engine, for NVIDIA GPUs.")
@click.option("--torchserve", "kind", flag_value="torchserve", help="A TorchServe archive (.mar); legacy.")
@click.option(
    "--triton", "kind", flag_value="triton", help="A model in a repository folder of Triton Inference Server."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write, or folder.")
@click.option("--tile", type=int, help=f"Side of the tiles that it draws, px. [default: about {DEFAULT_TILE_PX}]")
@click.option(
    "--styles",
    type=click.IntRange(1, MAX_STYLES),
    default=1,
    show_default=True,
    help="How many styles of a layout can meet in one tile.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--batch", type=int, help="Tiles at once at most (--trt, --triton). [default: 8]")
@click.option("--workspace", type=int, help="Most memory of a layer, MiB (--trt). [default: TensorRT's choice]")
@click.option("--plan", is_flag=True, help="A TensorRT engine for the GPU here in place of an ONNX file (--triton).")
@click.option("--quiet", is_flag=True, help="Only the name of the file.")
def command(
    model: str | None,
    kind: str | None,
    output: Path,
    tile: int | None,
    styles: int,
    precision: Precision,
    batch: int | None,
    workspace: int | None,
    plan: bool,
    quiet: bool,
) -> None:
    """Write MODEL for another runtime: a model file or Hugging Face hub id, by default the shipped model.

    ONNX files, TensorRT engines and models for Triton draw tiles of one size; a TorchServe archive draws windows of any size.
    """
    if kind is None:
        raise InputError("no kind of file was chosen; give --onnx, --trt, --torchserve or --triton")
    if plan and kind != "triton":
        raise InputError("--plan is for --triton; leave it out")
    if batch is not None and kind not in ("trt", "triton"):
        raise InputError("--batch is for --trt and --triton; leave it out")
    if workspace is not None and kind != "trt":
        raise InputError("--workspace is for --trt; leave it out")
    source = SHIPPED if model is None else resolve(model)
    if kind == "torchserve":
        refuse_tile_options(tile=tile is not None, styles=styles > 1, precision=precision != "fp32")
        from infgen.export.torchserve import export_torchserve

        name = export_torchserve(source, output)
        if not quiet:
            click.echo(f"model {name!r} for TorchServe, {output.stat().st_size / 2**20:.1f} MiB", err=True)
        click.echo(output)
        return
    generator = load(source)
    levels = generator.config.levels
    cells = default_tile_cells(levels) if tile is None else tile_option_cells(tile, levels=levels)
    what: Any = {"model_sha256": file_hash(source), "cells": (cells, cells), "styles": styles, "precision": precision}
    if kind == "triton":
        from infgen.export.triton_repository import DEFAULT_BATCH, export_triton, model_name

        name = model_name(str(model or SHIPPED))
        file = export_triton(
            generator, output, name=name, batch=DEFAULT_BATCH if batch is None else batch, plan=plan, **what
        )
        output = next((output / name / "1").iterdir())
    elif kind == "trt":
        from infgen.export import tensorrt

        tiles = tensorrt.DEFAULT_BATCH if batch is None else batch
        tell = partial(click.echo, err=True) if not quiet else lambda line: None
        engine = tensorrt.export_tensorrt(generator, output, batch=tiles, workspace_mb=workspace, report=tell, **what)
        tell(engine.describe())
        file = engine.record.tile
    else:
        from infgen.export.onnx import export_onnx

        file = export_onnx(generator, output, **what)
    if not quiet:
        click.echo(describe(file, output), err=True)
    click.echo(output)


def refuse_tile_options(**given: bool) -> None:
    """Raise InputError where an option was given that only files for tiles of one size have."""
    if name := next((name for name, is_given in given.items() if is_given), None):
        raise InputError(
            f"--{name} is for files that draw tiles of one size; a TorchServe archive has none: leave it out"
        )


def default_tile_cells(levels: int) -> int:
    """Cells of the largest legal tile of at most ``DEFAULT_TILE_PX`` px, or of the smallest one."""
    return max(MIN_TILE_CELLS, cells_covering(DEFAULT_TILE_PX + 1, levels=levels) - 1)


def describe(file: TileFile, path: Path) -> str:
    """What was written, in one line."""
    height, width = file.tile_px
    looks = "one style" if file.styles == 1 else f"up to {file.styles} styles in a tile"
    return f"tiles of {height} x {width} px, {looks}, {file.precision}, {path.stat().st_size / 2**20:.1f} MiB"
