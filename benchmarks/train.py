"""Images per second of the training step, split into its parts, for each scale that the preset judges.

    python -m benchmarks.train DATA --precision bf16
    python -m benchmarks.train DATA --preset scenery-101-small --preset scenery-small --precision bf16
    python -m benchmarks.train DATA --preset scenery-101 --steps 1

Several presets run in turns, one step each, so that a noisy machine slows all of them alike. Every part is timed on its own;
a lazy regulariser counts with the share of steps in which it runs. Data is reading, cutting and converting photographs.
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
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.loop import PRECISIONS
from infgen.train.presets import RECIPES, Recipe, find_recipe
from infgen.train.processes import Processes
from infgen.train.step import LossTerms, Stepper

PARTS = ("data", "discriminator", "generator", "R1", "path length")


class TimedStepper(Stepper):
    """A stepper that measures the seconds of every part of a step."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.by_scale: dict[int, dict[str, list[float]]] = {}
        self.seconds: dict[str, list[float]] = {part: [] for part in PARTS}
        self._inner = 0.0

    @contextmanager
    def _time(self, part: str) -> Iterator[None]:
        self._wait()
        start, self._inner = time.perf_counter(), 0.0
        yield
        self._wait()
        self.seconds[part].append(time.perf_counter() - start - self._inner)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def step(self) -> dict[str, float]:
        """Run one step, and record its seconds by scale."""
        self.seconds = self.by_scale.setdefault(self.recipe.scale_at(self.state.step)[0], {part: [] for part in PARTS})
        return super().step()

    def _real_batch(self, index: int) -> Any:
        start = time.perf_counter()
        batch = super()._real_batch(index)
        self._wait()
        self._inner += time.perf_counter() - start
        self.seconds["data"].append(time.perf_counter() - start)
        return batch

    def _update_discriminator(self, terms: LossTerms) -> Any:
        with self._timed("discriminator"):
            return super()._update_discriminator(terms)

    def _update_generator(self, batches: Any, terms: LossTerms) -> None:
        with self._timed("generator"):
            super()._update_generator(batches, terms)

    def _regularise_discriminator(self, terms: LossTerms) -> None:
        with self._timed("R1"):
            super()._regularise_discriminator(terms)

    def _regularise_generator(self, terms: LossTerms) -> None:
        with self._timed("path length"):
            super()._regularise_generator(terms)


def rows(stepper: TimedStepper, planned: Recipe) -> Iterator[tuple[str, float, dict[str, float]]]:
    """Yield (scale, seconds of a step, seconds of its parts) for each scale."""
    every = {"R1": planned.r1_every, "path length": planned.path_every}
    for index, seconds in sorted(stepper.by_scale.items()):
        spent = {part: median(values) * len(values) for part, values in seconds.items() if values}
        steps = len(seconds["generator"])
        if "R1" in spent:  # reads its batch a second time
            spent["data"] *= (1 + 1 / every["R1"]) / 2
        parts = {part: value / steps / every.get(part, 1) for part, value in spent.items()}
        yield planned.trained_scales[index].label, sum(parts.values()), parts


@click.command()
@click.argument("data")
@click.option("--preset", "presets", type=click.Choice(list(RECIPES)), multiple=True, default=["scenery-small"])
@click.option("--discriminator", type=click.Choice(["paper", "projected"]))
@click.option("--batch", type=int)
@click.option("--micro-batch", type=int)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--steps", default=8, show_default=True, help="Of each scale, after one that is not counted.")
@click.option("--threads", type=int)
@click.option("--device")
def main(
    data: str,
    presets: tuple[str, ...],
    precision: str,
    steps: int,
    threads: int | None,
    device: str | None,
    **changes: object,
) -> None:
    """Time the parts of the training step on photographs in DATA."""
    if threads is not None:
        torch.set_num_threads(threads)
    # The regularisers run in every step here, so that a few steps time them all.
    planned = {name: find_recipe(name).with_values(**changes) for name in presets}
    steppers = {}
    for name, made_by in planned.items():
        photos, _ = PhotoPyramid.open(data, made_by.trained_scales)
        timed = made_by.with_values(r1_every=1, path_every=1)
        steppers[name] = TimedStepper(timed, photos, Processes(device), precision=precision)
    most = max(len(made_by.trained_scales) for made_by in planned.values())
    for round_ in range((steps + 1) * most):
        if round_ == most:
            for stepper in steppers.values():
                stepper.by_scale.clear()
        for stepper in steppers.values():
            stepper.step()
    table = Table("preset", "scale", *PARTS, "step, s", "images/s", title=f"seconds of a step, {precision}")
    for name, made_by in planned.items():
        found = list(rows(steppers[name], made_by))
        for label, total, parts in found:
            values = (f"{parts[part]:.3f}" if part in parts else "" for part in PARTS)
            table.add_row(name, label, *values, f"{total:.3f}", f"{made_by.batch / total:.1f}")
        mean = sum(total for _, total, _ in found) / len(found)
        table.add_row(name, "mean", *[""] * len(PARTS), f"{mean:.3f}", f"{made_by.batch / mean:.1f}")
    console.print(machine())
    console.print(table)


if __name__ == "__main__":
    main()
