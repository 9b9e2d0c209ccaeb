"""A run: steps until its end, with log, sample sheets, checkpoints, and the best model by a measure of choice."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import IntEnum

from infgen.engines.eager import DTYPES
from infgen.errors import InputError
from infgen.model.generator import Generator
from infgen.train import sample_sheet
from infgen.train.checkpoint import Log, RunFolder
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.presets import Recipe
from infgen.train.processes import Processes, join
from infgen.train.step import Stepper
from infgen.train.stopping import StopRequest, stop_requests
from infgen.train.tensorboard import Board

PRECISIONS = tuple(DTYPES)
BOARD_EVERY = 10  # steps between points of the curves in TensorBoard


@dataclass(frozen=True)
class Schedule:
    """How long a run goes on and how often it writes."""

    steps: int
    hours: float | None = None  # of this call, resumed or not
    checkpoint_every: int = 500
    sample_every: int = 1000
    judge_every: int = 1000  # where there is a judge
    seed: int = 0
    device: str | None = None  # None: a GPU where there is one
    precision: str = "fp32"
    threads: int | None = None  # CPU threads; None leaves PyTorch's choice
    tensorboard: bool = False


class End(IntEnum):
    """Why a run ended. Of several processes' reasons the largest counts."""

    NOT_YET = 0
    STEPS = 1
    HOURS = 2
    SIGNAL = 3


@dataclass(frozen=True)
class Judge:
    """What tells a better model from a worse one: a named measure of a generator, lower is better."""

    name: str
    measure: Callable[[Generator], float]


Report = Callable[[int, dict[str, float]], None]


class Trainer:
    """One run: a recipe, photographs, and the state they change."""

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
        self.processes = processes or join(schedule.device)
        self.stepper = Stepper(recipe, photos, self.processes, seed=schedule.seed, precision=schedule.precision)
        self.state = self.stepper.state

    def run(self, folder: RunFolder, *, report: Report) -> End:
        """Train to the end of the schedule, writing log, samples, checkpoints and the averaged model into ``folder``.

        Ends after the step in which SIGINT or SIGTERM arrives, or the hours are over; the checkpoint is written then too.
        Raises DivergenceError, after which the folder holds the last good checkpoint.
        """
        state, schedule = self.state, self.schedule
        if state.step >= schedule.steps:
            ended = state.step == self.recipe.decay_steps
            more = (
                "its rates have fallen to nothing, go on from it with --init"
                if ended
                else "give --steps more than that"
            )
            raise InputError(f"the run is at step {state.step} already; {more}")
        deadline = time.monotonic() + schedule.hours * 3600 if schedule.hours else None
        with ExitStack() as stack:
            stop = stack.enter_context(stop_requests())
            writer = stack.enter_context(_Writer(self, folder)) if self.processes.first else None
            while True:
                terms = self.stepper.step()
                report(state.step, terms)
                end = self._end(stop, deadline)
                if writer is not None:
                    writer.step(terms, last=end is not End.NOT_YET)
                if end is not End.NOT_YET:
                    return end

    def _end(self, stop: StopRequest, deadline: float | None) -> End:
        """Whether this was the last step: the same answer in every process."""
        end = End.NOT_YET
        if self.state.step >= self.schedule.steps:
            end = End.STEPS
        elif stop.made:
            end = End.SIGNAL
        elif deadline is not None and time.monotonic() >= deadline:
            end = End.HOURS
        return End(self.processes.largest(end))


class _Writer:
    """What the first process of a run leaves in its folder."""

    def __init__(self, trainer: Trainer, folder: RunFolder) -> None:
        self._trainer, self._folder = trainer, folder
        self._stack = ExitStack()
        self._log: Log
        self._board: Board | None = None

    def __enter__(self) -> "_Writer":
        step = self._trainer.state.step
        with ExitStack() as stack:
            if self._trainer.schedule.tensorboard:
                self._board = Board(self._folder.board, from_step=step)
                stack.callback(self._board.close)
            self._log = stack.enter_context(self._folder.log(from_step=step))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> bool | None:
        return self._stack.__exit__(*error)  # type: ignore[arg-type]

    def step(self, terms: dict[str, float], *, last: bool) -> None:
        """Record a finished step and whatever is due after it."""
        step, schedule = self._trainer.state.step, self._trainer.schedule
        judged = self._judge() if self._trainer.judge and (last or step % schedule.judge_every == 0) else {}
        self._log.write({"step": step, **terms, **judged})
        if self._board is not None and (last or judged or step % BOARD_EVERY == 0):
            self._board.scalars(step, {**terms, **judged})
        if last or step % schedule.sample_every == 0:
            self._sheet()
        if last or step % schedule.checkpoint_every == 0:
            self._log.sync()
            trainer = self._trainer
            self._folder.save(trainer.state, trainer.recipe, seed=schedule.seed, data=trainer.photos.fingerprint)

    def _judge(self) -> dict[str, float]:
        """Measure the averaged model; keep it where it is the best so far."""
        judge, state = self._trainer.judge, self._trainer.state
        assert judge is not None
        value = judge.measure(state.ema)
        if math.isfinite(value) and value < state.best.get("value", math.inf):
            state.best = {"value": value, "step": float(state.step)}
            self._folder.save_best(state)
        return {judge.name: value}

    def _sheet(self) -> None:
        state, dtype = self._trainer.state, DTYPES[self._trainer.schedule.precision]
        sheet = sample_sheet.sheet(state.ema, dtype=dtype)
        sample_sheet.save(sheet, self._folder.samples / f"{state.step:07d}.png")
        if self._board is not None:
            self._board.sheet(state.step, sheet)
