"""Show an equirectangular planet as globes in orthographic projection, to look for seams and at the poles.

    infgen planet --w 8192 -o earth.png
    python -m benchmarks.globe earth.png -o globes.png

The default views: the front, the meridian where left and right edges meet, both poles, and 60 degrees north. The script
also prints the difference of neighbouring columns at the join and elsewhere.
"""

from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

Image.MAX_IMAGE_PIXELS = None  # pictures that this machine made
VIEWS = ((0.0, 0.0), (0.0, 180.0), (90.0, 0.0), (-90.0, 0.0), (60.0, 180.0), (0.0, 90.0))  # latitude, longitude
SUPERSAMPLING = 2


def globe(map_pixels: npt.NDArray[np.uint8], *, latitude: float, longitude: float, side: int) -> Image.Image:
    """Project ``map_pixels`` (h, w, 3) on a sphere seen from far above a place in degrees, on black."""
    size = side * SUPERSAMPLING
    across = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(across, -across)
    inside = x * x + y * y < 1
    z = np.sqrt(np.maximum(0, 1 - x * x - y * y))
    tilt, turn = np.radians(latitude), np.radians(longitude)
    up, out = y * np.cos(tilt) + z * np.sin(tilt), z * np.cos(tilt) - y * np.sin(tilt)
    height, width, _ = map_pixels.shape
    rows = ((0.5 - np.arcsin(np.clip(up, -1, 1)) / np.pi) * height).astype(int).clip(0, height - 1)
    columns = ((np.arctan2(x, out) + turn) / (2 * np.pi) * width + width / 2).astype(int) % width
    shade = 0.35 + 0.65 * z[..., None]
    picture = np.where(inside[..., None], map_pixels[rows, columns] * shade, 0).astype(np.uint8)
    return Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)


def join_difference(map_pixels: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Return the mean difference (of 255) of the first and last column, and of all neighbouring columns."""
    values = map_pixels.astype(np.int16)
    return float(np.abs(values[:, 0] - values[:, -1]).mean()), float(np.abs(np.diff(values, axis=1)).mean())


@click.command()
@click.argument("planet", type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--side", default=512, show_default=True, help="Side of one globe in px.")
def main(planet: Path, output: Path, side: int) -> None:
    """Draw globes of PLANET in rows of three."""
    pixels = np.asarray(Image.open(planet).convert("RGB"))
    sheet = Image.new("RGB", (3 * side, -(-len(VIEWS) // 3) * side))
    for i, (latitude, longitude) in enumerate(VIEWS):
        sheet.paste(globe(pixels, latitude=latitude, longitude=longitude, side=side), (i % 3 * side, i // 3 * side))
    sheet.save(output)
    print(
        "columns at the join differ by {:.2f} of 255, neighbours elsewhere by {:.2f}".format(*join_difference(pixels))
    )


if __name__ == "__main__":
    main()
