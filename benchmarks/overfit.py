"""Overfitting on purpose: trained on a handful of photographs, the samples must come to show them.

    python -m benchmarks.overfit PHOTOS RUN

Takes the middle square of the first eight photographs and trains without what works against copying: the diversity loss,
style mixing, and patches, which show any part of an endless picture (whole views lie at one place of the world). Augmentation
stays: without it the discriminator knows eight photographs by heart within fifty steps, and teaches nothing any more. The
networks start from the shipped model, since what takes longest from random weights is to draw any photograph at all.
As it goes, it measures the Frechet distance of the averaged model from the photographs, and how near each sample is to
the photograph that is nearest to it. Prints the curve and its running mean over three points, which must fall from point to
point, and leaves a sheet of photographs above samples. Left on a run that is there, it goes on from its checkpoint.
"""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image, ImageOps
from rich.table import Table
from torch import Tensor

from benchmarks.render import console, machine
from infgen.model.checkpoint import SHIPPED
from infgen.model.config import PATCH_CELLS
from infgen.model.generator import Generator
from infgen.perceptual import Lpips
from infgen.train import samples, start
from infgen.train.data import PhotoSet
from infgen.train.evaluation import WeightFiles, load_network
from infgen.train.evaluation.distances import frechet
from infgen.train.evaluation.features import collect
from infgen.train.loop import Schedule
from infgen.train.presets import Recipe, recipe

BATCH = 8  # samples of a step, and of what is drawn together to be measured
COLUMNS = 8  # of the sheet


def few(photos: Path, into: Path, count: int) -> Path:
    """The middle squares of the first ``count`` photographs."""
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(p for p in photos.iterdir() if p.suffix == ".jpg")[:count]:
        with Image.open(path) as image:
            ImageOps.fit(image.convert("RGB"), (min(image.size),) * 2).save(into / f"{path.stem}.png")
    return into


def copying(preset: str) -> Recipe:
    """The recipe ``preset`` without what works against copying."""
    free = {"position_weight": 0.0, "beyond": 0.0, "diversity_weight": 0.0, "mixing": 0.0}
    slow = {"generator_rate": 1e-3, "discriminator_rate": 5e-5}  # or the discriminator runs ahead of what it can teach
    return recipe(preset).changed(patches=False, batch=BATCH, **free, **slow)


def views(photos: PhotoSet) -> Tensor:
    """Every photograph and its mirror image, (2 N, 3, H, W) uint8."""
    plain = torch.stack([photos.view(i) for i in range(len(photos))]).permute(0, 3, 1, 2)
    return torch.cat([plain, plain.flip(3)])


def drawn(generator: Generator, n: int) -> Tensor:
    """``n`` samples of the place that was trained, (n, 3, H, W) uint8."""
    parts = (
        samples.window(generator, BATCH, (PATCH_CELLS,) * 2, dtype=torch.float32, seed=seed)
        for seed in range(-(-n // BATCH))
    )
    return torch.cat([torch.from_numpy(samples.to_uint8(part)).permute(0, 3, 1, 2) for part in parts])[:n]


@torch.inference_mode()
def nearest(fake: Tensor, real: Tensor, metric: Lpips) -> tuple[Tensor, Tensor]:
    """(LPIPS of every sample to its nearest view (n,), the number of that view (n,))."""
    views = metric.trunk(real.float() / 127.5 - 1)

    def distances(sample: Tensor) -> Tensor:
        features = metric.trunk(sample.expand(len(real), -1, -1, -1).float() / 127.5 - 1)
        return metric.between(features, views).flatten()

    least = torch.stack([distances(sample[None]) for sample in fake]).min(dim=1)
    return least.values, least.indices


def repeated(pictures: Tensor, n: int) -> Iterator[Tensor]:
    """``n`` pictures, all of them in turn."""
    return itertools.islice(itertools.cycle(pictures), n)


def sheet(real: Tensor, fake: Tensor) -> np.ndarray:
    """Photographs in the first row, samples below: (rows * H, 8 * W, 3) uint8."""
    tiles = torch.cat([real[:COLUMNS], fake[: 3 * COLUMNS]]).permute(0, 2, 3, 1).numpy()
    rows, (height, width) = len(tiles) // COLUMNS, tiles.shape[1:3]
    return tiles.reshape(rows, COLUMNS, height, width, 3).transpose(0, 2, 1, 3, 4).reshape(rows * height, -1, 3)


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True))
@click.argument("run_folder", type=click.Path(path_type=Path))
@click.option("--count", default=8, show_default=True)
@click.option("--preset", default="scenery-101-small", show_default=True)
@click.option("--steps", default=3000, show_default=True)
@click.option("--every", default=250, show_default=True)
@click.option("--n", default=200, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
@click.option("--threads", type=int)
@click.option("--init", type=click.Path(path_type=Path), default=SHIPPED, help="[default: the shipped model]")
@click.option("--vgg-weights", type=click.Path(path_type=Path))
def main(
    photos: Path,
    run_folder: Path,
    count: int,
    preset: str,
    steps: int,
    every: int,
    n: int,
    precision: str,
    threads: int | None,
    init: Path,
    vgg_weights: Path | None,
) -> None:
    """Train on COUNT of the PHOTOS in RUN_FOLDER and print the curve."""
    data, made_by = few(photos, run_folder / "photos", count), copying(preset)
    names = ["effnet", *(["vgg"] if vgg_weights else [])]
    networks = [load_network(name, WeightFiles(vgg=vgg_weights)) for name in names]
    metric = Lpips.load()
    table = Table("step", "minutes of training", *(f"FD-{name}, mean of 3" for name in names), "LPIPS", "shown")
    curves: dict[str, list[float]] = {name: [] for name in names}
    seconds = 0.0
    for upto in range(every, steps + 1, every):
        schedule = Schedule(
            steps=upto, checkpoint_every=every, sample_every=10**9, precision=precision, threads=threads
        )
        out = run_folder / "run"
        begun_before = (out / "state.pt").exists()
        run = start(data, made_by, schedule, out=out, resume=begun_before, init=None if begun_before else init)
        begun = time.perf_counter()
        run.train(lambda step, terms: None)
        seconds += time.perf_counter() - begun
        real, fake = views(run.trainer.photos), drawn(run.trainer.state.average, n)
        real_features = collect(repeated(real, n), networks, count=n)
        fake_features = collect(iter(fake), networks, count=n)
        row = []
        for name in names:
            curves[name].append(frechet(real_features[name], fake_features[name]))
            row.append(f"{curves[name][-1]:.1f}, {np.mean(curves[name][-3:]):.1f}")
        far, which = nearest(fake, real, metric)
        row += [f"{far.median():.3f}", f"{len(set((which % count).tolist()))} of {count}"]
        table.add_row(str(upto), f"{seconds / 60:.1f}", *row)
        console.print(upto, f"{seconds / 60:.1f} min", *row)
        Image.fromarray(sheet(real, fake)).save(run_folder / f"sheet-{upto:05d}.png")
    console.print(machine(), f"{count} photographs, batch {made_by.batch}, N = {n}; LPIPS: median to the nearest view")
    console.print(table)
    for name, curve in curves.items():
        means = [float(np.mean(curve[i : i + 3])) for i in range(len(curve) - 2)]
        falls = all(b < a for a, b in itertools.pairwise(means))
        console.print(f"FD-{name}: the mean of three {'falls at every point' if falls else 'does not fall everywhere'}")


if __name__ == "__main__":
    main()
