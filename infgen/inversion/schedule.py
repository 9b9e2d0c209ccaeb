"""Schedule the learning rate over a run (StyleGAN2, Appendix D)."""

import math


def rate_factor(progress: float, *, ramp_up: float, ramp_down: float) -> float:
    """Return the learning rate factor at ``progress`` (0 start, 1 end of the run).

    Linear warm-up over the first ``ramp_up`` of the run, cosine decay over the last ``ramp_down``.
    """
    falling = min(1.0, (1 - progress) / ramp_down) if ramp_down else 1.0
    rising = min(1.0, progress / ramp_up) if ramp_up else 1.0
    return rising * (0.5 - 0.5 * math.cos(math.pi * falling))
