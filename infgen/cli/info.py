"""``infgen info``: what a file is."""

import json
from pathlib import Path

import click

from infgen.inspect import describe


@click.command("info")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--world", "only_world", is_flag=True, help="Print only the world, ready to be saved and rendered.")
def command(file: Path, only_world: bool) -> None:
    """Print as JSON what FILE is: a model, a world, or a picture with the recipe that it was rendered from."""
    click.echo(json.dumps(describe(file, only_world=only_world), indent=2, ensure_ascii=False))
