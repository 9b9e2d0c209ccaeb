"""``infgen train``: photographs -> model."""

from pathlib import Path

import click

from infgen.cli.progress import progress
from infgen.train import start
from infgen.train.loop import PRECISIONS, Schedule
from infgen.train.presets import RECIPES, recipe


@click.command("train")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--preset", type=click.Choice(list(RECIPES)), default="scenery-101-small", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Continue the run in the folder exactly where its last checkpoint stands.")
@click.option("--steps", type=click.IntRange(min=1), default=100_000, show_default=True, help="Train up to this step.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--width", type=float, help="Multiply the generator's channels.")
@click.option("--batch", type=int, help="Photographs per step (even).")
@click.option("--generator-rate", type=float, help="Adam learning rate of the generator.")
@click.option("--discriminator-rate", type=float, help="Adam learning rate of the discriminator.")
@click.option("--discriminator", type=click.Choice(["paper", "projected"]), help="Instead of the preset's.")
@click.option("--checkpoint-every", type=click.IntRange(min=1), default=500, show_default=True, help="Steps.")
@click.option("--sample-every", type=click.IntRange(min=1), default=1000, show_default=True, help="Steps.")
@click.option("--device", help="cpu, cuda, cuda:1 ... [default: a GPU where there is one]")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--quiet", is_flag=True)
def command(
    data: Path,
    preset: str,
    out: Path,
    resume: bool,
    steps: int,
    seed: int,
    checkpoint_every: int,
    sample_every: int,
    device: str | None,
    precision: str,
    threads: int | None,
    quiet: bool,
    **changes: object,
) -> None:
    """Train a model on DATA, a folder of photographs of any size. The averaged model is OUT/model.safetensors."""
    schedule = Schedule(
        steps=steps,
        checkpoint_every=checkpoint_every,
        sample_every=sample_every,
        seed=seed,
        device=device,
        precision=precision,
        threads=threads,
    )
    with progress("reading photographs", unit="photographs", quiet=quiet) as reading:
        run = start(data, recipe(preset).changed(**changes), schedule, out=out, resume=resume, progress=reading)
    for skip in run.skipped:
        click.echo(f"skipped {skip.path}: {skip.reason}", err=True)
    if not quiet:
        click.echo(run.summary(), err=True)
    first = run.trainer.state.step
    with progress("training", unit="steps", quiet=quiet) as advance:
        run.train(lambda step, terms: advance(step - first, steps - first))
    click.echo(f"{run.folder.model}: step {steps}")
