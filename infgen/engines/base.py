"""The contract between the render loop and whatever computes pixels."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from infgen.model.config import GeneratorConfig
from infgen.model.generator import Style
from infgen.model.layers import StyleWeights


@dataclass(frozen=True)
class TileBatch:
    """Inputs of equal windows.

    ``z_l`` (B, C, n+24, m+24) and ``coordinates`` (B, K, n+24, m+24) on cells; ``noises[i]`` (B, 1, h_i, w_i) on the output
    lattice of texture convolution ``i``. ``style``: a batch of K; ``weights`` says how much of each is where, None where there
    is one. ``noise_strength`` multiplies the learnt strengths.
    """

    z_l: Tensor
    coordinates: Tensor
    noises: tuple[Tensor, ...]
    style: Style
    weights: StyleWeights | None = None
    noise_strength: float = 1.0


class Engine(Protocol):
    """Turns a batch of tile inputs into pixels. Bit for bit the same for the same batch."""

    @property
    def config(self) -> GeneratorConfig:
        """Sizes of the model that runs in the engine."""

    @property
    def name(self) -> str:
        """What computes, for people."""

    @property
    def precision(self) -> str:
        """fp32, bf16 or fp16: the type of weights and activations."""

    @property
    def fixed_cells(self) -> tuple[int, int] | None:
        """(rows, columns) of z_S in every window, where it draws no others."""

    @property
    def device(self) -> torch.device:
        """Where inputs are best made."""

    @property
    def bytes_per_value(self) -> int:
        """Bytes of one activation, for memory estimates."""

    def render_float(self, batch: TileBatch) -> Tensor:
        """RGB (B, 3, H, W), float32, about [-1, 1], not clipped."""


def to_pixels(rgb: Tensor) -> Tensor:
    """RGB (B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8: clip, then round (x + 1) * 127.5 to the nearest."""
    return rgb.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
