"""Start or resume a training run: check arguments and photographs, make or load the state, lock the folder."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import torch

from infgen.errors import InputError
from infgen.inputs import check_outputs
from infgen.lock import Lock
from infgen.memory import keep_freed_memory
from infgen.model.generator import Generator
from infgen.model.shipped import MODELS
from infgen.progress import Progress, silent
from infgen.train.checkpoint import RunFolder, grow_from
from infgen.train.data.archives import SkippedFile
from infgen.train.data.own_pictures import without_own_pictures
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.data.sources import RUN_FOLDER, list_places, open_source
from infgen.train.loop import Judge, Schedule, StepReport, StopReason, Trainer
from infgen.train.presets import Recipe
from infgen.train.processes import join_processes
from infgen.train.state import TrainingState

JudgeFactory = Callable[[PhotoPyramid, torch.device], Judge]


@dataclass(frozen=True)
class TrainingRun:
    """A run that is ready to train.

    >>> from infgen.train import Schedule, find_recipe, start
    >>> run = start("photos", find_recipe("tiny"), Schedule(steps=1), out="runs/b")
    >>> print(run.summary().splitlines()[0])
    3 photographs, 0 skipped
    """

    trainer: Trainer
    folder: RunFolder
    _: KW_ONLY
    skipped: list[SkippedFile]
    lock: Lock | None  # of the folder, until training ends; only the first process has it

    def summary(self) -> str:
        """Format the resolved configuration in a few lines, for people."""
        trainer = self.trainer
        recipe, schedule, processes = trainer.recipe, trainer.schedule, trainer.processes
        parameters = sum(p.numel() for p in trainer.state.generator.parameters())
        hardware = f"{processes.device}, {schedule.precision}"
        if processes.count > 1:
            hardware = f"{processes.count} processes, {hardware}"
        return "\n".join(
            (
                f"{len(trainer.photos)} photographs, {len(self.skipped)} skipped",
                *(
                    f"scale {scale.label}, {len(photos)} photographs"
                    for scale, photos in zip(recipe.trained_scales, trainer.photos.sets, strict=True)
                ),
                f"generator {recipe.generator} x{recipe.width:g}, {parameters / 1e6:.1f} M parameters; "
                f"{recipe.discriminator} discriminator; batch {recipe.batch}",
                f"step {trainer.state.step} to {schedule.steps} on {hardware}, seed {schedule.seed}; {self.folder.path}",
            )
        )

    def train(self, report: StepReport) -> StopReason:
        """Train to the end of the schedule. Calls ``report(step, loss terms)`` after every step."""
        keep_freed_memory()
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
    out: str | Path,
    resume: bool = False,
    init: str | Path | None = None,
    judge_factory: JudgeFactory | None = None,
    least_photographs: int = 1,
    progress: Progress = silent,
) -> TrainingRun:
    """Read ``data``, and make a new run in folder ``out``, or resume the run in it from its last checkpoint.

    ``init``: a model, or the folder of another run, whose networks a new run starts from. ``judge_factory``: makes the
    measure that selects the best model. Raises InputError for unusable data, fewer than ``least_photographs``, and an
    unusable folder or device. Raises it also for steps after the end of the learning rate decay, if the saved run has
    another configuration, and if another process trains it.

    >>> from infgen.train import Schedule, find_recipe, start
    >>> run = start("photos", find_recipe("tiny"), Schedule(steps=1), out="runs/a")
    >>> reason = run.train(lambda step, terms: print(f"step {step}, generator loss {terms['g_adversarial']:.0f}"))
    step 1, generator loss 1
    >>> run.folder.model.name
    'model.safetensors'
    """
    if schedule.threads is not None:
        torch.set_num_threads(schedule.threads)
    processes = join_processes(schedule.device)  # fails for a missing device before photographs are read
    out = Path(out)
    folder = RunFolder(out)
    folder.check_free()
    folder.check(resume=resume)
    if resume and init is not None:
        raise InputError("--resume continues a run and --init starts a new one; give one of them")
    if recipe.decay_steps is not None and schedule.steps > recipe.decay_steps:
        raise InputError(
            f"--steps {schedule.steps} goes past step {recipe.decay_steps}, where the learning rates decay to zero; "
            f"give --steps {recipe.decay_steps} or fewer"
        )
    places = [] if folder.path.resolve() == Path(data).resolve() / RUN_FOLDER else list_places(data)
    check_outputs(folder.outputs, [("model file", init)], data=places)
    if resume:
        recipe = folder.keep_diversity(recipe)
    source = open_source(data)
    if out.resolve() == Path(data).resolve() / RUN_FOLDER:  # DATA is also where commands leave their pictures
        source = without_own_pictures(source, Path(data))
    photos, skipped = PhotoPyramid.open(
        source, recipe.trained_scales, pre_resize_px=recipe.pre_resize, progress=progress
    )
    if len(photos) < least_photographs:
        raise InputError(
            f"{Path(data).resolve()} holds {len(photos)} usable photographs; training needs at least {least_photographs}, "
            "better some hundreds: add photographs, or give another folder as DATA"
        )
    judge = judge_factory(photos, processes.device) if judge_factory and processes.is_first else None
    trainer = Trainer(recipe, photos, schedule, processes=processes, judge=judge)
    if init is not None:
        _load_networks(trainer.state, recipe, init)
    processes.maximum(0)  # barrier: all processes have checked the folder before one makes or locks it
    lock = folder.lock() if processes.is_first else None
    processes.maximum(0)  # barrier: no process uses the folder before it is locked
    with ExitStack() as undo:
        if lock is not None:
            undo.callback(lock.close)
        if resume:
            folder.load(trainer.state, recipe, seed=schedule.seed, data=photos.fingerprint)
        elif processes.is_first:
            folder.create(recipe)
        undo.pop_all()
    return TrainingRun(trainer, folder, skipped=skipped, lock=lock)


def _load_networks(state: TrainingState, recipe: Recipe, init: str | Path) -> None:
    """Load the networks of a run's folder, or the generator of a model file, into ``state``."""
    if init not in MODELS and Path(init).is_dir():
        RunFolder(Path(init)).load_networks(state, recipe)
        return
    grow_from(state, Generator.from_pretrained(init), source=str(init))
