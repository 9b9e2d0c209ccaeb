"""What a layer makes of its styles, as one operator: small matrices, nothing over space.

An operator of its own keeps the exported graph readable: one node a layer instead of fifteen.
"""

from torch import Tensor, library

TINY = 1e-15  # in place of a largest scale of 0; its square is still a float32


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
    """Scales within -1 .. 1 (K, I), their size (), and the energy (P, O) that demodulation needs, float32.

    ``styles`` (K, D), or (B, K, D) where every tile has its own: then all results begin with B, too. ``affine`` (D, I) and
    ``shift`` (I,) make scales of them. ``kernel`` (I, O): squares of the weight, summed over the kernel; ``floor`` (O,): the
    epsilon of demodulation. ``first`` and ``second`` (P,): all pairs k <= l of styles, each counted ``times`` (P, 1). Weights
    of styles sum to 1 everywhere, so that shift and floor can be shared out among styles.
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
