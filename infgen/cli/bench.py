"""``infgen bench``: measure how fast this machine renders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click
from rich.console import Console
from rich.table import Table

from infgen.atomic import check_output, write_atomically
from infgen.bench.batches import BatchRequest, measure_batches
from infgen.bench.configurations import MAX_STYLES, Request, model_file, open_configurations
from infgen.bench.machine import machine
from infgen.bench.render import measure_renders
from infgen.bench.report import batch_document, batch_table, document, expected_seconds, render_table, writing_table
from infgen.bench.writing import EXTENSIONS, check_writing, measure_writing
from infgen.cli.answer import json_option, print_answer
from infgen.cli.command import Command, Group
from infgen.cli.options import device_option, model_option, precision_option, quiet_option, threads_option, tile_option
from infgen.cli.progress import progress, report_lines
from infgen.engines import pick_device
from infgen.engines.eager import DTYPES, Precision
from infgen.errors import InputError
from infgen.inputs import check_outputs
from infgen.model.config import PRESETS
from infgen.rendering.engine_files import SUFFIXES, FileKind
from infgen.rendering.plan import MAX_BATCH

WIDE = 136  # characters; a narrower terminal wraps lines, but no figure is cut


def split_list(option: str, text: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Split ``text`` at commas and drop duplicates. Raises InputError for a part that is not in ``allowed``."""
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for part in parts:
        if part not in allowed:
            many = len(allowed) > 10
            choice = f"{allowed[0]} to {allowed[-1]}" if many else ", ".join(allowed)
            raise InputError(
                f"{option} {part[:40]!r} is not possible; give one or more of {choice}, separated by commas"
            )
    return parts


@click.group("bench", cls=Group)
def command() -> None:
    """Measure how fast this machine renders."""


@command.command(
    "render",
    cls=Command,
    examples=[
        ("The shipped model on this machine", "bench render"),
        ("Also ONNX Runtime, and all figures as a file", "bench render --engine onnx -o bench.json"),
    ],
    renamed={"--styles": "--style-counts", "--preset": "--random-weights"},
    files_of_json=True,
)
@model_option
@click.option(
    "--random-weights", "preset_name", type=click.Choice(list(PRESETS)), help="Use random weights of this size instead."
)
@click.option("--side", type=int, default=1024, show_default=True, help="Width and height of the picture in px.")
@click.option(
    "--style-counts", "styles", default="1,2,4", show_default=True, help="Numbers of styles that reach every tile."
)
@click.option("--precisions", default=",".join(DTYPES), show_default=True, help="Precisions of PyTorch.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Repetitions of each measurement."
)
@tile_option
@threads_option
@device_option
@click.option(
    "--engine-file", "engine_files", multiple=True, help="Also measure this file of infgen export; repeatable."
)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Choice(list(SUFFIXES)),
    help="Also measure this runtime with its default file; repeatable.",
)
@click.option("--write", "formats", default="", help="Also write files, such as png,tiff, to the temporary folder.")
@click.option("--no-memory", is_flag=True, help="Skip the new processes that measure first tile and peak memory.")
@json_option
@click.option(
    "-o", "--output", "json_file", type=click.Path(path_type=Path), help="Write all figures to this file, as JSON."
)
@quiet_option
def render(
    model: str | None,
    preset_name: str | None,
    side: int,
    styles: str,
    precisions: str,
    repeats: int,
    tile: int | None,
    threads: int | None,
    device: str | None,
    engine_files: tuple[str, ...],
    engines: tuple[FileKind, ...],
    formats: str,
    no_memory: bool,
    json_file: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Render one square in several precisions, with several styles in every tile.

    Compares the speed with plain convolutions on the same machine, measured between the tiles. Compares numbers of
    styles tile by tile. With --engine or --engine-file, all engines use the tile of the first file. docs/benchmarks.md explains
    every figure.
    """
    if json_file is not None:
        check_output(json_file)
        check_outputs([json_file], [("model file", model), *(("engine file", file) for file in engine_files)])
    with model_file(model=model, preset_name=preset_name) as path:
        request = Request(
            model=path,
            side=side,
            styles=tuple(
                int(n) for n in split_list("--style-counts", styles, [str(n) for n in range(1, MAX_STYLES + 1)])
            ),
            precisions=cast("tuple[Precision, ...]", split_list("--precisions", precisions, list(DTYPES))),
            repeats=repeats,
            tile_px=tile,
            threads=threads,
            device=device,
            write=split_list("--write", formats, list(EXTENSIONS)) if formats else (),
            fresh=not no_memory,
            engine_files=engine_files,
            engines=engines,
        )
        _measure(request, json_file, quiet=quiet, as_json=as_json)


def _measure(request: Request, json_file: Path | None, *, quiet: bool, as_json: bool) -> None:
    configurations = open_configurations(request, report=report_lines(quiet=quiet))
    check_writing(configurations, request)
    where = machine(configurations[0].scene.engine.device)
    if not quiet:
        click.echo(f"at least {expected_seconds(configurations, request):.0f} s", err=True)
    rows = measure_renders(configurations, request, phase=lambda title, unit: progress(title, unit=unit, quiet=quiet))
    written = measure_writing(
        configurations, request, phase=lambda title, unit: progress(title, unit=unit, quiet=quiet)
    )
    tables = [render_table(rows, request), *([writing_table(written)] if written else [])]
    found = document(rows, written, configurations, request=request, machine=where)
    _show(f"{request.model.name}; {where}", tables, found, json_file, as_json=as_json)


def _show(title: str, tables: Sequence[Table], found: dict[str, Any], json_file: Path | None, *, as_json: bool) -> None:
    """Print the tables, or JSON, and write the file."""
    if as_json:
        print_answer(result=found)
    else:
        console = Console(width=WIDE)
        console.print(title, highlight=False, soft_wrap=True)
        console.print(*tables, sep="\n")
    if json_file is not None:
        with write_atomically(json_file) as temporary:
            temporary.write_text(json.dumps(found, indent=2) + "\n")


@command.command(
    "batches",
    cls=Command,
    examples=[("Tables 3 and 5 of the paper", "bench batches --side 2048 --batches 1,4,16")],
    renamed={"--batch": "--batches", "--devices": "--device", "--preset": "--random-weights"},
    files_of_json=True,
)
@model_option
@click.option(
    "--random-weights", "preset_name", type=click.Choice(list(PRESETS)), help="Use random weights of this size instead."
)
@click.option("--side", type=int, default=1024, show_default=True, help="Width and height of the picture in px.")
@click.option(
    "--batches", "batch", default="1,2,4,8,16", show_default=True, help="Tiles computed together, separated by commas."
)
@click.option(
    "--device", "devices", help="Devices such as cuda:0,cuda:1: measure the first, two, four ... and all of them."
)
@click.option("--tile", type=int, help="Side of a tile in px.  [default: the training patch]")
@precision_option
@click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Repetitions of each measurement."
)
@threads_option
@json_option
@click.option(
    "-o", "--output", "json_file", type=click.Path(path_type=Path), help="Write all figures to this file, as JSON."
)
@quiet_option
def batches(
    model: str | None,
    preset_name: str | None,
    side: int,
    batch: str,
    devices: str | None,
    tile: int | None,
    precision: Precision,
    repeats: int,
    threads: int | None,
    json_file: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Render one image in training patches, with several batch sizes and numbers of devices.

    Compares them with the image in one piece, and with a generator like StyleGAN2's: zero padding and one piece. These
    are the paper's Tables 3 and 5.
    """
    if json_file is not None:
        check_output(json_file)
        check_outputs([json_file], [("model file", model)])
    allowed = [str(n) for n in range(1, MAX_BATCH + 1)]
    with model_file(model=model, preset_name=preset_name) as path:
        request = BatchRequest(
            model=path,
            side=side,
            batches=tuple(int(n) for n in split_list("--batches", batch, allowed)),
            devices=tuple(part.strip() for part in devices.split(",")) if devices else (),
            tile_px=tile,
            precision=precision,
            repeats=repeats,
            threads=threads,
        )
        rows = measure_batches(request, phase=lambda title: progress(title, unit="images", quiet=quiet))
    where = machine(pick_device(request.devices[0] if request.devices else None))
    found = batch_document(rows, request, machine=where)
    _show(f"{path.name}; {where}", [batch_table(rows, request)], found, json_file, as_json=as_json)
