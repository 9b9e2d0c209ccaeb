"""Options of a saved run: a resumed run uses them unless the user gives others."""

from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

from infgen.errors import InputError
from infgen.train.checkpoint import RunFolder
from infgen.train.judge import METRICS
from infgen.train.loop import PRECISIONS, SAVED_OPTIONS, Schedule
from infgen.train.presets import Recipe


@dataclass(frozen=True)
class SavedRun:
    """Recipe and options of the run in ``folder``. ``schedule``: entries of ``Schedule`` by name."""

    folder: Path
    recipe: Recipe
    _: KW_ONLY
    schedule: Mapping[str, Any]
    metric: str | None
    judge_n: int | None

    def complete(self, schedule: Schedule, *, given: Collection[str]) -> Schedule:
        """Return ``schedule`` with the saved values of all options that are not in ``given``.

        Raises InputError if the user gives another precision: a run keeps its own to the end.
        """
        before = self.schedule.get("precision")
        if "precision" in given and before not in (None, schedule.precision):
            raise InputError(
                f"{self.folder} was trained in {before}, and --precision is {schedule.precision}; omit --precision"
            )
        return replace(schedule, **{name: value for name, value in self.schedule.items() if name not in given})


def read_saved(folder: Path) -> SavedRun:
    """Read the recipe and the options of the run in ``folder``. Raises InputError if there is none, or it is damaged."""
    run = RunFolder(folder)
    run.check_free()
    recipe, options = run.read_options()
    schedule = {name: options[name] for name in (*SAVED_OPTIONS, "seed") if _is_usable(name, options.get(name))}
    metric, judge_n = options.get("metric"), options.get("judge_n")
    return SavedRun(
        folder,
        recipe,
        schedule=schedule,
        metric=metric if metric in METRICS else None,
        judge_n=judge_n if type(judge_n) is int and judge_n > 1 else None,
    )


def _is_usable(name: str, value: object) -> bool:
    """Whether ``value`` can be a saved option. Older states lack some."""
    if name == "precision":
        return value in PRECISIONS
    return type(value) is bool if name == "tensorboard" else type(value) is int and (value > 0 or name == "seed")
