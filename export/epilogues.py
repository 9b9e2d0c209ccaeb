"""The epilogues of the texture synthesizer's convolutions as two operators, with reference implementations in PyTorch.

``torch.ops.infgen.modulated_conv_epilogue`` and ``torch.ops.infgen.upsample_epilogue`` run on any device. A faster
kernel for one device registers with ``register_kernel``. ONNX files contain the same two operators as nodes.

Both take these tensors as positional arguments, in this order:

- ``y`` (B, O, h, w), any floating type: output of the convolution. The result has this type; arithmetic is float32.
- ``terms`` (B or 1, T, H or 1, W or 1) float32 and ``energy`` (T, O) float32: ``rsqrt(sum_t terms * energy)`` demodulates
  output channel o. With one style T is 1 and terms are 1; for K styles see ``infgen.model.fused.Mixer``.
- ``noise`` (B, 1, H', W') of any floating type, at the positions of the result; ``strength``, a float32 scalar.
- ``bias`` (O,) float32. Energy, strength and bias include the gain of the activation, sqrt(2).

If every tile has its own styles, ``energy`` is (B, T, O) and ``strength`` (B, 1, 1, 1). Faster kernels may not support this.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, library

from infgen.model.layers import LEAK

BLUR = ((0.25, 0.5, 0.25), (0.5, 1.0, 0.5), (0.25, 0.5, 0.25))  # outer([1, 2, 1]) / 16, times 4 for the inserted zeros


def demodulation(terms: Tensor, energy: Tensor) -> Tensor:
    """Compute factors (B or 1, O, H or 1, W or 1) float32.

    ``terms`` (B or 1, T, H or 1, W or 1), ``energy`` (T, O) or (B, T, O).
    """
    total = energy.float().mT @ terms.float().flatten(2)
    return total.view(-1, energy.shape[-1], terms.shape[2], terms.shape[3]).rsqrt()


def upsample_factors(factors: Tensor) -> Tensor:
    """Interpolate (B, O, n, m) to (B, O, 2n-1, 2m-1), bilinear at exact half steps. A size of 1 stays 1."""
    height, width = factors.shape[-2:]
    return F.interpolate(factors, size=(2 * height - 1, 2 * width - 1), mode="bilinear", align_corners=True)


def _add_noise_and_activate(x: Tensor, noise: Tensor, strength: Tensor, bias: Tensor) -> Tensor:
    return F.leaky_relu(x + noise.float() * strength.float() + bias.float()[:, None, None], LEAK)


@library.custom_op("infgen::modulated_conv_epilogue", mutates_args=())
def modulated_conv_epilogue(
    y: Tensor, terms: Tensor, energy: Tensor, noise: Tensor, strength: Tensor, bias: Tensor
) -> Tensor:
    """leaky_relu(y * rsqrt(sum_t terms * energy) + noise * strength + bias, 0.2).

    ``y`` (B, O, H, W), ``terms`` (B or 1, T, H or 1, W or 1), ``energy`` (T, O), ``noise`` (B, 1, H, W), ``strength`` (),
    ``bias`` (O,) -> (B, O, H, W) of ``y``'s type (StyleGAN2, Section 2.2 and Appendix B).
    """
    return _add_noise_and_activate(y.float() * demodulation(terms, energy), noise, strength, bias).to(y.dtype)


@library.custom_op("infgen::upsample_epilogue", mutates_args=())
def upsample_epilogue(
    y: Tensor, terms: Tensor, energy: Tensor, noise: Tensor, strength: Tensor, bias: Tensor
) -> Tensor:
    """Crop, demodulation, 3x3 binomial blur without padding, noise, bias, leaky ReLU, after a transposed convolution.

    ``y`` (B, O, 2n+1, 2m+1) is cropped by one position on each side. Demodulation is computed on the n x m lattice of ``terms``
    (B or 1, T, n or 1, m or 1), the input of the transposed convolution, and interpolated to 2n-1 x 2m-1 (paper Appendix L).
    ``noise`` (B, 1, 2n-3, 2m-3) -> (B, O, 2n-3, 2m-3) of ``y``'s type.
    """
    channels = y.shape[1]
    fine = y[:, :, 1:-1, 1:-1].float() * upsample_factors(demodulation(terms, energy))
    kernel = torch.tensor(BLUR, device=y.device).expand(channels, 1, 3, 3)
    return _add_noise_and_activate(F.conv2d(fine, kernel, groups=channels), noise, strength, bias).to(y.dtype)


@modulated_conv_epilogue.register_fake
def _(y: Tensor, terms: Tensor, energy: Tensor, noise: Tensor, strength: Tensor, bias: Tensor) -> Tensor:
    return torch.empty_like(y)


@upsample_epilogue.register_fake
def _(y: Tensor, terms: Tensor, energy: Tensor, noise: Tensor, strength: Tensor, bias: Tensor) -> Tensor:
    return torch.empty_like(y[:, :, 4:, 4:])
