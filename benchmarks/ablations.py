"""Measure what parts of the method, or settings of the scales, contribute: equal short runs, measured alike.

    python -m benchmarks.ablations PHOTOS RUNS --steps 200 --vgg-weights vgg.safetensors
    python -m benchmarks.ablations PHOTOS RUNS --of scales --init start.safetensors --steps 300

Trains every variant with the same seed, data, batch and number of steps (an existing run is continued), then measures
Frechet distances. Short runs show what breaks or learns faster, not how good the method gets.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
from rich.table import Table

from benchmarks.render import console, machine


@dataclass(frozen=True)
class Study:
    """Variants of one preset with their options, and how they are measured."""

    preset: str
    variants: dict[str, tuple[str, ...]]
    metrics: tuple[str, ...]  # of `infgen eval`
    options: tuple[str, ...] = ()  # of `infgen eval`


STUDIES = {
    "method": Study(
        "scenery-101-small",
        {
            "whole method": ("--beyond", "0"),
            "no structure synthesizer": ("--ablation", "stylegan2-nci-pfg"),
            "no unfolding": ("--ablation", "no-unfolding", "--beyond", "0"),
            "no L_div": ("--ablation", "no-diversity", "--beyond", "0"),
            "no L_ar": ("--ablation", "no-position", "--beyond", "0"),
        },
        ("scaleinv-fd-effnet", "scaleinv-fd-vgg", "diversity"),
        ("--scales", "1,2,4"),
    ),
    "scales": Study(
        "scenery-small",
        {
            "preset": (),
            "fine scales twice": ("--scale-shares", "1,1,2,2"),
            "coarse scales twice": ("--scale-shares", "2,2,1,1"),
            "no style fusion": ("--fusion", "0"),
            "no style mixing": ("--mixing", "0"),
            "half rates": ("--generator-rate", "0.001", "--discriminator-rate", "0.0001"),
            "double rates": ("--generator-rate", "0.004", "--discriminator-rate", "0.0004"),
        },
        ("fd-effnet", "fd-vgg", "diversity"),
    ),
}


def infgen(*words: str | Path) -> None:
    """Run the program. Raises CalledProcessError where it fails."""
    subprocess.run([sys.executable, "-m", "infgen", *map(str, words)], check=True)


def train(photos: Path, out: Path, *options: str | Path, steps: int) -> None:
    """Train one variant up to ``steps``; do nothing if it is trained."""
    log = out / "log.jsonl"
    if log.exists() and len(log.read_text().splitlines()) >= steps and (out / "model.safetensors").exists():
        return
    resume = ["--resume"] if (out / "state.pt").exists() else []
    every = ["--checkpoint-every", "50", "--sample-every", "100000"]
    infgen("train", photos, "--output", out, "--steps", str(steps), "--threads", "1", *every, *options, *resume)


def measure(photos: Path, run: Path, study: Study, *, n: int, vgg_weights: Path | None) -> dict[str, float]:
    """Return the values of one variant by metric and scale."""
    metrics = [name for name in study.metrics if vgg_weights is not None or not name.endswith("fd-vgg")]
    weights: list[str | Path] = [] if vgg_weights is None else ["--vgg-weights", vgg_weights]
    report = run / "eval" / "report.json"
    if not report.exists():
        words = ["--metrics", ",".join(metrics), *study.options, "--n", str(n), "--threads", "1"]
        infgen("eval", run / "model.safetensors", photos, *words, *weights, "-o", report.parent)
    found = json.loads(report.read_text())["measurements"]
    return {f"{m['label']} {m.get('at') or m['scale']}": m["value"] for m in found}


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True))
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("--of", type=click.Choice(list(STUDIES)), default="method", show_default=True)
@click.option("--init", help="Model, or folder of a run, that every variant starts from.")
@click.option("--warmup-steps", default=0, show_default=True)
@click.option("--steps", default=200, show_default=True)
@click.option("--n", default=500, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
@click.option("--vgg-weights", type=click.Path(path_type=Path))
@click.option("--train-only", is_flag=True)
def main(
    photos: Path,
    runs: Path,
    of: str,
    init: str | None,
    warmup_steps: int,
    steps: int,
    n: int,
    precision: str,
    vgg_weights: Path | None,
    train_only: bool,
) -> None:
    """Train and measure the variants on PHOTOS, in folders below RUNS."""
    study = STUDIES[of]
    start = ["--init", init] if init else []
    shared = ["--preset", study.preset, "--precision", precision, "--warmup-steps", str(warmup_steps), *start]
    folders = {name: runs / name.replace(" ", "-") for name in study.variants}
    for name, options in study.variants.items():
        train(photos, folders[name], *shared, *options, steps=steps)
    if train_only:
        return
    found = {name: measure(photos, folders[name], study, n=n, vgg_weights=vgg_weights) for name in study.variants}
    columns = list(dict.fromkeys(column for values in found.values() for column in values))
    table = Table("variant", *columns, title=f"{study.preset}, {steps} steps each, N = {n}")
    for name, values in found.items():
        table.add_row(name, *(f"{values[c]:.4g}" if c in values else "" for c in columns))
    console.print(machine())
    console.print(table)


if __name__ == "__main__":
    main()
