"""Options that several commands share, as decorators."""

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from infgen.engines.eager import DTYPES
from infgen.engines.selection import AUTO, NAMES
from infgen.errors import InputError
from infgen.model.config import SCALE_NAMES
from infgen.model.shipped import DEFAULT, names

if TYPE_CHECKING:
    from infgen.sinks import Start

_PERIOD = re.compile(r"\s*([0-9]{1,13})\s*(?:,\s*([0-9]{1,13})\s*)?")

MODEL_VARIABLE = "INFGEN_MODEL"
MODELS_HELP = f"{names()}, a model file or a Hugging Face hub id"

model_option = click.option(
    "--model", envvar=MODEL_VARIABLE, help=f"Model: {MODELS_HELP}. [default: {MODEL_VARIABLE}, or {DEFAULT}]"
)
threads_option = click.option("--threads", type=click.IntRange(min=1), help="Number of CPU threads.")
device_option = click.option("--device", help="cpu, cuda, cuda:1 ... [default: a GPU if there is one]")
precision_option = click.option(
    "--precision",
    type=click.Choice(list(DTYPES)),
    default="fp32",
    show_default=True,
    help="Precision of weights and activations.",
)
engine_option = click.option(
    "--engine", default=AUTO, show_default=True, help=f"Runtime of the model: {', '.join(NAMES)}."
)
engine_file_option = click.option(
    "--engine-file",
    help="Engine file of infgen export: .onnx or .engine. [default: made if missing]",
)
tile_option = click.option("--tile", type=int, help="Side of a tile in px. [default: the largest that fits memory]")
scale_option = click.option(
    "--scale",
    type=click.Choice(SCALE_NAMES[:4]),
    default="1",
    show_default=True,
    help="Render at this share of the size. A coarser level of the model renders it; 1/4 has a 16th of the pixels.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print no estimates and no progress.")


def start_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --resume and --restart to a command that renders a file. It takes them as ``start``."""

    @click.option("--resume", is_flag=True, help="Continue an interrupted render of the same file.")
    @click.option("--restart", is_flag=True, help="Discard an interrupted render and start from scratch.")
    @functools.wraps(command)
    def run(*args: Any, resume: bool, restart: bool, **kwargs: Any) -> None:
        if resume and restart:
            raise InputError("--resume and --restart are both given; give one of them")
        start: Start = "resume" if resume else "restart" if restart else "new"
        command(*args, start=start, **kwargs)

    return run


def parse_period(text: str | None) -> dict[str, int]:
    """Parse "X" or "X,Y" (px) into the entries of a world. Raises InputError for anything else."""
    if text is None:
        return {}
    if (match := _PERIOD.fullmatch(text)) is None:
        raise InputError(f"--period {text[:40]!r} is not a period; give X or X,Y in px, such as 4096 or 2048,2048")
    entries = {"period": match[1], "period_y": match[2]}
    return {name: int(px) for name, px in entries.items() if px is not None}
