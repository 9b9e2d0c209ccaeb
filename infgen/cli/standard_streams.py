"""Standard input and output as files: ``-`` for a photograph, a world or a picture."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from infgen.errors import InputError
from infgen.sinks import FORMATS
from infgen.sinks.xmp import kind_of

STREAM = "-"
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WebP": ".webp", "TIFF": ".tif"}
PIPED_FORMATS = ("png", "jpeg", "webp", "tiff", "cog")  # one file each; the others write folders


class InputPath(click.Path):
    """A file to read. ``-`` stands for standard input, which is copied to a temporary file."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of the file, or of a temporary copy of standard input."""
        if str(value) != STREAM or ctx is None:
            return super().convert(value, param, ctx)
        if sys.stdin.isatty():
            raise InputError("standard input is a terminal; pipe a file into the command, or give the name of a file")
        path = _temporary_folder(ctx) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return path.rename(path.with_suffix(_suffix_of(path)))


def _suffix_of(path: Path) -> str:
    """Return the suffix of the kind of picture in a file, or none; commands choose by suffix."""
    try:
        return _SUFFIXES[kind_of(path)]
    except InputError:  # a model or a JSON document
        return ""


def piped_output(file_format: str | None) -> str:
    """Return a temporary file for a picture that goes to standard output. Raises InputError for a format of many files."""
    if file_format is not None and file_format not in PIPED_FORMATS:
        raise InputError(f"-o - with --format {file_format} is not possible; allowed are {', '.join(PIPED_FORMATS)}")
    if sys.stdout.isatty():
        raise InputError("standard output is a terminal; redirect it, or give the name of a file with -o")
    suffix = next(f.extensions[0] for f in FORMATS if f.key == (file_format or "png"))
    return str(_temporary_folder(click.get_current_context()) / f"stdout{suffix}")


def send_to_stdout(path: str) -> None:
    """Copy the file ``path`` to standard output."""
    with open(path, "rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _temporary_folder(ctx: click.Context) -> Path:
    """Make a folder that is removed at the end of the command."""
    folder = Path(tempfile.mkdtemp(prefix="infgen-"))
    ctx.find_root().call_on_close(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder
