"""``infgen panorama``: make a seamless 360 degree image around a photograph."""

from pathlib import Path
from typing import Any

import click

from infgen import geometry
from infgen.cli.photograph_options import PhotographOptions, photograph_options
from infgen.cli.photographs import make, read_photograph
from infgen.inversion.arrangement import cyclic_period, panorama
from infgen.rendering.output_names import source_stem


@click.command("panorama")
@click.argument("photo", type=click.Path(path_type=Path))
@click.option(
    "--w", "w", type=int, required=True, help="Width of the panorama in px, rounded to whole cells of the model."
)
@photograph_options
def command(photo: Path, w: int, **values: Any) -> None:
    """Make a seamless 360 degree image around PHOTO: its right edge continues at its left edge."""
    options = PhotographOptions(**values)
    options.check_outputs(photo)
    placed = options.place(read_photograph(photo))
    studio = options.open_studio()
    config = studio.generator.config
    cell_px = geometry.cell_px(config.levels)  # at the scale of the studio
    period = cyclic_period(w, cell_px=cell_px)
    notes = [] if period == w else [f"width {w} px is rounded to {period} px, whole cells of {cell_px} px"]
    arrangement = panorama(placed, period=period, halvings=config.halvings)
    make(arrangement, options, studio=studio, stem=f"{source_stem(photo)}-panorama", notes=notes)
