"""Peak memory of ``infgen render`` as a whole process: a small picture against a large one.

python -m benchmarks.memory                    # tiny model, 2048 x 2048 against 16384 x 16384, PNG
python -m benchmarks.memory --name out.jpg
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import torch

from infgen.model.config import preset
from infgen.model.generator import Generator


@dataclass(frozen=True)
class Measured:
    """One process: peak resident memory in MB, seconds, bytes written."""

    peak_mb: float
    seconds: float
    bytes: int


def measure(model: Path, side: int, output: Path) -> Measured:
    """Render ``side`` x ``side`` px in a process of its own, watched by one that does nothing else."""
    words = [
        sys.executable,
        "-m",
        "infgen",
        "render",
        "--quiet",
        "--model",
        str(model),
        "--w",
        str(side),
        "--h",
        str(side),
    ]
    watcher = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", watcher, *words, "-o", str(output)], check=True, capture_output=True, text=True
    )
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return Measured(int(run.stdout) * unit / 1e6, time.perf_counter() - start, output.stat().st_size)


@click.command()
@click.option("--small", default=2048, show_default=True)
@click.option("--large", default=16384, show_default=True)
@click.option("--name", default="out.png", show_default=True, help="File name; its extension chooses the format.")
@click.option("--allowed-mb", default=100.0, show_default=True, help="Exit code 1 where the difference is larger.")
def main(small: int, large: int, name: str, allowed_mb: float) -> None:
    """Measure; see the module's docstring."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        model = Path(folder) / "tiny.safetensors"
        Generator(preset("tiny")).save_pretrained(model)
        found = {side: measure(model, side, Path(folder) / name) for side in (small, large)}
    for side, m in found.items():
        print(f"{side} x {side}: peak {m.peak_mb:.0f} MB, {m.seconds:.1f} s, {m.bytes / 1e6:.0f} MB written")
    difference = found[large].peak_mb - found[small].peak_mb
    print(f"difference {difference:.0f} MB, allowed {allowed_mb:.0f} MB")
    sys.exit(abs(difference) > allowed_mb)


if __name__ == "__main__":
    main()
