"""``infgen inbetween``: join photographs in a row and generate the gaps."""

from pathlib import Path
from typing import Any

import click

from infgen.cli.command import Command
from infgen.cli.photograph_options import FORMER_NAMES, PhotographOptions, photograph_options
from infgen.cli.photographs import make, read_photograph
from infgen.errors import InputError
from infgen.inversion.arrangement import inbetweening, place_row
from infgen.photo import unify_profiles
from infgen.rendering.output_names import source_stem

MAX_PHOTOGRAPHS = 32
MAX_GAP_PX = 10**7


@click.command(
    "inbetween",
    cls=Command,
    examples=[
        ("A landscape between two photographs", "inbetween left.jpg right.jpg --gap 1024 -o between.png"),
    ],
    renamed=FORMER_NAMES,
)
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--gap", type=int, required=True, help="Width in px of the gap between two photographs.")
@photograph_options
def command(photos: tuple[Path, ...], gap: int, **values: Any) -> None:
    """Join PHOTOS from left to right and generate the gaps. All photographs are scaled to one height."""
    options = PhotographOptions(**values)
    if not 2 <= len(photos) <= MAX_PHOTOGRAPHS:
        raise InputError(f"{len(photos)} photographs are given; allowed are 2 to {MAX_PHOTOGRAPHS}")
    if not 1 <= gap <= MAX_GAP_PX:
        raise InputError(f"--gap {gap} px is not possible; allowed are 1 to {MAX_GAP_PX} px between photographs")
    options.check_outputs(*photos)
    photographs = unify_profiles([read_photograph(photo) for photo in photos])
    placed = place_row(photographs, gap=gap, scale=options.scale, height=options.height, horizon=options.fraction)
    studio = options.open_studio()
    arrangement = inbetweening(placed, config=studio.generator.config, scale=options.scale, gap=gap)
    heights = sorted({photo.photograph.image.height for photo in placed})
    notes = [f"styles blend over {arrangement.output_transition} px in the middle of each gap"]
    height = options.height if options.scale == "work" else heights[-1]
    if len(heights) > 1:
        notes.insert(0, f"heights of {heights[0]} to {heights[-1]} px are scaled to {height} px")
    stem = f"{source_stem(photos[0])}-to-{source_stem(photos[-1])}"
    make(arrangement, options, studio=studio, stem=stem, notes=notes)
