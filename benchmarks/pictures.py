"""The pictures of a model in docs/images: one window, other worlds, patches, and a long strip.

python -m benchmarks.pictures docs/images --model runs/mine/model.safetensors
"""

from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from infgen import Region, World
from infgen.model.checkpoint import SHIPPED
from infgen.model.generator import Generator
from infgen.rendering.job import Options, Studio, open_studio
from infgen.train import samples

STRIP = (256, 9984)  # height and width in px (paper Figure 31)
STRIP_ROWS = 6
QUALITY = 88


def window(model: Path, seed: int, width: int, height: int) -> Image.Image:
    """A window of world ``seed`` with the horizon in the middle."""
    studio: Studio = open_studio(World(seed=seed), model=str(model), options=Options(precision="fp32"))
    return Image.fromarray(studio.array(Region(x=0, y=-height // 2, w=width, h=height)))


def grid(pictures: list[Image.Image], columns: int, *, gap: int = 4) -> Image.Image:
    """Equal pictures in rows of ``columns``."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * (width + gap), i // columns * (height + gap)))
    return sheet


def patches(model: Path) -> Image.Image:
    """Forty-eight patches of the size of training, at their own size."""
    generator = Generator.from_pretrained(model)
    side = generator.config.patch_px
    images = samples.to_uint8(samples.window(generator, 48, (11, 11), dtype=torch.float32))
    rows = images.reshape(4, 12, side, side, 3).transpose(0, 2, 1, 3, 4)
    return Image.fromarray(rows.reshape(4 * side, 12 * side, 3))


def strip(model: Path, seed: int) -> Image.Image:
    """One strip, cut into rows that are to be read one after the other."""
    height, width = STRIP
    pixels = np.asarray(window(model, seed, width, height))
    part = width // STRIP_ROWS
    return grid([Image.fromarray(pixels[:, i * part : (i + 1) * part]) for i in range(STRIP_ROWS)], 1)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--model", type=click.Path(path_type=Path), default=SHIPPED)
@click.option("--seed", default=0, show_default=True)
def main(out: Path, model: Path, seed: int) -> None:
    """Draw the pictures into OUT."""
    torch.set_grad_enabled(False)
    out.mkdir(parents=True, exist_ok=True)
    worlds = [window(model, s, 1024, 1024).resize((384, 384), Image.Resampling.LANCZOS) for s in range(16)]
    drawn = {
        "demo": window(model, seed, 2048, 1024).resize((1536, 768), Image.Resampling.LANCZOS),
        "seeds": grid(worlds, 4),
        "patches": patches(model),
        "strip": strip(model, seed),
    }
    for name, picture in drawn.items():
        picture.save(out / f"{name}.jpg", quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
