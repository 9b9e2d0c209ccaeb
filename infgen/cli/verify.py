"""``infgen verify``: compare a rendered picture with its provenance."""

import click

from infgen.cli.options import (
    MODEL_VARIABLE,
    MODELS_HELP,
    device_option,
    engine_file_option,
    engine_option,
    threads_option,
)
from infgen.cli.progress import progress
from infgen.errors import InfgenError
from infgen.rendering.studio import Options
from infgen.rendering.verify import verify


@click.command("verify")
@click.argument("file")
@click.option("--tiles", default=8, show_default=True, help="Number of random batches of tiles to render again.")
@click.option("--seed", type=int, help="Seed of the random choice. [default: another one in every run]")
@click.option(
    "--model", envvar=MODEL_VARIABLE, help=f"Model: {MODELS_HELP}. [default: the shipped one that rendered FILE]"
)
@threads_option
@device_option
@engine_option
@engine_file_option
@click.option("--quiet", is_flag=True, help="Print nothing if the picture agrees.")
def command(
    file: str,
    tiles: int,
    seed: int | None,
    model: str | None,
    threads: int | None,
    device: str | None,
    engine: str,
    engine_file: str | None,
    quiet: bool,
) -> None:
    """Render random tiles of FILE again from its provenance, and compare. Exits with code 1 if they differ."""
    options = Options(threads=threads, device=device, engine=engine, engine_file=engine_file)
    with progress("verifying", unit="tiles", quiet=quiet) as advance:
        found = verify(file, model=model, tiles=tiles, seed=seed, options=options, progress=advance)
    wrong = [check for check in found.checks if not check.passes(lossy=found.lossy)]
    if wrong:
        worst = max(wrong, key=lambda check: check.mean)
        raise InfgenError(
            f"{file} differs from its provenance in {len(wrong)} of {len(found.checks)} tiles, most in tile "
            f"{worst.number} (by {worst.largest} of 255 at most, {worst.mean:.2f} on average; made by infgen "
            f"{found.made_by})"
        )
    if not quiet:
        exact = sum(check.largest == 0 for check in found.checks)
        click.echo(
            f"{file}: {len(found.checks)} of {found.tiles_in_all} tiles rendered again, all agree, {exact} bit for bit"
        )
