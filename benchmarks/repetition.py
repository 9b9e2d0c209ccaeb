"""Measure how much a picture repeats itself along x and along y: the largest autocorrelation at any shift of a patch and more.

    infgen render --w 8192 --h 8192 --styles docs/examples/climates.json --model planet -o land.png
    python -m benchmarks.repetition land.png

1: the picture repeats exactly. About 0: it does not repeat. The score is that of ``infgen eval --metrics repetition``, of
all rows and of all columns. Broad light and shade do not count.
"""

from pathlib import Path

import click
import numpy as np
from PIL import Image

from infgen.train.evaluation.picture_scores import self_similarity

Image.MAX_IMAGE_PIXELS = None  # pictures that this machine made


@click.command()
@click.argument("picture", type=click.Path(path_type=Path, exists=True))
@click.option("--shortest", default=394, show_default=True, help="Smallest shift in px.")
@click.option(
    "--lines", default=1024, show_default=True, help="Rows and columns to use, from the middle of the picture."
)
def main(picture: Path, shortest: int, lines: int) -> None:
    """Print the scores of PICTURE."""
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    for axis, whole in (("x", pixels), ("y", pixels.transpose(1, 0, 2))):
        first = max(0, (len(whole) - lines) // 2)
        found = self_similarity(np.ascontiguousarray(whole[first : first + lines]), shortest=shortest)
        print(f"along {axis}: {found.peak:.3f} at a shift of {found.shift_px} px")


if __name__ == "__main__":
    main()
