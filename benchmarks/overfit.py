"""Overfit on purpose: trained on eight photographs, the samples must come to show them.

    python -m benchmarks.overfit PHOTOS RUN

Takes the middle squares of the first eight photographs, or of those with ``--names``. Trains without what works against
memorising: no diversity loss, no style mixing, and views that are lower than the strip of rows at which patches of a world
begin. Patches and augmentation stay: without them the discriminator memorises eight photographs within fifty steps. Both
learning rates decay to zero at the last step.

Measures two values at intervals: the Frechet distance of the EMA model's patches, and the LPIPS of a sample to its nearest
patch. Candidates are patches of all photographs and their mirror images, a few px apart. First prints the same LPIPS for
patches of the photographs, cut between the candidates, and for patches of photographs that were not trained. Then prints the
curve and its running mean over five points, which must fall from point to point. Writes sheets of samples above their nearest
patches. An existing run is continued; a point that was interrupted is left out.
"""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image, ImageOps
from rich.table import Table
from torch import Tensor

from benchmarks.render import console, machine
from infgen.model.checkpoint import SHIPPED
from infgen.perceptual import Lpips
from infgen.train import start
from infgen.train.checkpoint import RunFolder
from infgen.train.data.photo_set import PhotoSet
from infgen.train.evaluation import WeightFiles, load_network, real_features
from infgen.train.evaluation.distances import frechet
from infgen.train.evaluation.features import collect
from infgen.train.evaluation.generated import Painter, patches
from infgen.train.loop import Schedule, StopReason
from infgen.train.presets import VERTICAL_STARTS, Recipe, find_recipe

STRIDE = 16  # px between the patches among which the nearest is sought
COLUMNS, ROWS = 12, 3  # samples of the sheet, which are also those compared with the photographs
SEED = 2
SMOOTH = 5  # points in a mean: single ones sway by more than the curve falls from one to the next


def few(photos: list[Path], into: Path) -> Path:
    """The middle squares of ``photos``."""
    into.mkdir(parents=True, exist_ok=True)
    for path in photos:
        with Image.open(path) as image:
            ImageOps.fit(image.convert("RGB"), (min(image.size),) * 2).save(into / f"{path.stem}.png")
    return into


def copying(preset: str, **changes: Any) -> Recipe:
    """The recipe ``preset`` without what works against copying.

    Patches of a world begin at V rows, over more pixels than patches of a photograph have room to move in: a world that shows
    a photograph in its own size would be left with rows that no patch of it shows. So views are as tall as the strip.
    """
    config = find_recipe(preset).generator_config
    strip = config.patch_px + (VERTICAL_STARTS - 1) * config.cell_px
    return find_recipe(preset).with_values(beyond=0.0, diversity_weight=0.0, mixing=0.0, view=strip, **changes)


def cut(photos: PhotoSet, side: int, *, offset: int = 0) -> Tensor:
    """Patches of every photograph and its mirror image, from ``offset`` px on every STRIDE px, (n, 3, side, side) uint8."""
    plain = torch.stack([photos.view(i) for i in range(len(photos))]).permute(0, 3, 1, 2)
    views = torch.cat([plain, plain.flip(3)])[:, :, offset:, offset:]
    windows = views.unfold(2, side, STRIDE).unfold(3, side, STRIDE)  # (2 N, 3, rows, columns, side, side)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


@torch.inference_mode()
def nearest(samples: Tensor, among: Tensor, metric: Lpips) -> tuple[Tensor, Tensor]:
    """(LPIPS of every sample to its nearest of ``among`` (n,), the number of that one (n,))."""
    own = [metric.trunk(sample[None].float() / 127.5 - 1) for sample in samples]
    rows = []
    for part in among.split(64):
        features = metric.trunk(part.float() / 127.5 - 1)
        alike = ([f.expand(len(part), -1, -1, -1) for f in maps] for maps in own)
        rows.append(torch.stack([metric.between(maps, features).flatten() for maps in alike]))
    least = torch.cat(rows, dim=1).min(dim=1)
    return least.values, least.indices


def sheet(samples: Tensor, found: Tensor) -> np.ndarray:
    """Rows of samples, each above a row of the patches that are nearest: (2 * rows * side, COLUMNS * side, 3) uint8."""
    rows = [half.unflatten(0, (-1, COLUMNS)) for half in (samples, found)]
    pairs = torch.stack(rows, dim=1)  # (rows, 2, COLUMNS, 3, side, side)
    return pairs.permute(0, 1, 4, 2, 5, 3).flatten(0, 2).flatten(1, 2).numpy()


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True))
@click.argument("run_folder", type=click.Path(path_type=Path))
@click.option("--names", help="Of the photographs, without ending, between commas. [default: the first COUNT]")
@click.option("--count", default=8, show_default=True)
@click.option("--preset", default="scenery-101-small", show_default=True)
@click.option("--steps", default=6000, show_default=True)
@click.option("--every", default=500, show_default=True)
@click.option("--n", default=400, show_default=True, help="Patches of each kind that a distance compares.")
@click.option("--batch", default=8, show_default=True)
@click.option("--generator-rate", default=2e-3, show_default=True)
@click.option("--discriminator-rate", default=5e-4, show_default=True)
@click.option("--ema", default=0.999, show_default=True, help="Decay of the averaged weights, per step.")
@click.option("--precision", default="bf16", show_default=True)
@click.option("--threads", type=int)
@click.option("--init", type=click.Path(path_type=Path), default=SHIPPED, help="[default: the shipped model]")
@click.option("--random", "from_random", is_flag=True, help="Start from random weights.")
@click.option("--vgg-weights", type=click.Path(path_type=Path))
def main(
    photos: Path,
    run_folder: Path,
    names: str | None,
    count: int,
    preset: str,
    steps: int,
    every: int,
    n: int,
    batch: int,
    generator_rate: float,
    discriminator_rate: float,
    ema: float,
    precision: str,
    threads: int | None,
    init: Path,
    from_random: bool,
    vgg_weights: Path | None,
) -> None:
    """Train on a few of the PHOTOS in RUN_FOLDER and print the curve."""
    rates = {"generator_rate": generator_rate, "discriminator_rate": discriminator_rate, "ema": ema}
    paths = sorted(p for p in photos.iterdir() if p.suffix == ".jpg")
    chosen = [photos / f"{name}.jpg" for name in names.split(",")] if names else paths[:count]
    if missing := [path.name for path in chosen if path not in paths]:
        raise click.BadParameter(f"{photos} holds no {', '.join(missing)}", param_hint="--names")
    count = len(chosen)
    data, made_by = few(chosen, run_folder / "photos"), copying(preset, batch=batch, decay_steps=steps, **rates)
    others = few([p for p in paths if p not in chosen][:count], run_folder / "others")
    networks = [
        load_network(name, WeightFiles(vgg=vgg_weights)) for name in ("effnet", "vgg")[: 2 if vgg_weights else 1]
    ]
    side = made_by.generator_config.patch_px
    sets = [PhotoSet.open(folder, view_px=made_by.view_px, patch_px=side)[0] for folder in (data, others)]
    real = real_features(sets[0], networks, n=n, seed=1)
    again = real_features(sets[0], networks, n=n, seed=SEED)
    among, metric = cut(sets[0], side), Lpips.load()
    for words, patches_of in (("these", cut(sets[0], side, offset=STRIDE // 2)), ("other", cut(sets[1], side))):
        far = nearest(patches_of[:: len(patches_of) // (COLUMNS * ROWS)], among, metric)[0].median()
        console.print(f"LPIPS of patches of {words} photographs: {far:.3f}")
    console.print("floor:", *(f"FD-{name} {frechet(real[name], again[name]):.1f}" for name in real))

    log = run_folder / "curve.jsonl"
    points = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    folder = RunFolder(run_folder / "run")
    trained = folder.describe()["step"] if folder.state.exists() else 0
    for upto in range(every * (trained // every + 1), steps + 1, every):
        schedule = Schedule(
            steps=upto, checkpoint_every=every, sample_every=10**9, precision=precision, threads=threads
        )
        resume = folder.state.exists()
        fresh = None if resume or from_random else init
        run = start(data, made_by, schedule, out=folder.path, resume=resume, init=fresh)
        begun, first = time.perf_counter(), run.trainer.state.step
        if run.train(lambda step, terms: None) is StopReason.SIGNAL:
            raise SystemExit("stopped; the same command goes on")
        # Of all steps since the last point, also where a stop lay between.
        last = points[-1] if points else {"step": 0, "minutes": 0}
        minutes = (time.perf_counter() - begun) / 60 * (upto - last["step"]) / (upto - first)
        samples = torch.stack(list(patches(Painter.of(run.trainer.state.ema), n=n, seed=SEED)))
        fake = collect(iter(samples), networks, count=n)
        samples = samples[: COLUMNS * ROWS]
        far, which = nearest(samples, among, metric)
        photograph = which // (len(among) // (2 * count)) % count
        point = {
            "step": upto,
            "minutes": last["minutes"] + minutes,
            **{f"FD-{name}": frechet(real[name], fake[name]) for name in real},
            "LPIPS": float(far.median()),
            "shown": len(set(photograph.tolist())),
        }
        points.append(point)
        with log.open("a") as file:
            file.write(json.dumps(point) + "\n")
        console.print(point)
        Image.fromarray(sheet(samples, among[which])).save(run_folder / f"sheet-{upto:05d}.png")
    console.print(machine(), f"{count} photographs, batch {batch}, N = {n}; LPIPS: median of {COLUMNS * ROWS} samples")
    report(points, [f"FD-{name}" for name in real], count)


def report(points: list[dict[str, float]], distances: list[str], count: int) -> None:
    """Print the curve with its running means, and whether these fall everywhere."""
    curves = {name: [p[name] for p in points] for name in distances}
    table = Table("step", "minutes of training", *(f"{name}, mean of {SMOOTH}" for name in distances), "LPIPS", "shown")
    for i, p in enumerate(points):
        values = (f"{c[i]:.1f}, {np.mean(c[max(0, i + 1 - SMOOTH) : i + 1]):.1f}" for c in curves.values())
        table.add_row(
            f"{p['step']:.0f}", f"{p['minutes']:.1f}", *values, f"{p['LPIPS']:.3f}", f"{p['shown']:.0f} of {count}"
        )
    console.print(table)
    for name, curve in curves.items():
        means = [float(np.mean(curve[i : i + SMOOTH])) for i in range(len(curve) + 1 - SMOOTH)]
        if len(means) < 2:
            continue
        falls = all(b < a for a, b in itertools.pairwise(means))
        console.print(f"{name}: the mean of {SMOOTH} {'falls at every point' if falls else 'does not fall everywhere'}")


if __name__ == "__main__":
    main()
