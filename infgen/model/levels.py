"""The levels of G_T: two convolutions, then an RGB contribution that is added to the upsampled RGB (paper Figure 19).

Three networks share this loop: for training, for one style, and for mixed styles. The export graph has its own, because
exporters need plain module calls.
"""

from collections.abc import Callable

from torch import Tensor

from infgen.model.layers import upsample_skip


def run_levels(
    x: Tensor,
    *,
    levels: int,
    convolve: Callable[[int, Tensor], Tensor],
    to_rgb: Callable[[int, Tensor], Tensor],
    upsample: Callable[[Tensor], Tensor] = upsample_skip,
) -> Tensor:
    """Return the RGB sum after the last level, (B, 3, H, W), from z_S ``x`` (B, C, n, m).

    ``convolve(i, x)`` applies texture convolution ``i``: an even one upsamples. ``to_rgb(level, x)`` gives the contribution of
    a level. ``upsample`` brings RGB to the next level's window.
    """
    rgb: Tensor | None = None
    for level in range(levels):
        x = convolve(2 * level, x)
        x = convolve(2 * level + 1, x)
        contribution = to_rgb(level, x)
        rgb = contribution if rgb is None else upsample(rgb) + contribution
    assert rgb is not None  # a configuration has at least one level
    return rgb
