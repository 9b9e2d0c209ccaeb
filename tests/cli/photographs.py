"""Phone-like photographs and the commands that work on them, for tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.train.photos import landscape, load

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--working-height", 40, "--horizon", 0.5, "--inversion-steps", 1, "--candidates", 1)


def pixels(path: Path) -> np.ndarray:
    """(h, w, 3) uint8."""
    return np.asarray(load(path).convert("RGB"))


def photograph(folder: Path, name: str = "photo.png", *, width: int = 60, height: int = 40, seed: int = 1) -> Path:
    """A landscape that is saved without loss."""
    path = folder / name
    Image.fromarray(landscape(seed, height=height, width=width)).save(path)
    return path


def save_turned(folder: Path, orientation: int, *, width: int, height: int) -> tuple[Path, np.ndarray]:
    """A JPEG whose pixels lie as a phone stores them, and the upright picture."""
    upright = landscape(orientation, height=height, width=width)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = folder / f"{orientation}-{width}x{height}.jpg"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=95, exif=exif)
    return path, upright


def interrupt_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C while an inversion takes the step after ``steps``."""
    from infgen.inversion.objective import Objective

    counted = [0]
    evaluate = Objective.__call__

    def press(self: Objective, variables: object) -> object:
        counted[0] += 1
        if counted[0] > steps:
            raise KeyboardInterrupt
        return evaluate(self, variables)  # type: ignore[arg-type]

    patch.setattr(Objective, "__call__", press)
