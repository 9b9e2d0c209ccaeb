"""``infgen styles``: render a contact sheet of styles to choose from."""

from pathlib import Path

import click

from infgen.cli.options import device_option, model_option, precision_option, quiet_option, scale_option, threads_option
from infgen.cli.progress import progress
from infgen.engines.eager import Precision
from infgen.geometry import Region
from infgen.inputs import check_outputs
from infgen.model.config import parse_scale
from infgen.rendering.output_names import free_path
from infgen.rendering.sheet import Sheet, check_sheet, draw_sheet, save_sheet
from infgen.rendering.studio import Options, open_studio
from infgen.world.seeds import parse_seeds
from infgen.world.world import World

MAX_SEEDS = 1024


@click.command("styles")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Sheet to write: .png or .jpg. [default: a PNG of these seeds]",
)
@click.option("--seeds", default="0-63", show_default=True, help="Style seeds, such as 1,5,9-12 or -5--2.")
@model_option
@click.option("--world-seed", type=int, default=0, show_default=True, help="Seed of the world to render.")
@click.option("--truncation", type=float, help="1: full variety of styles, 0: the mean style. [default: 0.7]")
@click.option("--w", "w", type=int, default=256, show_default=True, help="Width of each picture in px.")
@click.option("--h", "h", type=int, default=192, show_default=True, help="Height of each picture in px.")
@scale_option
@click.option("--columns", type=click.IntRange(min=1), default=8, show_default=True, help="Pictures in a row.")
@precision_option
@threads_option
@device_option
@quiet_option
def command(
    output: Path | None,
    seeds: str,
    model: str | None,
    world_seed: int,
    truncation: float | None,
    w: int,
    h: int,
    scale: str,
    columns: int,
    precision: Precision,
    threads: int | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Render the same place in many styles, each with its seed, to choose seeds for --style-seed and layouts."""
    check_outputs([output], [("model file", model)])
    halvings = parse_scale(scale)
    region = Region(-(w // 2), -(h // 2), w, h).coarser(halvings)
    places = World.create(seed=world_seed).changed(truncation=truncation)
    worlds = [places.changed(style_seed=seed) for seed in parse_seeds(seeds, most=MAX_SEEDS)]
    sheet = Sheet(len(worlds), columns, region.w, region.h)
    if output is None:
        output = free_path(f"styles-{worlds[0].style_seed}-to-{worlds[-1].style_seed}", ".png")
    check_sheet(output, sheet)
    options = Options(precision=precision, threads=threads, device=device, halvings=halvings)
    studio = open_studio(worlds[0], model=model, options=options)
    pictures = ((str(world.style_seed), studio.with_world(world).array(region)) for world in worlds)
    with progress("rendering", unit="styles", quiet=quiet) as advance:
        image = draw_sheet(sheet, pictures, progress=advance)
    save_sheet(image, output)
    click.echo(output)
