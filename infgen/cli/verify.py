"""``infgen verify``: compare rendered pictures with their provenance."""

from typing import Any

import click

from infgen.cli.answer import json_option, print_answer
from infgen.cli.command import Command
from infgen.cli.options import (
    MODEL_VARIABLE,
    MODELS_HELP,
    device_option,
    engine_file_option,
    engine_option,
    threads_option,
)
from infgen.cli.progress import progress
from infgen.cli.seeds import SEED
from infgen.cli.standard_streams import STREAM, InputPath
from infgen.errors import InfgenError
from infgen.rendering.studio import Options
from infgen.rendering.verify import Verification, verify


@click.command(
    "verify",
    cls=Command,
    examples=[
        ("A few random tiles", "verify land.png"),
        ("Several files, as JSON", "verify a.png b.png --json"),
    ],
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--tiles", default=8, show_default=True, help="Number of random batches of tiles to render again.")
@click.option("--seed", type=SEED, help="Seed of the random choice. [default: another one in every run]")
@click.option(
    "--model", envvar=MODEL_VARIABLE, help=f"Model: {MODELS_HELP}. [default: the shipped one that rendered FILE]"
)
@threads_option
@device_option
@engine_option
@engine_file_option
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing if the picture agrees.")
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[str, ...],
    tiles: int,
    seed: int | None,
    model: str | None,
    threads: int | None,
    device: str | None,
    engine: str,
    engine_file: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Render random tiles of each FILE again from its provenance, and compare. Exits with code 1 if one differs."""
    options = Options(threads=threads, device=device, engine=engine, engine_file=engine_file)
    found: list[tuple[str, Verification]] = []
    for file in files:
        path = str(InputPath().convert(file, None, ctx)) if file == STREAM else file
        with progress("verifying", unit="tiles", quiet=quiet) as advance:
            one = verify(path, model=model, tiles=tiles, seed=seed, options=options, progress=advance)
        found.append((file, one))
        if not as_json and not quiet and one.passed:
            click.echo(_describe(file, one))
    wrong = [_describe_difference(file, one) for file, one in found if not one.passed]
    error = InfgenError("; ".join(wrong)) if wrong else None
    if as_json:
        print_answer(result={"files": [_to_dict(file, one) for file, one in found]}, error=error)
    elif error is not None:
        raise error


def _describe(file: str, found: Verification) -> str:
    exact = sum(check.largest == 0 for check in found.checks)
    return f"{file}: {len(found.checks)} of {found.tiles_in_all} tiles rendered again, all agree, {exact} bit for bit"


def _describe_difference(file: str, found: Verification) -> str:
    wrong = [check for check in found.checks if not check.passes(lossy=found.lossy)]
    worst = max(wrong, key=lambda check: check.mean)
    return (
        f"{file} differs from its provenance in {len(wrong)} of {len(found.checks)} tiles, most in tile "
        f"{worst.number} (by {worst.largest} of 255 at most, {worst.mean:.2f} on average; made by infgen "
        f"{found.made_by})"
    )


def _to_dict(file: str, found: Verification) -> dict[str, Any]:
    return {
        "file": file,
        "agrees": found.passed,
        "tiles": len(found.checks),
        "tiles_in_all": found.tiles_in_all,
        "exact": sum(check.largest == 0 for check in found.checks),
        "largest_difference": max((check.largest for check in found.checks), default=0),
        "made_by": found.made_by,
    }
