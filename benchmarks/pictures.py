"""The pictures of a model in docs/images, and the contact sheets from which its faults are counted.

    python -m benchmarks.pictures docs/images --model runs/mine/model.safetensors

It also renders the layouts of docs/examples. Worlds are numbered from 0 and none is left out. Rows of a world are rows of
a training view, so a picture as tall as the view shows one landscape.
"""

from pathlib import Path

import click
import torch
from PIL import Image

from infgen import Region, World
from infgen.model.checkpoint import SHIPPED
from infgen.model.scales import judged_scales
from infgen.rendering.preview import preview
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.layout import Layout, ResolvedLayout
from infgen.world.layout_files import resolve

WORLDS = 16
DEMO_SEED = 51  # chosen by eye among worlds 0 to 59; make demo renders it
STRIP_VIEWS = 10  # length of the strip in views, each as wide as it is tall
STRIP_ROWS = 5
FUSED_STYLES = 4
QUALITY, EXAMPLE_QUALITY = 85, 88
FOLDER = Path(__file__).parent.parent / "docs" / "examples"
EXAMPLES = {"four-styles": (4096, 512), "painted": (2048, 1024)}  # width, height in px


def drawn(studio: Studio, world: World, width: int, height: int) -> Image.Image:
    """A window of ``world`` in px of the studio's scale, with the horizon in the middle."""
    return Image.fromarray(studio.with_world(world).array(Region(0, -(height // 2), width, height)))


def grid(pictures: list[Image.Image], columns: int, *, gap: int = 4) -> Image.Image:
    """Equal pictures in rows of ``columns``."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * (width + gap), i // columns * (height + gap)))
    return sheet


def worlds(studio: Studio, width: int, height: int, *, columns: int, shown: int) -> Image.Image:
    """Worlds 0 to 15 in windows of ``width`` x ``height`` px, each brought to ``shown`` px of height."""
    size = (round(width * shown / height), shown)
    pictures = [drawn(studio, World(seed=seed), width, height) for seed in range(WORLDS)]
    return grid([picture.resize(size, Image.Resampling.LANCZOS) for picture in pictures], columns)


def strip(studio: Studio, seed: int, view: int, *, shown: int) -> Image.Image:
    """A strip one view tall and ten views long, cut into rows that are read one after the other."""
    picture = drawn(studio, World(seed=seed), STRIP_VIEWS * view, view)
    part = picture.width // STRIP_ROWS
    rows = [picture.crop((i * part, 0, (i + 1) * part, view)) for i in range(STRIP_ROWS)]
    return grid([row.resize((part * shown // view, shown), Image.Resampling.LANCZOS) for row in rows], 1)


def draw_fused(studio: Studio, seed: int, view: int) -> Image.Image:
    """Four styles one view apart, which fade into each other."""
    layout = ResolvedLayout.model_validate(
        {
            "styles": [{"name": f"style {i}", "seed": 100 * seed + i} for i in range(FUSED_STYLES)],
            "centres": [{"style": f"style {i}", "x": view * (2 * i + 1) // 2, "y": 0} for i in range(FUSED_STYLES)],
            "transition": (view // 4) | 1,
        }
    )
    return drawn(studio, World(seed=seed).replace(layout=layout), FUSED_STYLES * view, view)


def scales(studio: Studio, seed: int) -> Image.Image:
    """One view of world ``seed`` at every scale of the model, coarsest first, each in its own px, side by side."""
    pictures = []
    for scale in judged_scales(studio.generator.config):
        coarser = studio.coarser(scale.halvings)
        pictures.append(drawn(coarser, World(seed=seed), scale.view_px * 3 // 2, scale.view_px))
    sheet = Image.new("RGB", (sum(p.width + 4 for p in pictures) - 4, pictures[-1].height), "white")
    x = 0
    for picture in pictures:
        sheet.paste(picture, (x, sheet.height - picture.height))
        x += picture.width + 4
    return sheet


def save_examples(studio: Studio, out: Path) -> None:
    """Render the layouts of docs/examples into ``out``, with a preview of the painted one."""
    for name, (width, height) in EXAMPLES.items():
        region = Region(0, -height // 2, width, height)
        layout = resolve(Layout.load(FOLDER / f"{name}.json"), region, folder=FOLDER)
        there = studio.with_world(World(layout=layout))
        Image.fromarray(there.array(region)).save(out / f"{name}.jpg", quality=EXAMPLE_QUALITY)
        if name == "painted":
            Image.fromarray(preview(there, region)).save(out / f"{name}-preview.png", optimize=True)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--model", type=click.Path(path_type=Path), default=SHIPPED)
@click.option("--seed", default=0, show_default=True, help="World of the strip and the scales.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
@click.option("--threads", type=int)
def main(out: Path, model: Path, seed: int, precision: str, threads: int | None) -> None:
    """Draw the pictures into OUT."""
    torch.set_grad_enabled(False)
    out.mkdir(parents=True, exist_ok=True)
    options = Options(precision=precision, threads=threads)  # type: ignore[arg-type]
    studio = open_studio(World(), model=str(model), options=options)
    view = judged_scales(studio.generator.config)[-1].view_px
    pictures = {
        "demo": drawn(studio, World(seed=DEMO_SEED), 2048, 1024).resize((1536, 768), Image.Resampling.LANCZOS),
        "worlds": worlds(studio, 2 * view, view, columns=2, shown=394),
        "squares": worlds(studio, 1024, 1024, columns=4, shown=384),
        "strip": strip(studio, seed, view, shown=394),
        "fused": grid([draw_fused(studio, s, view).resize((1576, 394), Image.Resampling.LANCZOS) for s in range(4)], 1),
        "scales": scales(studio, seed),
        "tall": grid(
            [
                drawn(studio, World(seed=s), view, 3 * view).resize((262, 788), Image.Resampling.LANCZOS)
                for s in range(6)
            ],
            6,
        ),
        "scenery": drawn(studio, World(seed=DEMO_SEED), 1024, 1024).resize((320, 320), Image.Resampling.LANCZOS),
    }
    for name, picture in pictures.items():
        picture.save(out / f"{name}.jpg", quality=QUALITY, optimize=True)
    save_examples(studio, out)


if __name__ == "__main__":
    main()
