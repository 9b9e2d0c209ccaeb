"""``infgen data``: photographs checked before training, and packed into shards."""

import json
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infgen.cli.progress import progress
from infgen.train.data.check import Report, check
from infgen.train.data.contact_sheet import check_sheet, write_sheet
from infgen.train.data.pack import ENDINGS, Format, pack
from infgen.train.presets import RECIPES, recipe

DEFAULT_PRESET = "scenery-101-small"


@click.group("data", no_args_is_help=False)
def command() -> None:
    """Photographs: check them before training, pack them into shards.

    DATA is a folder of photographs, a zip file, tar shards (one, a folder of them, or shards/{0000..0009}.tar), or an
    address such as s3://bucket/photos.
    """


@command.command("check")
@click.argument("data")
@click.option("--size", type=click.IntRange(16, 8192), help="Short side in px that training needs.")
@click.option("--preset", type=click.Choice(list(RECIPES)), help=f"... as this preset has it. [{DEFAULT_PRESET}]")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet: .png, .jpg or .webp.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option("--quiet", is_flag=True, help="No progress.")
def check_command(
    data: str, size: int | None, preset: str | None, sheet: Path | None, as_json: bool, quiet: bool
) -> None:
    """Say what DATA holds: counts, sizes, what is unreadable or too small, near-duplicates, grey pictures."""
    if size is not None and preset is not None:
        raise click.UsageError("--size and --preset both say how large photographs must be; give one of them")
    made_for = recipe(preset or DEFAULT_PRESET)
    if sheet is not None:
        check_sheet(sheet, data)
    with progress("reading photographs", unit="photographs", quiet=quiet) as reading:
        checked = check(
            data,
            view_px=size or made_for.view_px,
            pre_resize_px=made_for.pre_resize if size is None else None,
            progress=reading,
        )
    if as_json:
        click.echo(json.dumps(checked.report.to_dict(), indent=2))
    else:
        show(checked.report)
    checked.require_usable()
    if sheet is not None:
        shown = write_sheet(checked.usable, sheet, least_px=checked.report.least_px)
        click.echo(f"{sheet}: {shown} of {len(checked.usable)} photographs", err=as_json)


@command.command("pack")
@click.argument("data")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="New folder for the shards.")
@click.option("--size", type=click.IntRange(16, 8192), required=True, help="Short side in px; nothing is enlarged.")
@click.option("--format", "image_format", type=click.Choice(list(ENDINGS)), default="jpeg", show_default=True)
@click.option("--quality", type=click.IntRange(1, 100), default=92, show_default=True)
@click.option("--shard-mb", type=click.IntRange(1, 65_536), default=256, show_default=True, help="MiB of one shard.")
@click.option("--quiet", is_flag=True, help="No progress.")
def pack_command(
    data: str, output: Path, size: int, image_format: str, quality: int, shard_mb: int, quiet: bool
) -> None:
    """Write the photographs of DATA as WebDataset tar shards of training size. The same photographs give the same bytes."""
    with progress("packing", unit="photographs", quiet=quiet) as packing:
        packed = pack(
            data,
            output,
            size_px=size,
            image_format=cast(Format, image_format),
            quality=quality,
            shard_mb=shard_mb,
            progress=packing,
        )
    for skip in packed.skipped:
        click.echo(f"skipped {skip.name}: {skip.reason}", err=True)
    shards = "1 shard" if packed.shards == 1 else f"{packed.shards} shards"
    click.echo(f"{packed.pattern}: {packed.photos} photographs in {shards}, {len(packed.skipped)} skipped")


def show(report: Report) -> None:
    """The report for people: a table on a terminal, plain lines elsewhere; then names with what is wrong."""
    console = Console()
    if console.is_terminal:
        table = Table(title=escape(report.data), show_header=False)
        for what, value in report.rows():
            table.add_row(what, value)
        console.print(table)
    else:
        for what, value in report.rows():
            click.echo(f"{what}: {value}")
    for skip in report.skipped:
        click.echo(f"skipped {skip.name}: {skip.reason}")
    for name in report.grey:
        click.echo(f"grey {name}")
    for pair in report.copies:
        click.echo(f"near-duplicates {pair.first} and {pair.second} ({pair.bits} of 256 bits differ)")
    if len(report.copies) < report.copies_found:
        click.echo(f"and {report.copies_found - len(report.copies)} more pairs of near-duplicates")
