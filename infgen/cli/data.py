"""``infgen data``: check photographs before training, pack them into shards, and cut maps into tiles."""

from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infgen.cli.answer import json_option, print_answer
from infgen.cli.command import Group
from infgen.cli.options import quiet_option
from infgen.cli.progress import progress
from infgen.errors import InfgenError
from infgen.train.data.check import CheckedData, DataReport, check_data
from infgen.train.data.contact_sheet import check_sheet, write_sheet
from infgen.train.data.map_tiles import Tiling, cut_tiles
from infgen.train.data.pack import EXTENSIONS, Format, pack
from infgen.train.presets import RECIPES, find_recipe

DEFAULT_PRESET = "scenery-101-small"


@click.group("data", cls=Group)
def command() -> None:
    """Check photographs before training, pack them into shards, or cut a map into tiles.

    DATA is a folder of photographs, a zip file, tar shards, or a URL such as s3://bucket/photos. Name one shard, a folder
    of them, or shards/{0000..0009}.tar.
    """


@command.command(
    "check",
    examples=[
        ("Counts, sizes and near-duplicates", "data check photos/"),
        ("A contact sheet, and the report as JSON", "data check photos/ --sheet sheet.png --json"),
    ],
)
@click.argument("data")
@click.option("--size", type=click.IntRange(16, 8192), help="Short side in px that training needs.")
@click.option(
    "--preset", type=click.Choice(list(RECIPES)), help=f"Check for the size that this preset needs. [{DEFAULT_PRESET}]"
)
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet: .png, .jpg or .webp.")
@json_option
@quiet_option
def check_command(
    data: str, size: int | None, preset: str | None, sheet: Path | None, as_json: bool, quiet: bool
) -> None:
    """Report the counts, sizes, unusable files, near-duplicates and grey pictures in DATA."""
    if size is not None and preset is not None:
        raise click.UsageError("--size and --preset both set the size that photographs need; give one of them")
    chosen_recipe = find_recipe(preset or DEFAULT_PRESET)
    if sheet is not None:
        check_sheet(sheet, data)
    with progress("reading photographs", unit="photographs", quiet=quiet) as advance:
        checked = check_data(
            data,
            view_px=size or chosen_recipe.view_px,
            pre_resize_px=chosen_recipe.pre_resize if size is None else None,
            progress=advance,
        )
    if as_json:
        print_answer(result=checked.report.to_dict(), error=_find_error(checked))
    else:
        print_report(checked.report)
    checked.require_usable()
    if sheet is not None:
        count = write_sheet(checked.usable, sheet, least_px=checked.report.least_px)
        click.echo(f"{sheet}: {count} of {len(checked.usable)} photographs", err=as_json)


def _find_error(checked: CheckedData) -> InfgenError | None:
    try:
        checked.require_usable()
    except InfgenError as error:
        return error
    return None


@command.command("pack", examples=[("Shards of 256 px", "data pack photos/ --size 256 -o shards")])
@click.argument("data")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="New folder for the shards.")
@click.option(
    "--size",
    type=click.IntRange(16, 8192),
    required=True,
    help="Resize to this short side in px. Smaller photographs are skipped.",
)
@click.option(
    "--format",
    "image_format",
    type=click.Choice(list(EXTENSIONS)),
    default="jpeg",
    show_default=True,
    help="Format of the packed photographs.",
)
@click.option(
    "--quality", type=click.IntRange(1, 100), default=92, show_default=True, help="Compression quality, 1 to 100."
)
@click.option("--shard-mb", type=click.IntRange(1, 65_536), default=256, show_default=True, help="Shard size in MiB.")
@quiet_option
def pack_command(
    data: str, output: Path, size: int, image_format: str, quality: int, shard_mb: int, quiet: bool
) -> None:
    """Pack the photographs of DATA into WebDataset tar shards of training size.

    The same photographs give the same bytes.
    """
    with progress("packing", unit="photographs", quiet=quiet) as advance:
        packed = pack(
            data,
            output,
            size_px=size,
            image_format=cast(Format, image_format),
            quality=quality,
            shard_mb=shard_mb,
            progress=advance,
        )
    for skip in packed.skipped:
        click.echo(f"skipped {skip.name}: {skip.reason}", err=True)
    shards = "1 shard" if packed.shards == 1 else f"{packed.shards} shards"
    click.echo(f"{packed.pattern}: {packed.photos} photographs in {shards}, {len(packed.skipped)} skipped")


@command.command(
    "tiles",
    examples=[("A map of the world", "data tiles map.tif --size 512 --wrap -o tiles")],
    renamed={"--step": "--stride"},
)
@click.argument("map_file", metavar="MAP", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="New folder for the tiles.")
@click.option("--size", type=click.IntRange(16, 8192), required=True, help="Side of a tile in px.")
@click.option(
    "--stride",
    "step",
    type=click.IntRange(min=1),
    help="Distance of neighbouring tiles in px. [default: half of --size]",
)
@click.option("--rows", type=(int, int), metavar="TOP BOTTOM", help="Use only these rows of the map.")
@click.option("--wrap", is_flag=True, help="Let tiles cross the left and right edges, which meet on a world map.")
@click.option(
    "--balance",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Keep at most this share of tiles of open sea.",
)
@quiet_option
def tiles_command(
    map_file: Path,
    output: Path,
    size: int,
    step: int | None,
    rows: tuple[int, int] | None,
    wrap: bool,
    balance: float,
    quiet: bool,
) -> None:
    """Cut a large MAP into overlapping tiles, to train a model of lands seen from above.

    MAP is a picture of any size: JPEG, PNG, TIFF or GeoTIFF. Tiles that are transparent in part are left out.
    """
    tiling = Tiling(size=size, step=step or max(1, size // 2), rows=rows, wraps=wrap, balance=balance)
    with progress("cutting tiles", unit="tiles", quiet=quiet) as advance:
        result = cut_tiles(map_file, output, tiling, progress=advance)
    click.echo(
        f"{output}: {result.written} tiles; left out: {result.sea} of open sea, {result.transparent} transparent"
    )


def print_report(report: DataReport) -> None:
    """Print the report as a table on a terminal and as plain lines elsewhere, followed by the files with problems."""
    console = Console()
    if console.is_terminal:
        table = Table(title=escape(report.data), show_header=False)
        for title, value in report.rows():
            table.add_row(title, value)
        console.print(table)
    else:
        for title, value in report.rows():
            click.echo(f"{title}: {value}")
    for skip in report.skipped:
        click.echo(f"skipped {skip.name}: {skip.reason}")
    for note in report.notes:
        click.echo(f"note {note.name} {note.reason}")
    for name in report.grey:
        click.echo(f"grey {name}")
    for pair in report.copies:
        click.echo(f"near-duplicates {pair.first} and {pair.second} ({pair.bits} of 256 bits differ)")
    if len(report.copies) < report.copies_found:
        click.echo(f"and {report.copies_found - len(report.copies)} more pairs of near-duplicates")
