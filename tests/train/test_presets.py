"""Recipes: the paper's numbers, ablations, changes, refusals, and the page that lists them."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infgen.errors import InputError
from infgen.model.config import PRESETS
from infgen.train import losses
from infgen.train.presets import ABLATIONS, RECIPES, Recipe, ablate, find_recipe

PAGE = Path(__file__).parents[2] / "docs" / "presets.md"
SCENERY = ["scenery-101", "scenery-197", "scenery-389", "scenery-773", "lsun-like"]
PAPER = [*SCENERY, "satellite", "object"]
WITHOUT_POSITION = {"satellite": "texture", "object": "object", "satellite-small": "texture", "object-small": "object"}
SMALL = ["scenery-small", "scenery-101-small", "scenery-197-small", "satellite-small", "object-small"]


@pytest.mark.parametrize("name", [n for n in RECIPES if n in PRESETS])
def test_a_recipe_named_like_a_generator_trains_it(name: str) -> None:
    sizes = [replace(config, scales=(), view_px=None) for config in (find_recipe(name).generator_config, PRESETS[name])]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("name", "view"),
    [("scenery-101", 197), ("scenery-197", 389), ("scenery-389", 773), ("scenery-773", 1024), ("lsun-like", 197)],
)
def test_views_are_the_released_ones(name: str, view: int) -> None:
    assert find_recipe(name).view_px == view


@pytest.mark.parametrize("name", SCENERY)
def test_scenery_recipes_have_the_papers_weights(name: str) -> None:
    r = find_recipe(name)
    weights = (r.position_weight, r.diversity_weight, r.r1_weight, r.r1_every, r.path_weight, r.path_every, r.mixing)
    assert weights == (1, 1, 10, 16, 2, 4, 0.9)


@pytest.mark.parametrize(("name", "system"), WITHOUT_POSITION.items())
def test_satellite_and_object_recipes_have_their_coordinates(name: str, system: str) -> None:
    assert find_recipe(name).generator_config.coordinates == system


@pytest.mark.parametrize("name", WITHOUT_POSITION)
def test_satellite_and_object_recipes_predict_no_position(name: str) -> None:
    assert (find_recipe(name).position_weight, find_recipe(name).beyond, find_recipe(name).has_position) == (
        0,
        0,
        False,
    )


@pytest.mark.parametrize("name", WITHOUT_POSITION)
def test_without_a_position_a_shifted_picture_keeps_its_target(name: str) -> None:
    (scale,) = find_recipe(name).trained_scales
    assert (find_recipe(name).real_px_per_unit(scale), find_recipe(name).fake_px_per_unit(scale)) == (
        math.inf,
        math.inf,
    )


@pytest.mark.parametrize("name", SMALL)
def test_small_recipes_use_the_projected_discriminator_and_augment(name: str) -> None:
    assert (find_recipe(name).discriminator, find_recipe(name).augment) == ("projected", "diffaugment")


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_recipes_have_the_papers_optimisers(name: str) -> None:
    r = find_recipe(name)
    assert (r.batch, r.generator_rate, r.discriminator_rate, r.ema) == (16, 0.002, 0.002, 0.5 ** (32 / 10_000))


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="preset 'scenery' is unknown; choose one of scenery-101, "):
        find_recipe("scenery")


@pytest.mark.parametrize("batch", [0, 1, 3, -2])
def test_an_odd_batch_is_refused(batch: int) -> None:
    with pytest.raises(InputError, match=f"batch {batch} is not possible"):
        find_recipe("tiny").with_values(batch=batch)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["generator_rate", "discriminator_rate"])
def test_a_rate_out_of_range_is_refused(name: str, rate: float) -> None:
    with pytest.raises(InputError, match=f"{name} .* is out of range"):
        find_recipe("tiny").with_values(**{name: rate})


@pytest.mark.parametrize("steps", [0, -1])
def test_a_decay_over_no_steps_is_refused(steps: int) -> None:
    with pytest.raises(InputError, match=f"decay_steps {steps} is out of range"):
        find_recipe("tiny").with_values(decay_steps=steps)


@pytest.mark.parametrize("name", RECIPES)
def test_rates_are_constant_by_default(name: str) -> None:
    assert [find_recipe(name).rate_factor(step) for step in (0, 10**6)] == [1, 1]


def test_rates_decay_linearly_to_zero() -> None:
    decaying = find_recipe("tiny").with_values(decay_steps=4)
    assert [decaying.rate_factor(step) for step in range(6)] == [1, 0.75, 0.5, 0.25, 0, 0]


def test_only_given_values_are_replaced() -> None:
    assert find_recipe("tiny").with_values(batch=8, width=None) == Recipe("tiny", discriminator_width=1 / 32, batch=8)


@pytest.mark.parametrize(("preset", "other"), [("scenery-101", "projected"), ("scenery-101-small", "paper")])
def test_another_discriminator_sets_its_rate_and_r1(preset: str, other: str) -> None:
    reference = {"projected": find_recipe("scenery-101-small"), "paper": find_recipe("scenery-101")}[other]
    names = ("discriminator", "discriminator_rate", "r1_weight")
    changed = find_recipe(preset).with_discriminator(other)
    assert [getattr(changed, name) for name in names] == [getattr(reference, name) for name in names]
    assert changed.with_discriminator(None) == changed.with_discriminator(other) == changed
    assert changed.with_discriminator(find_recipe(preset).discriminator) == find_recipe(preset)


def test_r1_is_refused_with_the_projected_discriminator() -> None:
    with pytest.raises(InputError, match=r"r1_weight 10\.0 is not possible .*; give r1_weight 0"):
        find_recipe("tiny").with_values(discriminator="projected")


@pytest.mark.parametrize("name", ["position_weight", "beyond"])
@pytest.mark.parametrize("changes", [{"coordinates": "texture"}, {"coordinates": "object"}, {"patches": False}])
def test_a_term_for_the_position_is_refused_without_a_position(name: str, changes: dict[str, Any]) -> None:
    values = {"position_weight": 0.0, "beyond": 0.0, **changes, name: 0.5}
    with pytest.raises(InputError, match=rf"{name} 0\.5 is not possible with \w+ .*; give {name} 0"):
        find_recipe("tiny").with_values(**values)


@pytest.mark.parametrize("view", [0, -1, 101])
def test_a_view_without_room_for_another_patch_is_refused(view: int) -> None:
    with pytest.raises(InputError, match=f"view {view} px is too small for patches; give at least 102 px"):
        find_recipe("tiny").with_values(view=view)


@pytest.mark.parametrize(("view", "unit"), [(102, 0.5), (197, 48), (1024, 461.5)])
def test_a_view_sets_the_pixels_between_targets(view: int, unit: float) -> None:
    recipe = find_recipe("tiny").with_values(view=view)
    assert recipe.real_px_per_unit(recipe.trained_scales[0]) == unit


def test_without_patches_a_view_is_as_large_as_a_patch() -> None:
    assert find_recipe("tiny").with_values(patches=False, position_weight=0.0).view_px == 101


@pytest.mark.parametrize(
    ("name", "structure", "padding", "patches"),
    [
        ("stylegan2-nci", "none", True, False),
        ("stylegan2-nci-patched", "none", True, True),
        ("stylegan2-nci-pfg", "none", False, True),
        ("no-unfolding", "pointwise", False, True),
        ("no-diversity", "implicit", False, True),
        ("no-position", "implicit", False, True),
    ],
)
def test_ablations_switch_parts_of_the_network_off(name: str, structure: str, padding: bool, patches: bool) -> None:
    recipe = ablate(find_recipe("scenery-101"), name)
    config = recipe.generator_config
    assert (config.structure, config.padding, recipe.patches) == (structure, padding, patches)


@pytest.mark.parametrize(
    ("name", "weights"), [("no-diversity", (1, 0)), ("no-position", (0, 1)), ("stylegan2-nci-pfg", (0, 0))]
)
def test_ablations_switch_losses_off(name: str, weights: tuple[float, float]) -> None:
    recipe = ablate(find_recipe("scenery-101"), name)
    assert (recipe.position_weight, recipe.diversity_weight) == weights


@pytest.mark.parametrize("name", [n for n in ABLATIONS if n.startswith("stylegan2")])
def test_stylegan2_has_constant_coordinates(name: str) -> None:
    assert ablate(find_recipe("scenery-101"), name).generator_config.coordinates == "object"


@given(st.sampled_from(sorted(RECIPES)), st.sampled_from(sorted(ABLATIONS)))
def test_every_recipe_takes_every_ablation(name: str, ablation: str) -> None:
    recipe = ablate(find_recipe(name), ablation)
    assert recipe.generator_config.patch_px == find_recipe(name).generator_config.patch_px


@given(st.sampled_from(sorted(RECIPES)), st.sampled_from(sorted(ABLATIONS)))
def test_applying_an_ablation_twice_changes_nothing(name: str, ablation: str) -> None:
    recipe = ablate(find_recipe(name), ablation)
    assert ablate(recipe, ablation) == recipe


def test_without_an_ablation_a_recipe_is_unchanged() -> None:
    assert ablate(find_recipe("tiny"), None) == find_recipe("tiny")


def test_an_unknown_ablation_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="ablation 'no-mapping' is unknown; choose one of stylegan2-nci, "):
        ablate(find_recipe("tiny"), "no-mapping")


@pytest.mark.parametrize("values", [{"structure": "spiral"}, {"coordinates": "polar", "position_weight": 0.0}])
def test_the_error_names_an_unknown_network(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"'(spiral|polar)' is unknown"):
        find_recipe("tiny").with_values(**values).generator_config  # noqa: B018


@pytest.mark.parametrize("name", [*RECIPES, *ABLATIONS])
def test_every_preset_and_ablation_has_a_row_on_the_page(name: str) -> None:
    assert f"\n| `{name}` |" in PAGE.read_text()


def test_the_page_has_no_row_of_another_name() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \|", PAGE.read_text(), re.MULTILINE)) == {*RECIPES, *ABLATIONS}


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_lists_the_size_of_views_and_patches(name: str) -> None:
    r = find_recipe(name)
    assert f"\n| `{name}` | {r.trained_scales[-1].patch_px} of {r.view_px} |" in PAGE.read_text()


def test_width_scales_the_generator() -> None:
    assert find_recipe("scenery-101").with_values(width=0.5).generator_config.local_channels == 128


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name: str) -> None:
    assert Recipe(**json.loads(json.dumps(find_recipe(name).to_dict()))) == find_recipe(name)


@pytest.mark.parametrize(
    ("name", "steps"),
    [("scenery-101", 800_000), ("satellite", 800_000), ("scenery-197", 1_600_000), ("scenery-773", 1_600_000)],
)
def test_paper_recipes_have_the_papers_length(name: str, steps: int) -> None:
    assert find_recipe(name).steps == steps


def test_the_small_recipes_weight_of_l_div_is_the_one_tuned_on_summed_distances() -> None:
    recipe = find_recipe("scenery-101-small")
    rng = torch.Generator().manual_seed(0)
    z_l, z_s = torch.randn(4, 8, 35, 35, generator=rng), torch.randn(4, 8, 11, 11, generator=rng)
    now = recipe.diversity_weight * losses.diversity(z_l, z_s, norm=recipe.diversity_norm)
    torch.testing.assert_close(now, 0.1 * losses.diversity(z_l, z_s, norm="sum"))


@pytest.mark.parametrize("name", ["scenery-small", "tiny-scales"])
def test_recipes_with_scales_sum_the_distances_of_l_div(name: str) -> None:
    assert (find_recipe(name).diversity_norm, find_recipe(name).diversity_weight) == ("sum", 0.1)


@pytest.mark.parametrize(("coordinates", "weight"), [("scenery", 1.0), ("texture", 0.0), ("object", 0.0)])
@pytest.mark.parametrize("name", ["scenery-101", "satellite"])
def test_other_coordinates_bring_or_drop_the_vertical_position(name: str, coordinates: Any, weight: float) -> None:
    recipe = find_recipe(name).with_coordinates(coordinates)
    assert (recipe.coordinates, recipe.position_weight) == (coordinates, weight)
