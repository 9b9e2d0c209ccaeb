"""``infgen outpaint``: continue a photograph on any side."""

from pathlib import Path
from typing import Any

import click

from infgen.cli.command import Command
from infgen.cli.photograph_options import FORMER_NAMES, PhotographOptions, photograph_options
from infgen.cli.photographs import make, read_photograph
from infgen.cli.standard_streams import InputPath
from infgen.inversion.arrangement import Extension, outpainting
from infgen.rendering.output_names import source_stem


@click.command(
    "outpaint",
    cls=Command,
    examples=[
        ("512 px more on the right", "outpaint photo.jpg --right 512"),
        ("Four continuations to choose from", "outpaint photo.jpg --left 256 --right 256 --samples 4 -o wide.png"),
        ("A first look, in a minute", "outpaint photo.jpg --right 512 --output-size work --inversion-seconds 60"),
    ],
    renamed=FORMER_NAMES,
)
@click.argument("photo", type=InputPath())
@click.option("--left", type=int, default=0, show_default=True, help="Extend the output on the left by this many px.")
@click.option("--top", type=int, default=0, show_default=True, help="Extend the output above by this many px.")
@click.option("--right", type=int, default=0, show_default=True, help="Extend the output on the right by this many px.")
@click.option("--bottom", type=int, default=0, show_default=True, help="Extend the output below by this many px.")
@click.option(
    "--samples", type=int, default=1, show_default=True, help="Number of different continuations, with a sheet of all."
)
@click.option(
    "--x",
    type=int,
    default=0,
    show_default=True,
    help="Left edge of the photograph in the world, in px at working size.",
)
@click.option(
    "--mask",
    type=click.Path(path_type=Path),
    help="Picture of the photograph's size. White pixels are kept, black ones generated.",
)
@photograph_options
def command(
    photo: Path,
    left: int,
    top: int,
    right: int,
    bottom: int,
    samples: int,
    x: int,
    mask: Path | None,
    **values: Any,
) -> None:
    """Continue the photograph PHOTO on any side. Its transparent parts are generated, too.

    infgen saves the world (.world.json) and the photograph's latents next to the picture. infgen render shows that
    world at any size.
    """
    options = PhotographOptions(**values)
    options.check_outputs(photo, mask=mask, samples=samples)
    extension = Extension(left=left, top=top, right=right, bottom=bottom)
    photograph = read_photograph(photo)
    placed = options.place(photograph if mask is None else photograph.with_mask(mask), x=x)
    studio = options.open_studio()
    arrangement = outpainting(placed, extension, scale=options.scale, config=studio.generator.config)
    make(arrangement, options, studio=studio, stem=f"{source_stem(photo)}-outpainted", samples=samples)
