"""``infgen train``: train a model on photographs."""

import os
import signal
from pathlib import Path

import click
from click.core import ParameterSource

from infgen.cli.command import Command
from infgen.cli.options import MODELS_HELP, device_option, quiet_option, threads_option
from infgen.cli.progress import progress
from infgen.cli.run_config import read_config, run_config
from infgen.cli.seeds import SEED
from infgen.inputs import check_outputs
from infgen.model.config import CoordinateSystem
from infgen.train import start
from infgen.train.checkpoint import RunFolder
from infgen.train.data.sources import RUN_FOLDER
from infgen.train.judge import METRICS, make_judge_factory
from infgen.train.loop import PRECISIONS, Schedule, StopReason, Trainer
from infgen.train.presets import ABLATIONS, RECIPES, DiscriminatorKind, ablate, find_recipe
from infgen.train.resuming import read_saved
from infgen.train.trackers import TRACKERS, TrackerName

LEAST_PHOTOGRAPHS = 16  # of a run that was started without DATA
STOP_MESSAGES = {
    StopReason.STEPS: "finished",
    StopReason.HOURS: "stopped after --hours; continue with --resume",
    StopReason.SIGNAL: "stopped; continue with --resume",
}


def _is_given(name: str) -> bool:
    """Whether the user gave this option, on the command line or in the environment."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def parse_integers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Whole numbers separated by commas, as a tuple. Raises BadParameter for anything else."""
    if value is None:
        return None
    try:
        return tuple(int(word) for word in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers separated by commas") from None


def _go_on(trainer: Trainer) -> str:
    """Say how to train a finished run further."""
    if trainer.state.step == trainer.recipe.decay_steps:
        return "its learning rates have decayed to zero: start a new run from it with --init to train on"
    return "give --steps more than that to train on"


@click.command(
    "train",
    cls=Command,
    examples=[
        ("A small model of your photographs", "train photos/ --preset scenery-101-small -o runs/mine --hours 3"),
        ("Continue the run", "train photos/ -o runs/mine --resume"),
        ("The recipe of another run", "train photos/ --config runs/mine/recipe.json -o runs/again"),
        ("Options of a file", "train --config run.yaml"),
    ],
    renamed={"--out": "--output", "--width": "--width-multiplier"},
)
@click.argument("data", required=False)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    help="Take options from this YAML, JSON or TOML file, or the recipe from the recipe.json of a run.",
)
@click.option(
    "--preset",
    type=click.Choice(list(RECIPES)),
    default="scenery-small",
    show_default=True,
    help="Training recipe: generator, discriminator, losses and rates.",
)
@click.option("--ablation", type=click.Choice(list(ABLATIONS)), help="Leave out a part of the method, for comparison.")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    default=RUN_FOLDER,
    show_default=True,
    help="Folder of the run.",
)
@click.option("--resume", is_flag=True, help="Continue the run in the folder from its last checkpoint.")
@click.option("--init", help=f"Start from the networks of a run's folder, or from a model: {MODELS_HELP}.")
@click.option(
    "--steps", type=click.IntRange(min=1), help="Train up to this step.  [default: --decay-steps, or the preset's]"
)
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Stop after this many hours; resume later.")
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the initial weights and of all random draws.",
)
@click.option(
    "--coordinates",
    type=click.Choice(["scenery", "texture", "object"]),
    help="Replace the preset's coordinates: a horizon, periodic in both axes, or constant. Only scenery trains L_ar.",
)
@click.option("--width-multiplier", "width", type=float, help="Multiply the generator's channels by this factor.")
@click.option("--batch", type=int, help="Samples per step over all processes (even).")
@click.option(
    "--micro-batch", type=int, help="Samples computed together. Smaller needs less memory; divides the batch."
)
@click.option("--generator-rate", type=float, help="Adam learning rate of the generator.")
@click.option("--discriminator-rate", type=float, help="Adam learning rate of the discriminator.")
@click.option("--decay-steps", type=int, help="Decay both learning rates linearly to zero over this many steps.")
@click.option(
    "--warmup-steps", type=int, help="Train only the discriminators for this many steps first; use it with --init."
)
@click.option("--view", type=int, help="Short side in px to which photographs are resized at the finest scale.")
@click.option(
    "--scale-shares",
    callback=parse_integers,
    help="Steps that each scale gets in turn, coarsest first, such as 2,1,1,1.  [default: one each]",
)
@click.option("--fusion", type=float, help="Share of steps that mix two styles over the patch.")
@click.option("--mixing", type=float, help="Probability that a step mixes two styles between layers.")
@click.option(
    "--discriminator",
    type=click.Choice(["paper", "projected"]),
    help="Replace the preset's discriminator, its learning rate and its R1 weight.",
)
@click.option(
    "--augment", type=click.Choice(["none", "diffaugment", "ada"]), help="Replace the preset's data augmentation."
)
@click.option(
    "--colour-jitter",
    type=float,
    help="Factor (0 to 1) on diffaugment's changes of brightness, saturation and contrast.",
)
@click.option(
    "--beyond",
    type=float,
    help="Share of patches far above or below the horizon, for renders taller than the photographs.",
)
@click.option("--pre-resize", type=int, help="Resize photographs to this short side (px) first (128 in the paper).")
@click.option(
    "--checkpoint-every", type=click.IntRange(min=1), default=500, show_default=True, help="Steps between checkpoints."
)
@click.option(
    "--sample-every", type=click.IntRange(min=1), default=1000, show_default=True, help="Steps between sample sheets."
)
@click.option(
    "--metric",
    type=click.Choice(list(METRICS)),
    help="Keep the best model by this Frechet distance (best.safetensors).",
)
@click.option(
    "--judge-every",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Steps between measurements of --metric.",
)
@click.option(
    "--judge-n",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="Samples per measurement of --metric.",
)
@click.option(
    "--vgg-weights", type=click.Path(path_type=Path), help="VGG16 file. Needed for fd-vgg. [default: PyTorch's cache]"
)
@click.option(
    "--inception-weights",
    type=click.Path(path_type=Path),
    help="Inception file. Needed for fid. [default: PyTorch's cache]",
)
@click.option("--tensorboard", is_flag=True, help="Write curves and sample sheets to OUTPUT/tensorboard.")
@click.option(
    "--tracker",
    "trackers",
    type=click.Choice(TRACKERS),
    multiple=True,
    help="Also send curves and sample sheets to this service; repeatable.",
)
@device_option
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Precision of the activations.",
)
@threads_option
@quiet_option
def command(
    data: str | None,
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
    inception_weights: Path | None,
    tensorboard: bool,
    trackers: tuple[TrackerName, ...],
    device: str | None,
    precision: str,
    threads: int | None,
    discriminator: DiscriminatorKind | None,
    coordinates: CoordinateSystem | None,
    quiet: bool,
    **changes: object,
) -> None:
    """Train a model on DATA: photographs in a folder, a zip file or tar shards, local or behind a URL.

    Without DATA, it trains on the photographs below the current folder.

    The trained model (the EMA of the weights) is OUTPUT/model.safetensors. To train in several processes, start this
    command with torchrun or accelerate launch.
    """
    saved = read_saved(out) if resume else None
    given = {name for name in click.get_current_context().params if _is_given(name)}
    config = run_config(click.get_current_context())
    if config is not None:
        config.check(data=data if "data" in given else None, preset_given="preset" in given)
    base = find_recipe(preset) if saved is None or "preset" in given else saved.recipe
    if config is not None and config.recipe is not None:
        base = config.recipe
    recipe = base.with_discriminator(discriminator).with_coordinates(coordinates)
    recipe = ablate(recipe.with_values(**changes), ablation)
    steps = steps or recipe.decay_steps or recipe.steps
    recipe = recipe.with_values(steps=steps)
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
        trackers=trackers,
    )
    if saved is not None:
        schedule = saved.complete(schedule, given=given)
        metric, judge_n = metric or saved.metric, judge_n if "judge_n" in given else saved.judge_n or judge_n
    check_outputs(RunFolder(out).outputs, [("weights", vgg_weights), ("weights", inception_weights)])
    weights = {"vgg_weights": vgg_weights, "inception_weights": inception_weights}
    judge_factory = make_judge_factory(metric, recipe, n=judge_n, **weights) if metric else None
    is_first = int(os.environ.get("RANK") or 0) == 0  # of the processes that a launcher started
    with progress("reading photographs", unit="photographs", quiet=quiet or not is_first) as advance:
        run = start(
            "." if data is None else data,
            recipe,
            schedule,
            out=out,
            resume=resume,
            init=init,
            judge_factory=judge_factory,
            least_photographs=LEAST_PHOTOGRAPHS if data is None else 1,
            progress=advance,
        )
    if is_first:
        for skip in run.skipped:
            click.echo(f"skipped {skip.name}: {skip.reason}", err=True)
        if data is None:
            click.echo(
                f"found {len(run.trainer.photos)} photographs below {Path.cwd()}: training {preset} to step {steps} in "
                f"{out}; Ctrl-C stops, --resume continues",
                err=True,
            )
        if not quiet:
            click.echo(run.summary(), err=True)
    done = run.trainer.state.step
    if done >= steps:
        if is_first:
            click.echo(f"{run.folder.model}: step {done}, finished already; {_go_on(run.trainer)}")
        return
    with progress("training", unit="steps", quiet=quiet or not is_first) as advance:
        reason = run.train(lambda step, terms: advance(step - done, steps - done))
    if is_first:
        click.echo(f"{run.folder.model}: step {run.trainer.state.step}, {STOP_MESSAGES[reason]}")
    if reason is StopReason.SIGNAL:
        raise click.exceptions.Exit(128 + (run.trainer.stopped_by or signal.SIGTERM))
