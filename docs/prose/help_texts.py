"""Write the help texts of every command as Markdown, so that the readability check reads them like the docs.

python docs/prose/help_texts.py FOLDER
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from infgen.cli.main import COMMANDS, cli


def list_commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield ``command`` and all its subcommands with their full names, such as "infgen data check"."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from list_commands(found, f"{name} {child}")


def format_help(command: click.Command, name: str) -> str:
    """The help of one command as Markdown: paragraphs, blocks without wrapping as code, one list item for each option."""
    parts = [f"# {name}"]
    for block in (command.help or "").split("\n\n"):
        text = block.strip("\n")
        parts.append(
            f"```\n{text.removeprefix(chr(8)).strip()}\n```" if text.startswith("\b") else " ".join(text.split())
        )
    if command.epilog:
        parts.append(" ".join(command.epilog.replace("\b", "").split()))
    for parameter in command.params:
        words = (getattr(parameter, "help", None) or "").split()
        if words:
            parts.append(f"- `{parameter.opts[-1]}`: {' '.join(words)}")
    if command is cli:
        parts += [f"- `{child}`: {line}" for child, (_, line) in COMMANDS.items()]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_help(folder: Path) -> None:
    """Write one file for each command into ``folder``, such as ``infgen-data-check.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in list_commands(cli, "infgen"):
        (folder / f"{name.replace(' ', '-')}.md").write_text(format_help(command, name))


if __name__ == "__main__":
    write_help(Path(sys.argv[1]))
