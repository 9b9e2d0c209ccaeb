"""Photographs as phones store them: odd sizes, every EXIF orientation, continued by the shipped model.

    python -m benchmarks.phones PHOTOS

Cuts twenty photographs of the folder to odd sizes, stores each turned or mirrored as its orientation says, and runs ``infgen
outpaint`` on it. A picture must have the right size and hold the upright photograph's own pixels, bit for bit. Prints one row
for each, with the time and the peak memory of its process; exit code 1 where one fails.
"""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from PIL import ExifTags, Image, ImageOps
from rich.table import Table

from benchmarks.render import console, machine

SIZES = [(301, 499), (499, 301), (511, 233), (257, 257), (503, 97), (131, 409), (67, 53)]
TURN = {  # what undoes the turn that an orientation asks for
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
RIGHT, TOP = 61, 17  # px to add


def save_photo(source: Path, path: Path, size: tuple[int, int], orientation: int) -> None:
    """The middle of a photograph, ``size`` px, as a phone would store it."""
    with Image.open(source) as image:
        upright = ImageOps.fit(image.convert("RGB"), size)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    turned = upright.transpose(TURN[orientation]) if orientation in TURN else upright
    turned.save(path, quality=92, exif=exif)


def run(words: list[str]) -> tuple[int, float, float]:
    """(exit code, seconds, peak memory in MB) of ``infgen`` as a process of its own."""
    begun = time.perf_counter()
    child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "infgen", *words])
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - begun, usage.ru_maxrss * 1024 / 1e6


def right(photo: Path, out: Path, size: tuple[int, int]) -> bool:
    """Whether the picture has its size and the upright photograph's pixels."""
    with Image.open(photo) as image, Image.open(out) as picture:
        upright, drawn = np.asarray(ImageOps.exif_transpose(image)), np.asarray(picture)
    width, height = size
    return drawn.shape == (height + TOP, width + RIGHT, 3) and np.array_equal(drawn[TOP:, :width], upright)


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True))
@click.option("--count", default=20, show_default=True)
@click.option("--steps", default=10, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the pictures.")
def main(photos: Path, count: int, steps: int, threads: int, keep: Path | None) -> None:
    """Continue COUNT of the PHOTOS and check them."""
    table = Table("photograph", "px", "EXIF", "seconds", "peak MB", "upright, whole")
    failed = 0
    with TemporaryDirectory() as work:
        for i, source in enumerate(sorted(p for p in photos.iterdir() if p.suffix in {".jpg", ".webp"})[:count]):
            size, orientation = SIZES[i % len(SIZES)], 1 + i % 8
            photo, out = Path(work) / f"{source.stem}.jpg", (keep or Path(work)) / f"{source.stem}.png"
            save_photo(source, photo, size, orientation)
            words = [
                "outpaint",
                str(photo),
                "--right",
                str(RIGHT),
                "--top",
                str(TOP),
                "--feather",
                "0",
            ]
            code, seconds, peak = run(
                [*words, "--inversion-steps", str(steps), "--threads", str(threads), "--quiet", "-o", str(out)]
            )
            good = code == 0 and right(photo, out, size)
            failed += not good
            table.add_row(
                source.stem,
                f"{size[0]} x {size[1]}",
                str(orientation),
                f"{seconds:.1f}",
                f"{peak:.0f}",
                "yes" if good else "NO",
            )
            console.print(f"{source.stem}: {seconds:.1f} s, {peak:.0f} MB, {'right' if good else 'WRONG'}")
    console.print(machine(), f"{steps} steps of inversion")
    console.print(table)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
