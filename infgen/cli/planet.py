"""``infgen planet``: render a whole planet as an equirectangular map."""

from pathlib import Path

import click

from infgen.cli.command import Command
from infgen.cli.default_output import default_path
from infgen.cli.options import (
    MODELS_HELP,
    device_option,
    precision_option,
    quiet_option,
    start_options,
    threads_option,
)
from infgen.cli.progress import progress, report_lines
from infgen.cli.seeds import SEED
from infgen.engines.eager import Precision
from infgen.geometry import Region
from infgen.inputs import Read, check_outputs
from infgen.rendering.equirectangular import planet_world, prepare_planet
from infgen.rendering.job import Output
from infgen.rendering.new_world import new_world
from infgen.rendering.output_names import picture_suffix
from infgen.rendering.studio import Options, open_studio
from infgen.sinks import Start, list_outputs
from infgen.world.layout import Layout
from infgen.world.layout_files import list_reads, resolve


@click.command(
    "planet",
    cls=Command,
    examples=[
        ("A planet of 4096 x 2048 px", "planet --w 4096 --seed 7 -o planet.png"),
        ("Several climates", "planet --w 2048 --styles climates.json -o planet.jpg"),
    ],
)
@click.option(
    "--w", "w", type=int, required=True, help="Width in px. A multiple of the model's cell; the height is half."
)
@click.option("-o", "--output", help="Picture to write, as for infgen render. [default: named after the content]")
@click.option("--seed", type=SEED, help="Seed of the world. Any 64-bit integer, or random. [default: 0]")
@click.option("--styles", type=click.Path(path_type=Path), help="Layout file: several styles and their places.")
@click.option("--model", default="planet", show_default=True, help=f"Model: {MODELS_HELP}.")
@start_options
@precision_option
@threads_option
@device_option
@quiet_option
def command(
    w: int,
    output: str | None,
    seed: int | None,
    styles: Path | None,
    model: str,
    start: Start,
    precision: Precision,
    threads: int | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Render a planet as an equirectangular map of W x W/2 px, whose left and right edges meet.

    The poles fade: beyond 60 degrees of latitude each row is averaged along the longitude, over more pixels the nearer
    it is to a pole. The outermost rows have one colour. Without that, the poles of a sphere would show spokes.
    """
    region = Region(0, -(w // 4), w, max(1, w // 2))
    layout, folder = (None, Path()) if styles is None else (Layout.load(styles), styles.parent)
    reads: list[Read] = [("layout file", styles), ("model file", model)]
    reads += [] if layout is None else list_reads(layout, folder=folder)
    check_outputs([] if output is None else [*list_outputs(output)], reads)
    resolved = None if layout is None else resolve(layout, region, folder=folder, report=report_lines(quiet=quiet))
    world = planet_world(new_world(model).replace(seed=seed, layout=resolved), w)
    if output is None:
        output = str(default_path(f"planet-{w}x{w // 2}-seed{world.seed}", picture_suffix(w, w // 2)))
    studio = open_studio(world, model=model, options=Options(precision=precision, threads=threads, device=device))
    job = prepare_planet(studio, w, Output(output, start=start))
    job.run(phase=lambda title: progress(title, unit="Mpx", scale=1e-6, quiet=quiet))
    click.echo(output)
