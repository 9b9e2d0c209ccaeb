"""Photographs become latents, and pictures grow from them (paper Sections 4.3 and 4.4).

``optimise`` inverts a ``Target``; the latents it gives are an anchor of a world.
"""

from infgen.inversion.drift import Drift
from infgen.inversion.optimise import Inversion, Settings, Step, Target, optimise

__all__ = ["Drift", "Inversion", "Settings", "Step", "Target", "optimise"]
