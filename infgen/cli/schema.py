"""``infgen schema``: print the JSON schemas of layout and world files, for editors, and of the answers of --json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from infgen.atomic import write_atomically
from infgen.cli.answer import Answer
from infgen.cli.command import Command
from infgen.cli.standard_streams import STREAM
from infgen.world.layout import Layout
from infgen.world.world import World

KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "layout": Layout.json_schema,
    "world": World.json_schema,
    "answer": lambda: {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:infgen:answer:1",
        **Answer.model_json_schema(by_alias=True),
    },
}


@click.command(
    "schema",
    cls=Command,
    examples=[
        ("For an editor", "schema layout -o layout.schema.json"),
        ("The schema of what --json prints", "schema answer"),
    ],
)
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write. [default: print it]")
def command(kind: str, output: Path | None) -> None:
    """Print the JSON schema of layout or world files, or of the answers that --json prints.

    Editors use the schema of a file to complete and check its entries.
    """
    text = json.dumps(KINDS[kind](), indent=2, ensure_ascii=False)
    if output is None or str(output) == STREAM:
        click.echo(text)
        return
    with write_atomically(output) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    click.echo(output)
