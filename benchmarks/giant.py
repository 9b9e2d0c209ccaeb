"""A very large picture: peak memory, and whether other programs read from it what the world draws there.

    python -m benchmarks.giant --side 50000            # tiny model, BigTIFF; needs 3 + 4 bytes of disk per px
    python -m benchmarks.giant --side 20000 --name out.dzi

After the render, random boxes are read back (TIFF: by libvips and by tifffile; DeepZoom: by Pillow, tile by tile) and compared
with renders of their own.
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pyvips
import tifffile
import torch
from PIL import Image

from benchmarks.memory import measure
from benchmarks.render import console, machine
from infgen import World
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.pixels import Pixels

TILE_PX = 512  # of both formats
Reader = Callable[[int, int], Pixels]  # column and row of a whole tile


def by_libvips(path: Path) -> Reader:
    """Reads through libvips."""
    image = pyvips.Image.new_from_file(str(path), access="random")
    return lambda column, row: image.crop(TILE_PX * column, TILE_PX * row, TILE_PX, TILE_PX).numpy()


def by_tifffile(path: Path) -> Reader:
    """Decodes single tiles with tifffile."""
    page = tifffile.TiffFile(path).pages[0]
    across = -(-page.imagewidth // TILE_PX)

    def read(column: int, row: int) -> Pixels:
        index = row * across + column
        with path.open("rb") as file:
            file.seek(page.dataoffsets[index])
            data, _, shape = page.decode(file.read(page.databytecounts[index]), index)
        return np.asarray(data).reshape(shape)[0]

    return read


def by_pillow(path: Path) -> Reader:
    """Opens the tiles of the last DeepZoom level."""
    folder = path.with_name(path.stem + "_files")
    level = max(int(p.name) for p in folder.iterdir() if p.name.isdigit())
    return lambda column, row: np.asarray(Image.open(folder / str(level) / f"{column}_{row}.png"))


READERS: dict[str, dict[str, Callable[[Path], Reader]]] = {
    ".tif": {"libvips": by_libvips, "tifffile": by_tifffile},
    ".dzi": {"pillow": by_pillow},
}


@click.command()
@click.option("--side", default=50_000, show_default=True)
@click.option("--name", default="out.tif", show_default=True, help="out.tif or out.dzi")
@click.option("--boxes", default=12, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where there is room. [default: a temporary folder]")
def main(side: int, name: str, boxes: int, folder: Path | None) -> None:
    """Draw, measure, read back; exit code 1 where a box is more than one step of 255 off."""
    torch.manual_seed(0)
    with TemporaryDirectory(dir=folder) as work:
        model, out = Path(work) / "tiny.safetensors", Path(work) / name
        Generator(preset("tiny")).save_pretrained(model)
        found = measure(model, side, out)
        files = [p for p in Path(work).rglob("*") if p.is_file() and p != model]
        console.print(machine())
        console.print(
            f"{side} x {side} px: peak {found.peak_mb:.0f} MB, {found.seconds:.0f} s, "
            f"{sum(p.stat().st_size for p in files) / 1e9:.2f} GB in {len(files)} files"
        )
        rng, worst, most = random.Random(1), 0, 0.0
        for reader, opened in READERS[out.suffix].items():
            read, equal = opened(out), 0
            for _ in range(boxes):
                column, row = (rng.randrange(side // TILE_PX) for _ in range(2))
                x, y = TILE_PX * column, TILE_PX * row - side // 2
                drawn = World().render(x, y, TILE_PX, TILE_PX, model=model).astype(np.int16)
                difference = np.abs(drawn - read(column, row))
                worst, equal = max(worst, int(difference.max())), equal + int(difference.max() == 0)
                most = max(most, float((difference > 0).mean()))
            console.print(
                f"{reader}: {boxes} tiles read, {equal} equal bit for bit, the others up to {worst} of 255 off "
                f"on at most {most:.2e} of their values"
            )
    sys.exit(worst > 1)


if __name__ == "__main__":
    main()
