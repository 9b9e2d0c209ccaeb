"""Training: photographs, discriminators, losses, the loop (installed as ``infgen.train``)."""

from infgen.train.run import Run, start

__all__ = ["Run", "start"]
