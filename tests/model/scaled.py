"""The networks that tests of exactness draw with: one of four levels, and one of six levels at each of its scales."""

from collections.abc import Iterable
from functools import cache
from typing import cast

from infgen.model.config import parse_scale, preset
from infgen.model.generator import Generator
from infgen.model.layers import ToRGB
from tests.model.networks import random_generator

FOUR_LEVELS = "tiny"
SCALES = ("1", "1/2", "1/4", "1/8")
NETWORKS = (FOUR_LEVELS, *SCALES)
# Tiles of about 100 px of the network's own pixels: z_S cells along one side, as few as tiles need to lie side by side.
CELLS = {FOUR_LEVELS: 11, "1": 7, "1/2": 8, "1/4": 11, "1/8": 17}


@cache
def network(name: str) -> Generator:
    """The network called ``name``, one of ``NETWORKS``. Not to be changed: copy it first."""
    return random_generator(preset("tiny"), seed=7) if name == FOUR_LEVELS else six_levels().coarser(halvings(name))


@cache
def six_levels() -> Generator:
    """Preset "tiny-scales" with random weights. Not to be changed: copy it first.

    RGB layers are quieter than random ones: clipped pixels would hide differences.
    """
    generator = random_generator(preset("tiny-scales"), seed=7)
    for level, layer in enumerate(cast("Iterable[ToRGB]", generator.texture.to_rgbs)):
        for parameter in (layer.conv.weight, layer.bias):
            parameter.data.mul_(0.25 if level < 3 else 0.08)
    return generator


def halvings(name: str) -> int:
    """How often the network called ``name`` halves the size of the world."""
    return 0 if name == FOUR_LEVELS else parse_scale(name)
