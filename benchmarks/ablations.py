"""Measure what each part of the method contributes: equal short runs with and without it, measured alike.

    python -m benchmarks.ablations PHOTOS RUNS --steps 200 --vgg-weights vgg.safetensors

Trains every variant with the same seed, data, batch and number of steps (an existing run is continued), then measures
Frechet distances at 1x, 2x and 4x and diversity. Short runs show what breaks, not how good the method gets.
"""

import json
import subprocess
import sys
from pathlib import Path

import click
from rich.table import Table

from benchmarks.render import console, machine

VARIANTS = {
    "whole method": (),
    "no structure synthesizer": ("--ablation", "stylegan2-nci-pfg"),
    "no unfolding": ("--ablation", "no-unfolding"),
    "no L_div": ("--ablation", "no-diversity"),
    "no L_ar": ("--ablation", "no-position"),
}
SCALES = (1, 2, 4)


def infgen(*words: str | Path) -> None:
    """Run the program. Raises CalledProcessError where it fails."""
    subprocess.run([sys.executable, "-m", "infgen", *map(str, words)], check=True)


def train(photos: Path, out: Path, options: tuple[str, ...], *, preset: str, steps: int, precision: str) -> None:
    """Train one variant up to ``steps``; nothing to do where it is there."""
    log = out / "log.jsonl"
    if log.exists() and len(log.read_text().splitlines()) >= steps and (out / "model.safetensors").exists():
        return
    resume = ["--resume"] if (out / "state.pt").exists() else []
    beyond = [] if "stylegan2-nci-pfg" in options else ["--beyond", "0"]
    settings = ["--preset", preset, "--steps", str(steps), "--precision", precision, "--threads", "1"]
    every = ["--checkpoint-every", "50", "--sample-every", "100000"]
    infgen("train", photos, "--output", out, *settings, *every, *options, *beyond, *resume)


def measure(photos: Path, run: Path, *, n: int, vgg_weights: Path | None) -> dict[str, float]:
    """The values of one variant by metric and scale."""
    metrics = ["fd-effnet", "scaleinv-fd-effnet", "diversity"]
    options: list[str | Path] = []
    if vgg_weights is not None:
        metrics += ["fd-vgg", "scaleinv-fd-vgg"]
        options = ["--vgg-weights", vgg_weights]
    report = run / "eval" / "report.json"
    if not report.exists():
        scales = ",".join(map(str, SCALES))
        words = ["--metrics", ",".join(metrics), "--scales", scales, "--n", str(n), "--threads", "1"]
        infgen("eval", run / "model.safetensors", photos, *words, *options, "-o", report.parent)
    found = json.loads(report.read_text())["measurements"]
    return {f"{m['metric']} {m['scale']}": m["value"] for m in found}


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True))
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("--preset", default="scenery-101-small", show_default=True)
@click.option("--steps", default=200, show_default=True)
@click.option("--n", default=500, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
@click.option("--vgg-weights", type=click.Path(path_type=Path))
@click.option("--train-only", is_flag=True)
def main(
    photos: Path,
    runs: Path,
    preset: str,
    steps: int,
    n: int,
    precision: str,
    vgg_weights: Path | None,
    train_only: bool,
) -> None:
    """Train and measure the variants on PHOTOS, in folders below RUNS."""
    for name, options in VARIANTS.items():
        train(photos, runs / name.replace(" ", "-"), options, preset=preset, steps=steps, precision=precision)
    if train_only:
        return
    columns = [f"{m} {s}" for m in ("scaleinv-fd-effnet", "scaleinv-fd-vgg") for s in SCALES] + ["diversity 1"]
    table = Table("variant", *columns, title=f"{preset}, {steps} steps each, N = {n}")
    for name in VARIANTS:
        values = measure(photos, runs / name.replace(" ", "-"), n=n, vgg_weights=vgg_weights)
        table.add_row(name, *(f"{values[c]:.4g}" if c in values else "" for c in columns))
    console.print(machine())
    console.print(table)


if __name__ == "__main__":
    main()
