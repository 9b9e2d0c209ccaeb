"""``infgen verify``: a rendered picture against its own recipe."""

from pathlib import Path

import click

from infgen.cli.progress import progress
from infgen.engines.selection import AUTO, NAMES
from infgen.errors import InfgenError
from infgen.rendering.studio import Options
from infgen.rendering.verify import verify


@click.command("verify")
@click.argument("file")
@click.option("--tiles", default=8, show_default=True, help="Batches of tiles to draw again, chosen at random.")
@click.option("--seed", type=int, help="Choose the same ones every time.")
@click.option("--model", type=click.Path(path_type=Path), help="Model file. [default: the shipped model]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--device", help="cpu, cuda, cuda:1 ... [default: a GPU where there is one]")
@click.option("--engine", default=AUTO, show_default=True, help=f"What computes: {', '.join(NAMES)}.")
@click.option("--engine-file", help="A file of infgen export, .onnx or .engine.")
@click.option("--quiet", is_flag=True, help="Say nothing where it agrees.")
def command(
    file: str,
    tiles: int,
    seed: int | None,
    model: Path | None,
    threads: int | None,
    device: str | None,
    engine: str,
    engine_file: str | None,
    quiet: bool,
) -> None:
    """Draw random tiles of FILE again from the recipe in it and compare. Exit code 1 where they differ."""
    options = Options(threads=threads, device=device, engine=engine, engine_file=engine_file)
    with progress("verifying", unit="tiles", quiet=quiet) as advance:
        found = verify(file, model=model, tiles=tiles, seed=seed, options=options, progress=advance)
    wrong = [check for check in found.checks if not check.passes(lossy=found.lossy)]
    if wrong:
        worst = max(wrong, key=lambda check: check.mean)
        raise InfgenError(
            f"{file} is not what its recipe draws: {len(wrong)} of {len(found.checks)} tiles differ, the most tile "
            f"{worst.number} (by {worst.largest} of 255 at most, {worst.mean:.2f} on average; made by infgen {found.made_by})"
        )
    if not quiet:
        exact = sum(check.largest == 0 for check in found.checks)
        click.echo(
            f"{file}: {len(found.checks)} of {found.tiles_in_all} tiles drawn again, all agree, {exact} bit for bit"
        )
