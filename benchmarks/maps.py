"""The contact sheet of a map model, and its picture in the README: worlds 0 to 15 from above, none left out.

python -m benchmarks.maps docs/images --model planet
"""

from pathlib import Path

import click
import torch
from PIL import Image

from benchmarks.pictures import QUALITY, WORLDS, grid
from infgen import Region
from infgen.rendering.new_world import new_world
from infgen.rendering.studio import Options, open_studio

SIDE_PX, SHOWN_PX = 1024, 384
SMALL_PX = 320  # side of the picture in the README's table


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--model", default="planet", show_default=True)
@click.option("--chosen", default=2, show_default=True, help="World of NAME.jpg, chosen by eye among worlds 0 to 15.")
@click.option("--threads", type=int)
def main(out: Path, model: str, chosen: int, threads: int | None) -> None:
    """Draw the pictures of MODEL into OUT: NAME-squares.jpg and NAME.jpg."""
    torch.set_grad_enabled(False)
    out.mkdir(parents=True, exist_ok=True)
    start = new_world(model)
    studio = open_studio(start, model=model, options=Options(threads=threads))
    region = Region(0, -SIDE_PX // 2, SIDE_PX, SIDE_PX)
    pictures = [Image.fromarray(studio.with_world(start.replace(seed=s)).array(region)) for s in range(WORLDS)]
    shown = [picture.resize((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS) for picture in pictures]
    name = studio.model_path.stem
    grid(shown, 4).save(out / f"{name}-squares.jpg", quality=QUALITY, optimize=True)
    small = pictures[chosen].resize((SMALL_PX, SMALL_PX), Image.Resampling.LANCZOS)
    small.save(out / f"{name}.jpg", quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
