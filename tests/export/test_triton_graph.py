"""Test the network with styles for each tile, for servers that join tiles of different worlds."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.library import opcheck

from infgen.engines.exported import make_feed, slice_batch
from infgen.export.epilogues import modulated_conv_epilogue, upsample_epilogue
from infgen.export.graph import TileGraph
from infgen.export.modulation import modulation
from infgen.world.world import World
from tests.export.files import batch_of, tiny_generator
from tests.rendering.test_fused_seams import four_styles

ALONE = [World.create(seed=5), World.create(seed=6, noise=0.3)]
MIXED = [
    World.create(seed=seed, layout=four_styles((-515, -515), 401), noise=noise) for seed, noise in ((5, 1), (6, 0.3))
]


def draw(network: TileGraph, feed: dict[str, Tensor]) -> Tensor:
    convs = len(network.convs)
    weights = [feed[name] for name in ("weights_structure", *(f"weights_{i}" for i in range(convs))) if name in feed]
    with torch.inference_mode():
        rgb: Tensor = network(
            *(feed["z_l"], feed["coordinates"], [feed[f"noise_{i}"] for i in range(convs)], feed["noise_strength"]),
            *(feed["z_g"], feed["w_plus"], weights),
        )
    return rgb


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 0.02)])
@pytest.mark.parametrize(("worlds", "styles"), [(ALONE, 1), (MIXED, 4)], ids=["one style", "four styles"])
def test_tiles_of_two_worlds_in_one_batch_are_as_if_alone(
    worlds: list[World], styles: int, dtype: torch.dtype, tolerance: float
):
    network = TileGraph(tiny_generator(), styles=styles, dtype=dtype)
    batches = [slice_batch(batch_of(world), 0, 1) for world in worlds]
    feeds = [make_feed(batch, styles=styles, styles_per="tile") for batch in batches]
    together = draw(network, {name: torch.cat([feed[name] for feed in feeds]) for name in feeds[0]})
    alone = torch.cat([draw(network, make_feed(batch, styles=styles)) for batch in batches])
    torch.testing.assert_close(together, alone, rtol=0, atol=tolerance)


def test_each_tile_gets_a_copy_of_the_styles_of_its_batch():
    batch = replace(batch_of(ALONE[0], count=3), noise_strength=0.5)
    once, each = make_feed(batch, styles=2), make_feed(batch, styles=2, styles_per="tile")
    assert once.keys() == each.keys()
    assert each["noise_strength"].tolist() == [[[[0.5]]]] * 3
    for name in ("z_g", "w_plus"):
        assert torch.equal(each[name], torch.stack([once[name]] * 3))


SAMPLE = {
    "y": (2, 5, 9, 11),
    "terms": (2, 3, 4, 5),
    "energy": (2, 3, 5),
    "noise": (2, 1, 5, 7),
    "strength": (2, 1, 1, 1),
}


@pytest.mark.parametrize("up", [True, False])
def test_epilogues_with_styles_for_each_tile_are_valid_operators(up: bool):
    sizes = SAMPLE if up else {**SAMPLE, "y": (2, 5, 4, 5), "noise": (2, 1, 4, 5)}
    arguments: tuple[Any, ...] = (*(torch.rand(size) + 0.1 for size in sizes.values()), torch.rand(5))
    opcheck(upsample_epilogue if up else modulated_conv_epilogue, arguments)


def test_modulation_with_styles_for_each_tile_is_a_valid_operator():
    pairs = torch.triu_indices(3, 3)
    sizes = [(2, 3, 8), (8, 6), (6,), (6, 5), (5,)]
    opcheck(modulation, (*(torch.rand(size) for size in sizes), *pairs.clone(), torch.ones(6, 1)))
