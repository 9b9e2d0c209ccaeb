"""Track a running inversion: budget, best latents so far, and progress reports."""

import math
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import torch
from torch import Tensor

from infgen.errors import DivergenceError, InfgenError
from infgen.inversion.network import add_checkpointing
from infgen.inversion.objective import Evaluation, Objective, Variables
from infgen.inversion.settings import Settings

End = Literal["steps", "seconds", "patience", "converged", "stopped", "interrupted"]
COMPOSITION, DETAIL = "composition", "detail"  # names of stages
LEAST_GAIN = 1e-3  # smallest relative improvement that resets patience


@dataclass(frozen=True, eq=False)
class Step:
    """Result of one step. ``terms``: unweighted loss terms by name. ``image`` (3, h, w), about [-1, 1]."""

    stage: str  # "composition" at the coarse scale, then "detail"; "start 2" of several starts
    step: int  # from 1, over all stages
    _: KW_ONLY
    steps: int  # limit from the settings
    seconds: float
    loss: float
    terms: dict[str, float]
    psnr: float
    image: Tensor


class Ended(Exception):
    """The run ended for the reason ``end``."""

    def __init__(self, end: End) -> None:
        super().__init__(end)
        self.end = end


class InversionRun:
    """Evaluates ``objective`` until steps, seconds, patience or the caller's ``stop`` end the run."""

    def __init__(
        self,
        objective: Objective,
        settings: Settings,
        *,
        seconds: float | None,
        progress: Callable[[Step], None] | None,
        stop: Callable[[], bool] | None,
        checkpointing: bool,
        stage: str = DETAIL,
        after: "InversionRun | None" = None,
        total: int | None = None,
    ) -> None:
        self.objective, self.settings, self.checkpointing = objective, settings, checkpointing
        self.stage = stage
        self.steps = 0
        self.best: tuple[float, Variables] | None = None
        self._seconds, self._progress, self._stop = seconds, progress, stop
        self._began = time.monotonic()
        self._before = (0, 0.0) if after is None else (after.steps, after.elapsed)
        self._total = settings.steps if total is None else total
        self._improved = 0, math.inf  # step and value of the last sufficient improvement

    @property
    def all_steps(self) -> int:
        """Steps of this run and of the one before it."""
        return self._before[0] + self.steps

    @property
    def all_seconds(self) -> float:
        """Seconds of this run and of the one before it."""
        return self._before[1] + self.elapsed

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def descent_progress(self, step: int) -> float:
        """Return the used share of Adam's budget at ``step``: of its steps or its seconds, whichever is larger."""
        settings = self.settings
        of_steps = (step + 0.5) / settings.descent_steps
        if self._seconds is None:
            return of_steps
        budget = self._seconds * settings.descent_steps / settings.steps  # zero if the run before it used all seconds
        return max(of_steps, self.elapsed / budget if budget else math.inf)

    def evaluate(self, variables: Variables, leaves: list[Tensor]) -> tuple[Evaluation, list[Tensor]]:
        """Evaluate the objective at ``variables`` and its gradients for ``leaves``.

        Raises Ended if the budget is used up, DivergenceError if a term or gradient is not finite.
        """
        self._check_budget()
        evaluation, gradients = self._gradients(variables, leaves)
        self.steps += 1
        terms = {name: float(value.detach()) for name, value in evaluation.terms.items()}
        self._check_finite(terms, gradients)
        self._keep(float(evaluation.reconstruction.detach()), variables)
        if self._progress is not None:
            image = evaluation.image.detach()
            loss, psnr = float(evaluation.loss.detach()), self.objective.psnr(image)
            steps, seconds = self.all_steps, self.all_seconds
            found = Step(
                self.stage, steps, steps=self._total, seconds=seconds, loss=loss, terms=terms, psnr=psnr, image=image[0]
            )
            self._progress(found)
        return evaluation, gradients

    def _check_budget(self) -> None:
        if self.steps >= self.settings.steps:
            raise Ended("steps")
        if self._stop is not None and self._stop():
            raise Ended("stopped")
        if self.best is None:  # always take one step, even out of time
            return
        if self._seconds is not None and self.elapsed >= self._seconds:
            raise Ended("seconds")
        if self.steps - self._improved[0] >= self.settings.patience:
            raise Ended("patience")

    def _gradients(self, variables: Variables, leaves: list[Tensor]) -> tuple[Evaluation, list[Tensor]]:
        try:
            return self._differentiate(variables, leaves)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if self.checkpointing:
                raise InfgenError(
                    "not enough memory to invert a picture of this size, even with checkpointing; make the picture smaller, "
                    "or close other programs"
                ) from None
        self.checkpointing = True
        self.objective.generator = add_checkpointing(self.objective.generator)
        return self._gradients(variables, leaves)

    def _differentiate(self, variables: Variables, leaves: list[Tensor]) -> tuple[Evaluation, list[Tensor]]:
        evaluation = self.objective(variables)
        return evaluation, list(torch.autograd.grad(evaluation.loss, leaves, materialize_grads=True))

    def _check_finite(self, terms: dict[str, float], gradients: list[Tensor]) -> None:
        wrong = next((name for name, value in terms.items() if not math.isfinite(value)), None)
        if wrong is None and not all(bool(gradient.isfinite().all()) for gradient in gradients):
            wrong = "gradient"
        if wrong is not None:
            raise DivergenceError(
                f"inversion diverged at step {self.steps}: loss term {wrong} is {terms.get(wrong, math.nan):g}; "
                "try another seed or a lower rate"
            )

    def _keep(self, reconstruction: float, variables: Variables) -> None:
        """Store the variables with the best reconstruction, without prior terms, since those are best at the start."""
        if self.best is None or reconstruction < self.best[0]:
            self.best = reconstruction, variables.detach_copy()
        if reconstruction < self._improved[1] * (1 - LEAST_GAIN):
            self._improved = self.steps, reconstruction


def _out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "allocate memory" in text or "not enough memory" in text
    )
