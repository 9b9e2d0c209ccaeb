"""The modulation of a layer by its styles as one operator on small matrices, without spatial axes.

A separate operator keeps the exported graph readable: one node per layer instead of fifteen.
"""

from torch import Tensor, library

TINY = 1e-15  # lower limit of the largest scale; its square is still a float32


@library.custom_op("infgen::modulation", mutates_args=())
def modulation(
    styles: Tensor,
    affine: Tensor,
    shift: Tensor,
    kernel: Tensor,
    floor: Tensor,
    first: Tensor,
    second: Tensor,
    times: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute scales in [-1, 1] (K, I), the size () they were divided by, and the energy (P, O) for demodulation, float32.

    ``styles`` (K, D), or (B, K, D) if every tile has its own; all results then have the axis B, too. ``affine`` (D, I) and
    ``shift`` (I,) map styles to scales. ``kernel`` (I, O): squared weights, summed over the kernel. ``floor`` (O,): the
    epsilon of demodulation. ``first`` and ``second`` (P,): all pairs k <= l of styles, each counted ``times`` (P, 1). The
    weights of the styles sum to 1 everywhere, so every style can include shift and floor.
    """
    raw = styles @ affine + shift
    size = raw.abs().amax((-2, -1), keepdim=True).clamp_min(TINY)
    scales = raw / size
    products = scales.index_select(-2, first) * scales.index_select(-2, second)
    return scales, size[..., 0, 0].clone(), (products @ kernel + floor / (size * size)) * times


@modulation.register_fake
def _(
    styles: Tensor,
    affine: Tensor,
    shift: Tensor,
    kernel: Tensor,
    floor: Tensor,
    first: Tensor,
    second: Tensor,
    times: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    *tiles, count, _ = styles.shape
    return (
        styles.new_empty(*tiles, count, affine.shape[1]),
        styles.new_empty(tiles),
        styles.new_empty(*tiles, first.shape[0], kernel.shape[1]),
    )
