"""Recipes: the paper's numbers, changes, refusals."""

import json

import pytest

from infgen.errors import InputError
from infgen.model.config import PRESETS
from infgen.train.presets import RECIPES, Recipe, recipe

PAPER = ["scenery-101", "scenery-197", "scenery-389", "scenery-773"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_the_generator_of_its_name(name: str) -> None:
    assert recipe(name).generator_config == PRESETS[name]


@pytest.mark.parametrize(
    ("name", "view"), [("scenery-101", 197), ("scenery-197", 389), ("scenery-389", 773), ("scenery-773", 1541)]
)
def test_views_are_those_of_seventeen_cells(name: str, view: int) -> None:
    assert recipe(name).view_px == view


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_recipes_have_the_papers_weights(name: str) -> None:
    r = recipe(name)
    weights = (r.position_weight, r.diversity_weight, r.r1_weight, r.r1_every, r.path_weight, r.path_every, r.mixing)
    assert weights == (1, 1, 10, 16, 2, 4, 0.9)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_recipes_have_the_papers_optimisers(name: str) -> None:
    r = recipe(name)
    assert (r.batch, r.generator_rate, r.discriminator_rate, r.ema) == (16, 0.002, 0.002, 0.5 ** (32 / 10_000))


@pytest.mark.parametrize("name", RECIPES)
def test_a_patch_has_35_local_cells(name: str) -> None:
    assert recipe(name).local_cells == 35


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="preset 'scenery' is unknown; choose one of scenery-101, "):
        recipe("scenery")


@pytest.mark.parametrize("batch", [0, 1, 3, -2])
def test_a_batch_that_is_not_made_of_pairs_is_refused(batch: int) -> None:
    with pytest.raises(InputError, match=f"batch {batch} is not possible"):
        recipe("tiny").changed(batch=batch)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["generator_rate", "discriminator_rate"])
def test_a_rate_out_of_range_is_refused(name: str, rate: float) -> None:
    with pytest.raises(InputError, match=f"{name} .* is out of range"):
        recipe("tiny").changed(**{name: rate})


def test_a_change_replaces_what_is_given_and_nothing_else() -> None:
    assert recipe("tiny").changed(batch=8, width=None) == Recipe("tiny", discriminator_width=1 / 32, batch=8)


def test_width_scales_the_generator() -> None:
    assert recipe("scenery-101").changed(width=0.5).generator_config.local_channels == 128


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name: str) -> None:
    assert Recipe(**json.loads(json.dumps(recipe(name).to_dict()))) == recipe(name)
