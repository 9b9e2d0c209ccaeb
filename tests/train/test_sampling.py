"""Random inputs of a training step, the optimisers' corrections and the EMA of the weights."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from infgen.geometry import layer_spans
from infgen.model.config import PATCH_CELLS
from infgen.train.presets import ABLATIONS, Recipe, ablate, find_recipe
from infgen.train.processes import Processes
from infgen.train.sampling import (
    FIRST_ROW,
    GeneratorInputs,
    draw_inputs,
    first_rows,
    make_style,
    step_rng,
    vertical_target,
)
from infgen.train.state import initial_state, lazy_adam
from infgen.train.step import Stepper
from tests.model.networks import random_generator

TINY = find_recipe("tiny")
CPU = torch.device("cpu")
BATCH = 8


def make_inputs(
    seed: int = 0, step: int = 0, purpose: int = 0, *, recipe: Recipe = TINY, batch: int = BATCH
) -> GeneratorInputs:
    (scale,) = recipe.trained_scales
    return draw_inputs(recipe, scale, batch, step_rng(seed, step, purpose), device=CPU, dtype=torch.float32)


def distinct(x: Tensor) -> int:
    """Count the different samples of ``x`` (B, ...)."""
    return len({tuple(sample.flatten().tolist()) for sample in x})


def tensors(inputs: GeneratorInputs) -> list[Tensor]:
    return [inputs.z_l, inputs.coordinates, *inputs.noises, inputs.z_g, inputs.z_mix, inputs.position]


@pytest.mark.parametrize("name", ["z_g", "z_mix", "coordinates", "position"])
def test_samples_of_a_pair_share_inputs(name: str) -> None:
    value = getattr(make_inputs(), name)
    assert torch.equal(value[0::2], value[1::2])


@pytest.mark.parametrize("name", ["z_g", "z_mix", "coordinates"])
def test_pairs_differ(name: str) -> None:
    value = getattr(make_inputs(), name)[0::2]
    assert distinct(value) == BATCH // 2


@pytest.mark.parametrize("name", ["z_g", "z_mix", "coordinates"])
def test_without_the_diversity_loss_samples_share_nothing(name: str) -> None:
    assert distinct(getattr(make_inputs(recipe=replace(TINY, diversity_weight=0.0)), name)) == BATCH


def test_every_sample_has_local_latents_of_its_own() -> None:
    assert distinct(make_inputs().z_l) == BATCH


def test_every_sample_has_noises_of_its_own() -> None:
    assert all(distinct(n) == BATCH for n in make_inputs().noises)


def test_local_latents_have_the_shape_of_one_patch() -> None:
    assert make_inputs().z_l.shape == (BATCH, TINY.generator_config.local_channels, 35, 35)


def test_coordinates_have_the_shape_of_one_patch() -> None:
    assert make_inputs().coordinates.shape == (BATCH, 3, 35, 35)


def test_noises_have_the_sizes_of_their_layers() -> None:
    spans = layer_spans(0, PATCH_CELLS, levels=4).noise
    assert [tuple(n.shape) for n in make_inputs().noises] == [(BATCH, 1, s.size, s.size) for s in spans]


def test_latents_are_standard_normal() -> None:
    values = torch.cat([inputs.z_l.flatten() for inputs in (make_inputs(step=s) for s in range(4))])
    assert [values.mean().item(), values.std().item()] == pytest.approx([0, 1], abs=0.01)


def test_the_generator_accepts_the_inputs() -> None:
    generator, inputs = random_generator(TINY.generator_config, seed=0), make_inputs(batch=2)
    assert generator(inputs.z_l, inputs.coordinates, make_style(generator, inputs), inputs.noises).shape == (
        2,
        3,
        101,
        101,
    )


def test_the_same_seed_and_step_give_the_same_draw() -> None:
    assert all(torch.equal(a, b) for a, b in zip(tensors(make_inputs(5, 7)), tensors(make_inputs(5, 7)), strict=True))


@pytest.mark.parametrize("other", [(6, 7, 0), (5, 8, 0), (5, 7, 1)])
def test_another_seed_step_or_purpose_gives_another_draw(other: tuple[int, int, int]) -> None:
    assert not torch.equal(make_inputs(5, 7, 0).z_l, make_inputs(*other).z_l)


def test_a_draw_does_not_depend_on_earlier_ones() -> None:
    expected = make_inputs(0, 3).z_l
    for step in range(3):
        make_inputs(0, step)
    assert torch.equal(make_inputs(0, 3).z_l, expected)


def test_a_draw_does_not_touch_the_global_random_state() -> None:
    before = torch.random.get_rng_state()
    make_inputs()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_all_steps_of_a_long_run_have_different_seeds() -> None:
    seeds = {
        step_rng(seed, step, purpose).initial_seed()
        for seed in (0, 1, 2)
        for step in range(500)
        for purpose in range(5)
    }
    assert len(seeds) == 3 * 500 * 5


def test_the_largest_seed_of_the_command_line_is_accepted() -> None:
    assert step_rng(2**31 - 1, 10**7, 4).initial_seed() > 0


def test_vertical_targets_run_from_minus_one_to_one() -> None:
    torch.testing.assert_close(vertical_target(torch.arange(10.0)), torch.linspace(-1, 1, 10))


@pytest.fixture(scope="module")
def many_inputs() -> GeneratorInputs:
    """Inputs of so many samples that every row and column occurs."""
    narrow = replace(TINY, width=1 / 8)
    return make_inputs(batch=2000, recipe=narrow)


def test_all_ten_starts_occur(many_inputs: GeneratorInputs) -> None:
    torch.testing.assert_close(torch.tensor(sorted(set(many_inputs.position.tolist()))), torch.linspace(-1, 1, 10))


def offsets(many_inputs: GeneratorInputs) -> Tensor:
    """Offset in cells of the rows of each sample below the rows of its target."""
    first_row = (
        torch.atanh(many_inputs.coordinates[:, 0, 17, 0].double()) / 0.3 - 17
    )  # from row 17, because tanh is flat at both ends
    return first_row - ((many_inputs.position.double() + 1) * 4.5 + FIRST_ROW)


def test_rows_lie_within_half_a_cell_of_the_targets_row(many_inputs: GeneratorInputs) -> None:
    assert float(offsets(many_inputs).abs().max()) <= 0.5 + 1e-3


def test_vertical_jitter_covers_half_a_cell_each_way(many_inputs: GeneratorInputs) -> None:
    assert [v.item() for v in offsets(many_inputs).aminmax()] == pytest.approx([-0.5, 0.5], abs=0.01)


def test_cosine_and_sine_get_different_jitter(many_inputs: GeneratorInputs) -> None:
    radius = many_inputs.coordinates[:, 1, 0].square() + many_inputs.coordinates[:, 2, 0].square()
    assert float((radius - 1).abs().max()) > 1e-3


def test_cosine_and_sine_differ_by_at_most_a_cell(many_inputs: GeneratorInputs) -> None:
    radius = many_inputs.coordinates[:, 1, 0].square() + many_inputs.coordinates[:, 2, 0].square()
    assert float((radius - 1).abs().max()) <= math.sin(2 * math.pi / 139) + 1e-3


def test_no_column_is_repeated_at_the_wrap_of_the_angle(many_inputs: GeneratorInputs) -> None:
    cosine, sine = many_inputs.coordinates[:, 1, 0], many_inputs.coordinates[:, 2, 0]
    assert float((cosine.diff().abs() + sine.diff().abs()).min()) > 0.5 * 2 * math.pi / 139


def test_rows_are_consecutive_cells(many_inputs: GeneratorInputs) -> None:
    middle = torch.atanh(many_inputs.coordinates[:, 0, 12:23, 0].double())
    torch.testing.assert_close(middle.diff(dim=1), torch.full((2000, 10), 0.3).double(), rtol=0, atol=1e-3)


@pytest.fixture(scope="module")
def crossovers() -> list[int]:
    """Crossover rows of 300 steps."""
    narrow = replace(TINY, width=1 / 8)
    return [make_inputs(step=s, batch=2, recipe=narrow).crossover for s in range(300)]


def test_batches_mix_styles_nine_times_out_of_ten(crossovers: list[int]) -> None:
    mixed = [c < TINY.generator_config.style_layers for c in crossovers]
    assert sum(mixed) / len(mixed) == pytest.approx(0.9, abs=0.05)


def test_crossovers_cover_every_row_but_the_first(crossovers: list[int]) -> None:
    assert set(crossovers) == set(range(1, TINY.generator_config.style_layers + 1))


def test_without_mixing_the_second_latent_is_not_used() -> None:
    generator = random_generator(TINY.generator_config, seed=0)
    inputs = make_inputs(recipe=replace(TINY, mixing=0.0))
    assert torch.equal(make_style(generator, inputs).w_plus, generator.style(inputs.z_g).w_plus)


def test_pairs_share_their_style() -> None:
    w_plus = make_style(random_generator(TINY.generator_config, seed=0), make_inputs()).w_plus
    torch.testing.assert_close(w_plus[0::2], w_plus[1::2])


def without_position(system: Any, **changes: Any) -> Recipe:
    """Make the tiny recipe with coordinates that have no vertical position."""
    return replace(TINY, coordinates=system, position_weight=0.0, **changes)


UNPATCHED = replace(TINY, patches=False, position_weight=0.0)


@pytest.mark.parametrize(("system", "channels"), [("texture", 4), ("object", 1)])
def test_other_coordinate_systems_are_drawn(system: str, channels: int) -> None:
    assert make_inputs(recipe=without_position(system)).coordinates.shape == (BATCH, channels, 35, 35)


@pytest.mark.parametrize("recipe", [without_position("texture"), without_position("object"), UNPATCHED])
def test_without_a_vertical_position_every_target_is_zero(recipe: Recipe) -> None:
    assert not make_inputs(recipe=recipe).position.any()


@pytest.fixture(scope="module")
def texture_coordinates() -> Tensor:
    """Texture coordinates (B, 4, 35, 35) of so many pairs that every row and column occurs."""
    return make_inputs(batch=1000, recipe=without_position("texture", width=1 / 8)).coordinates[::2]


def angles(texture_coordinates: Tensor, axis: int) -> Tensor:
    """Angle of the first cell along an axis (0 vertical, 1 horizontal) in cells, 0 to 139; sine and cosine have jitter."""
    cosine, sine = texture_coordinates[:, 2 * axis, 0, 0], texture_coordinates[:, 2 * axis + 1, 0, 0]
    return (torch.atan2(sine, cosine) / math.pi + 1) * 139 / 2


@pytest.mark.parametrize("axis", [0, 1])
def test_texture_patches_start_anywhere_in_a_period(texture_coordinates: Tensor, axis: int) -> None:
    counts = angles(texture_coordinates, axis).histc(bins=10, min=0, max=139)
    assert float(counts.min()) > 0.5 * 500 / 10


def test_texture_rows_and_columns_are_independent(texture_coordinates: Tensor) -> None:
    assert float((angles(texture_coordinates, 0) - angles(texture_coordinates, 1)).abs().max()) > 30


@pytest.mark.parametrize("axis", [0, 1])
def test_texture_coordinates_advance_by_one_cell_along_their_axis(texture_coordinates: Tensor, axis: int) -> None:
    step = 2 * math.pi / 139
    line = texture_coordinates[:, 2 * axis].double().select(2 - axis, 0)  # cosine along the axis
    second = line[:, 2:] + line[:, :-2] - 2 * math.cos(step) * line[:, 1:-1]  # zero for any sampled cosine of this rate
    assert float(second.abs().max()) < 1e-5


def test_object_coordinates_are_constant() -> None:
    assert bool((make_inputs(recipe=without_position("object")).coordinates == 1).all())


def test_full_views_are_always_centred_on_the_horizon() -> None:
    rows = torch.atanh(make_inputs(recipe=UNPATCHED, batch=200).coordinates[:, 0, 17, 0].double()) / 0.3
    assert float(rows.abs().max()) <= 0.5 + 1e-3


def test_full_views_all_have_the_same_columns() -> None:
    coordinates = make_inputs(recipe=UNPATCHED, batch=200).coordinates[:, 1:, 0, 17].double()
    half_a_cell = torch.full((), math.pi / 139).double()
    assert float(coordinates[:, 0].max()) <= -math.cos(half_a_cell) + 1e-6
    assert float(coordinates[:, 1].abs().max()) <= math.sin(half_a_cell) + 1e-6


@pytest.mark.parametrize("beyond", [0.0, 0.5])
def test_scenery_rows_have_their_targets(beyond: float) -> None:
    rows, targets = first_rows(TINY.with_values(beyond=beyond), TINY.trained_scales[0], 500, step_rng(0, 0, 0))
    torch.testing.assert_close(targets, vertical_target((rows - FIRST_ROW).float()))


def test_rows_beyond_the_strip_have_the_given_share() -> None:
    rows, _ = first_rows(TINY.with_values(beyond=0.25), TINY.trained_scales[0], 4000, step_rng(0, 0, 0))
    outside = (rows < FIRST_ROW) | (rows > FIRST_ROW + 9)
    assert outside.float().mean().item() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_draws_the_inputs_of_its_generator(name: str) -> None:
    recipe = ablate(TINY, name)
    generator, inputs = random_generator(recipe.generator_config, seed=0), make_inputs(recipe=recipe, batch=2)
    assert generator(inputs.z_l, inputs.coordinates, make_style(generator, inputs), inputs.noises).shape == (
        2,
        3,
        101,
        101,
    )


def test_runs_of_earlier_versions_continue_with_the_same_draws() -> None:
    inputs = make_inputs(3, 4)
    last = [
        float(t.flatten()[-1])
        for t in (inputs.z_l, inputs.noises[-1], inputs.z_g, inputs.z_mix, inputs.coordinates, inputs.position)
    ]
    assert [inputs.crossover, *last] == pytest.approx(
        [3, -0.24746, 0.01839, -0.00328, -0.18238, 0.68945, 5 / 9], abs=1e-4
    )


@pytest.mark.parametrize(("every", "ratio"), [(4, 4 / 5), (16, 16 / 17), (None, 1.0)])
def test_adam_is_corrected_for_a_lazy_regulariser(every: int | None, ratio: float) -> None:
    group = lazy_adam(torch.nn.Linear(2, 2), 0.002, every=every).param_groups[0]
    assert (group["lr"], *group["betas"]) == pytest.approx((0.002 * ratio, 0.0, 0.99**ratio))


def test_adam_gets_no_frozen_parameters() -> None:
    module = torch.nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    assert len(lazy_adam(module, 0.002, every=None).param_groups[0]["params"]) == 1


@pytest.mark.parametrize(("optimizer", "ratio"), [("generator_optimizer", 4 / 5), ("discriminator_optimizer", 16 / 17)])
def test_the_papers_optimisers_have_the_official_rates(optimizer: str, ratio: float) -> None:
    group = getattr(initial_state(TINY, seed=0, device=CPU), optimizer).param_groups[0]
    assert (group["lr"], group["betas"][1]) == pytest.approx((0.002 * ratio, 0.99**ratio))


@pytest.mark.parametrize("optimizer", ["generator_optimizer", "discriminator_optimizer"])
def test_without_regularisers_there_is_no_correction(optimizer: str) -> None:
    plain = replace(TINY, r1_weight=0.0, path_weight=0.0)
    group = getattr(initial_state(plain, seed=0, device=CPU), optimizer).param_groups[0]
    assert (group["lr"], group["betas"][1]) == pytest.approx((0.002, 0.99))


def make_stepper(step: int) -> Stepper:
    """Make a stepper at ``step`` whose generator parameters are one larger than their EMA."""
    no_photos: Any = None
    stepper = Stepper(TINY, no_photos, Processes("cpu"))
    stepper.state.step = step
    with torch.no_grad():
        for parameter in stepper.state.generator.parameters():
            parameter.add_(1.0)
    return stepper


@pytest.mark.parametrize(("step", "decay"), [(0, 1 / 10), (89, 90 / 99), (10**6, 0.5 ** (32 / 10_000))])
def test_the_ema_moves_by_one_minus_the_decay(step: int, decay: float) -> None:
    stepper = make_stepper(step)
    before = copy.deepcopy(list(stepper.state.ema.parameters()))
    stepper._update_ema()
    for old, new in zip(before, stepper.state.ema.parameters(), strict=True):
        torch.testing.assert_close(
            new - old, torch.full_like(old, 1 - decay), rtol=1e-3, atol=1e-3 * float(old.abs().max()) + 1e-6
        )


def test_the_initial_ema_equals_the_generator() -> None:
    state = initial_state(TINY, seed=0, device=CPU)
    ema = state.ema.state_dict()
    assert all(torch.equal(t, ema[name]) for name, t in state.generator.state_dict().items())


def test_the_same_seed_gives_the_same_initial_weights() -> None:
    first, second = (initial_state(TINY, seed=3, device=CPU).generator.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
