"""Terms of the inversion objective as pure functions (paper Section 4.3 and Appendix K; StyleGAN2, Appendix D)."""

import torch
import torch.nn.functional as F
from torch import Tensor

COARSEST_PX = 8  # the pyramid of a noise ends at the first level whose shorter side is no longer than this
_ROOT_EPSILON = 1e-12  # a root has a gradient at 0


def pixel(image: Tensor, picture: Tensor, known: Tensor | None = None) -> Tensor:
    """L_pix: half the mean square difference of images (B, 3, H, W), over the ``known`` (H, W) pixels only."""
    return 0.5 * mean_square_error(image, picture, known)


def mean_square_error(image: Tensor, picture: Tensor, known: Tensor | None = None) -> Tensor:
    """The mean square difference of images (B, 3, H, W), over the ``known`` (H, W) pixels only."""
    squares = (image - picture).square()
    if known is None:
        return squares.mean()
    return (squares * known).sum() / (known.sum() * squares.shape[0] * squares.shape[1])


def psnr(image: Tensor, picture: Tensor, known: Tensor | None = None) -> Tensor:
    """Peak signal to noise ratio, dB, of ``image`` clipped to [-1, 1] against ``picture`` (B, 3, H, W)."""
    error = mean_square_error(image.clamp(-1, 1), picture, known)
    return 10 * torch.log10(4 / error.clamp_min(1e-12))


def noise_regularity(noise: Tensor) -> Tensor:
    """How far a noise (B, 1, H, W) is from white: squared correlations with its neighbours, over a pyramid (StyleGAN2, D).

    Neighbours wrap around. A coarser level is the mean of 2x2 blocks, an odd last row or column left out.
    """
    total = noise.new_zeros(())
    while True:
        right, below = noise * noise.roll(1, 3), noise * noise.roll(1, 2)
        total = total + right.mean().square() + below.mean().square()
        if min(noise.shape[-2:]) <= COARSEST_PX:
            return total
        noise = F.avg_pool2d(noise, 2)


def renormalised(noise: Tensor) -> Tensor:
    """``noise`` with mean 0 and standard deviation 1 over all its values (StyleGAN2, Appendix D)."""
    return (noise - noise.mean()) / noise.std()


def root_mean_square(z: Tensor) -> Tensor:
    """sqrt(mean z^2): the distance of standard normal latents of any shape from their mean, 1 for a typical draw."""
    return (z.square().mean() + _ROOT_EPSILON).sqrt()


def excess(z: Tensor) -> Tensor:
    """(mean z^2 - 1)^2: 0 where latents have the energy of a draw. Smooth, where |std - 1| has a kink."""
    return (z.square().mean() - 1).square()


def mahalanobis(whitened: Tensor) -> Tensor:
    """d_M of whitened styles (B, rows, D): for each row the root of the batch's mean square length; the mean over rows."""
    return (whitened.square().sum(-1).mean(0) + _ROOT_EPSILON).sqrt().mean()
