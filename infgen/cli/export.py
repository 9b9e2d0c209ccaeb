"""``infgen export``: model file -> file for another runtime."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from infgen.engines.tile_file import DEFAULT_BATCH, MAX_STYLES, PRECISIONS, Precision, TileFile
from infgen.errors import InputError
from infgen.geometry import cells_covering
from infgen.model.checkpoint import SHIPPED, file_hash, load, resolve
from infgen.model.config import SCALE_NAMES, parse_scale
from infgen.rendering.plan import MIN_TILE_CELLS, tile_option_cells

DEFAULT_TILE_PX = 485  # or the next smaller size of the model
TILES = ("onnx", "trt", "triton")  # kinds that draw tiles of one size
# Options that not every kind has, with those that do.
ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "tile": TILES,
    "styles": TILES,
    "precision": TILES,
    "scale": TILES,
    "batch": ("trt", "triton"),
    "workspace": ("trt",),
    "plan": ("triton",),
}


@dataclass(frozen=True)
class Order:
    """What to write and where; ``tell`` says what happens."""

    model: str | None
    source: Path
    output: Path
    tile: int | None
    styles: int
    precision: Precision
    halvings: int
    batch: int
    workspace: int | None
    plan: bool
    tell: Callable[[str], None]

    def tiles(self) -> dict[str, Any]:
        """Model and window, as all exports of tiles take them."""
        generator = load(self.source).coarser(self.halvings)
        levels = generator.config.levels
        cells = default_tile_cells(levels) if self.tile is None else tile_option_cells(self.tile, levels=levels)
        return {
            "generator": generator,
            "model_sha256": file_hash(self.source),
            "cells": (cells, cells),
            "styles": self.styles,
            "precision": self.precision,
        }


@click.command("export")
@click.argument("model", required=False)
@click.option("--onnx", "kind", flag_value="onnx", help="An ONNX file, for ONNX Runtime and all that reads its files.")
@click.option("--trt", "kind", flag_value="trt", help="A TensorRT engine, for NVIDIA GPUs.")
@click.option(
    "--triton", "kind", flag_value="triton", help="A model in a repository folder of Triton Inference Server."
)
@click.option("--torchserve", "kind", flag_value="torchserve", help="A TorchServe archive (.mar); legacy.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write, or folder.")
@click.option("--tile", type=int, help=f"Side of the tiles that it draws, px. [default: about {DEFAULT_TILE_PX}]")
@click.option(
    "--styles",
    type=click.IntRange(1, MAX_STYLES),
    help="How many styles of a layout can meet in one tile. [default: 1]",
)
@click.option("--precision", type=click.Choice(PRECISIONS), help="[default: fp32]")
@click.option(
    "--scale", type=click.Choice(SCALE_NAMES[:4]), help="Share of the full size that the file draws. [default: 1]"
)
@click.option("--batch", type=int, help=f"Tiles at once at most (--trt, --triton). [default: {DEFAULT_BATCH}]")
@click.option("--workspace", type=int, help="Most memory of a layer, MiB (--trt). [default: TensorRT's choice]")
@click.option("--plan", is_flag=True, help="A TensorRT engine for the GPU here in place of an ONNX file (--triton).")
@click.option("--quiet", is_flag=True, help="Only the name of the file.")
def command(
    model: str | None,
    kind: str | None,
    output: Path,
    tile: int | None,
    styles: int | None,
    precision: Precision | None,
    scale: str | None,
    batch: int | None,
    workspace: int | None,
    plan: bool,
    quiet: bool,
) -> None:
    """Write MODEL for another runtime: a model file or Hugging Face hub id, by default the shipped model.

    ONNX files, TensorRT engines and models for Triton draw tiles of one size; a TorchServe archive draws windows of any size.
    """
    given = {"tile": tile, "styles": styles, "precision": precision, "scale": scale}
    given |= {"batch": batch, "workspace": workspace}
    kind = _checked(kind, {name for name, value in given.items() if value is not None} | ({"plan"} if plan else set()))
    order = Order(
        model=model,
        source=SHIPPED if model is None else resolve(model),
        output=output,
        tile=tile,
        styles=styles or 1,
        precision=precision or "fp32",
        halvings=parse_scale(scale or "1"),
        batch=DEFAULT_BATCH if batch is None else batch,
        workspace=workspace,
        plan=plan,
        tell=(lambda line: None) if quiet else partial(click.echo, err=True),
    )
    click.echo(WRITERS[kind](order))


def _checked(kind: str | None, given: set[str]) -> str:
    """The kind. Raises InputError where there is none, or where one of the options ``given`` is not for it."""
    if kind is None:
        raise InputError(f"no kind of file was chosen; give one of {_flags(tuple(WRITERS))}")
    for name, kinds in ONLY_FOR.items():
        if name in given and kind not in kinds:
            raise InputError(f"--{name} is for {_flags(kinds)}; leave it out")
    return kind


def _flags(kinds: tuple[str, ...]) -> str:
    return " and ".join(", ".join(f"--{kind}" for kind in kinds).rsplit(", ", 1))


def _onnx(order: Order) -> Path:
    from infgen.export.onnx import export_onnx

    file = export_onnx(path=order.output, **order.tiles())
    order.tell(describe(file, order.output))
    return order.output


def _trt(order: Order) -> Path:
    from infgen.export.tensorrt import export_tensorrt

    engine = export_tensorrt(
        path=order.output, batch=order.batch, workspace_mb=order.workspace, report=order.tell, **order.tiles()
    )
    order.tell(engine.describe())
    order.tell(describe(engine.record.tile, order.output))
    return order.output


def _triton(order: Order) -> Path:
    from infgen.export.triton_repository import export_triton, model_name

    name = model_name(str(order.model or SHIPPED), halvings=order.halvings)
    file = export_triton(repository=order.output, name=name, batch=order.batch, plan=order.plan, **order.tiles())
    written = next((order.output / name / "1").iterdir())
    order.tell(describe(file, written))
    return written


def _torchserve(order: Order) -> Path:
    from infgen.export.torchserve import export_torchserve

    name = export_torchserve(order.source, order.output)
    order.tell(f"model {name!r} for TorchServe, {order.output.stat().st_size / 2**20:.1f} MiB")
    return order.output


WRITERS: Mapping[str, Callable[[Order], Path]] = {
    "onnx": _onnx,
    "trt": _trt,
    "triton": _triton,
    "torchserve": _torchserve,
}


def default_tile_cells(levels: int) -> int:
    """Cells of the largest legal tile of at most ``DEFAULT_TILE_PX`` px, or of the smallest one."""
    return max(MIN_TILE_CELLS, cells_covering(DEFAULT_TILE_PX + 1, levels=levels) - 1)


def describe(file: TileFile, path: Path) -> str:
    """What was written, in one line."""
    height, width = file.tile_px
    looks = "one style" if file.styles == 1 else f"up to {file.styles} styles in a tile"
    return f"tiles of {height} x {width} px, {looks}, {file.precision}, {path.stat().st_size / 2**20:.1f} MiB"
