"""Training runs of a few seconds, and bit-for-bit comparison of their files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infgen.train import TrainingRun, start
from infgen.train.checkpoint import RunFolder
from infgen.train.loop import Schedule, StepReport
from infgen.train.presets import Recipe, find_recipe

# Regularisers run at every second step, so that a few steps compute every term; 0.1 s a step.
SMALL = find_recipe("tiny").with_values(batch=2, r1_every=2, path_every=2)
PROJECTED = SMALL.with_values(discriminator="projected", augment="diffaugment", r1_weight=0.0, path_weight=0.0)


def ignore_step(step: int, terms: dict[str, float]) -> None:
    """Do nothing."""


def begin(
    data: Path, out: Path, *, steps: int, recipe: Recipe = SMALL, resume: bool = False, **schedule: Any
) -> TrainingRun:
    """Start a run on the CPU, by default without sample sheets and checkpoints before its end."""
    values = {"checkpoint_every": 1000, "sample_every": 1000, "device": "cpu", **schedule}
    return start(data, recipe, Schedule(steps=steps, **values), out=out, resume=resume)


def train(data: Path, out: Path, *, report: StepReport = ignore_step, **options: Any) -> RunFolder:
    """Train to the end. Returns the run folder."""
    run = begin(data, out, **options)
    run.train(report)
    return run.folder


def stop_at(step: int, error: type[BaseException] = KeyboardInterrupt) -> StepReport:
    """Make a report callback that raises ``error`` after ``step``."""

    def report(done: int, terms: dict[str, float]) -> None:
        if done == step:
            raise error

    return report


def flatten(content: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Iterate over the values in nested mappings and sequences, by path."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from flatten(value, f"{name}/{key}")
    elif isinstance(content, list | tuple):
        for i, value in enumerate(content):
            yield from flatten(value, f"{name}/{i}")
    else:
        yield name, content


def differences(one: object, other: object) -> list[str]:
    """List the paths at which two nested contents are not equal bit for bit, without options such as checkpoint_every."""
    a, b = ({name: v for name, v in flatten(x) if not name.startswith("/options/")} for x in (one, other))
    return sorted(set(a) ^ set(b)) + [name for name in a.keys() & b.keys() if not _are_equal(a[name], b[name])]


def _are_equal(a: object, b: object) -> bool:
    return a.equal(b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b


def load_state(folder: RunFolder) -> dict[str, Any]:
    """Load the training state in ``folder``."""
    content: dict[str, Any] = torch.load(folder.state, weights_only=True)
    return content


def read_log(folder: RunFolder) -> list[dict[str, float]]:
    """Read the log of ``folder``."""
    return [json.loads(line) for line in folder.log_file.read_text().splitlines()]


def list_files(folder: Path) -> list[str]:
    """List the files and folders below ``folder``, sorted."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))
