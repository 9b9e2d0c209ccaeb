"""Latents as inversion would give them, random, for the tiny model."""

from pathlib import Path

import torch

from infgen.model.config import preset
from infgen.world.anchors import AnchoredLatents
from infgen.world.geometry import layer_spans

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
) -> AnchoredLatents:
    """Random latents of ``cells`` (rows, columns) of z_S."""
    random = torch.Generator().manual_seed(seed)
    x, y = layer_spans(cell_x, cells[1], levels=SIZES.levels), layer_spans(cell_y, cells[0], levels=SIZES.levels)
    return AnchoredLatents(
        cell_x=cell_x,
        cell_y=cell_y,
        z_l=torch.randn(SIZES.local_channels, y.local.size, x.local.size, generator=random),
        noises=tuple(torch.randn(1, h.size, w.size, generator=random) for h, w in zip(y.noise, x.noise, strict=True)),
        z_g=torch.randn(SIZES.global_channels, generator=random),
        w_plus=torch.randn(SIZES.style_layers, SIZES.global_channels, generator=random),
        model_sha256=model_sha256,
        period=period,
    )


def saved(folder: Path, name: str, latents: AnchoredLatents) -> Path:
    """The file ``name`` in ``folder`` with ``latents``."""
    latents.save(folder / name)
    return folder / name
