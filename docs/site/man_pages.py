"""Write a man page for every command from its help text.

python docs/site/man_pages.py FOLDER
"""

import datetime
import os
import re
import runpy
import sys
from pathlib import Path

import click

from infgen.cli.main import cli
from infgen.version import __version__

LISTING = runpy.run_path(str(Path(__file__).parents[1] / "prose" / "help_texts.py"))["list_commands"]


def format_page(command: click.Command, name: str) -> str:
    """Return the man page of one command: its help text, section by section, as roff."""
    date = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.UTC).date()
    page = name.upper().replace(" ", "-")
    parts = [f'.TH "{page}" 1 "{date}" "infgen {__version__}" "infgen"', ".SH NAME"]
    parts.append(f"{_escape(name.replace(' ', '-'))} \\- {_escape(command.get_short_help_str(200))}")
    text = click.unstyle(command.get_help(click.Context(command, info_name=name, terminal_width=78)))
    usage, _, rest = text.partition("\n\n")
    parts += [".SH SYNOPSIS", _escape(" ".join(usage.removeprefix("Usage: ").split())), ".SH DESCRIPTION"]
    for line in rest.splitlines():
        heading = re.fullmatch(r"(\w[\w ,]*):", line)
        parts += [f".SH {heading[1].upper()}"] if heading else [".nf", _escape(line), ".fi"]
    return "\n".join(parts).replace("\n.fi\n.nf", "") + "\n"


def _escape(text: str) -> str:
    """Escape roff's special characters."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def write_pages(folder: Path) -> list[Path]:
    """Write ``infgen.1``, ``infgen-render.1`` and so on into ``folder``. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, command in LISTING(cli, "infgen"):
        files.append(folder / f"{name.replace(' ', '-')}.1")
        files[-1].write_text(format_page(command, name), encoding="utf-8")
    return files


if __name__ == "__main__":
    click.echo(f"{len(write_pages(Path(sys.argv[1])))} pages in {sys.argv[1]}")
