"""Convert full-size checkpoints in the released format with random weights, and compare one patch before and after.

Run from the root of the repository: ``python -m benchmarks.convert_full``. Takes minutes and about 2 GB of memory.
"""

import resource
import tempfile
import time
from pathlib import Path

import click
import torch

from infgen.cli.convert import command
from infgen.model.config import PATCH_CELLS, PRESETS
from infgen.model.convert import official_names
from infgen.model.generator import Generator
from tests.model import official
from tests.model.networks import random_inputs

SIZES = ("scenery-101", "scenery-197", "scenery-389", "scenery-773")


def official_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Shapes of every tensor that is read, by official name, with the leading ones that the official code keeps."""
    config = PRESETS[name]
    with torch.device("meta"):
        ours = {key: tuple(tensor.shape) for key, tensor in Generator(config).state_dict().items()}
    found = {}
    for theirs, key in official_names(config):
        shape = ours[key]
        if "to_rgbs" in theirs and theirs.endswith("bias") and "modulation" not in theirs:
            shape = (3, 1, 1)
        found[theirs] = (1, *shape) if len(shape) > 2 else shape or (1,)
    return found


def measure(name: str, folder: Path) -> str:
    """Write, convert and render one size; what came of it as one line."""
    config = PRESETS[name]
    state = official.random_state(config.texture_channels, local=config.local_channels, dim=config.global_channels)
    assert all(tuple(state[key].shape) == shape for key, shape in official_shapes(name).items())
    checkpoint, model = folder / "best_fid.pth.tar", folder / "model.safetensors"
    official.write(checkpoint, state)

    start = time.perf_counter()
    command.main([str(checkpoint), "-o", str(model)], standalone_mode=False)
    converted = time.perf_counter()
    generator = Generator.from_pretrained(model)
    loaded = time.perf_counter()
    z_g, z_l, coordinates, noises = random_inputs(config, cells=PATCH_CELLS)
    with torch.inference_mode():
        before = official.render(state, z_g, z_l, coordinates, noises)
        rendered = time.perf_counter()
        after = generator(z_l, coordinates, generator.style(z_g), noises)
    end = time.perf_counter()
    return (
        f"{name}: max difference {float((before - after).abs().max()):.2g} on {tuple(after.shape[2:])} px "
        f"of standard deviation {float(before.std()):.2f}; seconds: convert {converted - start:.1f}, "
        f"load {loaded - converted:.1f}, plain reference {rendered - loaded:.1f}, infgen {end - rendered:.1f}; "
        f"files: {checkpoint.stat().st_size / 2**20:.0f} -> {model.stat().st_size / 2**20:.0f} MiB"
    )


def main() -> None:
    """All four sizes, one after the other."""
    for name in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            click.echo(measure(name, Path(folder)))
    click.echo(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
