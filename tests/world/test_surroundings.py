"""Local latents beyond a photograph: they resemble the photograph's, differ from seed to seed, and fade."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from infgen.errors import InfgenError
from infgen.geometry import Span, Window
from infgen.world import fields, world_fields
from infgen.world.surroundings import KEPT_CELLS, columns_of_photograph
from infgen.world.world import World
from tests.world.latents import SIZES, S, make_latents, save_latents

REACH = 20
CELLS = (7, 14)  # rows, columns
ROWS = Span(-16, 31)  # of the block, halo included
PERIOD = 48 * S


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("surroundings")
    save_latents(folder, "a", make_latents(0, -4, cells=CELLS, seed=1))
    save_latents(folder, "p", make_latents(0, -4, cells=CELLS, seed=1, period=PERIOD))
    return folder


def world_of(folder: Path, name: str = "a", *, seed: int = 7, reach: int | None = REACH) -> World:
    return World.from_inversions([folder / name], seed=seed, reach=reach).replace(local_truncation=1.0)


def columns(world: World, start: int, count: int) -> Tensor:
    return world_fields.local_latent(world, Window(Span(start, count), ROWS), sizes=SIZES)


def own(world: World) -> Span:
    return columns_of_photograph(world.placed_anchors[0])


def likeness(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_the_photograph_keeps_its_latents(folder: Path) -> None:
    world = world_of(folder)
    span = own(world)
    (anchor,) = world.placed_anchors
    values, block = anchor.local
    start = span.start - KEPT_CELLS
    found = columns(world, start, span.size + 2 * KEPT_CELLS)
    assert torch.equal(found, values[:, :, start - block.x.start :][:, :, : found.shape[2]])


@pytest.mark.parametrize("side", [-1, 1])
def test_a_column_beyond_resembles_one_of_the_photograph(side: int, folder: Path) -> None:
    world = world_of(folder)
    span = own(world)
    photograph = columns(world, span.start, span.size)
    at = span.stop + KEPT_CELLS + 2 if side > 0 else span.start - KEPT_CELLS - 3
    beyond = columns(world, at, 1)[:, :, 0]
    found = sorted(likeness(beyond, photograph[:, :, i]) for i in range(span.size))
    assert found[-1] > 0.75
    assert found[-2] < 0.4


def test_likeness_falls_to_none_at_the_reach(folder: Path) -> None:
    world = world_of(folder)
    span = own(world)
    last = span.stop + KEPT_CELLS + REACH
    seeded = fields.local_latent(7, Window(Span(last, 3), ROWS), channels=SIZES.local_channels)
    assert torch.equal(columns(world, last, 3), seeded)
    near = likeness(columns(world, last - 1, 1), fields.local_latent(7, Window(Span(last - 1, 1), ROWS), channels=6))
    assert near > 0.9


def test_the_variance_stays(folder: Path) -> None:
    span = own(world_of(folder))
    values = torch.cat([columns(world_of(folder, seed=seed), span.stop + KEPT_CELLS, REACH) for seed in range(4)])
    assert float(values.std()) == pytest.approx(1, abs=0.05)


def test_other_seeds_differ_from_the_first_column_on(folder: Path) -> None:
    at = own(world_of(folder)).stop + KEPT_CELLS
    found = [columns(world_of(folder, seed=seed), at, 1) for seed in range(6)]
    assert len({values.numpy().tobytes() for values in found}) == 6
    assert min(likeness(a, b) for i, a in enumerate(found) for b in found[:i]) < 0.4


@pytest.mark.parametrize("name", ["a", "p"])
def test_a_value_depends_on_its_position_only(name: str, folder: Path) -> None:
    world = world_of(folder, name)
    whole = columns(world, -30, 70)
    parts = torch.cat([columns(world, x, 7) for x in range(-30, 40, 7)], 2)
    assert torch.equal(whole, parts)


def test_in_a_cyclic_world_both_sides_share_the_rest(folder: Path) -> None:
    world = world_of(folder, "p", reach=100)
    assert torch.equal(columns(world, -10, 48), columns(world, 38, 48))


def test_a_world_without_reach_is_as_before(folder: Path) -> None:
    world = world_of(folder, reach=None)
    (anchor,) = world.placed_anchors
    values, block = anchor.local
    assert torch.equal(columns(world, block.x.start, block.x.size), values)
    assert "reach" not in world.to_json()


def test_the_reach_is_stored(folder: Path, tmp_path: Path) -> None:
    world = world_of(folder)
    world.save(tmp_path / "world.json")
    loaded = World.load(tmp_path / "world.json")
    assert torch.equal(columns(loaded, 10, 30), columns(world, 10, 30))


@pytest.mark.parametrize("reach", [0, -1, 1025, 1.5])
def test_a_reach_out_of_range_is_refused_in_one_line(reach: int, folder: Path) -> None:
    with pytest.raises(InfgenError, match="reach") as refusal:
        world_of(folder, reach=reach)
    assert "\n" not in str(refusal.value)
