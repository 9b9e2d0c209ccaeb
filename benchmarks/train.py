"""Images per second of the training step, split into its parts.

    python -m benchmarks.train DATA --preset scenery-101-small --precision bf16
    python -m benchmarks.train DATA --preset scenery-101 --steps 1

Every part is timed on its own; a lazy regulariser counts with the share of steps in which it runs. Data is what reading,
cutting and converting photographs takes (once for the discriminator, once for R1).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import click
import torch
from rich.table import Table

from benchmarks.render import console, machine
from infgen.train.data import PhotoSet
from infgen.train.loop import PRECISIONS
from infgen.train.presets import RECIPES, recipe
from infgen.train.processes import Processes
from infgen.train.step import Stepper, Terms

PARTS = ("data", "discriminator", "generator", "R1", "path length")


class TimedStepper(Stepper):
    """A stepper that keeps the seconds of every part of a step."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seconds: dict[str, list[float]] = {part: [] for part in PARTS}
        self._inner = 0.0

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        self._wait()
        start, self._inner = time.perf_counter(), 0.0
        yield
        self._wait()
        self.seconds[part].append(time.perf_counter() - start - self._inner)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _real(self, index: int) -> Any:
        start = time.perf_counter()
        batch = super()._real(index)
        self._wait()
        self._inner += time.perf_counter() - start
        self.seconds["data"].append(time.perf_counter() - start)
        return batch

    def _update_discriminator(self, terms: Terms) -> Any:
        with self._timed("discriminator"):
            return super()._update_discriminator(terms)

    def _update_generator(self, fakes: Any, terms: Terms) -> None:
        with self._timed("generator"):
            super()._update_generator(fakes, terms)

    def _regularise_discriminator(self, terms: Terms) -> None:
        with self._timed("R1"):
            super()._regularise_discriminator(terms)

    def _regularise_generator(self, terms: Terms) -> None:
        with self._timed("path length"):
            super()._regularise_generator(terms)


@click.command()
@click.argument("data")
@click.option("--preset", type=click.Choice(list(RECIPES)), default="scenery-101-small", show_default=True)
@click.option("--discriminator", type=click.Choice(["paper", "projected"]))
@click.option("--batch", type=int)
@click.option("--micro-batch", type=int)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--steps", default=8, show_default=True, help="After one that is not counted.")
@click.option("--device")
def main(data: str, preset: str, precision: str, steps: int, device: str | None, **changes: object) -> None:
    """Time the parts of the training step on photographs in DATA."""
    # The regularisers run in every step here, so that a few steps time them all.
    planned = recipe(preset).changed(**changes)
    every = {"R1": planned.r1_every, "path length": planned.path_every}
    timed = planned.changed(r1_every=1, path_every=1)
    photos, _ = PhotoSet.open(data, view_px=timed.view_px, patch_px=timed.generator_config.patch_px)
    stepper = TimedStepper(timed, photos, Processes(device), precision=precision)
    stepper.step()
    stepper.seconds = {part: [] for part in PARTS}
    for _ in range(steps):
        stepper.step()
    table = Table("part", "seconds", "of every step", "share", title=f"{preset}, {planned.discriminator}, {precision}")
    spent = {p: median(s) * len(s) / steps for p, s in stepper.seconds.items() if s}
    if "R1" in spent:  # reads its batch a second time
        spent["data"] *= (1 + 1 / every["R1"]) / 2
    counted = {part: seconds / every.get(part, 1) for part, seconds in spent.items()}
    total = sum(counted.values())
    for part, seconds in spent.items():
        table.add_row(part, f"{seconds:.4f}", f"{counted[part]:.4f}", f"{counted[part] / total:.1%}")
    table.add_row("step", "", f"{total:.3f}", f"{planned.batch / total:.2f} images/s")
    console.print(machine(), f"batch {planned.batch}")
    console.print(table)


if __name__ == "__main__":
    main()
