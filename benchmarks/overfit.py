"""Overfitting on purpose: trained on a handful of photographs, the samples must come to show them.

    python -m benchmarks.overfit PHOTOS RUN --steps 400

Takes the first eight photographs, each brought to the size of a patch so that a patch shows all of its height, trains without
what works against copying (augmentation, the diversity loss), and measures the Frechet distance of the averaged model from
their patches as it goes. Prints the curve and its running mean over three points, which must fall from point to point; leaves
a sheet of the photographs beside samples. Left on a run that is there, it goes on from its checkpoint.
"""

import itertools
import shutil
import time
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from rich.table import Table

from benchmarks.render import console, machine
from infgen.model.generator import Generator
from infgen.train import samples, start
from infgen.train.data import PhotoSet
from infgen.train.evaluation import WeightFiles, frechet, load_network, real_features
from infgen.train.loop import Schedule
from infgen.train.presets import recipe


def few(photos: Path, into: Path, count: int) -> Path:
    """The first ``count`` photographs, copied."""
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(p for p in photos.iterdir() if p.suffix == ".jpg")[:count]:
        shutil.copy(path, into / path.name)
    return into


def sheet(photos: PhotoSet, generator: Generator) -> np.ndarray:
    """Photographs' patches above, samples below: (4 * patch, 8 * patch, 3) uint8."""
    real = torch.stack([photos.patch(i, seed=0)[0] for i in range(16)]).permute(0, 2, 3, 1).numpy()
    fake = samples.to_uint8(samples.window(generator, 16, (11, 11), dtype=torch.float32))
    tiles = np.concatenate([real, fake])
    side = tiles.shape[1]
    return tiles.reshape(4, 8, side, side, 3).transpose(0, 2, 1, 3, 4).reshape(4 * side, 8 * side, 3)


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True))
@click.argument("run_folder", type=click.Path(path_type=Path))
@click.option("--count", default=8, show_default=True)
@click.option("--preset", default="scenery-101-small", show_default=True)
@click.option("--steps", default=400, show_default=True)
@click.option("--every", default=50, show_default=True)
@click.option("--n", default=300, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
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
    vgg_weights: Path | None,
) -> None:
    """Train on COUNT of the PHOTOS in RUN_FOLDER and print the curve."""
    made_by = recipe(preset).changed(
        patches=False, position_weight=0.0, beyond=0.0, augment="none", diversity_weight=0.0
    )
    data = few(photos, run_folder / "photos", count)
    names = ["effnet", *(["vgg"] if vgg_weights else [])]
    networks = [load_network(name, WeightFiles(vgg=vgg_weights)) for name in names]
    table = Table("step", "minutes of training", *(f"FD-{name}, mean of 3" for name in names))
    curves: dict[str, list[float]] = {name: [] for name in names}
    seconds = 0.0
    for upto in range(every, steps + 1, every):
        schedule = Schedule(steps=upto, checkpoint_every=every, sample_every=10**9, precision=precision)
        out = run_folder / "run"
        run = start(data, made_by, schedule, out=out, resume=(out / "state.pt").exists())
        real = real_features(run.trainer.photos, networks, n=n, seed=1)
        begun = time.perf_counter()
        run.train(lambda step, terms: None)
        seconds += time.perf_counter() - begun
        average = run.trainer.state.average
        row = []
        for name, network in zip(names, networks, strict=True):
            curves[name].append(frechet(average, network, real=real[name], n=n, seed=2))
            row.append(f"{curves[name][-1]:.1f}, {np.mean(curves[name][-3:]):.1f}")
        table.add_row(str(upto), f"{seconds / 60:.1f}", *row)
        console.print(upto, f"{seconds / 60:.1f} min", *row)
        Image.fromarray(sheet(run.trainer.photos, average)).save(run_folder / "sheet.png")
    console.print(machine(), f"{count} photographs, batch {made_by.batch}, N = {n}")
    console.print(table)
    for name, curve in curves.items():
        means = [float(np.mean(curve[i : i + 3])) for i in range(len(curve) - 2)]
        falls = all(b < a for a, b in itertools.pairwise(means))
        console.print(f"FD-{name}: the mean of three {'falls at every point' if falls else 'does not fall everywhere'}")


if __name__ == "__main__":
    main()
