"""``infgen export``: export a model for another runtime."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import click

from infgen.cli.command import Command
from infgen.cli.default_output import default_path
from infgen.cli.options import MODEL_VARIABLE, MODELS_HELP
from infgen.engines.tile_file import DEFAULT_BATCH, MAX_STYLES, PRECISIONS, Precision, TileFile
from infgen.errors import InputError
from infgen.inputs import check_outputs
from infgen.model.checkpoint import file_hash, resolve
from infgen.model.config import SCALE_NAMES, parse_scale
from infgen.model.generator import Generator
from infgen.rendering.engine_files import (
    DEFAULT_TILE_PX,
    SUFFIXES,
    default_stem,
    default_tile_cells,
    remember_export,
)
from infgen.rendering.output_names import source_stem
from infgen.rendering.plan import tile_option_cells

TILES = ("onnx", "trt", "triton")  # kinds that render tiles of one size
# Options that only some kinds have: name -> kinds.
ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "tile": TILES,
    "max-styles": TILES,
    "precision": TILES,
    "scale": TILES,
    "batch": ("trt", "triton"),
    "workspace": ("trt",),
    "plan": ("triton",),
    "ort": ("web",),
    "output": (*TILES, "torchserve"),
}


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """The export to write. ``report`` prints what happens."""

    model: str | None
    source: Path
    output: Path | None
    tile: int | None
    styles: int
    precision: Precision
    halvings: int
    batch: int
    workspace: int | None
    plan: bool
    web: Path | None
    ort: Path | None
    report: Callable[[str], None]

    def tiles(self) -> dict[str, Any]:
        """Return the arguments of every export of tiles: model, window, styles, precision."""
        generator, cells = self.network
        return {
            "generator": generator,
            "model_sha256": file_hash(self.source),
            "cells": (cells, cells),
            "styles": self.styles,
            "precision": self.precision,
        }

    @cached_property
    def network(self) -> tuple[Generator, int]:
        """The model at its scale, and the cells of a side of its tiles."""
        generator = Generator.from_pretrained(self.source).coarser(self.halvings)
        levels = generator.config.levels
        cells = default_tile_cells(levels) if self.tile is None else tile_option_cells(self.tile, levels=levels)
        return generator, cells

    def path(self, suffix: str) -> Path:
        """Return the file of tiles to write. Without -o it is named after its content."""
        if self.output is not None:
            return self.output
        generator, cells = self.network
        stem = default_stem(
            self.source,
            levels=generator.config.levels,
            cells=cells,
            styles=self.styles,
            precision=self.precision,
            halvings=self.halvings,
        )
        return default_path(stem, suffix)


@click.command(
    "export",
    cls=Command,
    examples=[
        ("The shipped model for ONNX Runtime", "export --onnx"),
        ("A page that renders in the browser", "export --web site"),
        ("Your model for an NVIDIA GPU", "export runs/mine/model.safetensors --trt -o mine.engine"),
    ],
    renamed={"--styles": "--max-styles"},
    epilog=f"Models: {MODELS_HELP}.",
)
@click.argument("model", required=False, envvar=MODEL_VARIABLE)
@click.option("--onnx", "kind", flag_value="onnx", help="Write an ONNX file, for ONNX Runtime and others.")
@click.option("--trt", "kind", flag_value="trt", help="Write a TensorRT engine, for NVIDIA GPUs.")
@click.option(
    "--triton", "kind", flag_value="triton", help="Write a model into a repository folder of Triton Inference Server."
)
@click.option("--torchserve", "kind", flag_value="torchserve", help="Write a TorchServe archive (.mar); legacy.")
@click.option(
    "--web",
    type=click.Path(path_type=Path),
    help="Write the canvas as a folder of static files that renders in the browser, without a server.",
)
@click.option("--model", "named", help="Same as MODEL.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File or folder to write. [default: named after the content]",
)
@click.option("--tile", type=int, help=f"Side of a tile in px. [default: about {DEFAULT_TILE_PX}]")
@click.option(
    "--max-styles",
    "styles",
    type=click.IntRange(1, MAX_STYLES),
    help="Largest number of styles in one tile. [default: 1]",
)
@click.option(
    "--precision", type=click.Choice(PRECISIONS), help="Precision of weights and activations. [default: fp32]"
)
@click.option("--scale", type=click.Choice(SCALE_NAMES[:4]), help="Render at this share of the size. [default: 1]")
@click.option("--batch", type=int, help=f"Largest batch of tiles (--trt, --triton). [default: {DEFAULT_BATCH}]")
@click.option("--workspace", type=int, help="Memory limit of a layer in MiB (--trt). [default: TensorRT's choice]")
@click.option(
    "--plan", is_flag=True, help="Build a TensorRT engine for this machine's GPU instead of an ONNX file (--triton)."
)
@click.option(
    "--ort",
    type=click.Path(path_type=Path),
    help="Folder of the npm package onnxruntime-web (--web). [default: node_modules/onnxruntime-web]",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only the name of the file.")
def command(
    model: str | None,
    kind: str | None,
    web: Path | None,
    named: str | None,
    output: Path | None,
    tile: int | None,
    styles: int | None,
    precision: Precision | None,
    scale: str | None,
    batch: int | None,
    workspace: int | None,
    plan: bool,
    ort: Path | None,
    quiet: bool,
) -> None:
    """Export MODEL for another runtime. MODEL is the name of a shipped model, a model file or a
    Hugging Face hub id, by default scenery.

    ONNX files, TensorRT engines and models for Triton render tiles of one size. A TorchServe archive renders windows of
    any size. A page for the browser renders whatever people look at.
    """
    given: dict[str, object] = {"tile": tile, "max-styles": styles, "precision": precision, "scale": scale}
    given |= {"batch": batch, "workspace": workspace, "ort": ort, "output": output, "plan": plan or None}
    kind = _check_kind(_one_kind(kind, web), {name for name, value in given.items() if value is not None})
    model = _one_model(model, named)
    request = ExportRequest(
        model=model,
        source=resolve(model),
        output=output,
        tile=tile,
        styles=styles or 1,
        precision=precision or "fp32",
        halvings=parse_scale(scale or "1"),
        batch=DEFAULT_BATCH if batch is None else batch,
        workspace=workspace,
        plan=plan,
        web=web,
        ort=ort,
        report=(lambda line: None) if quiet else partial(click.echo, err=True),
    )
    check_outputs([output], [("model file", request.source)])
    click.echo(WRITERS[kind](request))


def _one_kind(kind: str | None, web: Path | None) -> str | None:
    """Return the kind. Raises InputError for --web next to another kind."""
    if web is None:
        return kind
    if kind is not None:
        raise InputError(f"--web and --{kind} were both given; give one of them")
    return "web"


def _one_model(model: str | None, named: str | None) -> str | None:
    """Return the model of either name. Raises InputError for two different ones; the environment's gives way."""
    if named is None:
        return model
    context = click.get_current_context()
    typed = context.get_parameter_source("model") is click.core.ParameterSource.COMMANDLINE
    if typed and model != named:
        raise InputError(f"MODEL {model} and --model {named} were both given; give one of them")
    return named


def _check_kind(kind: str | None, given: set[str]) -> str:
    """Return the kind. Raises InputError if it is missing, or if one of the options ``given`` does not apply to it."""
    if kind is None:
        raise InputError(f"no kind of file was chosen; give one of {_flags(tuple(WRITERS))}")
    for name, kinds in ONLY_FOR.items():
        if name in given and kind not in kinds:
            raise InputError(f"--{name} applies only to {_flags(kinds)}; omit it")
    return kind


def _flags(kinds: tuple[str, ...]) -> str:
    return " and ".join(", ".join(f"--{kind}" for kind in kinds).rsplit(", ", 1))


def _onnx(request: ExportRequest) -> Path:
    from infgen.export.onnx import export_onnx

    path = request.path(SUFFIXES["onnx"])
    file = export_onnx(path=path, **request.tiles())
    remember_export(path)
    request.report(describe(file, path))
    return path


def _trt(request: ExportRequest) -> Path:
    from infgen.export.tensorrt import export_tensorrt

    path = request.path(SUFFIXES["trt"])
    engine = export_tensorrt(
        path=path, batch=request.batch, workspace_mb=request.workspace, report=request.report, **request.tiles()
    )
    remember_export(path)
    request.report(engine.describe())
    request.report(describe(engine.record.tile, path))
    return path


def _triton(request: ExportRequest) -> Path:
    from infgen.export.triton_repository import export_triton, model_name

    name = model_name(str(request.model or request.source), halvings=request.halvings)
    folder = default_path("triton-repository") if request.output is None else request.output
    file = export_triton(repository=folder, name=name, batch=request.batch, plan=request.plan, **request.tiles())
    written = next((folder / name / "1").iterdir())
    request.report(describe(file, written))
    return written


def _torchserve(request: ExportRequest) -> Path:
    from infgen.export.torchserve import export_torchserve

    path = request.output or default_path(source_stem(request.source), ".mar")
    name = export_torchserve(request.source, path)
    request.report(f"model {name!r} for TorchServe, {path.stat().st_size / 2**20:.1f} MiB")
    return path


def _web(request: ExportRequest) -> Path:
    from infgen.export.web import export_web

    assert request.web is not None
    site = export_web(request.source, request.web, runtime=request.ort)
    request.report(site.describe())
    return request.web


WRITERS: Mapping[str, Callable[[ExportRequest], Path]] = {
    "onnx": _onnx,
    "trt": _trt,
    "triton": _triton,
    "torchserve": _torchserve,
    "web": _web,
}


def describe(file: TileFile, path: Path) -> str:
    """Describe the written file in one line."""
    height, width = file.tile_px
    styles = "one style" if file.styles == 1 else f"up to {file.styles} styles in a tile"
    return f"tiles of {height} x {width} px, {styles}, {file.precision}, {path.stat().st_size / 2**20:.1f} MiB"
