"""One training run from its arguments: photographs checked, state made, warmed or resumed, folder ready."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from infgen.errors import InputError
from infgen.lock import Lock
from infgen.model.generator import Generator
from infgen.train.checkpoint import RunFolder, grow_from
from infgen.train.data.archives import SkippedFile
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.loop import End, Judge, Report, Schedule, Trainer
from infgen.train.presets import Recipe
from infgen.train.processes import join
from infgen.train.state import State

MakeJudge = Callable[[PhotoPyramid, torch.device], Judge]


@dataclass(frozen=True)
class Run:
    """A run that is ready to train."""

    trainer: Trainer
    folder: RunFolder
    skipped: list[SkippedFile]
    lock: Lock | None  # of the folder, until the training ends; of several processes only the first has it

    def summary(self) -> str:
        """The resolved configuration in a few lines, for people."""
        trainer = self.trainer
        recipe, schedule, processes = trainer.recipe, trainer.schedule, trainer.processes
        parameters = sum(p.numel() for p in trainer.state.generator.parameters())
        where = f"{processes.device}, {schedule.precision}"
        if processes.count > 1:
            where = f"{processes.count} processes, {where}"
        return "\n".join(
            (
                f"{len(trainer.photos)} photographs, {len(self.skipped)} skipped",
                *(
                    f"scale {scale.label}, {len(photos)} photographs"
                    for scale, photos in zip(recipe.judged, trainer.photos.sets, strict=True)
                ),
                f"generator {recipe.generator} x{recipe.width:g}, {parameters / 1e6:.1f} M parameters; "
                f"{recipe.discriminator} discriminator; batch {recipe.batch}",
                f"step {trainer.state.step} to {schedule.steps} on {where}, seed {schedule.seed}; {self.folder.path}",
            )
        )

    def train(self, report: Report) -> End:
        """Train to the end of the schedule; ``report(step, loss terms)`` after every step."""
        try:
            return self.trainer.run(self.folder, report=report)
        finally:
            if self.lock is not None:
                self.lock.close()


def start(
    data: str | Path,
    recipe: Recipe,
    schedule: Schedule,
    *,
    out: Path,
    resume: bool = False,
    init: str | Path | None = None,
    make_judge: MakeJudge | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Run:
    """Read ``data``, and make a new run in ``out`` or bring the one there back to its last checkpoint.

    ``init``: a model, or the folder of another run, whose networks a new run starts from. ``make_judge``: what chooses the
    best model. Raises InputError for unusable data, folders, devices, steps at which no rate is left, a run that was made with
    something else, or one that another process trains.
    """
    if schedule.threads is not None:
        torch.set_num_threads(schedule.threads)
    processes = join(schedule.device)  # a device that is not there is refused before an hour of reading photographs
    folder = RunFolder(out)
    folder.check_free()
    folder.check(resume=resume)
    if resume and init is not None:
        raise InputError("--resume continues a run and --init starts a new one; give one of them")
    if recipe.decay_steps is not None and schedule.steps > recipe.decay_steps:
        raise InputError(
            f"--steps {schedule.steps} goes past step {recipe.decay_steps}, where decay_steps leaves no learning rate; "
            f"give --steps {recipe.decay_steps} or fewer"
        )
    if out.resolve().is_relative_to(Path(data).resolve()):
        raise InputError(f"run folder {out} is inside data folder {data}: its samples would be trained on; move it")
    photos, skipped = PhotoPyramid.open(data, recipe.judged, pre_resize_px=recipe.pre_resize, progress=progress)
    judge = make_judge(photos, processes.device) if make_judge and processes.first else None
    trainer = Trainer(recipe, photos, schedule, processes=processes, judge=judge)
    if init is not None:
        _warm(trainer.state, recipe, init)
    processes.largest(0)  # every process has looked at the folder before one makes or locks it
    lock = folder.lock() if processes.first else None
    processes.largest(0)  # no process touches the folder before it is locked
    with ExitStack() as undo:
        if lock is not None:
            undo.callback(lock.close)
        if resume:
            folder.load(trainer.state, recipe, seed=schedule.seed, data=photos.fingerprint)
        elif processes.first:
            folder.create(recipe)
        undo.pop_all()
    return Run(trainer, folder, skipped, lock)


def _warm(state: State, recipe: Recipe, init: str | Path) -> None:
    """Start from the networks of a run's folder, or from the generator of a model file."""
    if Path(init).is_dir():
        RunFolder(Path(init)).warm(state, recipe)
        return
    grow_from(state, Generator.from_pretrained(init), source=str(init))
