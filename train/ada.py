"""Adaptive discriminator augmentation (ADA, Karras et al., NeurIPS 2020), with corrected vertical-position targets.

The geometry of a sample is one affine map and its colour change one matrix. The probability of each transformation
follows from how far the discriminator overfits.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from infgen.errors import InputError
from infgen.train.augment import TRANSLATION, cutout

SCALE = 0.2  # standard deviation of log2 of the isotropic and of the anisotropic scale (paper, Appendix B)
SHIFT = 0.125  # standard deviation of the fractional translation, of the image side (paper, Appendix B)
ANGLE = math.radians(10)  # maximum rotation in each direction; the paper uses the full circle
BRIGHTNESS = 0.2  # standard deviation (paper, Appendix B)
CONTRAST = 0.5  # standard deviation of log2 (paper, Appendix B)
SATURATION = 1.0  # standard deviation of log2 (paper, Appendix B)
REACH = (
    0.375  # maximum offset of the view centre from the image centre, of the side; beyond the edge pixels are mirrored
)
MAX_PROBABILITY = 0.8  # up to here augmentations do not leak into generated images (paper, Section 2.2)


def next_probability(p: float, sign: float, *, images: int, target: float = 0.6, ramp_images: int = 500_000) -> float:
    """Adjust the probability ``p`` (paper, Section 3): up if the discriminator overfits, else down.

    ``sign``: r_t, the mean sign of the discriminator's logits on augmented photographs since the last adjustment.
    ``images``: photographs shown since then; the paper adjusts every four batches. ``ramp_images``: photographs in which
    p can rise from 0 to 1. The result is at least 0, as in the paper, and at most 0.8, the paper's limit for safe use.
    """
    direction = (sign > target) - (sign < target)
    return min(max(p + direction * images / ramp_images, 0.0), MAX_PROBABILITY)


def augment_adaptively(
    images: Tensor, target: Tensor, *, p: float, px_per_unit: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Augment images (B, 3, H, W), keeping their dtype. Also returns their vertical-position targets (B,).

    Every transformation is applied to every sample independently with probability ``p``: x-flip (half of the time),
    integer translation, isotropic scaling, rotation by up to 10 degrees, anisotropic scaling, fractional translation,
    brightness, contrast, hue, saturation, cutout. ``images`` are in [-1, 1], float32 or bfloat16, and differentiable.
    ``px_per_unit``: pixels between targets 0 and 1. The new target is that of the content at the centre of the result.
    ``rng``: a CPU generator, for images on any device.

    A landscape has an up and a down, so three transformations are left out: vertical flips, rotations by 90 degrees and
    more, and luma flip. Luma flip swaps the brightness of sky and ground, from which a discriminator predicts positions.
    Raises InputError for a ``p`` outside [0, 1].
    """
    if not 0 <= p <= 1:
        raise InputError(f"augmentation probability {p} is out of range; allowed is 0 to 1")
    if p == 0:
        return images, target
    batch, _, height, width = images.shape
    view = view_matrix(batch, height=height, width=width, p=p, rng=rng)
    out = recolour(warp(images.float(), view.to(images.device)), colour_matrix(batch, p=p, rng=rng).to(images.device))
    has_cutout = _select(torch.ones(batch, 1, 1, 1), torch.zeros(()), p, rng).to(images.device)
    out = torch.where(has_cutout > 0, cutout(out, rng), out)
    return out.to(images.dtype), target + view[:, 1, 2].to(target) / px_per_unit


def view_matrix(batch: int, *, height: int, width: int, p: float, rng: torch.Generator) -> Tensor:
    """Draw random maps (B, 3, 3) from px of the augmented image to px of the given one, both relative to the centre.

    Order of application as in the paper, Appendix B: flip, integer translation, scales and rotation, fractional
    translation. The centre's offset is limited to 0.375 of the side: the target of mirrored pixels is unknown.
    """
    sides = torch.tensor([width, height])
    one = torch.ones(batch)
    flip = _select(_sign(batch, rng), one, p, rng)
    integer_shift = _select((sides * TRANSLATION * _uniform(batch, 2, rng)).round(), torch.zeros(2), p, rng)
    size = _select(torch.exp2(SCALE * _normal(batch, rng)), one, p, rng)
    angle = _select(ANGLE * _uniform(batch, 1, rng)[:, 0], torch.zeros(()), p, rng)
    aspect = _select(torch.exp2(SCALE * _normal(batch, rng)), one, p, rng)
    fractional_shift = _select(sides * SHIFT * torch.randn(batch, 2, generator=rng), torch.zeros(2), p, rng)
    view = (
        scale_matrix(flip, one)
        @ translation_matrix(-integer_shift)
        @ scale_matrix(1 / size, 1 / size)
        @ rotation_matrix(-angle)
        @ scale_matrix(1 / aspect, aspect)
        @ translation_matrix(-fractional_shift)
    )
    view[:, :2, 2] = torch.minimum(torch.maximum(view[:, :2, 2], -REACH * sides), REACH * sides)
    return view


def colour_matrix(batch: int, *, p: float, rng: torch.Generator) -> Tensor:
    """Draw random maps (B, 4, 4) of homogeneous colours: brightness, contrast, hue, saturation in this order (Appendix B)."""
    one = torch.ones(batch)
    brightness = _select(BRIGHTNESS * _normal(batch, rng), torch.zeros(()), p, rng)
    contrast = _select(torch.exp2(CONTRAST * _normal(batch, rng)), one, p, rng)
    hue = _select(math.pi * _uniform(batch, 1, rng)[:, 0], torch.zeros(()), p, rng)
    saturation = _select(torch.exp2(SATURATION * _normal(batch, rng)), one, p, rng)
    shift = torch.eye(4).repeat(batch, 1, 1)
    shift[:, :3, 3] = brightness[:, None]
    gain = torch.diag_embed(torch.stack([contrast, contrast, contrast, one], dim=1))
    return chroma_matrix(hue, saturation) @ gain @ shift


def scale_matrix(x: Tensor, y: Tensor) -> Tensor:
    """Scalings (B, 3, 3) by ``x`` (B,) and ``y`` (B,) about the centre."""
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def translation_matrix(by: Tensor) -> Tensor:
    """Translations (B, 3, 3) by ``by`` (B, 2): x, y in px."""
    matrix = torch.eye(3).repeat(len(by), 1, 1)
    matrix[:, :2, 2] = by
    return matrix


def rotation_matrix(angle: Tensor) -> Tensor:
    """Rotations (B, 3, 3) by ``angle`` (B,), in radians from x towards y, about the centre."""
    matrix = torch.eye(3).repeat(len(angle), 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 1, 0], matrix[:, 0, 1] = angle.sin(), -angle.sin()
    return matrix


def chroma_matrix(hue: Tensor, saturation: Tensor) -> Tensor:
    """Maps (B, 4, 4) that rotate colours about the grey axis by ``hue`` (B,) rad and scale their distance from it."""
    grey = torch.full((3, 3), 1 / 3)  # projection on the axis (1, 1, 1)
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # cross product with the axis
    cos, sin = hue.cos()[:, None, None], hue.sin()[:, None, None]
    matrix = torch.eye(4).repeat(len(hue), 1, 1)
    matrix[:, :3, :3] = grey + saturation[:, None, None] * (cos * (torch.eye(3) - grey) + sin * across)
    return matrix


def warp(images: Tensor, view: Tensor) -> Tensor:
    """Warp (B, 3, H, W) float32 by ``view`` (B, 3, 3), see `view_matrix`: bicubic, mirrored beyond the edges."""
    _, _, height, width = images.shape
    px_per_px = view[:, :2, :2].norm(dim=2)  # px of the given image per px of the result, along x and y
    images = _low_pass(_low_pass(images, px_per_px[:, 0], dim=3), px_per_px[:, 1], dim=2)
    half = view.new_tensor([width / 2, height / 2, 1.0])  # px per unit of grid_sample
    grid = functional.affine_grid((view * half / half[:, None])[:, :2], list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def recolour(images: Tensor, matrix: Tensor) -> Tensor:
    """Map the colours of (B, 3, H, W) float32 by ``matrix`` (B, 4, 4)."""
    return torch.einsum("bij,bjhw->bihw", matrix[:, :3, :3], images) + matrix[:, :3, 3, None, None]


def _low_pass(images: Tensor, span: Tensor, *, dim: int) -> Tensor:
    """Filter an image before it is sampled every ``span`` (B,) px along ``dim``: (1, 2, 1) / 4 at 2, identity up to 1."""
    weight = ((span.square() - 1) / 12).clamp(0, 0.25)[:, None, None, None]  # variance grows with the square
    size = images.shape[dim]
    index = torch.arange(size, device=images.device)
    before, after = (images.index_select(dim, (index + step).clamp(0, size - 1)) for step in (-1, 1))
    return images + weight * (before - 2 * images + after)


def _select(values: Tensor, otherwise: Tensor, p: float, rng: torch.Generator) -> Tensor:
    """Return ``values`` (B, ...) with probability ``p`` for each sample, else ``otherwise``."""
    uniform = torch.rand(len(values), generator=rng).reshape(-1, *[1] * (values.dim() - 1))
    return torch.where(uniform < p, values, otherwise)


def _normal(batch: int, rng: torch.Generator) -> Tensor:
    return torch.randn(batch, generator=rng)


def _uniform(batch: int, columns: int, rng: torch.Generator) -> Tensor:
    return torch.rand(batch, columns, generator=rng) * 2 - 1


def _sign(batch: int, rng: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (batch,), generator=rng) * 2.0 - 1
