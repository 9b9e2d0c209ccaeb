"""Growing a model: the same function in a network with more channels and more levels, to go on training from.

New levels draw next to nothing until they are trained. New channels do their own random features, and nothing reads them yet.
"""

import math

import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator

NEW_RGB = 0.1  # of the usual size, for the contribution of a new level: nearly nothing beside the picture below it


def check_growth(old: GeneratorConfig, new: GeneratorConfig, *, source: str) -> None:
    """Raise InputError where a generator of ``old`` cannot grow into one of ``new``. ``source`` names the model in messages."""
    for name in ("coordinates", "structure", "padding", "global_channels"):
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
    for name, had, has in pairs:
        if had > has:
            raise InputError(
                f"model {source} has {had} {name} where this recipe has {has}; channels can only be added: choose a wider "
                "preset, or give --width"
            )


@torch.no_grad()
def grow(old: Generator, new: Generator) -> None:
    """Give ``new`` the weights of ``old``, which has as many or fewer levels and channels (see ``check_growth``).

    Without more levels ``new`` then computes what ``old`` does; with more, its coarser level does.
    """
    values = old.state_dict()
    channels = (old.config.local_channels, new.config.local_channels)
    for name, target in new.state_dict().items():  # its tensors are the network's own
        if name in values:
            _fill(name, target, values[name], channels)
    for level in range(old.config.levels, new.config.levels):
        new.texture.to_rgbs[level].conv.weight.mul_(NEW_RGB)


def _fill(name: str, target: Tensor, old: Tensor, local_channels: tuple[int, int]) -> None:
    """Write ``old`` into ``target``, which is as large or larger.

    Weights are stored at unit variance and divided by the root of their inputs at run time: more inputs divide by more.
    """
    if target.shape == old.shape:
        target.copy_(old)
    elif name.endswith("conv.weight"):
        outputs = old.shape[0]
        target[:outputs] = 0  # no old channel reads a new one
        _inputs(target[:outputs], math.sqrt(target.shape[1] / old.shape[1]) * old, 1, name, local_channels)
    elif "modulation" in name:
        _inputs(target, old, 0, name, local_channels)
    else:
        target[: old.shape[0]] = old


def _inputs(target: Tensor, old: Tensor, axis: int, name: str, local_channels: tuple[int, int]) -> None:
    """Copy along the input channels ``axis``. Layers of G_S read features first and coordinates after them."""
    had, has = local_channels
    if not name.startswith("structure."):
        target.narrow(axis, 0, old.shape[axis]).copy_(old)
        return
    target.narrow(axis, 0, had).copy_(old.narrow(axis, 0, had))
    coordinates = old.shape[axis] - had
    target.narrow(axis, has, coordinates).copy_(old.narrow(axis, had, coordinates))
