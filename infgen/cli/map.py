"""``infgen map``: write the styles of a world as a painted map, which a layout reads."""

from pathlib import Path

import click
from PIL import Image

from infgen.atomic import write_atomically
from infgen.cli.command import Command
from infgen.cli.resample import parse_region
from infgen.errors import InputError
from infgen.inputs import check_outputs
from infgen.rendering.painted_map import paint_map
from infgen.world.world import World

MOST_SIDE = 8192


@click.command(
    "map",
    cls=Command,
    examples=[
        ("A map of the styles", "map world.json --region 0,-512,4096,1024 -o map.png"),
        ("Render it after you have painted on it", "render --w 4096 --h 1024 --styles map.json -o out.png"),
    ],
)
@click.argument("world_file", metavar="WORLD", type=click.Path(path_type=Path))
@click.option("--region", required=True, help="Region of the map: X,Y,W,H in px, such as 0,-512,4096,1024.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="PNG file; a layout is written too."
)
@click.option("--side", type=click.IntRange(1, MOST_SIDE), default=1024, show_default=True, help="Longest side in px.")
def command(world_file: Path, region: str, output: Path, side: int) -> None:
    """Write the styles of WORLD as a PNG picture with one colour per style, and a layout file that reads it.

    Change the picture in any paint program, and render it with --styles. Soft edges of strokes become hard.
    """
    if output.suffix.lower() != ".png":
        raise InputError(f"output {output} is not a PNG file; give a name that ends in .png")
    layout_file = output.with_suffix(".json")
    world = World.load(world_file)
    check_outputs([output, layout_file], [("world file", world_file), *world.reads])
    if existing := [path for path in (output, layout_file) if path.exists()]:
        raise InputError(f"{existing[0]} exists; give another name")
    pixels, layout = paint_map(world, parse_region(region, "--region"), side=side, image=output.name)
    with write_atomically(output) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")
    with write_atomically(layout_file) as temporary:
        temporary.write_text(layout.to_json() + "\n")
    click.echo(output)
    click.echo(layout_file)
