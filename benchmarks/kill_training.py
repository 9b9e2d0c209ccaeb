"""Proof that a killed training run loses nothing but time: SIGKILL at random moments, resume, compare bit for bit.

    python -m benchmarks.kill_training                 # ten kills, about three minutes on two cores
    python -m benchmarks.kill_training --scales        # the same with four scales

One run goes through without interruption. A second one, in another folder, is killed at moments that nobody chose (while
the program starts, between two steps, in the middle of a checkpoint), and resumed after every kill. In the end both logs
and both models must be equal, byte for byte.
"""

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.forked import Forked
from infgen.atomic import TEMPORARY_PREFIX

COMPARED = ("log.jsonl", "model.safetensors")
console = Console(width=120)


@dataclass(frozen=True)
class Kill:
    """One kill: where the run stood."""

    seconds: float  # after the start of the process
    training: bool  # False: the process was still starting
    logged: int  # last step of the log
    saved: int  # last step of the checkpoint, 0 where there is none
    unfinished: int  # files that were being written

    @property
    def lost(self) -> int:
        """Steps of this process that have to be done again."""
        return self.logged - self.saved if self.training else 0


def make_photographs(folder: Path, count: int) -> None:
    """Landscapes of 300 x 220 px: a gradient of sky, a wavy horizon, grainy ground."""
    folder.mkdir()
    x, y = np.linspace(0, 1, 300)[None, :, None], np.linspace(0, 1, 220)[:, None, None]
    for i in range(count):
        rng = np.random.default_rng(i)
        horizon = 0.5 + 0.1 * np.sin(2 * np.pi * (rng.uniform(1, 3) * x + rng.uniform()))
        sky = np.array([90, 140, 220]) + y * np.array([120, 90, 30])
        ground = rng.uniform(40, 120, 3) * (1.2 - 0.5 * y) + rng.normal(0, 12, (220, 300, 1))
        Image.fromarray(np.where(y < horizon, sky, ground).clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")


@dataclass(frozen=True)
class Job:
    """What is trained, and how often it is saved."""

    data: Path
    steps: int
    checkpoint_every: int
    preset: tuple[str, ...]
    fork: bool = False

    def start(self, out: Path) -> "subprocess.Popen[bytes] | Forked":
        """``infgen train`` in a process of its own; resumed where ``out`` holds a checkpoint."""
        run = [sys.executable, "-c", "from infgen.cli.main import main; main()"]
        schedule = ["--steps", str(self.steps), "--checkpoint-every", str(self.checkpoint_every)]
        options = [*self.preset, "--output", str(out), "--device", "cpu", "--threads", "1", "--quiet"]
        resume = ["--resume"] if (out / "state.pt").exists() else []
        words = ["train", str(self.data), *schedule, *options, *resume]
        return Forked(words) if self.fork else subprocess.Popen([*run, *words], stdout=subprocess.DEVNULL)


def finish(process: "subprocess.Popen[bytes] | Forked") -> None:
    """Wait for the end of ``process``; leaves the script where it failed."""
    if process.wait() != 0:
        raise click.ClickException(f"training ended with exit code {process.returncode}")


def last_step(log: Path) -> int:
    """Step of the last whole record of ``log``, 0 where there is none."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    steps = [json.loads(line)["step"] for line in lines if line.endswith("}\n")]
    return max(steps, default=0)


def saved_step(state: Path) -> int:
    """Step of a training state, 0 where there is none."""
    return int(torch.load(state, weights_only=True)["step"]) if state.exists() else 0


def kill_after(process: "subprocess.Popen[bytes] | Forked", seconds: float, out: Path) -> Kill | None:
    """Kill ``process`` after ``seconds``, and look at what it left in ``out``; None where it had ended before."""
    log = out / "log.jsonl"
    before = stamp(log)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    else:
        finish(process)
        return None
    return Kill(seconds, stamp(log) != before, last_step(log), saved_step(out / "state.pt"), len(list_unfinished(out)))


def stamp(path: Path) -> int:
    """When ``path`` was changed, in nanoseconds; 0 where it is missing."""
    return path.stat().st_mtime_ns if path.exists() else 0


def list_unfinished(folder: Path) -> list[Path]:
    """Temporary files below ``folder``."""
    return list(folder.rglob(f"{TEMPORARY_PREFIX}*"))


def run_to_end(job: Job, out: Path) -> tuple[float, float]:
    """Train once without interruption. Returns the seconds until the first step and those of the whole run."""
    begin = time.monotonic()
    process = job.start(out)
    while process.poll() is None and last_step(out / "log.jsonl") == 0:
        time.sleep(0.05)
    first = time.monotonic() - begin
    finish(process)
    return first, time.monotonic() - begin


def kill_again_and_again(job: Job, out: Path, *, delays: list[float]) -> list[Kill]:
    """Train with a kill after each of ``delays`` seconds from the latest start, then to the end."""
    kills: list[Kill] = []
    for seconds in delays:
        kill = kill_after(job.start(out), seconds, out)
        if kill is None:
            return kills
        kills.append(kill)
        console.print(
            f"kill {len(kills)} after {kill.seconds:.2f} s{'' if kill.training else ', while starting'}: "
            f"step {kill.logged}, checkpoint {kill.saved or 'none'}, {kill.lost} steps lost, "
            f"{kill.unfinished} unfinished files"
        )
    if saved_step(out / "state.pt") < job.steps:
        finish(job.start(out))
    return kills


def report(kills: list[Kill], equal: dict[str, bool], leftovers: int) -> None:
    """One table."""
    table = Table("figure", "value", title="killed training")
    table.add_row("kills", str(len(kills)))
    table.add_row("while the program was starting", str(sum(not k.training for k in kills)))
    table.add_row("before the first checkpoint", str(sum(k.saved == 0 for k in kills)))
    table.add_row("after the first checkpoint", str(sum(k.saved > 0 for k in kills)))
    table.add_row("while a file was being written", str(sum(k.unfinished > 0 for k in kills)))
    table.add_row("steps lost per kill", ", ".join(str(k.lost) for k in kills))
    for name, same in equal.items():
        table.add_row(name, "equal" if same else "DIFFERENT")
    table.add_row("unfinished files in the end", str(leftovers))
    console.print(table)


@click.command()
@click.option("--steps", type=click.IntRange(min=1), default=250, show_default=True)
@click.option("--kills", "count", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--checkpoint-every", type=click.IntRange(min=1), default=5, show_default=True, help="Steps.")
@click.option("--seed", default=16, show_default=True, help="Of the moments at which the run is killed.")
@click.option("--photographs", type=click.IntRange(min=1), default=8, show_default=True)
@click.option(
    "--fork", is_flag=True, help="Fork this process instead of starting Python anew: faster by seconds a kill."
)
@click.option("--scales", is_flag=True, help="Train four scales, in views of 25 to 200 px.")
def main(steps: int, count: int, checkpoint_every: int, seed: int, photographs: int, fork: bool, scales: bool) -> None:
    """Kill a training run at random moments; exit code 1 where the result differs from that of an uninterrupted one."""
    rng = random.Random(seed)
    with TemporaryDirectory() as folder:
        data, whole, killed = (Path(folder) / name for name in ("photographs", "whole", "killed"))
        make_photographs(data, photographs)
        preset = ("--preset", "tiny-scales", "--view", "200") if scales else ("--preset", "tiny")
        job = Job(data, steps, checkpoint_every, preset, fork)
        first, seconds = run_to_end(job, whole)
        console.print(f"uninterrupted: {steps} steps in {seconds:.1f} s, of which {first:.1f} s until the first step")
        # On average, the kills together let three quarters of the run pass.
        longest = first + 1.5 * (seconds - first) / count
        kills = kill_again_and_again(job, killed, delays=[rng.uniform(0, longest) for _ in range(count)])
        equal = {name: (whole / name).read_bytes() == (killed / name).read_bytes() for name in COMPARED}
        leftovers = len(list_unfinished(killed))
    report(kills, equal, leftovers)
    sys.exit(0 if all(equal.values()) and not leftovers else 1)


if __name__ == "__main__":
    main()
