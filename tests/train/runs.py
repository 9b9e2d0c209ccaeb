"""Training runs that take seconds, and comparison of what they leave behind, bit for bit."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infgen.train import Run, start
from infgen.train.checkpoint import RunFolder
from infgen.train.loop import Schedule
from infgen.train.presets import Recipe, recipe

# Regularisers at every second step, so that a few steps meet every term; 0.1 s a step.
SMALL = recipe("tiny").changed(batch=2, r1_every=2, path_every=2)
PROJECTED = SMALL.changed(discriminator="projected", augment="diffaugment", r1_weight=0.0, path_weight=0.0)

Report = Callable[[int, dict[str, float]], None]


def nothing(step: int, terms: dict[str, float]) -> None:
    """Report nothing."""


def begin(data: Path, out: Path, *, steps: int, made_by: Recipe = SMALL, resume: bool = False, **schedule: Any) -> Run:
    """A run that is ready to train on the CPU, by default without sample sheets and checkpoints before its end."""
    values = {"checkpoint_every": 1000, "sample_every": 1000, "device": "cpu", **schedule}
    return start(data, made_by, Schedule(steps=steps, **values), out=out, resume=resume)


def train(data: Path, out: Path, *, report: Report = nothing, **options: Any) -> RunFolder:
    """Train to the end. Returns the folder of the run."""
    run = begin(data, out, **options)
    run.train(report)
    return run.folder


def stop_at(step: int, error: type[BaseException] = KeyboardInterrupt) -> Report:
    """A report that raises ``error`` after ``step``."""

    def report(done: int, terms: dict[str, float]) -> None:
        if done == step:
            raise error

    return report


def flat(content: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Everything in nested mappings and sequences, by path."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from flat(value, f"{name}/{key}")
    elif isinstance(content, list | tuple):
        for i, value in enumerate(content):
            yield from flat(value, f"{name}/{i}")
    else:
        yield name, content


def differences(one: object, other: object) -> list[str]:
    """Paths at which two nested contents are not equal bit for bit."""
    a, b = dict(flat(one)), dict(flat(other))
    return sorted(set(a) ^ set(b)) + [name for name in a.keys() & b.keys() if not _same(a[name], b[name])]


def _same(a: object, b: object) -> bool:
    return a.equal(b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b


def saved(folder: RunFolder) -> dict[str, Any]:
    """The training state in ``folder``."""
    content: dict[str, Any] = torch.load(folder.state, weights_only=True)
    return content


def records(folder: RunFolder) -> list[dict[str, float]]:
    """The log of ``folder``."""
    return [json.loads(line) for line in folder.log_file.read_text().splitlines()]


def names(folder: Path) -> list[str]:
    """Files and folders below ``folder``, sorted."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))
