"""``infgen render``: model, world and region -> picture."""

from pathlib import Path

import click

from infgen.cli.progress import progress
from infgen.engines.eager import DTYPES, Precision
from infgen.rendering.job import Job, Options, open_studio, prepare
from infgen.rendering.plan import Region
from infgen.world.world import World


@click.command("render")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Picture to write: .png, .jpg or .webp."
)
@click.option("--w", "w", type=int, required=True, help="Width in px.")
@click.option("--h", "h", type=int, required=True, help="Height in px.")
@click.option("--x", type=int, default=0, show_default=True, help="Left edge in px, within +-2^40.")
@click.option("--y", type=int, help="Upper edge in px; the horizon is at 0. [default: half the height above it]")
@click.option("--world", "world_file", type=click.Path(path_type=Path), help="World file; the options below change it.")
@click.option("--seed", type=int, help="Any 64-bit integer. [default: 0]")
@click.option("--style-seed", type=int, help="Take the look from another seed.")
@click.option("--mix-seed", type=int, help="Mix in the texture style of this seed ...")
@click.option("--crossover", type=int, help="... from this style row on (coarse to fine).")
@click.option("--truncation", type=float, help="1: styles as drawn, 0: the mean style. [default: 1]")
@click.option("--noise", type=float, help="Multiplies the strength of fine noise. [default: 1]")
@click.option("--period", type=int, help="Repeat along x after so many px.")
@click.option("--model", help="Model file or Hugging Face hub id. [default: the shipped model]")
@click.option("--tile", type=int, help="Side of a tile in px. [default: the largest that fits memory]")
@click.option("--batch", type=int, default=1, show_default=True, help="Tiles computed together.")
@click.option("--precision", type=click.Choice(list(DTYPES)), default="fp32", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--device", help="cpu, cuda, cuda:1 ... [default: a GPU where there is one]")
@click.option("--dry-run", is_flag=True, help="Only print what it would take.")
@click.option("--quiet", is_flag=True, help="No estimates, no progress.")
def command(
    output: Path,
    w: int,
    h: int,
    x: int,
    y: int | None,
    world_file: Path | None,
    seed: int | None,
    style_seed: int | None,
    mix_seed: int | None,
    crossover: int | None,
    truncation: float | None,
    noise: float | None,
    period: int | None,
    model: str | None,
    tile: int | None,
    batch: int,
    precision: Precision,
    threads: int | None,
    device: str | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Render the window of W x H px whose upper left corner is (X, Y).

    The same seed always gives the same endless image: another size or another position shows more of it or another part
    of it, and changes nothing.
    """
    region = Region(x, -(h // 2) if y is None else y, w, h)
    world = (World() if world_file is None else World.load(world_file)).changed(
        seed=seed,
        style_seed=style_seed,
        mix_seed=mix_seed,
        crossover=crossover,
        truncation=truncation,
        noise=noise,
        period=period,
    )
    options = Options(tile, batch, precision, threads, device)
    job = prepare(open_studio(world, model=model, options=options), region, output)
    if not quiet:
        click.echo(describe(job), err=True)
    if dry_run:
        return
    job.run(phase=lambda title: progress(title, unit="Mpx", scale=1e-6, quiet=quiet))
    click.echo(output)


def describe(job: Job) -> str:
    """What the job will take, in two lines."""
    estimate, region = job.preflight, job.plan.region
    height, width = estimate.tile_px
    return (
        f"{region.w} x {region.h} px at ({region.x}, {region.y}): {estimate.pixels / 1e6:.2f} Mpx in {estimate.tiles} tiles "
        f"of {width} x {height} px, batches of {estimate.batch}\n"
        f"about {estimate.seconds:.0f} s, {estimate.memory / 2**20:.0f} MiB of memory, "
        f"up to {estimate.disk / 2**20:.0f} MiB of disk while it works"
    )
