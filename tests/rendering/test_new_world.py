"""The truncations of new worlds."""

from pathlib import Path

from infgen.model.config import preset
from infgen.rendering.new_world import fit_world, new_world
from infgen.world.world import World

ABOVE = preset("tiny", coordinates="texture")


def test_a_landscape_is_truncated_and_a_land_seen_from_above_is_not(tiny_model: Path) -> None:
    assert new_world(tiny_model) == World()
    assert fit_world(World(seed=3), ABOVE) == World(seed=3, truncation=1.0, local_truncation=1.0)


def test_a_truncation_that_the_world_states_is_kept() -> None:
    stated = World(seed=3, truncation=0.7)
    assert fit_world(stated, ABOVE) == World(seed=3, truncation=0.7, local_truncation=1.0)
    assert fit_world(stated, preset("tiny")) is stated
