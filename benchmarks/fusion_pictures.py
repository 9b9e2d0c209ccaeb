"""The pictures of fused styles in docs/images: four styles side by side (as the paper's Figure 7) and a painted map.

    python -m benchmarks.fusion_pictures docs/images

The layouts are those of docs/examples, drawn by the shipped model.
"""

from pathlib import Path

import click
from PIL import Image

from infgen import Region, World
from infgen.rendering.preview import preview
from infgen.rendering.studio import Options, open_studio
from infgen.world.layout import Layout
from infgen.world.layout_files import resolve

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
PICTURES = {"four-styles": (4096, 512), "painted": (2048, 1024)}  # width, height in px
QUALITY = 88


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", default=0, show_default=True)
def main(out: Path, seed: int) -> None:
    """Draw every example into OUT, as JPEG, and a preview."""
    out.mkdir(parents=True, exist_ok=True)
    for name, (width, height) in PICTURES.items():
        region = Region(0, -height // 2, width, height)
        layout = resolve(Layout.load(EXAMPLES / f"{name}.json"), region, folder=EXAMPLES)
        studio = open_studio(World(seed=seed, layout=layout), options=Options(precision="fp32"))
        Image.fromarray(studio.array(region)).save(out / f"{name}.jpg", quality=QUALITY)
        if name == "painted":
            Image.fromarray(preview(studio, region)).save(out / f"{name}-preview.png", optimize=True)


if __name__ == "__main__":
    main()
