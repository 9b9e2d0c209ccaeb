"""``infgen schema``: print the JSON schemas of layout and world files, for editors."""

import json
from pathlib import Path

import click

from infgen.atomic import write_atomically
from infgen.world.document import VersionedDocument
from infgen.world.layout import Layout
from infgen.world.world import World

KINDS: dict[str, type[VersionedDocument]] = {"layout": Layout, "world": World}


@click.command("schema")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write. [default: print it]")
def command(kind: str, output: Path | None) -> None:
    """Print the JSON schema of layout or world files. Editors use it to complete and check entries."""
    text = json.dumps(KINDS[kind].json_schema(), indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
        return
    with write_atomically(output) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    click.echo(output)
