"""Philox 4x32-10, a counter-based random generator, and Box-Muller (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC 2011). Pure functions of counter and key: no state, no order.

The integers are the same bits on every device; the normals agree to within a few ulp.
"""

import math

import torch
from torch import Tensor

WORD = 0xFFFFFFFF
ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # key increments per round: golden ratio and sqrt(3) - 1, times 2**32

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox4x32(counter: tuple[Tensor | int, Tensor | int, Tensor | int, Tensor | int], key: tuple[int, int]) -> Words:
    """Compute four random words per counter: int64 tensors of the broadcast shape, values in [0, 2**32).

    ``counter``: four int64 tensors or ints that broadcast together, each value in [0, 2**32). ``key``: two ints in
    [0, 2**32). Inputs are not modified. The function makes about 100 passes over five int64 buffers of the
    broadcast size, so callers on a CPU should use chunks that fit its cache.
    """
    device = next((c.device for c in counter if isinstance(c, Tensor)), None)
    words = [torch.as_tensor(c, dtype=torch.int64, device=device) for c in counter]
    high = words[0] | words[1] | words[2] | words[3]  # scratch: only its broadcast shape matters here
    c0, c1, c2, c3 = (w.expand_as(high).clone() for w in words)
    k0, k1 = key
    for _ in range(ROUNDS):
        # c0 and c2 are clean words; c1 and c3 may carry anything above bit 31, which the masks below remove.
        # int64 products wrap modulo 2**64, so all 64 bits of word * word are right although the sign is not.
        c0.mul_(MULTIPLIERS[0])
        c2.mul_(MULTIPLIERS[1])
        torch.bitwise_right_shift(c2, 32, out=high)
        c1.bitwise_xor_(high).bitwise_xor_(k0).bitwise_and_(WORD)
        torch.bitwise_right_shift(c0, 32, out=high)
        c3.bitwise_xor_(high).bitwise_xor_(k1).bitwise_and_(WORD)
        c0, c1, c2, c3 = c1, c2, c3, c0
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1.bitwise_and_(WORD), c2, c3.bitwise_and_(WORD)


def box_muller(radius_bits: Tensor, angle_bits: Tensor) -> tuple[Tensor, Tensor]:
    """Compute two independent standard normals (float32) from two random words: sqrt(-2 ln u) times cos and sin of 2*pi*v.

    Inputs: words as int64, or already rounded to float32, contiguous and of the same shape as the results.
    u = (bits + 0.5) / 2**32 lies in (0, 1] after rounding, so every result is finite: 6.8 at most.
    """
    radius = radius_bits.add(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
    angle = angle_bits.mul(math.tau * 2.0**-32)
    cosine = torch.cos(angle)
    return cosine.mul_(radius), angle.sin_().mul_(radius)
