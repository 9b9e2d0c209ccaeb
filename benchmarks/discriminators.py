"""The paper's discriminator against the projected one: the same generator, photographs and time.

    python -m benchmarks.discriminators PHOTOS RUNS --hours 0.15 --vgg-weights vgg.safetensors

Both train for the same time, one after the other. Then their EMA models are measured alike. The paper's discriminator keeps
its own settings (R1, path length, learning rates). It is a quarter as wide, because the generator is narrow, too. Both are
augmented.
"""

from pathlib import Path

import click
from rich.table import Table

from benchmarks.render import console, machine
from infgen.train import start
from infgen.train.evaluation import WeightFiles, frechet, load_network, real_features
from infgen.train.loop import Schedule, StopReason
from infgen.train.presets import Recipe, find_recipe

NEVER = 10**9


def recipes() -> dict[str, Recipe]:
    """The two recipes that are compared."""
    projected = find_recipe("scenery-101-small").with_values(beyond=0.0)
    paper = Recipe(
        projected.generator,
        discriminator="paper",
        discriminator_width=0.25,
        diversity_weight=projected.diversity_weight,
        augment="diffaugment",
        ema=projected.ema,
    )
    return {"projected": projected, "paper": paper}


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True))
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("--hours", default=0.15, show_default=True, help="For each.")
@click.option("--n", default=500, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
@click.option("--vgg-weights", type=click.Path(path_type=Path), required=True)
def main(photos: Path, runs: Path, hours: float, n: int, precision: str, vgg_weights: Path) -> None:
    """Train both on PHOTOS in folders below RUNS, and measure them."""
    network = load_network("vgg", WeightFiles(vgg=vgg_weights))
    table = Table("discriminator", "steps", "images", "FD-VGG", title=f"{hours * 60:g} minutes each, N = {n}")
    for name, made_by in recipes().items():
        schedule = Schedule(steps=NEVER, hours=hours, checkpoint_every=NEVER, sample_every=NEVER, precision=precision)
        run = start(photos, made_by, schedule, out=runs / name)
        if run.train(lambda step, terms: None) is StopReason.SIGNAL:
            raise SystemExit("stopped before the comparison was over")
        real = real_features(run.trainer.photos, [network], n=n, seed=1)["vgg"]
        state = run.trainer.state
        distance = frechet(state.ema, network, real=real, n=n, seed=2)
        table.add_row(name, str(state.step), str(state.step * made_by.batch), f"{distance:.1f}")
    console.print(machine())
    console.print(table)


if __name__ == "__main__":
    main()
