"""Terms of the inversion objective as pure functions (paper Section 4.3 and Appendix K; StyleGAN2, Appendix D)."""

import torch
import torch.nn.functional as F
from torch import Tensor

COARSEST_PX = 8  # the noise pyramid ends at the first level with a shorter side of at most this
_ROOT_EPSILON = 1e-12  # keeps the gradient of a root finite at 0


def pixel(image: Tensor, picture: Tensor, known: Tensor | None = None) -> Tensor:
    """L_pix: half the mean squared error of images (B, 3, H, W) over the ``known`` (H, W) pixels."""
    return 0.5 * mean_square_error(image, picture, known)


def mean_square_error(image: Tensor, picture: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean squared error of images (B, 3, H, W) over the ``known`` (H, W) pixels."""
    squares = (image - picture).square()
    if known is None:
        return squares.mean()
    return (squares * known).sum() / (known.sum() * squares.shape[0] * squares.shape[1])


def psnr(image: Tensor, picture: Tensor, known: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB of ``image``, clipped to [-1, 1], against ``picture`` (B, 3, H, W)."""
    error = mean_square_error(image.clamp(-1, 1), picture, known)
    return 10 * torch.log10(4 / error.clamp_min(1e-12))


def noise_regularity(noise: Tensor) -> Tensor:
    """Squared autocorrelation of a noise (B, 1, H, W) with its neighbours, over a pyramid: 0 for white (StyleGAN2, D).

    Neighbours wrap around. Coarser levels average 2x2 blocks and drop an odd last row or column.
    """
    total = noise.new_zeros(())
    while True:
        right, below = noise * noise.roll(1, 3), noise * noise.roll(1, 2)
        total = total + right.mean().square() + below.mean().square()
        if min(noise.shape[-2:]) <= COARSEST_PX:
            return total
        noise = F.avg_pool2d(noise, 2)


def renormalise(noise: Tensor) -> Tensor:
    """Normalise ``noise`` to mean 0 and standard deviation 1 over all values (StyleGAN2, Appendix D)."""
    return (noise - noise.mean()) / noise.std()


def root_mean_square(z: Tensor) -> Tensor:
    """sqrt(mean z^2): distance of latents of any shape from their mean, about 1 for standard normal samples."""
    return (z.square().mean() + _ROOT_EPSILON).sqrt()


def deviation(z: Tensor) -> Tensor:
    """|std(z) - 1| over all values: 0 for latents as wide as normal samples (the released code's prior)."""
    return (z.std() - 1).abs()


def excess(z: Tensor) -> Tensor:
    """(mean z^2 - 1)^2: 0 for latents with the energy of a normal sample. Smooth, unlike |std - 1|."""
    return (z.square().mean() - 1).square()


def mahalanobis(whitened: Tensor) -> Tensor:
    """d_M of whitened styles (B, rows, D): root mean square length of each row over the batch, averaged over rows."""
    return (whitened.square().sum(-1).mean(0) + _ROOT_EPSILON).sqrt().mean()
