"""Photographs in a world of several scales: inverted at one scale, rendered at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from infgen.errors import WorldError
from infgen.inversion.arrangement import Arrangement
from infgen.inversion.optimise import Inversion, Settings, Step, Target, optimise
from infgen.inversion.placing import place, working_scale
from infgen.model.checkpoint import file_hash
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.photo import open_photograph
from infgen.world.anchors import AnchoredLatents
from infgen.world.world import World
from tests.model.networks import random_generator

HALVINGS = 2
SETTINGS = Settings(steps=6, adam_steps=3, weights=replace(Settings().weights, lpips=0))
X, Y, W, H = 20, -18, 44, 37  # px of the working scale


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "scales.safetensors"
    random_generator(preset("tiny-scales"), seed=3).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def found(model: Path) -> Inversion:
    """A window of another world, inverted at scale 1/4."""
    pixels = World(seed=5).render(X << 2, Y << 2, W << 2, H << 2, model=model, scale="1/4")
    target = Target(torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1, None, X, Y)
    generator = Generator.from_pretrained(model).coarser(HALVINGS)
    return optimise(target, generator, model_sha256=file_hash(model), settings=SETTINGS)


@pytest.fixture(scope="module")
def file(found: Inversion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("latents") / "a.safetensors"
    found.latents.save(path)
    return path


def test_photographs_are_inverted_at_the_scale_whose_view_is_nearest_to_the_working_height() -> None:
    scale = working_scale(preset("tiny-scales"))
    assert (scale.name, scale.view_px) == ("1/4", 197)


def test_a_model_of_one_scale_inverts_at_its_own() -> None:
    assert working_scale(preset("tiny")).halvings == 0


def test_latents_state_their_scale(found: Inversion, file: Path) -> None:
    stored = AnchoredLatents.load(file)
    assert (stored.halvings, stored.levels, stored.world_levels) == (HALVINGS, 4, 6)
    assert len(stored.world_w_plus) == 13


def test_their_window_is_in_px_of_the_world(found: Inversion) -> None:
    window = found.latents.pixels
    assert window.x.start <= X << 2 < (X + W) << 2 <= window.x.stop + 3
    assert window.y.start <= Y << 2 < (Y + H) << 2 <= window.y.stop + 3


def test_the_world_draws_the_reconstruction_at_their_scale(found: Inversion, file: Path, model: Path) -> None:
    drawn = World.from_inversions([file]).render(X << 2, Y << 2, W << 2, H << 2, model=model, scale="1/4")
    expected = (found.reconstruction.add(1) * 127.5).round().permute(1, 2, 0).numpy()
    assert np.abs(drawn.astype(int) - expected).max() <= 1


def test_the_world_draws_the_same_picture_at_full_size(file: Path, model: Path) -> None:
    world = World.from_inversions([file])
    window = (X << 2, Y << 2, W << 2, H << 2)
    full, coarse = world.render(*window, model=model), world.render(*window, model=model, scale="1/4")
    other = World(seed=99).render(*window, model=model)
    assert difference(full[::4, ::4], coarse) < difference(other[::4, ::4], coarse)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two pictures."""
    return float(np.abs(one.astype(int) - other).mean())


def test_latents_of_another_number_of_levels_are_refused(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "four.safetensors"
    random_generator(preset("tiny"), seed=0).save_pretrained(path)
    world = World.from_inversions([file])
    with pytest.raises(WorldError):
        world.render(0, 0, 32, 32, model=path)


@pytest.mark.parametrize("halvings", [-1, 7, "1"])
def test_impossible_halvings_are_refused(found: Inversion, halvings: object) -> None:
    with pytest.raises(WorldError, match=r"halvings is .*; allowed are whole numbers from 0 to 6"):
        replace(found.latents, halvings=halvings)


def test_an_arrangement_gives_its_region_in_px_of_the_world() -> None:
    photograph = open_photograph(np.zeros((40, 60, 3), np.uint8))
    placed = place(photograph, height=40, horizon=0.5, x=7)
    region = Arrangement((placed,), placed.region, halvings=2).world_region
    assert (region.x, region.y, region.w, region.h) == (28, -80, 240, 160)


# Coarse to fine


def coarse_to_fine(model: Path, steps: int = 12, **values: object) -> tuple[Inversion, list[Step]]:
    pixels = World(seed=5).render(X << 2, Y << 2, 80 << 2, 70 << 2, model=model, scale="1/4")
    target = Target(torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1, None, X, Y)
    generator = Generator.from_pretrained(model).coarser(HALVINGS)
    told: list[Step] = []
    settings = replace(SETTINGS, steps=steps, coarse_share=0.75)
    return optimise(
        target, generator, model_sha256=file_hash(model), settings=settings, progress=told.append, **values
    ), told


def test_the_composition_is_found_first_and_then_the_detail(model: Path) -> None:
    found, told = coarse_to_fine(model)
    assert [step.stage for step in told] == ["composition"] * 9 + ["detail"] * 3
    assert [step.step for step in told] == list(range(1, 13))
    assert {step.steps for step in told} == {12}
    assert told[0].image.shape == (3, 35, 40)
    assert told[-1].image.shape == (3, 70, 80)
    assert (found.steps, found.latents.halvings) == (12, HALVINGS)


def test_the_detail_begins_with_the_composition(model: Path) -> None:
    _, told = coarse_to_fine(model)
    assert told[9].psnr > told[0].psnr + 1


@pytest.mark.parametrize("after", [2, 10])
def test_a_run_stopped_in_either_stage_keeps_its_best_latents(after: int, model: Path) -> None:
    counted = iter(range(100))
    found, told = coarse_to_fine(model, stop=lambda: next(counted) >= after)
    assert (found.end, found.steps, len(told)) == ("stopped", after, after)
    assert found.reconstruction.shape == (3, 70, 80)


def test_small_pictures_are_inverted_at_one_scale(model: Path) -> None:
    pixels = World(seed=5).render(0, -80, 160, 160, model=model, scale="1/4")
    target = Target(torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1, None, 0, -20)
    told: list[Step] = []
    optimise(
        target,
        Generator.from_pretrained(model).coarser(HALVINGS),
        model_sha256=file_hash(model),
        settings=replace(SETTINGS, steps=2, coarse_share=0.75),
        progress=told.append,
    )
    assert [step.stage for step in told] == ["detail"] * 2


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, -5)])
def test_a_coarser_target_lies_on_the_coarse_lattice(x: int, y: int) -> None:
    """A plane must have the same value at the same place of the world."""
    rows, columns = torch.meshgrid(torch.arange(y, y + 90.0), torch.arange(x, x + 121.0), indexing="ij")
    target = Target(((rows + 2 * columns) / 500).expand(3, -1, -1).clone(), None, x, y).coarser()
    height, width = target.picture.shape[1:]
    rows, columns = torch.meshgrid(
        2 * torch.arange(target.y, target.y + height), 2 * torch.arange(target.x, target.x + width), indexing="ij"
    )
    expected = (rows + 2 * columns) / 500
    assert torch.allclose(target.picture[0, 6:-6, 6:-6], expected[6:-6, 6:-6], atol=1e-4)


def test_a_coarser_target_does_not_mix_in_unknown_pixels() -> None:
    picture, known = torch.full((3, 80, 90), 0.5), torch.ones(80, 90, dtype=torch.bool)
    picture[:, 30:50, 30:60], known[30:50, 30:60] = -1, False
    coarser = Target(picture, known, 0, 0).coarser()
    assert coarser.mask is not None
    assert not bool(coarser.mask[16:24, 16:28].any())
    assert float((coarser.picture[:, coarser.mask] - 0.5).abs().max()) < 0.01
