"""The released generator from the description of its numbers alone: names and shapes, and a plain forward pass.

Nothing here uses the package: it is the other side of a comparison.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]

STRUCTURE = "structure_synthesizer.implicit_model.conv_stack"
TEXTURE = "texture_synthesizer"


def _modulated(prefix: str, out: int, into: int, kernel: int, dim: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.weight": (1, out, into, kernel, kernel),
        f"{prefix}.modulation.weight": (into, dim),
        f"{prefix}.modulation.bias": (into,),
    }


def shapes(channels: Sequence[int], local: int, dim: int, *, coordinates: int = 3) -> dict[str, tuple[int, ...]]:
    """Every entry of an official generator's state_dict and its shape, unused ones and buffers included."""
    found: dict[str, tuple[int, ...]] = {}
    for i in range(4):
        found |= _modulated(f"{STRUCTURE}.{i}.conv.conv", local, local + coordinates, 7, dim)
        found[f"{STRUCTURE}.{i}.conv.activate.bias"] = (local,)
    for i in range(1, 9):
        found |= {f"{TEXTURE}.mapping.{i}.weight": (dim, dim), f"{TEXTURE}.mapping.{i}.bias": (dim,)}
    found[f"{TEXTURE}.const_z.input"] = (1, local, 4, 4)
    for i, (into, out) in enumerate(zip((local, *channels), channels, strict=False)):
        found |= _modulated(f"{TEXTURE}.convs.{i}.conv", out, into, 3, dim)
        found |= {f"{TEXTURE}.convs.{i}.noise.weight": (1,), f"{TEXTURE}.convs.{i}.activate.bias": (out,)}
        side = 2 ** (2 + (i + 1) // 2)
        found[f"{TEXTURE}.noises.noise_{i}"] = (1, 1, side, side)
        if i % 2 == 0:
            found[f"{TEXTURE}.convs.{i}.conv.blur.kernel"] = (3, 3)
    for j, into in enumerate(channels[1::2]):
        found |= _modulated(f"{TEXTURE}.to_rgbs.{j}.conv", 3, into, 1, dim)
        found |= {f"{TEXTURE}.to_rgbs.{j}.bias": (1, 3, 1, 1), f"{TEXTURE}.to_rgbs.{j}.upsample.kernel": (3, 3)}
    return found


def random_state(
    channels: Sequence[int], *, local: int = 6, dim: int = 16, coordinates: int = 3, seed: int = 0
) -> State:
    """Random weights of the official initial scale; no bias or noise strength is zero, kernels are the real ones."""
    rng = torch.Generator().manual_seed(seed)
    state: State = {}
    for key, shape in shapes(channels, local, dim, coordinates=coordinates).items():
        value = torch.randn(shape, generator=rng)
        if key.endswith("kernel"):
            value = torch.outer(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 1.0])) / 4
        elif key.endswith("modulation.bias"):
            value = 1 + 0.3 * value
        elif ".mapping." in key:
            value = value * (100 if key.endswith("weight") else 10)
        elif key.endswith(("bias", "noise.weight")):
            value = 0.3 * value
        state[key] = value
    return state


def write(path: Path, g_ema: Any, *, g: Any = None, **more: Any) -> Path:
    """A checkpoint file with the official top-level entries."""
    adam = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.002, "params": [0]}]}
    content = {"iter": 10, "best_fid": 12.5, "g": g_ema if g is None else g, "d": {}, "g_ema": g_ema}
    content |= {"g_optim": adam, "d_optim": adam, "mean_path_lengths": [torch.tensor(0.5)]}
    torch.save(content | more, path)
    return path


def linear(state: State, prefix: str, x: Tensor, rate: float = 1.0) -> Tensor:
    """Equalised linear layer (B, I) -> (B, O)."""
    weight = state[f"{prefix}.weight"]
    return x @ (weight * (rate / math.sqrt(weight.shape[1]))).T + state[f"{prefix}.bias"] * rate


def activate(x: Tensor, bias: Tensor) -> Tensor:
    """Leaky ReLU of x + bias, times sqrt(2)."""
    x = x + bias.view(1, -1, *(1,) * (x.dim() - 2))
    return torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)


def mapping(state: State, z: Tensor) -> Tensor:
    """z (B, D) -> w (B, D)."""
    w = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for i in range(1, 9):
        prefix = f"{TEXTURE}.mapping.{i}"
        w = activate(
            linear(state | {f"{prefix}.bias": torch.zeros(1)}, prefix, w, 0.01), state[f"{prefix}.bias"] * 0.01
        )
    return w


def weights(state: State, prefix: str, style: Tensor, *, demodulate: bool) -> Tensor:
    """Modulated weights of every sample, (B, O, I, k, k)."""
    weight = state[f"{prefix}.weight"]
    scale = 1 / math.sqrt(weight[0, 0].numel())
    modulated = scale * weight * linear(state, f"{prefix}.modulation", style)[:, None, :, None, None]
    if not demodulate:
        return modulated
    return modulated / (modulated.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()


def plain(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve without padding, with different weights for each sample."""
    return torch.cat([F.conv2d(x[b : b + 1], weight[b]) for b in range(len(x))])


def upsampling(x: Tensor, weight: Tensor, kernel: Tensor) -> Tensor:
    """Transposed convolution of stride 2, one pixel cut on each side, filter without padding: H -> 2H - 3."""
    wide = [F.conv_transpose2d(x[b : b + 1], weight[b].transpose(0, 1), stride=2) for b in range(len(x))]
    cut = torch.cat(wide)[:, :, 1:-1, 1:-1]
    return F.conv2d(cut, kernel.expand(cut.shape[1], 1, 3, 3), groups=cut.shape[1])


def crop_like(x: Tensor, like: Tensor) -> Tensor:
    """The centre of ``x`` in the size of ``like``."""
    margin = [(a - b) // 2 for a, b in zip(x.shape[2:], like.shape[2:], strict=True)]
    return x[:, :, margin[0] : margin[0] + like.shape[2], margin[1] : margin[1] + like.shape[3]]


def add_skip(rgb: Tensor, kernel: Tensor, like: Tensor) -> Tensor:
    """The RGB of the level before, upsampled and cut to the size of ``like``."""
    wide = F.conv_transpose2d(rgb, kernel.expand(3, 1, 3, 3), stride=2, groups=3)
    return crop_like(wide[:, :, 1:-1, 1:-1], like)


def structure(state: State, z_g: Tensor, z_l: Tensor, coordinates: Tensor) -> Tensor:
    """z_l and coordinates (B, C, H, W) -> z_S (B, C, H - 24, W - 24)."""
    h = z_l
    for i in range(4):
        prefix = f"{STRUCTURE}.{i}.conv"
        h = plain(torch.cat([h, crop_like(coordinates, h)], 1), weights(state, f"{prefix}.conv", z_g, demodulate=True))
        h = activate(h, state[f"{prefix}.activate.bias"])
    return h


def render(state: State, z_g: Tensor, z_l: Tensor, coordinates: Tensor, noises: Sequence[Tensor]) -> Tensor:
    """The image (B, 3, H, W), not clipped, with one style for all layers."""
    x, style, rgb = structure(state, z_g, z_l, coordinates), mapping(state, z_g), None
    for i, noise in enumerate(noises):
        prefix = f"{TEXTURE}.convs.{i}"
        weight = weights(state, f"{prefix}.conv", style, demodulate=True)
        x = plain(x, weight) if i % 2 else upsampling(x, weight, state[f"{prefix}.conv.blur.kernel"])
        x = activate(x + state[f"{prefix}.noise.weight"] * noise, state[f"{prefix}.activate.bias"])
        if i % 2:
            prefix = f"{TEXTURE}.to_rgbs.{i // 2}"
            new = plain(x, weights(state, f"{prefix}.conv", style, demodulate=False)) + state[f"{prefix}.bias"]
            rgb = new if rgb is None else new + add_skip(rgb, state[f"{prefix}.upsample.kernel"], new)
    assert rgb is not None
    return rgb
