"""Latents as inversion would give them, random, for the tiny model or one of other sizes."""

from pathlib import Path

import torch

from infgen.geometry import layer_spans
from infgen.model.config import GeneratorConfig, preset
from infgen.world.anchors import AnchoredLatents

SIZES = preset("tiny")
S = SIZES.cell_px
NO_MODEL = "0" * 64


def make_latents(
    cell_x: int = 0,
    cell_y: int = 0,
    *,
    cells: tuple[int, int] = (8, 9),
    seed: int = 0,
    model_sha256: str = NO_MODEL,
    period: int | None = None,
    sizes: GeneratorConfig = SIZES,
) -> AnchoredLatents:
    """Random latents of ``cells`` (rows, columns) of z_S."""
    random = torch.Generator().manual_seed(seed)
    x, y = layer_spans(cell_x, cells[1], levels=sizes.levels), layer_spans(cell_y, cells[0], levels=sizes.levels)
    return AnchoredLatents(
        cell_x=cell_x,
        cell_y=cell_y,
        z_l=torch.randn(sizes.local_channels, y.local.size, x.local.size, generator=random),
        noises=tuple(torch.randn(1, h.size, w.size, generator=random) for h, w in zip(y.noise, x.noise, strict=True)),
        z_g=torch.randn(sizes.global_channels, generator=random),
        w_plus=torch.randn(sizes.style_layers, sizes.global_channels, generator=random),
        model_sha256=model_sha256,
        period=period,
        halvings=sizes.halvings,
    )


def save_latents(folder: Path, name: str, latents: AnchoredLatents) -> Path:
    """The file ``name`` in ``folder`` with ``latents``."""
    latents.save(folder / name)
    return folder / name
