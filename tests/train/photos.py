"""Small synthetic photographs."""

import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def landscape(seed: int, *, height: int = 220, width: int = 300) -> np.ndarray:
    """A sky that is lighter towards a wavy horizon, and noisy ground: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    x, y = np.linspace(0, 1, width)[None, :, None], np.linspace(0, 1, height)[:, None, None]
    horizon = 0.5 + 0.1 * np.sin(2 * np.pi * (rng.uniform(1, 3) * x + rng.uniform()))
    sky = np.array([90, 140, 220]) + y * np.array([120, 90, 30])
    ground = rng.uniform(40, 120, 3) * (1.2 - 0.5 * y) + rng.normal(0, 12, (height, width, 1))
    return np.where(y < horizon, sky, ground).clip(0, 255).astype(np.uint8)


def coordinates_image(height: int, width: int) -> np.ndarray:
    """A picture whose pixels encode their position: red the row, green and blue the column. (height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y % 256, x % 256, x // 256], axis=2).astype(np.uint8)


def save(folder: Path, name: str, pixels: np.ndarray) -> Path:
    """Write ``pixels`` to ``folder / name``, creating folders."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def load(path: Path) -> Image.Image:
    """Load the picture at ``path`` and close its file."""
    with Image.open(path) as image:
        image.load()
        return image.copy()


def save_landscapes(folder: Path, count: int = 3) -> Path:
    """Save ``count`` landscapes of 300 x 220 px in ``folder``."""
    for i in range(count):
        save(folder, f"{i}.png", landscape(i))
    return folder


def plain(value: tuple[int, int, int], *, height: int = 50, width: int = 60) -> np.ndarray:
    """A picture of one colour: (height, width, 3) uint8."""
    return np.full((height, width, 3), value, np.uint8)


def files(folder: Path) -> list[Path]:
    """List all files below ``folder``, not sorted by name."""
    return sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.as_posix()[::-1])


def zip_of(folder: Path, path: Path) -> Path:
    """Write a zip file of all files below ``folder``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files(folder):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def tar_of(folder: Path, path: Path, *, only: Iterable[Path] | None = None) -> Path:
    """Write a tar file of all files below ``folder``, or of ``only`` some; compressed if ``path`` ends in .gz."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for file in files(folder) if only is None else only:
            archive.add(file, f"./{file.relative_to(folder).as_posix()}")
    return path
