"""``infgen info``: show what files made by infgen contain."""

import json
import os
from pathlib import Path
from typing import Any

import click

from infgen.cli.answer import json_option, print_answer
from infgen.cli.command import Command
from infgen.cli.standard_streams import InputPath
from infgen.errors import InputError
from infgen.model.shipped import MODELS, names, shipped_path
from infgen.rendering.inspect import describe
from infgen.sinks.read import is_store


@click.command(
    "info",
    cls=Command,
    renamed={"--world": "--only-world"},
    epilog=f"Shipped models: {names()}.",
    examples=[
        ("What a picture contains", "info land.png"),
        ("Its world, ready to render again", "info land.png --only-world > world.json"),
    ],
)
@click.argument("files", nargs=-1, required=True, type=InputPath(), metavar="FILE...")
@click.option("--only-world", is_flag=True, help="Print only the world, ready to be saved and rendered.")
@json_option
def command(files: tuple[Path, ...], only_world: bool, as_json: bool) -> None:
    """Print the content of each FILE as JSON: one object for one file, a list of objects for several.

    FILE is a model, an export of a model, a world, latents of a photograph, or a picture with its provenance. It can also
    be the folder of a training run, the name of a shipped model, or - for standard input.
    """
    if only_world and len(files) > 1:
        raise InputError(f"--only-world is given with {len(files)} files; give one file")
    paths = [shipped_path(str(file)) if str(file) in MODELS else file for file in files]
    found = [describe(file, only_world=True) if only_world else _describe(file) for file in paths]
    if as_json:
        print_answer(result={"files": [{"file": str(file), **one} for file, one in zip(files, found, strict=True)]})
        return
    text = json.dumps(found[0] if len(found) == 1 else found, indent=2, ensure_ascii=False)
    click.echo(
        text.encode(errors="backslashreplace").decode()
    )  # JSON may hold a lone surrogate, which cannot be printed


def _describe(file: Path) -> dict[str, Any]:
    """Describe ``file`` with the package that writes such files, imported only when needed."""
    if file.suffix.lower() == ".mar":
        from infgen.export.torchserve import describe_archive

        return describe_archive(file)
    if os.path.isdir(file) and not is_store(file):  # unlike Path.is_dir, false for names that are too long
        from infgen.train.checkpoint import RunFolder

        return RunFolder(file).describe()
    return describe(file)
