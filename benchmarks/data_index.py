"""Seconds until training can start, without and with the index of a large data set.

    python -m benchmarks.data_index PHOTOS --count 5000 --preset scenery-101-small

Writes ``count`` copies of the photographs with noise to a temporary folder, and opens them twice as ``infgen train`` does.
"""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from PIL import Image

from benchmarks.render import console, machine
from infgen.cache import CACHE_VARIABLE
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.presets import find_recipe


def copy_with_noise(photos: Path, folder: Path, count: int) -> None:
    """Write ``count`` JPEG files: the photographs in turn, each with other noise."""
    paths, rng = sorted(photos.glob("*.jpg")), np.random.default_rng(0)
    for i in range(count):
        with Image.open(paths[i % len(paths)]) as image:
            pixels = np.asarray(image.convert("RGB"), np.int16)
        noisy = pixels + rng.integers(-4, 5, (*pixels.shape[:2], 1), np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{i:06d}.jpg", quality=85)


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--count", default=5000, show_default=True)
@click.option("--preset", default="scenery-101-small", show_default=True)
def main(photos: Path, count: int, preset: str) -> None:
    """Open noisy copies of the photographs in PHOTOS twice."""
    recipe = find_recipe(preset)
    console.print(machine())
    with TemporaryDirectory() as folder:
        os.environ[CACHE_VARIABLE] = f"{folder}/cache"
        data = Path(folder) / "photos"
        data.mkdir()
        copy_with_noise(photos, data, count)
        fingerprints = []
        for name in ("without an index", "with the index"):
            start = time.perf_counter()
            pyramid, _ = PhotoPyramid.open(data, recipe.trained_scales)
            console.print(f"{name}: {time.perf_counter() - start:.1f} s, {len(pyramid)} photographs")
            fingerprints.append(pyramid.fingerprint)
        console.print("the same photographs" if len(set(fingerprints)) == 1 else "other photographs")


if __name__ == "__main__":
    main()
