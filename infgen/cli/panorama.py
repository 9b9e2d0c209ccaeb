"""``infgen panorama``: make a seamless 360 degree image around a photograph."""

from pathlib import Path
from typing import Any

import click

from infgen.cli.command import Command
from infgen.cli.photograph_options import FORMER_NAMES, PhotographOptions, photograph_options
from infgen.cli.photographs import make, read_photograph
from infgen.cli.standard_streams import InputPath
from infgen.inversion.arrangement import panorama
from infgen.rendering.output_names import source_stem


@click.command(
    "panorama",
    cls=Command,
    examples=[
        ("A panorama of 4096 px", "panorama photo.jpg --w 4096 -o round.png"),
    ],
    renamed=FORMER_NAMES,
)
@click.argument("photo", type=InputPath())
@click.option("--w", "w", type=int, required=True, help="Width in px. It is rounded to whole cells of the model.")
@photograph_options
def command(photo: Path, w: int, **values: Any) -> None:
    """Make a seamless 360 degree image around PHOTO: its right edge continues at its left edge."""
    options = PhotographOptions(**values)
    options.check_outputs(photo)
    placed = options.place(read_photograph(photo))
    studio = options.open_studio()
    arrangement = panorama(placed, width=w, config=studio.generator.config, scale=options.scale)
    width = arrangement.size[0]
    notes = [] if width == w else [f"width {w} px is rounded to {width} px, whole cells of the model"]
    make(arrangement, options, studio=studio, stem=f"{source_stem(photo)}-panorama", notes=notes)
