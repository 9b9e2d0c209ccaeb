"""Training: photographs, discriminators, losses and the training loop (installed as ``infgen.train``)."""

from infgen.train.run import TrainingRun, start

__all__ = ["TrainingRun", "start"]
