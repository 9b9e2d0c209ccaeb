"""``infgen env``: print versions, devices and extras, for bug reports."""

import click

from infgen.cli.answer import json_option, print_answer
from infgen.cli.command import Command


@click.command(
    "env",
    cls=Command,
    examples=[
        ("For a bug report", "env"),
        ("The same as JSON", "env --json"),
    ],
)
@json_option
def command(as_json: bool) -> None:
    """Print versions, devices, threads and extras. It contains no names of files or users."""
    from infgen.environment import describe_environment

    found = describe_environment()
    if as_json:
        print_answer(result=found)
        return
    for name, value in found.items():
        lines = value if isinstance(value, list) else [value]
        click.echo(f"{name}: {', '.join(map(str, lines)) or 'none'}")
