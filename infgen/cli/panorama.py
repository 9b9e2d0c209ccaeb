"""``infgen panorama``: a photograph -> a picture that goes once round."""

from pathlib import Path
from typing import Any

import click

from infgen.cli.photographs import Shared, make, opened, shared_options, studio_for
from infgen.inversion.arrangement import cyclic_period, panorama
from infgen.world import geometry


@click.command("panorama")
@click.argument("photo", type=click.Path(path_type=Path))
@click.option(
    "--w", "w", type=int, required=True, help="Width of the panorama in px; rounded to whole cells of the model."
)
@shared_options
def command(photo: Path, w: int, **shared: Any) -> None:
    """Close a circle around PHOTO: the right edge of the picture continues at the left one, wherever it is cut."""
    options = Shared(**shared)
    placed = options.place(opened(photo))
    studio = studio_for(options)
    config = studio.generator.config
    cell_px = geometry.cell_px(config.levels)  # of the scale that is drawn
    period = cyclic_period(w, cell_px=cell_px)
    said = [] if period == w else [f"width {w} px is rounded to {period} px, whole cells of {cell_px} px"]
    make(panorama(placed, period=period, halvings=config.halvings), options, studio=studio, said=said)
