"""``infgen outpaint``: a photograph -> a larger picture around it."""

from pathlib import Path
from typing import Any, get_args

import click

from infgen.cli.photographs import Shared, make, opened, shared_options, studio_for
from infgen.inversion.arrangement import Extension, Scale, outpainting


@click.command("outpaint")
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("--left", type=int, default=0, show_default=True, help="Px of the output to add on the left.")
@click.option("--top", type=int, default=0, show_default=True, help="Px of the output to add above.")
@click.option("--right", type=int, default=0, show_default=True, help="Px of the output to add on the right.")
@click.option("--bottom", type=int, default=0, show_default=True, help="Px of the output to add below.")
@click.option("--samples", type=int, default=1, show_default=True, help="Different continuations, and a sheet of them.")
@click.option(
    "--mask", type=click.Path(path_type=Path), help="Picture of the photograph's size: white is kept, black drawn."
)
@click.option(
    "--scale",
    type=click.Choice(get_args(Scale)),
    default="work",
    show_default=True,
    help="Output at working size, or at the photograph's own resolution.",
)
@shared_options
def command(
    photo: Path,
    left: int,
    top: int,
    right: int,
    bottom: int,
    samples: int,
    mask: Path | None,
    scale: Scale,
    **shared: Any,
) -> None:
    """Continue the photograph PHOTO on any side; what is transparent in it is drawn, too.

    Beside the picture stand its world (.world.json), which infgen render draws at any size, and the photograph's latents.
    """
    options = Shared(**shared)
    extension = Extension(left, top, right, bottom)
    photograph = opened(photo)
    placed = options.place(photograph if mask is None else photograph.masked(mask))
    studio = studio_for(options)
    arrangement = outpainting(placed, extension, scale=scale, halvings=studio.options.halvings)
    make(arrangement, options, studio=studio, samples=samples)
