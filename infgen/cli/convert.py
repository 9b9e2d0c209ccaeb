"""``infgen convert``: convert a released checkpoint to a model file."""

from pathlib import Path

import click

from infgen.atomic import check_output
from infgen.cli.command import Command
from infgen.inputs import check_outputs
from infgen.model.convert import NETWORKS, convert


@click.command(
    "convert",
    cls=Command,
    examples=[
        ("A released checkpoint", "convert best_fid.pth.tar -o released.safetensors"),
    ],
)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Model file to write (.safetensors)."
)
@click.option(
    "--network", type=click.Choice(NETWORKS), default=NETWORKS[0], show_default=True, help="Weights to convert."
)
@click.option("--half", is_flag=True, help="Store weights as float16, at half the size.")
def command(checkpoint: Path, output: Path, network: str, half: bool) -> None:
    """Convert a released InfinityGAN checkpoint (.pth.tar) to a model file. No code in the checkpoint is run."""
    import torch

    check_output(output, extensions=(".safetensors",))
    check_outputs([output], [("checkpoint", checkpoint)])
    generator = convert(checkpoint, network=network)
    generator.save_pretrained(output, dtype=torch.float16 if half else torch.float32)
    config = generator.config
    click.echo(f"{output}: {config.coordinates} model for {config.patch_px} px patches, {config.levels} levels")
