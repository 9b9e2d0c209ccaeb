"""Training: photographs, discriminators, losses and the training loop (installed as ``infgen.train``)."""

from infgen.train.loop import Schedule
from infgen.train.presets import Recipe, find_recipe
from infgen.train.run import TrainingRun, start

__all__ = ["Recipe", "Schedule", "TrainingRun", "find_recipe", "start"]
