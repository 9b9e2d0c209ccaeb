"""Measure the joins of a wallpaper: differences of neighbouring pixels across its edges, against those inside.

infgen render --w 2048 --h 2048 --period 2048,2048 --model planet -o tile.png
python -m benchmarks.wallpaper tile.png -o nine.png
"""

from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

SHOWN_PX = 1536  # side of the picture of 3 x 3 tiles


def join_differences(pixels: npt.NDArray[np.uint8], axis: int) -> tuple[float, float, float]:
    """Return mean differences (of 255): across the join, inside, and the share of inner lines that differ by more."""
    values = pixels.astype(np.int16)
    joined = np.abs(np.take(values, 0, axis) - np.take(values, -1, axis)).mean()
    inside = np.abs(np.diff(values, axis=axis)).mean(axis=(1 - axis, 2))
    return float(joined), float(inside.mean()), float((inside > joined).mean())


@click.command()
@click.argument("tile", type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write a picture of 3 x 3 tiles.")
def main(tile: Path, output: Path | None) -> None:
    """Print the differences at the joins of TILE."""
    pixels = np.asarray(Image.open(tile).convert("RGB"))
    for name, axis in (("left and right", 1), ("top and bottom", 0)):
        joined, inside, share = join_differences(pixels, axis)
        print(
            f"{name}: {joined:.2f} of 255 at the join, {inside:.2f} inside; {100 * share:.0f} % of inner lines differ more"
        )
    if output is not None:
        nine = Image.fromarray(np.tile(pixels, (3, 3, 1)))
        nine.resize((SHOWN_PX, SHOWN_PX * nine.height // nine.width), Image.Resampling.LANCZOS).save(output)


if __name__ == "__main__":
    main()
