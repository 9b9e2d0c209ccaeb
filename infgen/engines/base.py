"""Define the interface between the render loop and engines."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from infgen.model.config import GeneratorConfig
from infgen.model.generator import Style
from infgen.model.layers import StyleWeights


@dataclass(frozen=True, kw_only=True)
class TileBatch:
    """Inputs of equal windows.

    ``z_l`` (B, C, n+24, m+24) and ``coordinates`` (B, K, n+24, m+24) on cells; ``noises[i]`` (B, 1, h_i, w_i) on the output
    lattice of texture convolution ``i``. ``style``: a batch of K styles. ``weights``: their weights over space, None for one
    style. ``noise_strength`` multiplies the learned strengths.
    """

    z_l: Tensor
    coordinates: Tensor
    noises: tuple[Tensor, ...]
    style: Style
    weights: StyleWeights | None = None
    noise_strength: float = 1.0


class Engine(Protocol):
    """Computes the pixels of a batch of tiles. Equal batches give bit-identical pixels."""

    @property
    def config(self) -> GeneratorConfig:
        """Configuration of the model that the engine runs."""

    @property
    def name(self) -> str:
        """Name of the engine in messages and provenance."""

    @property
    def precision(self) -> str:
        """fp32, bf16 or fp16: the type of weights and activations."""

    @property
    def fixed_cells(self) -> tuple[int, int] | None:
        """(rows, columns) of z_S in every window, or None for any size."""

    @property
    def device(self) -> torch.device:
        """Preferred device of inputs."""

    @property
    def bytes_per_value(self) -> int:
        """Bytes of one activation, for memory estimates."""

    def render_float(self, batch: TileBatch) -> Tensor:
        """Compute RGB (B, 3, H, W), float32, about [-1, 1], not clipped."""


def to_pixels(rgb: Tensor) -> Tensor:
    """Convert RGB (B, 3, H, W) in [-1, 1] to (B, H, W, 3) uint8: clip, then round (x + 1) * 127.5."""
    return rgb.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
