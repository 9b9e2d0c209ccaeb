"""Compare estimated operations with PyTorch's count while the network runs."""

from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from infgen.model.config import GeneratorConfig, Structure
from infgen.rendering.cost import layer_costs, peak_bytes, tile_flops
from tests.model.networks import random_generator, random_inputs

CELLS = 8
MODULES = {
    "structure": "structure.layers.{}.conv",
    "texture": "texture.convs.{}.conv",
    "rgb": "texture.to_rgbs.{}.conv",
}
NETWORKS: list[tuple[Structure, bool]] = [(s, p) for s in ("implicit", "pointwise", "none") for p in (False, True)]  # type: ignore[misc]


def config_of(structure: Structure, padding: bool) -> GeneratorConfig:
    return GeneratorConfig((7, 6, 5, 4), local_channels=3, global_channels=8, structure=structure, padding=padding)


def convolutions(config: GeneratorConfig) -> dict[str, int]:
    """Operations of the convolutions in every module of a generator of ``config``, as PyTorch counts them."""
    generator = random_generator(config, seed=0)
    z_g, z_l, coordinates, noises = random_inputs(config, cells=CELLS)
    style = generator.style(z_g)
    counter = FlopCounterMode(display=False)
    with counter:
        generator(z_l, coordinates, style, noises)
    counts = cast("dict[str, dict[Any, int]]", counter.get_flop_counts())
    return {name.partition(".")[2]: ops.get(torch.ops.aten.convolution, 0) for name, ops in counts.items()}


@pytest.mark.parametrize(("structure", "padding"), NETWORKS)
def test_the_cost_of_every_layer_equals_pytorchs_count(structure: Structure, padding: bool) -> None:
    config = config_of(structure, padding)
    counted = convolutions(config)
    expected = {}
    for layer in layer_costs(config, (CELLS, CELLS)):
        kind, _, index = layer.name.partition(".")
        module = "structure" if structure == "none" and kind == "structure" else MODULES[kind].format(index)
        expected[layer.name] = counted[module]
    assert {layer.name: layer.flops for layer in layer_costs(config, (CELLS, CELLS))} == expected


def test_less_structure_costs_less() -> None:
    costs = [tile_flops(config_of(s, False), (CELLS, CELLS)) for s in ("implicit", "pointwise", "none")]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize(("structure", "padding"), NETWORKS)
def test_texture_layers_read_the_output_of_the_previous_layer(structure: Structure, padding: bool) -> None:
    costs = layer_costs(config_of(structure, padding), (CELLS, CELLS + 3))
    layers = [layer for layer in costs if layer.name.startswith("texture")]
    assert all(a.written == b.read and a.out_channels == b.in_channels for a, b in pairwise(layers))


def test_padding_needs_more_memory() -> None:
    padded, plain = (peak_bytes(config_of("none", p), (CELLS, CELLS), bytes_per_value=4) for p in (True, False))
    assert padded > plain
