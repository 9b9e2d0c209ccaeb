"""Invert photographs to latents, and extend photographs (paper Sections 4.3 and 4.4).

``optimise`` inverts a ``Target``. Its latents can be an anchor of a world.
"""

from infgen.inversion.drift import Drift
from infgen.inversion.optimise import Inversion, Settings, Step, Target, optimise

__all__ = ["Drift", "Inversion", "Settings", "Step", "Target", "optimise"]
