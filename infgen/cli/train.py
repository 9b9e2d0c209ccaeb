"""``infgen train``: photographs -> model."""

import os
from pathlib import Path
from typing import Any

import click

from infgen.cli.progress import progress
from infgen.train import start
from infgen.train.judge import METRICS, judge_by
from infgen.train.loop import PRECISIONS, End, Schedule
from infgen.train.presets import ABLATIONS, RECIPES, DiscriminatorKind, ablate, recipe

STEPS = 100_000
ENDS = {
    End.STEPS: "finished",
    End.HOURS: "the hours are over; continue with --resume",
    End.SIGNAL: "stopped; continue with --resume",
}


class WholeNumbers(click.ParamType):
    """Whole numbers separated by commas, as a tuple."""

    name = "integer,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Fails for anything else."""
        try:
            return value if isinstance(value, tuple) else tuple(int(word) for word in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers separated by commas", param, ctx)


@click.command("train")
@click.argument("data")
@click.option("--preset", type=click.Choice(list(RECIPES)), default="scenery-small", show_default=True)
@click.option("--ablation", type=click.Choice(list(ABLATIONS)), help="Leave out a part of the method, for comparison.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Continue the run in the folder exactly where its last checkpoint stands.")
@click.option("--init", help="Start from the networks of a run's folder, a model file or a Hugging Face hub id.")
@click.option("--steps", type=click.IntRange(min=1), help="Train up to this step.  [default: --decay-steps, or 100000]")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Stop after this long, ready to be resumed.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--width", type=float, help="Multiply the generator's channels.")
@click.option("--batch", type=int, help="Samples per step over all processes (even).")
@click.option("--micro-batch", type=int, help="Samples computed together; less memory, and a share for every process.")
@click.option("--generator-rate", type=float, help="Adam learning rate of the generator.")
@click.option("--discriminator-rate", type=float, help="Adam learning rate of the discriminator.")
@click.option("--decay-steps", type=int, help="Decay both learning rates linearly to zero over this many steps.")
@click.option(
    "--warmup-steps", type=int, help="Train only the discriminators for this many steps first; use it with --init."
)
@click.option("--view", type=int, help="Short side in px to which photographs are resized at the finest scale.")
@click.option(
    "--scale-shares",
    type=WholeNumbers(),
    help="Steps that each scale gets in turn, coarsest first, such as 2,1,1,1.  [default: one each]",
)
@click.option("--fusion", type=float, help="Share of steps that mix two styles over the patch.")
@click.option("--mixing", type=float, help="Probability that a step mixes two styles between layers.")
@click.option(
    "--discriminator", type=click.Choice(["paper", "projected"]), help="Instead of the preset's; with its rate and R1."
)
@click.option("--augment", type=click.Choice(["none", "diffaugment", "ada"]), help="Instead of the preset's.")
@click.option(
    "--beyond", type=float, help="Share of patches far above or below the horizon, for pictures taller than these."
)
@click.option("--pre-resize", type=int, help="Short side in px through which photographs pass first (the paper's 128).")
@click.option("--checkpoint-every", type=click.IntRange(min=1), default=500, show_default=True, help="Steps.")
@click.option("--sample-every", type=click.IntRange(min=1), default=1000, show_default=True, help="Steps.")
@click.option(
    "--metric", type=click.Choice(METRICS), help="Keep the best model by this Frechet distance (best.safetensors)."
)
@click.option(
    "--judge-every", type=click.IntRange(min=1), default=1000, show_default=True, help="Steps, with --metric."
)
@click.option("--judge-n", type=click.IntRange(min=2), default=1000, show_default=True, help="Samples, with --metric.")
@click.option(
    "--vgg-weights", type=click.Path(path_type=Path), help="VGG16 weights for fd-vgg. [default: torch's cache]"
)
@click.option("--tensorboard", is_flag=True, help="Write curves and sample sheets to OUT/tensorboard.")
@click.option("--device", help="cpu, cuda, cuda:1 ... [default: a GPU where there is one]")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--quiet", is_flag=True)
def command(
    data: str,
    preset: str,
    ablation: str | None,
    out: Path,
    resume: bool,
    init: str | None,
    steps: int | None,
    hours: float | None,
    seed: int,
    checkpoint_every: int,
    sample_every: int,
    metric: str | None,
    judge_every: int,
    judge_n: int,
    vgg_weights: Path | None,
    tensorboard: bool,
    device: str | None,
    precision: str,
    threads: int | None,
    discriminator: DiscriminatorKind | None,
    quiet: bool,
    **changes: object,
) -> None:
    """Train a model on DATA: photographs in a folder, a zip or tar shards, here or behind a URL.

    The averaged model is OUT/model.safetensors. Several processes: start this command with torchrun or accelerate launch.
    """
    made_by = ablate(recipe(preset).judged_by(discriminator).changed(**changes), ablation)
    steps = steps or made_by.decay_steps or STEPS
    schedule = Schedule(
        steps=steps,
        hours=hours,
        checkpoint_every=checkpoint_every,
        sample_every=sample_every,
        judge_every=judge_every,
        seed=seed,
        device=device,
        precision=precision,
        threads=threads,
        tensorboard=tensorboard,
    )
    make_judge = judge_by(metric, made_by, n=judge_n, vgg_weights=vgg_weights) if metric else None
    first = int(os.environ.get("RANK") or 0) == 0  # of the processes that a launcher started
    with progress("reading photographs", unit="photographs", quiet=quiet or not first) as reading:
        run = start(data, made_by, schedule, out=out, resume=resume, init=init, make_judge=make_judge, progress=reading)
    if first:
        for skip in run.skipped:
            click.echo(f"skipped {skip.name}: {skip.reason}", err=True)
        if not quiet:
            click.echo(run.summary(), err=True)
    done = run.trainer.state.step
    with progress("training", unit="steps", quiet=quiet or not first) as advance:
        end = run.train(lambda step, terms: advance(step - done, steps - done))
    if first:
        click.echo(f"{run.folder.model}: step {run.trainer.state.step}, {ENDS[end]}")
    if end is End.SIGNAL:
        raise click.exceptions.Exit(130)
