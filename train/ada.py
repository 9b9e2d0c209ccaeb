"""Adaptive discriminator augmentation (Karras et al., NeurIPS 2020), with vertical-position targets that stay right.

All geometry of a sample is one affine map, all colour one matrix; how often each part is used follows from how far the
discriminator overfits.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from infgen.errors import InputError
from infgen.train.augment import TRANSLATION, cutout

SCALE = 0.2  # standard deviation of log2 of the isotropic and of the anisotropic scale (paper, Appendix B)
SHIFT = 0.125  # standard deviation of the fractional translation, of the image side (paper, Appendix B)
ANGLE = math.radians(10)  # rotation either way; the paper turns through the full circle
BRIGHTNESS = 0.2  # standard deviation (paper, Appendix B)
CONTRAST = 0.5  # standard deviation of log2 (paper, Appendix B)
SATURATION = 1.0  # standard deviation of log2 (paper, Appendix B)
REACH = 0.375  # farthest that the view's centre goes from the image's, of the side: past the edge is a mirror image
MAX_PROBABILITY = 0.8  # up to here augmentations do not leak into generated images (paper, Section 2.2)


def next_probability(p: float, sign: float, *, images: int, target: float = 0.6, ramp_images: int = 500_000) -> float:
    """The probability that follows ``p`` (paper, Section 3): up where the discriminator overfits, else down.

    ``sign``: r_t, the mean sign of the discriminator's logits on augmented photographs since the last adjustment.
    ``images``: photographs shown since then; the paper adjusts every four batches. ``ramp_images``: photographs in which
    p would go from 0 to 1. The paper clamps below, at 0; here p also ends at 0.8, its limit for safe use.
    """
    direction = (sign > target) - (sign < target)
    return min(max(p + direction * images / ramp_images, 0.0), MAX_PROBABILITY)


def ada(images: Tensor, target: Tensor, *, p: float, px_per_unit: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Augmented images (B, 3, H, W) in the type they came in, and their vertical-position targets (B,).

    Every transformation is applied to every sample independently with probability ``p``: x-flip (half of the time),
    integer translation, isotropic scaling, rotation by up to 10 degrees, anisotropic scaling, fractional translation,
    brightness, contrast, hue, saturation, cutout. ``images`` are in [-1, 1], float32 or bfloat16; gradients pass.
    ``px_per_unit``: pixels between targets 0 and 1. The new target is that of what the centre of the picture now shows.
    ``rng``: a CPU generator, wherever the images are.

    Left out, because a landscape has an up and a down: vertical flips, turns by 90 degrees and more, and luma flip, which
    exchanges the brightness of sky and ground, by which a discriminator tells vertical positions apart.
    Raises InputError for a ``p`` outside [0, 1].
    """
    if not 0 <= p <= 1:
        raise InputError(f"augmentation probability {p} is out of range; allowed is 0 to 1")
    if p == 0:
        return images, target
    batch, _, height, width = images.shape
    view = view_matrix(batch, height=height, width=width, p=p, rng=rng)
    out = recolour(warp(images.float(), view.to(images.device)), colour_matrix(batch, p=p, rng=rng).to(images.device))
    holed = _chosen(torch.ones(batch, 1, 1, 1), torch.zeros(()), p, rng).to(images.device)
    out = torch.where(holed > 0, cutout(out, rng), out)
    return out.to(images.dtype), target + view[:, 1, 2].to(target) / px_per_unit


def view_matrix(batch: int, *, height: int, width: int, p: float, rng: torch.Generator) -> Tensor:
    """Random maps (B, 3, 3) from px of the augmented image to px of the given one, both counted from the centre.

    Order of application to the image as in the paper, Appendix B: flip, whole px, scales and rotation, fractions of a px.
    The centre's offset is held to 0.375 of the side, since beyond the edge lies a mirror image, whose target is unknown.
    """
    sides = torch.tensor([width, height])
    one = torch.ones(batch)
    flip = _chosen(_sign(batch, rng), one, p, rng)
    whole = _chosen((sides * TRANSLATION * _uniform(batch, 2, rng)).round(), torch.zeros(2), p, rng)
    size = _chosen(torch.exp2(SCALE * _normal(batch, rng)), one, p, rng)
    angle = _chosen(ANGLE * _uniform(batch, 1, rng)[:, 0], torch.zeros(()), p, rng)
    aspect = _chosen(torch.exp2(SCALE * _normal(batch, rng)), one, p, rng)
    part = _chosen(sides * SHIFT * torch.randn(batch, 2, generator=rng), torch.zeros(2), p, rng)
    view = (
        scaled(flip, one)
        @ moved(-whole)
        @ scaled(1 / size, 1 / size)
        @ turned(-angle)
        @ scaled(1 / aspect, aspect)
        @ moved(-part)
    )
    view[:, :2, 2] = torch.minimum(torch.maximum(view[:, :2, 2], -REACH * sides), REACH * sides)
    return view


def colour_matrix(batch: int, *, p: float, rng: torch.Generator) -> Tensor:
    """Random maps (B, 4, 4) of homogeneous colours: brightness, contrast, hue, saturation in this order (Appendix B)."""
    one = torch.ones(batch)
    brightness = _chosen(BRIGHTNESS * _normal(batch, rng), torch.zeros(()), p, rng)
    contrast = _chosen(torch.exp2(CONTRAST * _normal(batch, rng)), one, p, rng)
    hue = _chosen(math.pi * _uniform(batch, 1, rng)[:, 0], torch.zeros(()), p, rng)
    saturation = _chosen(torch.exp2(SATURATION * _normal(batch, rng)), one, p, rng)
    shift = torch.eye(4).repeat(batch, 1, 1)
    shift[:, :3, 3] = brightness[:, None]
    gain = torch.diag_embed(torch.stack([contrast, contrast, contrast, one], dim=1))
    return chroma(hue, saturation) @ gain @ shift


def scaled(x: Tensor, y: Tensor) -> Tensor:
    """Scalings (B, 3, 3) by ``x`` (B,) and ``y`` (B,) about the centre."""
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def moved(by: Tensor) -> Tensor:
    """Translations (B, 3, 3) by ``by`` (B, 2): x, y in px."""
    matrix = torch.eye(3).repeat(len(by), 1, 1)
    matrix[:, :2, 2] = by
    return matrix


def turned(angle: Tensor) -> Tensor:
    """Rotations (B, 3, 3) by ``angle`` (B,), in radians from x towards y, about the centre."""
    matrix = torch.eye(3).repeat(len(angle), 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 1, 0], matrix[:, 0, 1] = angle.sin(), -angle.sin()
    return matrix


def chroma(hue: Tensor, saturation: Tensor) -> Tensor:
    """Maps (B, 4, 4) that turn colours about the grey axis by ``hue`` (B,) rad and scale their distance from it."""
    grey = torch.full((3, 3), 1 / 3)  # projection on the axis (1, 1, 1)
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # cross product with the axis
    cos, sin = hue.cos()[:, None, None], hue.sin()[:, None, None]
    matrix = torch.eye(4).repeat(len(hue), 1, 1)
    matrix[:, :3, :3] = grey + saturation[:, None, None] * (cos * (torch.eye(3) - grey) + sin * across)
    return matrix


def warp(images: Tensor, view: Tensor) -> Tensor:
    """What (B, 3, H, W) float32 shows through ``view`` (B, 3, 3), see `view_matrix`; bicubic, mirrored past the edges."""
    _, _, height, width = images.shape
    px_per_px = view[:, :2, :2].norm(dim=2)  # px of the given image that one px of the view spans, along x and y
    images = _soften(_soften(images, px_per_px[:, 0], dim=3), px_per_px[:, 1], dim=2)
    half = view.new_tensor([width / 2, height / 2, 1.0])  # px in grid_sample's unit
    grid = functional.affine_grid((view * half / half[:, None])[:, :2], list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def recolour(images: Tensor, matrix: Tensor) -> Tensor:
    """Colours of (B, 3, H, W) float32 mapped by ``matrix`` (B, 4, 4)."""
    return torch.einsum("bij,bjhw->bihw", matrix[:, :3, :3], images) + matrix[:, :3, 3, None, None]


def _soften(images: Tensor, span: Tensor, *, dim: int) -> Tensor:
    """Low-pass before an image is sampled every ``span`` (B,) px along ``dim``: (1, 2, 1) / 4 at 2, nothing up to 1."""
    weight = ((span.square() - 1) / 12).clamp(0, 0.25)[:, None, None, None]  # variance grows with the square
    size = images.shape[dim]
    index = torch.arange(size, device=images.device)
    before, after = (images.index_select(dim, (index + step).clamp(0, size - 1)) for step in (-1, 1))
    return images + weight * (before - 2 * images + after)


def _chosen(values: Tensor, otherwise: Tensor, p: float, rng: torch.Generator) -> Tensor:
    """``values`` (B, ...) for the samples that draw a number below ``p``, ``otherwise`` for the rest."""
    draw = torch.rand(len(values), generator=rng).reshape(-1, *[1] * (values.dim() - 1))
    return torch.where(draw < p, values, otherwise)


def _normal(batch: int, rng: torch.Generator) -> Tensor:
    return torch.randn(batch, generator=rng)


def _uniform(batch: int, columns: int, rng: torch.Generator) -> Tensor:
    return torch.rand(batch, columns, generator=rng) * 2 - 1


def _sign(batch: int, rng: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (batch,), generator=rng) * 2.0 - 1
