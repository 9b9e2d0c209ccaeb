"""One training run from its arguments: photographs checked, state made or resumed, folder ready."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from infgen.engines.eager import pick_device
from infgen.errors import InputError
from infgen.train.checkpoint import RunFolder
from infgen.train.data import PhotoSet, Skipped
from infgen.train.loop import Schedule, Trainer
from infgen.train.presets import Recipe


@dataclass(frozen=True)
class Run:
    """A run that is ready to train."""

    trainer: Trainer
    folder: RunFolder
    skipped: list[Skipped]

    def summary(self) -> str:
        """The resolved configuration in a few lines, for people."""
        trainer = self.trainer
        recipe, schedule = trainer.recipe, trainer.schedule
        parameters = sum(p.numel() for p in trainer.state.generator.parameters())
        return "\n".join(
            (
                f"{len(trainer.photos)} photographs, {len(self.skipped)} skipped; views of {recipe.view_px} px, "
                f"patches of {recipe.generator_config.patch_px} px",
                f"generator {recipe.generator} x{recipe.width:g}, {parameters / 1e6:.1f} M parameters; "
                f"{recipe.discriminator} discriminator; batch {recipe.batch}",
                f"step {trainer.state.step} to {schedule.steps} on {trainer.device}, {schedule.precision}, "
                f"seed {schedule.seed}; {self.folder.path}",
            )
        )

    def train(self, report: Callable[[int, dict[str, float]], None]) -> None:
        """Train to the end of the schedule; ``report(step, loss terms)`` after every step."""
        self.trainer.run(self.folder, report=report)


def start(
    data: Path,
    recipe: Recipe,
    schedule: Schedule,
    *,
    out: Path,
    resume: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Run:
    """Read ``data``, and make a new run in ``out`` or bring the one there back to its last checkpoint.

    Raises InputError for unusable data, folders, devices, or a run that was made with something else.
    """
    if schedule.threads is not None:
        torch.set_num_threads(schedule.threads)
    pick_device(schedule.device)  # refused before an hour of reading photographs
    patch_px = recipe.generator_config.patch_px
    folder = RunFolder(out)
    folder.check(resume=resume)
    if out.resolve().is_relative_to(data.resolve()):
        raise InputError(f"run folder {out} is inside data folder {data}: its samples would be trained on; move it")
    photos, skipped = PhotoSet.open(data, view_px=recipe.view_px, patch_px=patch_px, progress=progress)
    trainer = Trainer(recipe, photos, schedule)
    if resume:
        folder.load(trainer.state, recipe, seed=schedule.seed, data=photos.fingerprint)
    else:
        folder.create(recipe)
    return Run(trainer, folder, skipped)
