"""Overfitting on purpose: trained on a handful of photographs, the samples must come to show them.

    python -m benchmarks.overfit PHOTOS RUN

Takes the middle square of the first eight photographs and trains without what works against copying: the diversity loss and
style mixing. Patches and augmentation stay: without either the discriminator knows eight photographs by heart within fifty
steps, and teaches nothing any more. As it goes, it measures the Frechet distance of the averaged model's patches from the
photographs', and how near samples as large as a photograph come to the one that is nearest. Prints the curve and its running
mean over three points, which must fall from point to point, and leaves a sheet of photographs above samples. Left on a run
that is there, it goes on from its checkpoint.
"""

import itertools
import time
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image, ImageOps
from rich.table import Table
from torch import Tensor

from benchmarks.render import console, machine
from infgen.model.checkpoint import SHIPPED
from infgen.model.generator import Generator
from infgen.perceptual import Lpips
from infgen.train import samples, start
from infgen.train.data import PhotoSet
from infgen.train.evaluation import WeightFiles, frechet, load_network, real_features
from infgen.train.loop import Schedule
from infgen.train.presets import VIEW_CELLS, Recipe, recipe

COLUMNS, ROWS = 8, 3  # samples of the sheet, which are also those compared with the photographs


def few(photos: Path, into: Path, count: int) -> Path:
    """The middle squares of the first ``count`` photographs."""
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(p for p in photos.iterdir() if p.suffix == ".jpg")[:count]:
        with Image.open(path) as image:
            ImageOps.fit(image.convert("RGB"), (min(image.size),) * 2).save(into / f"{path.stem}.png")
    return into


def copying(preset: str, **changes: float) -> Recipe:
    """The recipe ``preset`` without what works against copying."""
    return recipe(preset).changed(beyond=0.0, diversity_weight=0.0, mixing=0.0, **changes)


def views(photos: PhotoSet) -> Tensor:
    """Every photograph and its mirror image, (2 N, 3, H, W) uint8."""
    plain = torch.stack([photos.view(i) for i in range(len(photos))]).permute(0, 3, 1, 2)
    return torch.cat([plain, plain.flip(3)])


def drawn(generator: Generator) -> Tensor:
    """Samples as large as the photographs, around the horizon, (COLUMNS * ROWS, 3, H, W) uint8."""
    images = samples.window(generator, COLUMNS * ROWS, (VIEW_CELLS,) * 2, dtype=torch.float32)
    return torch.from_numpy(samples.to_uint8(images)).permute(0, 3, 1, 2)


@torch.inference_mode()
def nearest(fake: Tensor, real: Tensor, metric: Lpips) -> tuple[Tensor, Tensor]:
    """(LPIPS of every sample to its nearest view (n,), the number of that view (n,))."""
    views = metric.trunk(real.float() / 127.5 - 1)

    def distances(sample: Tensor) -> Tensor:
        features = metric.trunk(sample.expand(len(real), -1, -1, -1).float() / 127.5 - 1)
        return metric.between(features, views).flatten()

    least = torch.stack([distances(sample[None]) for sample in fake]).min(dim=1)
    return least.values, least.indices


def sheet(real: Tensor, fake: Tensor) -> np.ndarray:
    """Photographs in the first row, samples below: (rows * H, COLUMNS * W, 3) uint8."""
    tiles = torch.cat([real[:COLUMNS], fake]).permute(0, 2, 3, 1).numpy()
    rows, (height, width) = len(tiles) // COLUMNS, tiles.shape[1:3]
    return tiles.reshape(rows, COLUMNS, height, width, 3).transpose(0, 2, 1, 3, 4).reshape(rows * height, -1, 3)


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True))
@click.argument("run_folder", type=click.Path(path_type=Path))
@click.option("--count", default=8, show_default=True)
@click.option("--preset", default="scenery-101-small", show_default=True)
@click.option("--steps", default=3000, show_default=True)
@click.option("--every", default=250, show_default=True)
@click.option("--n", default=400, show_default=True, help="Patches of each kind that a distance compares.")
@click.option("--batch", default=8, show_default=True)
@click.option("--generator-rate", default=1e-3, show_default=True)
@click.option("--discriminator-rate", default=1e-4, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
@click.option("--threads", type=int)
@click.option("--init", type=click.Path(path_type=Path), default=SHIPPED, help="[default: the shipped model]")
@click.option("--random", "from_random", is_flag=True, help="Start from random weights.")
@click.option("--vgg-weights", type=click.Path(path_type=Path))
def main(
    photos: Path,
    run_folder: Path,
    count: int,
    preset: str,
    steps: int,
    every: int,
    n: int,
    batch: int,
    generator_rate: float,
    discriminator_rate: float,
    precision: str,
    threads: int | None,
    init: Path,
    from_random: bool,
    vgg_weights: Path | None,
) -> None:
    """Train on COUNT of the PHOTOS in RUN_FOLDER and print the curve."""
    rates = {"generator_rate": generator_rate, "discriminator_rate": discriminator_rate}
    data, made_by = few(photos, run_folder / "photos", count), copying(preset, batch=batch, **rates)
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
        fresh = None if begun_before or from_random else init
        run = start(data, made_by, schedule, out=out, resume=begun_before, init=fresh)
        real = real_features(run.trainer.photos, networks, n=n, seed=1)
        begun = time.perf_counter()
        run.train(lambda step, terms: None)
        seconds += time.perf_counter() - begun
        average = run.trainer.state.average
        row = []
        for name, network in zip(names, networks, strict=True):
            curves[name].append(frechet(average, network, real=real[name], n=n, seed=2))
            row.append(f"{curves[name][-1]:.1f}, {np.mean(curves[name][-3:]):.1f}")
        whole, fake = views(run.trainer.photos), drawn(average)
        far, which = nearest(fake, whole, metric)
        row += [f"{far.median():.3f}", f"{len(set((which % count).tolist()))} of {count}"]
        table.add_row(str(upto), f"{seconds / 60:.1f}", *row)
        console.print(upto, f"{seconds / 60:.1f} min", *row)
        Image.fromarray(sheet(whole, fake)).save(run_folder / f"sheet-{upto:05d}.png")
    console.print(machine(), f"{count} photographs, batch {batch}, N = {n}; LPIPS: median to the nearest photograph")
    console.print(table)
    for name, curve in curves.items():
        means = [float(np.mean(curve[i : i + 3])) for i in range(len(curve) - 2)]
        falls = all(b < a for a, b in itertools.pairwise(means))
        console.print(f"FD-{name}: the mean of three {'falls at every point' if falls else 'does not fall everywhere'}")


if __name__ == "__main__":
    main()
