"""Proof that a killed render loses at most the tiles in flight: SIGKILL at random moments, resume, compare hashes.

    python -m benchmarks.kill_render                   # 30 kills of a 4096 x 4096 render of the tiny model

One render goes through without interruption. A second one is killed at moments that nobody chose (while the program
starts, while it draws, while it writes the file), and resumed after every kill. In the end both files must be equal.
"""

import hashlib
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from rich.table import Table

from benchmarks.render import console, machine
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.sinks import unfinished

# The command line, with a byte in a file for every tile that was computed.
CHILD = """
import os, sys
from infgen.rendering import render
draw, log = render.render_batch, os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def counted(*arguments):
    tiles = draw(*arguments)
    os.write(log, b"." * len(tiles))
    return tiles
render.render_batch = counted
from infgen.cli.main import main
main()
"""


@dataclass(frozen=True)
class Job:
    """What is drawn."""

    model: Path
    side: int
    tile: int

    def start(self, out: Path) -> subprocess.Popen[bytes]:
        """``infgen render --resume`` in a process of its own."""
        words = [sys.executable, "-c", CHILD, str(computed_log(out)), "render", "--resume", "--quiet"]
        words += ["--model", str(self.model), "--w", str(self.side), "--h", str(self.side), "--tile", str(self.tile)]
        return subprocess.Popen([*words, "--threads", "1", "-o", str(out)], stdout=subprocess.DEVNULL)

    def finish(self, out: Path) -> float:
        """Run to the end; seconds that it took."""
        begin = time.monotonic()
        if (code := self.start(out).wait()) != 0:
            raise click.ClickException(f"the render ended with exit code {code}")
        return time.monotonic() - begin


def computed_log(out: Path) -> Path:
    """The file that has a byte for every computed tile of ``out``."""
    return out.with_suffix(".computed")


def computed(out: Path) -> int:
    """Tiles that all processes together have computed."""
    log = computed_log(out)
    return log.stat().st_size if log.exists() else 0


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kill_again_and_again(job: Job, out: Path, delays: list[float]) -> list[int]:
    """Tiles lost by each kill, ``delays`` seconds after each start. Ends early where the picture is finished before."""
    losses: list[int] = []
    for seconds in delays:
        process = job.start(out)
        try:
            process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kept, total = unfinished(str(out)) or (0, 0)
        losses.append(computed(out) - kept - sum(losses))
        console.print(
            f"kill {len(losses)} after {seconds:.1f} s: {kept} of {total or '?'} tiles kept, {losses[-1]} lost"
        )
    return losses


@click.command()
@click.option("--side", default=4096, show_default=True)
@click.option("--tile", default=229, show_default=True)
@click.option("--kills", default=30, show_default=True)
@click.option("--seed", default=5, show_default=True, help="Of the moments at which the render is killed.")
@click.option("--name", default="out.png", show_default=True, help="Its extension chooses the format.")
def main(side: int, tile: int, kills: int, seed: int, name: str) -> None:
    """Kill a render at random moments; exit code 1 where the file differs from that of an uninterrupted one."""
    torch.manual_seed(0)
    rng = random.Random(seed)
    with TemporaryDirectory() as folder:
        for part in ("whole", "killed"):
            (Path(folder) / part).mkdir()
        whole, killed = (Path(folder) / part / name for part in ("whole", "killed"))
        job = Job(Path(folder) / "tiny.safetensors", side, tile)
        Generator(preset("tiny")).save_pretrained(job.model)
        seconds = job.finish(whole)
        tiles = computed(whole)
        console.print(f"{machine()}: {tiles} tiles in {seconds:.1f} s without interruption")
        starting = 4.0  # seconds; the kills' sum lets most of the picture be drawn
        losses = kill_again_and_again(
            job, killed, [rng.uniform(0, 2 * (starting + seconds / kills)) for _ in range(kills)]
        )
        if not killed.exists():
            job.finish(killed)
        same, leftovers = digest(whole) == digest(killed), sorted(p.name for p in killed.parent.iterdir())
    table = Table("figure", "value", title="killed render")
    table.add_row("kills", str(len(losses)))
    table.add_row("tiles lost per kill, mean", f"{sum(losses) / max(1, len(losses)):.2f} of {tiles}")
    table.add_row("tiles lost per kill", ", ".join(map(str, losses)))
    table.add_row("file", "equal" if same else "DIFFERENT")
    table.add_row("files in the end", ", ".join(leftovers))
    console.print(table)
    sys.exit(0 if same and len(leftovers) == 2 else 1)


if __name__ == "__main__":
    main()
