"""Grow a model: copy it into a network with more channels and more levels that computes the same function.

New levels contribute almost nothing until they are trained. No old channel reads a new one at first.
"""

import math
from typing import cast

import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.model.layers import ToRGB

NEW_RGB = 0.1  # factor on the initial RGB weights of a new level, so that its contribution is small


def check_growth(old: GeneratorConfig, new: GeneratorConfig, *, source: str) -> None:
    """Raise InputError if a generator of ``old`` cannot grow into one of ``new``. Messages call the model ``source``."""
    for name in ("structure", "padding", "global_channels"):
        if getattr(old, name) != getattr(new, name):
            raise InputError(
                f"model {source} has {name} {getattr(old, name)!r} and this recipe {getattr(new, name)!r}; choose the preset "
                "of the model, or start without --init"
            )
    if old.levels > new.levels:
        raise InputError(
            f"model {source} has {old.levels} levels and this recipe {new.levels}; levels can only be added: choose a preset "
            "with more"
        )
    pairs = [("local_channels", old.local_channels, new.local_channels)]
    pairs += [("texture_channels", a, b) for a, b in zip(old.texture_channels, new.texture_channels, strict=False)]
    for name, before, after in pairs:
        if before > after:
            raise InputError(
                f"model {source} has {before} {name} and this recipe {after}; channels can only be added: choose a wider "
                "preset, or give --width-multiplier"
            )


@torch.no_grad()
def grow(old: Generator, new: Generator) -> None:
    """Copy the weights of ``old`` into ``new``, which has at least as many levels and channels (see ``check_growth``).

    With equal levels ``new`` then computes the same as ``old``; with more, its coarser level does. A structure
    synthesizer for another coordinate system keeps its initial weights: it has other inputs.
    """
    values = old.state_dict()
    same_system = old.config.coordinates == new.config.coordinates
    channels = (old.config.local_channels, new.config.local_channels)
    for name, target in new.state_dict().items():  # these tensors are the network's own
        if name in values and (same_system or not name.startswith("structure.")):
            _copy_into(name, target, values[name], channels)
    for level in range(old.config.levels, new.config.levels):
        cast("ToRGB", new.texture.to_rgbs[level]).conv.weight.mul_(NEW_RGB)


def _copy_into(name: str, target: Tensor, old: Tensor, local_channels: tuple[int, int]) -> None:
    """Copy ``old`` into ``target``, which has the same size or is larger.

    Weights have unit variance and are divided by the square root of their number of inputs at run time. More inputs
    mean a larger divisor, which the copy compensates.
    """
    if target.shape == old.shape:
        target.copy_(old)
    elif name.endswith("conv.weight"):
        outputs = old.shape[0]
        target[:outputs] = 0  # no old channel reads a new one
        _copy_inputs(target[:outputs], math.sqrt(target.shape[1] / old.shape[1]) * old, 1, name, local_channels)
    elif "modulation" in name:
        _copy_inputs(target, old, 0, name, local_channels)
    else:
        target[: old.shape[0]] = old


def _copy_inputs(target: Tensor, old: Tensor, axis: int, name: str, local_channels: tuple[int, int]) -> None:
    """Copy along the input channels ``axis``. Layers of G_S read features first and coordinates after them."""
    before, after = local_channels
    if not name.startswith("structure."):
        target.narrow(axis, 0, old.shape[axis]).copy_(old)
        return
    target.narrow(axis, 0, before).copy_(old.narrow(axis, 0, before))
    coordinates = old.shape[axis] - before
    target.narrow(axis, after, coordinates).copy_(old.narrow(axis, before, coordinates))
