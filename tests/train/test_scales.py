"""Training at several scales: order of the scales, positions of patches, training steps, and resuming."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from infgen import geometry
from infgen.errors import InputError
from infgen.model.generator import Generator
from infgen.model.layers import StyleWeights
from infgen.model.scales import Scale
from infgen.train.checkpoint import RunFolder
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.presets import BEYOND_CELLS, find_recipe
from infgen.train.sampling import draw_inputs, generate, scale_starts, scale_target, step_rng
from tests.model.networks import random_generator
from tests.train.photos import landscape, save
from tests.train.runs import begin, differences, ignore_step, load_state, read_log, stop_at, train

SCALES = find_recipe("tiny-scales")
COARSE = SCALES.with_values(view=200)  # views of 25, 50, 100 and 200 px, for small photographs
QUICK = COARSE.with_values(beyond=0.25, fusion=0.5)
NAMES = [scale.name for scale in SCALES.trained_scales]

pytestmark = pytest.mark.usefixtures("small_sheets")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs for every scale and one for all but the finest."""
    folder = tmp_path_factory.mktemp("photos")
    for i, height in enumerate((220, 230, 210, 120)):
        save(folder, f"{i}.png", landscape(i, height=height, width=300))
    return folder


@pytest.fixture(scope="module")
def full_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(photos, tmp_path_factory.mktemp("whole"), steps=9, recipe=QUICK)


# Order of the scales


def test_scales_take_turns() -> None:
    assert [SCALES.scale_at(step)[0] for step in range(9)] == [0, 1, 2, 3, 0, 1, 2, 3, 0]


def test_shares_give_a_scale_more_steps() -> None:
    indices = [SCALES.with_values(scale_shares=(3, 1, 1, 2)).scale_at(step)[0] for step in range(70)]
    assert Counter(indices) == {0: 30, 1: 10, 2: 10, 3: 20}


@pytest.mark.parametrize("shares", [(), (3, 1, 1, 2)])
def test_every_scale_counts_its_own_steps(shares: tuple[int, ...]) -> None:
    shared, counts = SCALES.with_values(scale_shares=shares), Counter[int]()
    for step in range(40):
        index, count = shared.scale_at(step)
        assert count == counts[index]
        counts[index] += 1


def test_a_single_scale_gets_every_step() -> None:
    assert [find_recipe("tiny").scale_at(step) for step in (0, 1, 99)] == [(0, 0), (0, 1), (0, 99)]


# Positions of patches


@pytest.mark.parametrize("index", range(4), ids=NAMES)
def test_windows_are_centred_on_the_horizon(index: int) -> None:
    scale = SCALES.trained_scales[index]
    starts = scale_starts(scale, 4000, 0.0, step_rng(0, 0, 0))
    middles = (starts + (scale.cells - 1) / 2) * geometry.cell_px(scale.level)
    assert float(middles.max()) == -float(middles.min())


@pytest.mark.parametrize("index", range(1, 4), ids=NAMES[1:])
def test_window_centres_are_possible_centres_of_a_photographs_patch(index: int) -> None:
    scale = SCALES.trained_scales[index]
    starts = scale_starts(scale, 4000, 0.0, step_rng(0, 0, 0))
    middles = (starts + (scale.cells - 1) / 2) * geometry.cell_px(scale.level)
    cell = geometry.cell_px(scale.level)
    assert scale.room_px / 2 - cell < float(middles.max()) <= scale.room_px / 2


def test_patches_beyond_the_view_are_up_to_24_cells_farther() -> None:
    scale = SCALES.trained_scales[-1]
    inside, beyond = (scale_starts(scale, 4000, share, step_rng(0, 0, 0)) for share in (0.0, 0.5))
    assert int(inside.min() - beyond.min()) == int(beyond.max() - inside.max()) == BEYOND_CELLS


def test_the_target_is_the_offset_from_the_centre_over_its_maximum() -> None:
    scale = Scale(level=4, halvings=0, view_px=197, cells=11, patch_px=101)
    starts = torch.tensor([-8.0, -5.0, -2.0])  # centres at -48, 0 and 48 px
    torch.testing.assert_close(scale_target(starts, 0, scale), torch.tensor([-1.0, 0.0, 1.0]))


def test_the_target_follows_the_crop() -> None:
    scale = SCALES.trained_scales[-1]
    upper, lower = (scale_target(torch.tensor([-3.0]), row, scale) for row in (0, 32))
    assert float(lower - upper) == pytest.approx(32 / (scale.room_px / 2))


def test_full_views_are_never_beyond_the_view() -> None:
    everywhere = SCALES.with_values(beyond=0.9, batch=64)
    inputs = draw_inputs(
        everywhere, everywhere.trained_scales[0], 64, step_rng(0, 0, 0), device=torch.device("cpu"), dtype=torch.float32
    )
    rows = torch.atanh(inputs.coordinates[:, 0, 20, 0].double()) / 0.3
    assert float(rows.abs().max()) < 4


# Generated patches


def make_inputs(index: int, **changes: Any) -> tuple[Generator, Any]:
    recipe = SCALES.with_values(**changes)
    scale = recipe.trained_scales[index]
    generator = random_generator(recipe.generator_config, seed=0)
    inputs = draw_inputs(recipe, scale, 2, step_rng(0, 1, 0), device=torch.device("cpu"), dtype=torch.float32)
    return generator.coarser(scale.halvings), inputs


@pytest.mark.parametrize("fusion", [0.0, 1.0])
@pytest.mark.parametrize("index", range(4), ids=NAMES)
def test_a_step_generates_patches_of_its_scale(index: int, fusion: float) -> None:
    images, z_s, _ = generate(*make_inputs(index, fusion=fusion))
    scale = SCALES.trained_scales[index]
    assert images.shape == (2, 3, scale.patch_px, scale.patch_px)
    assert z_s.shape[-2:] == (scale.cells, scale.cells)


def test_fused_steps_have_weights_that_sum_to_one() -> None:
    weights = make_inputs(1, fusion=1.0)[1].weights
    assert isinstance(weights, StyleWeights)
    for maps in (weights.structure, *weights.texture):
        torch.testing.assert_close(maps.sum(1), torch.ones_like(maps[:, 0]))


def test_a_share_of_steps_is_fused() -> None:
    half, scale = SCALES.with_values(fusion=0.5), SCALES.trained_scales[0]
    fused = [
        draw_inputs(half, scale, 2, step_rng(0, step, 0), device=torch.device("cpu"), dtype=torch.float32).weights
        is not None
        for step in range(60)
    ]
    assert 15 < sum(fused) < 45


# Photographs


def test_photographs_are_used_at_the_scales_that_they_are_large_enough_for(photos: Path) -> None:
    pyramid, _ = PhotoPyramid.open(photos, COARSE.trained_scales)
    assert [len(s) for s in pyramid.sets] == [4, 4, 4, 3]


def test_the_views_of_every_scale_have_its_size(photos: Path) -> None:
    pyramid, _ = PhotoPyramid.open(photos, COARSE.trained_scales)
    assert [min(s.view(0).shape[:2]) for s in pyramid.sets] == [25, 50, 100, 200]


def test_photographs_are_read_once_for_all_scales(photos: Path) -> None:
    counts: list[tuple[int, int]] = []
    PhotoPyramid.open(photos, COARSE.trained_scales, progress=lambda done, total: counts.append((done, total)))
    assert counts == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_scale_without_a_large_enough_photograph_is_refused_with_the_sizes_found(photos: Path) -> None:
    with pytest.raises(InputError, match=r"no photograph with a short side of 394 px.*suffice for views of 197 px"):
        PhotoPyramid.open(photos, SCALES.trained_scales)


def test_one_scale_has_the_fingerprint_of_its_set(photos: Path) -> None:
    pyramid, _ = PhotoPyramid.open(photos, COARSE.trained_scales[:1])
    assert pyramid.fingerprint == pyramid.sets[0].fingerprint


# Runs


def test_the_log_names_the_view_of_every_term(full_run: RunFolder) -> None:
    terms = [next(name for name in r if name.startswith("d_adversarial")) for r in read_log(full_run)]
    assert terms[:5] == [f"d_adversarial_view{view}" for view in (25, 50, 100, 200, 25)]


def test_a_step_changes_only_the_discriminator_of_its_scale(photos: Path, tmp_path: Path) -> None:
    trainer = begin(photos, tmp_path / "a", steps=2, recipe=QUICK).trainer
    heads = [[p.clone() for p in discriminator.heads.parameters()] for discriminator in trainer.state.discriminators]
    trainer.stepper.step()
    changed = [
        any(not a.equal(b) for a, b in zip(before, discriminator.heads.parameters(), strict=True))
        for before, discriminator in zip(heads, trainer.state.discriminators, strict=True)
    ]
    assert changed == [True, False, False, False]


def test_discriminators_share_the_frozen_network(photos: Path, tmp_path: Path) -> None:
    discriminators = begin(photos, tmp_path / "a", steps=1, recipe=QUICK).trainer.state.discriminators
    assert (
        len({id(discriminator.network) for discriminator in discriminators})
        == len({id(discriminator.projection) for discriminator in discriminators})
        == 1
    )


def test_the_model_states_its_scales_and_view(full_run: RunFolder) -> None:
    config = Generator.from_pretrained(full_run.model).config
    assert (config.scales, config.view_px) == ((3, 4, 5, 6), 200)


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_a_stopped_run_continues_exactly(stop: int, full_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with pytest.raises(KeyboardInterrupt):
        train(photos, folder, steps=9, recipe=QUICK, checkpoint_every=stop, report=stop_at(stop + 1))
    resumed = train(photos, folder, steps=9, recipe=QUICK, resume=True)
    assert differences(load_state(resumed), load_state(full_run)) == []


def test_a_run_is_not_resumed_with_other_scales(full_run: RunFolder, photos: Path) -> None:
    fewer = QUICK.with_values(scale_shares=(2, 1, 1, 1))
    with pytest.raises(InputError, match=r"another recipe \(scale_shares \[\] -> \[2, 1, 1, 1\]\)"):
        begin(photos, full_run.path, steps=10, recipe=fewer, resume=True)


def test_only_the_discriminators_learn_during_the_warmup(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=4, recipe=QUICK.with_values(warmup_steps=4))
    before = [p.clone() for p in run.trainer.state.generator.parameters()]
    run.train(ignore_step)
    assert all(a.equal(b) for a, b in zip(before, run.trainer.state.generator.parameters(), strict=True))


# Refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scales": (3, 4)}, "scales .* are not possible"),
        ({"scales": (4, 3, 6)}, "scales .* are not possible"),
        ({"scales": (0, 6)}, "scales .* are not possible"),
        ({"scale_shares": (1, 1)}, r"scale_shares \(1, 1\) do not fit 4 scales"),
        ({"scale_shares": (1, 1, 0, 1)}, "do not fit 4 scales"),
        ({"view": 30}, "too small for any window"),
        ({"pre_resize": 128}, "pre_resize 128 is not possible with several scales"),
        ({"fusion": 1.5}, "fusion 1.5 is out of range"),
        ({"fusion": math.nan}, "fusion nan is out of range"),
        ({"warmup_steps": -1}, "warmup_steps -1 is out of range"),
        ({"padding": True}, "without patches or with padding"),
    ],
)
def test_impossible_scales_are_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        SCALES.with_values(**changes)
    assert "\n" not in str(caught.value)
