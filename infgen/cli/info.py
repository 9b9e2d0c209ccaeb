"""``infgen info``: show what a file made by infgen contains."""

import json
import os
from pathlib import Path
from typing import Any

import click

from infgen.model.shipped import MODELS, names, shipped_path
from infgen.rendering.inspect import describe
from infgen.sinks.read import is_store


@click.command("info", epilog=f"Shipped models: {names()}.")
@click.argument("file")
@click.option("--world", "only_world", is_flag=True, help="Print only the world, ready to be saved and rendered.")
def command(file: str, only_world: bool) -> None:
    """Print the content of FILE as JSON.

    FILE is a model, an export of a model, a world, latents of a photograph, or a picture with its provenance. It can also
    be the folder of a training run, or the name of a shipped model.
    """
    path = shipped_path(file) if file in MODELS else Path(file)
    found = describe(path, only_world=True) if only_world else _describe(path)
    text = json.dumps(found, indent=2, ensure_ascii=False)
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
