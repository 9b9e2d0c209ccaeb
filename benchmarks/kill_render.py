"""Proof that a killed render loses at most the tiles in flight: SIGKILL at random moments, resume, compare hashes.

    python -m benchmarks.kill_render                   # 30 kills of a 4096 x 4096 render of the tiny model
    python -m benchmarks.kill_render --formats all --kills 10 --side 2048 --fork

One render goes through without interruption. A second one is killed at moments that nobody chose (while the program
starts, while it draws, while it writes the file), and resumed after every kill. In the end both files must be equal.
"""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch
from rich.table import Table

from benchmarks.forked import Forked
from benchmarks.render import console, machine
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.sinks import find_unfinished
from infgen.sinks.formats import FORMATS, list_outputs

# The command line, with a byte in a file for every tile that was computed.
CHILD = """
import os, sys
from infgen.rendering import render
draw, log = render.render_batch, os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def counted(*arguments):
    tiles = draw(*arguments)
    if arguments[1].batch_count > 1:  # the two tiles that the estimate draws are not of the picture
        os.write(log, b"." * len(tiles))
    return tiles
render.render_batch = counted
from infgen.cli.main import main
main()
"""


def count_tiles(log: Path) -> None:
    """Do in this process what ``CHILD`` does: write a byte to ``log`` for every tile that was computed."""
    from infgen.rendering import render

    draw, file = render.render_batch, os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def counted(*arguments: Any) -> Any:
        tiles = draw(*arguments)
        if arguments[1].batch_count > 1:
            os.write(file, b"." * len(tiles))
        return tiles

    render.render_batch = counted


@dataclass(frozen=True)
class Job:
    """What is drawn."""

    model: Path
    side: int
    tile: int
    file_format: str
    fork: bool = False

    def start(self, out: Path) -> "subprocess.Popen[bytes] | Forked":
        """``infgen render --resume`` in a process of its own."""
        words = ["render", "--resume", "--quiet"]
        words += ["--model", str(self.model), "--w", str(self.side), "--h", str(self.side), "--tile", str(self.tile)]
        words += ["--format", self.file_format, "--threads", "1", "-o", str(out)]
        if self.fork:
            return Forked(words, prepare=lambda: count_tiles(computed_log(out)))
        child = [sys.executable, "-c", CHILD, str(computed_log(out))]
        return subprocess.Popen([*child, *words], stdout=subprocess.DEVNULL)

    def finish(self, out: Path) -> tuple[float, float]:
        """Run to the end; seconds until the first tile, and after it."""
        begin = time.monotonic()
        process = self.start(out)
        wait_for_a_tile(process, out)
        first = time.monotonic()
        if (code := process.wait()) != 0:
            raise click.ClickException(f"the render ended with exit code {code}")
        return first - begin, time.monotonic() - first


@dataclass(frozen=True)
class Moment:
    """When a process is killed: so many seconds after its start, or after the first tile that it computes."""

    seconds: float
    drawing: bool


def wait_for_a_tile(process: "subprocess.Popen[bytes] | Forked", out: Path) -> None:
    """Return when ``process`` has computed a tile, or ended."""
    before = count_computed(out)
    while process.poll() is None and count_computed(out) == before:
        time.sleep(0.005)


def computed_log(out: Path) -> Path:
    """The file that has a byte for every computed tile of ``out``."""
    return out.with_suffix(".computed")


def count_computed(out: Path) -> int:
    """Tiles that all processes together have computed."""
    log = computed_log(out)
    return log.stat().st_size if log.exists() else 0


def digest(path: Path) -> str:
    """SHA-256 of a picture: of its file, or of the names and contents of all its files."""
    tiles = path.with_name(f"{path.stem}_files")  # of a DeepZoom picture
    if not path.is_dir() and not tiles.is_dir():
        return file_digest(path)
    files = sorted(p for part in (path, tiles) for p in (part, *part.rglob("*")) if p.is_file())
    return hashlib.sha256(
        "".join(f"{p.relative_to(path.parent)} {file_digest(p)}\n" for p in files).encode()
    ).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def draw_moments(rng: random.Random, *, starting: float, drawing: float, kills: int) -> Iterator[Moment]:
    """Draw moments without end. On average, ``kills`` of them together let two thirds of the picture pass."""
    while True:
        busy = rng.random() < 0.8
        yield Moment(rng.uniform(0, 1.7 * drawing / kills if busy else starting), busy)


def kill_again_and_again(job: Job, out: Path, moments: Iterator[Moment], *, kills: int) -> list[int]:
    """Tiles lost by each kill. Ends early where the picture is finished before."""
    losses: list[int] = []
    while len(losses) < kills:
        moment, process = next(moments), job.start(out)
        if moment.drawing:
            wait_for_a_tile(process, out)
        try:
            process.wait(moment.seconds)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kept, total = find_unfinished(str(out)) or (0, 0)
        losses.append(count_computed(out) - kept - sum(losses))
        when = f"{moment.seconds:.2f} s after its {'first tile' if moment.drawing else 'start'}"
        console.print(f"kill {len(losses)} {when}: {kept} of {total or '?'} tiles kept, {losses[-1]} lost")
    return losses


@dataclass(frozen=True)
class Result:
    """What the kills of one format did. ``leftovers``: names beside the picture in the end."""

    losses: list[int]
    tiles: int
    same: bool
    leftovers: list[str]


def measure(job: Job, folder: Path, *, kills: int, rng: random.Random) -> Result:
    """Draw a picture in one go, and pictures with ``kills`` kills in all, below ``folder``."""
    name = f"out{next(f for f in FORMATS if f.key == job.file_format).extensions[0]}"
    whole, killed = (folder / part / name for part in ("whole", "killed"))
    whole.parent.mkdir(parents=True)
    starting, drawing = job.finish(whole)
    tiles, losses, same, leftovers = count_computed(whole), list[int](), True, set[str]()
    console.print(f"{job.file_format}: {tiles} tiles, {starting:.1f} s until the first and {drawing:.1f} s after it")
    moments = draw_moments(rng, starting=starting, drawing=drawing, kills=kills)
    outputs = {Path(path).name for path in list_outputs(killed, job.file_format)} | {computed_log(killed).name}
    while len(losses) < kills:
        killed.parent.mkdir()
        losses += kill_again_and_again(job, killed, moments, kills=kills - len(losses))
        if not killed.exists():
            job.finish(killed)
        same = same and digest(whole) == digest(killed)
        leftovers |= {p.name for p in killed.parent.iterdir()} - outputs
        shutil.rmtree(killed.parent)
    return Result(losses, tiles, same, sorted(leftovers))


@click.command()
@click.option("--side", default=4096, show_default=True)
@click.option("--tile", default=101, show_default=True)
@click.option("--kills", default=30, show_default=True, help="Of each format.")
@click.option("--seed", default=5, show_default=True, help="Of the moments at which the render is killed.")
@click.option(
    "--fork", is_flag=True, help="Fork this process instead of starting Python anew: faster by seconds a kill."
)
@click.option("--formats", default="png", show_default=True, help="Formats with commas between them, or 'all'.")
def main(side: int, tile: int, kills: int, seed: int, fork: bool, formats: str) -> None:
    """Kill a render at random moments; exit code 1 where the file differs from that of an uninterrupted one."""
    torch.manual_seed(0)
    rng = random.Random(seed)
    table = Table("format", "kills", "tiles", "tiles lost per kill", "file", "leftovers", title="killed renders")
    console.print(machine())
    failed = False
    with TemporaryDirectory() as folder:
        model = Path(folder) / "tiny.safetensors"
        Generator(preset("tiny")).save_pretrained(model)
        for key in [f.key for f in FORMATS] if formats == "all" else formats.split(","):
            result = measure(Job(model, side, tile, key, fork), Path(folder) / key, kills=kills, rng=rng)
            failed = failed or not result.same or bool(result.leftovers)
            lost, same = ", ".join(map(str, result.losses)), "equal" if result.same else "DIFFERENT"
            leftovers = ", ".join(result.leftovers) or "none"
            table.add_row(key, str(len(result.losses)), str(result.tiles), lost, same, leftovers)
    console.print(table)
    sys.exit(failed)


if __name__ == "__main__":
    main()
