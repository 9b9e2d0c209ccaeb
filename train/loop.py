"""The training loop: steps to the end of the schedule, with log, sample sheets, checkpoints and best model."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass
from enum import IntEnum
from typing import Any

from infgen.checks import check_whole
from infgen.engines.eager import DTYPES
from infgen.errors import DivergenceError, InputError
from infgen.model.generator import Generator
from infgen.train import sample_sheet
from infgen.train.checkpoint import RunFolder
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.log import Log
from infgen.train.presets import Recipe
from infgen.train.processes import Processes, join_processes
from infgen.train.step import Stepper
from infgen.train.stopping import StopRequest, stop_requests
from infgen.train.tensorboard import TensorBoardWriter
from infgen.train.trackers import Tracker, TrackerName

PRECISIONS = tuple(DTYPES)
SAVED_OPTIONS = ("checkpoint_every", "sample_every", "judge_every", "precision", "tensorboard")  # of Schedule
TENSORBOARD_EVERY = 10  # steps between points of the curves in TensorBoard


@dataclass(frozen=True)
class Schedule:
    """Length of a run, how often it writes, and the hardware settings.

    >>> from infgen.train import Schedule
    >>> Schedule(steps=10_000, hours=1.5).checkpoint_every
    500
    """

    steps: int
    _: KW_ONLY
    hours: float | None = None  # of this call, resumed or not
    checkpoint_every: int = 500
    sample_every: int = 1000
    judge_every: int = 1000  # steps between measurements of the EMA model, with a judge
    seed: int = 0
    device: str | None = None  # None: a GPU if there is one
    precision: str = "fp32"
    threads: int | None = None  # CPU threads; None: PyTorch's default
    tensorboard: bool = False
    trackers: tuple[TrackerName, ...] = ()

    def __post_init__(self) -> None:
        for name in ("steps", "checkpoint_every", "sample_every", "judge_every"):
            check_whole(name, getattr(self, name), least=1)
        check_whole("seed", self.seed, least=-(2**63), most=2**64 - 1)
        if self.threads is not None:
            check_whole("threads", self.threads, least=1)
        if self.hours is not None and not self.hours > 0:
            raise InputError(f"hours {self.hours} is out of range; allowed are numbers above 0")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision {self.precision!r} is unknown; choose one of {', '.join(PRECISIONS)}")


class StopReason(IntEnum):
    """Why a run ends after a step. Of the reasons of several processes the largest counts."""

    NONE = 0
    STEPS = 1
    HOURS = 2
    SIGNAL = 3


@dataclass(frozen=True)
class Judge:
    """A named measure of a generator that selects the best model; lower is better."""

    name: str
    measure: Callable[[Generator], float]
    samples: int | None = None  # per measurement


StepReport = Callable[[int, dict[str, float]], None]  # (step, loss terms)


class Trainer:
    """Trains one run: a recipe, photographs, and the state that training changes."""

    def __init__(
        self,
        recipe: Recipe,
        photos: PhotoPyramid,
        schedule: Schedule,
        *,
        processes: Processes | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.recipe, self.photos, self.schedule, self.judge = recipe, photos, schedule, judge
        self.processes = processes or join_processes(schedule.device)
        self.stepper = Stepper(recipe, photos, self.processes, seed=schedule.seed, precision=schedule.precision)
        self.state = self.stepper.state
        self.stopped_by: int | None = None  # number of the signal that ended ``run``

    def options(self) -> dict[str, Any]:
        """Return the options that a resumed run takes over, by the names of the command's options."""
        options = {name: getattr(self.schedule, name) for name in SAVED_OPTIONS}
        if self.judge is not None:
            options |= {"metric": self.judge.name.replace("_", "-"), "judge_n": self.judge.samples}
        return options

    def run(self, folder: RunFolder, *, report: StepReport) -> StopReason:
        """Train to the end of the schedule, and write log, samples, checkpoints and the EMA model into ``folder``.

        Does nothing if no step is left. Stops after the step in which SIGINT, SIGTERM or SIGHUP arrives or the hours are
        over, and writes a checkpoint. Raises DivergenceError, after which ``folder`` holds the last good checkpoint.
        """
        state, schedule = self.state, self.schedule
        if state.step >= schedule.steps:
            return StopReason.STEPS
        deadline = time.monotonic() + schedule.hours * 3600 if schedule.hours else None
        with ExitStack() as stack:
            stack.enter_context(_name_checkpoint(folder))
            stop = stack.enter_context(stop_requests())
            writer = stack.enter_context(_RunWriter(self, folder)) if self.processes.is_first else None
            while True:
                terms = self.stepper.step()
                report(state.step, terms)
                reason = self._stop_reason(stop, deadline)
                if writer is not None:
                    writer.record_step(terms, last=reason is not StopReason.NONE)
                if reason is not StopReason.NONE:
                    self.stopped_by = stop.signal
                    return reason

    def _stop_reason(self, stop: StopRequest, deadline: float | None) -> StopReason:
        """Decide whether this was the last step; every process gets the same answer."""
        reason = StopReason.NONE
        if self.state.step >= self.schedule.steps:
            reason = StopReason.STEPS
        elif stop.requested:
            reason = StopReason.SIGNAL
        elif deadline is not None and time.monotonic() >= deadline:
            reason = StopReason.HOURS
        return StopReason(self.processes.maximum(reason))


@contextmanager
def _name_checkpoint(folder: RunFolder) -> Iterator[None]:
    """Add to the error of a diverging run whether ``folder`` holds a checkpoint of an earlier step."""
    try:
        yield
    except DivergenceError as error:
        kept = "the last checkpoint is kept" if folder.state.exists() else "there is no checkpoint of an earlier step"
        raise DivergenceError(f"{error}; {kept}") from error


class _RunWriter:
    """Writes the files of a run, in its first process."""

    def __init__(self, trainer: Trainer, folder: RunFolder) -> None:
        self._trainer, self._folder = trainer, folder
        self._stack = ExitStack()
        self._log: Log
        self._writers: list[TensorBoardWriter | Tracker] = []  # of curves and sheets, next to the log

    def __enter__(self) -> "_RunWriter":
        step = self._trainer.state.step
        with ExitStack() as stack:
            if self._trainer.schedule.tensorboard:
                self._writers.append(TensorBoardWriter(self._folder.tensorboard, from_step=step))
            settings = self._trainer.recipe.to_dict()
            self._writers += [Tracker(name, settings) for name in self._trainer.schedule.trackers]
            for writer in self._writers:
                stack.callback(writer.close)
            self._log = stack.enter_context(self._folder.log(from_step=step))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> bool | None:
        return self._stack.__exit__(*error)  # type: ignore[arg-type]

    def record_step(self, terms: dict[str, float], *, last: bool) -> None:
        """Log a finished step, and write the measurement, sheet and checkpoint that are due."""
        step, schedule = self._trainer.state.step, self._trainer.schedule
        measured = self._measure() if self._trainer.judge and (last or step % schedule.judge_every == 0) else {}
        self._log.write({"step": step, **terms, **measured})
        if last or measured or step % TENSORBOARD_EVERY == 0:
            for writer in self._writers:
                writer.add_scalars(step, {**terms, **measured})
        if last or step % schedule.sample_every == 0:
            self._write_sheet()
        if last or step % schedule.checkpoint_every == 0:
            self._log.sync()
            trainer = self._trainer
            data = trainer.photos.fingerprint
            self._folder.save(trainer.state, trainer.recipe, seed=schedule.seed, data=data, options=trainer.options())

    def _measure(self) -> dict[str, float]:
        """Measure the EMA model, and save it if it is the best so far."""
        judge, state = self._trainer.judge, self._trainer.state
        assert judge is not None
        value = judge.measure(state.ema)
        if math.isfinite(value) and value < state.best.get("value", math.inf):
            state.best = {"value": value, "step": float(state.step)}
            self._folder.save_best(state)
        return {judge.name: value}

    def _write_sheet(self) -> None:
        state, dtype = self._trainer.state, DTYPES[self._trainer.schedule.precision]
        sheet = sample_sheet.draw_sheet(state.ema, dtype=dtype)
        sample_sheet.save_png(sheet, self._folder.samples / f"{state.step:07d}.png")
        for writer in self._writers:
            writer.add_sheet(state.step, sheet)
