"""Make worlds with the truncations that suit a model.

Landscapes are safer near the mean style. The mean of a map is open sea, so a land seen from above is not truncated.
"""

from pathlib import Path
from typing import Any

from infgen.model.checkpoint import read_config, resolve
from infgen.model.config import GeneratorConfig
from infgen.world.world import World

_FROM_ABOVE: dict[str, Any] = {"truncation": 1.0, "local_truncation": 1.0}


def fit_world(world: World, config: GeneratorConfig) -> World:
    """Return ``world`` with the truncations that suit a model of ``config``, where the world states none."""
    if config.has_horizon:
        return world
    return world.replace(**{name: value for name, value in _FROM_ABOVE.items() if name not in world.model_fields_set})


def new_world(model: str | Path | None) -> World:
    """Return world 0 for ``model``, as for ``infgen.model.checkpoint.resolve``. Raises what ``read_config`` raises.

    >>> from infgen.rendering.new_world import new_world
    >>> new_world("scenery").truncation, new_world("planet").truncation
    (0.7, 1.0)
    """
    return fit_world(World(), read_config(resolve(model)))
