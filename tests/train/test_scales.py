"""Training at several scales: whose turn it is, where patches lie, what a step trains, and how a run goes on."""

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
from infgen.train.presets import BEYOND_CELLS, recipe
from infgen.train.sampling import draw, generate, scale_starts, scale_target, step_rng
from tests.model.networks import random_generator
from tests.train.photos import landscape, save
from tests.train.runs import begin, differences, nothing, records, saved, stop_at, train

SCALES = recipe("tiny-scales")
COARSE = SCALES.changed(view=200)  # views of 25, 50, 100 and 200 px: small photographs will do
QUICK = COARSE.changed(beyond=0.25, fusion=0.5)
NAMES = [scale.name for scale in SCALES.judged]

pytestmark = pytest.mark.usefixtures("small_sheets")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs for every scale and one for all but the finest."""
    folder = tmp_path_factory.mktemp("photos")
    for i, height in enumerate((220, 230, 210, 120)):
        save(folder, f"{i}.png", landscape(i, height=height, width=300))
    return folder


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(photos, tmp_path_factory.mktemp("whole"), steps=9, made_by=QUICK)


# Whose turn it is


def test_scales_take_turns() -> None:
    assert [SCALES.turn(step)[0] for step in range(9)] == [0, 1, 2, 3, 0, 1, 2, 3, 0]


def test_shares_give_a_scale_more_turns() -> None:
    turns = [SCALES.changed(scale_shares=(3, 1, 1, 2)).turn(step)[0] for step in range(70)]
    assert Counter(turns) == {0: 30, 1: 10, 2: 10, 3: 20}


@pytest.mark.parametrize("shares", [(), (3, 1, 1, 2)])
def test_every_scale_counts_its_own_steps(shares: tuple[int, ...]) -> None:
    shared, seen = SCALES.changed(scale_shares=shares), Counter[int]()
    for step in range(40):
        index, past = shared.turn(step)
        assert past == seen[index]
        seen[index] += 1


def test_one_scale_has_every_turn() -> None:
    assert [recipe("tiny").turn(step) for step in (0, 1, 99)] == [(0, 0), (0, 1), (0, 99)]


# Where patches lie


@pytest.mark.parametrize("index", range(4), ids=NAMES)
def test_windows_lie_evenly_around_the_horizon(index: int) -> None:
    scale = SCALES.judged[index]
    starts = scale_starts(scale, 4000, 0.0, step_rng(0, 0, 0))
    middles = (starts + (scale.cells - 1) / 2) * geometry.cell_px(scale.level)
    assert float(middles.max()) == -float(middles.min())


@pytest.mark.parametrize("index", range(1, 4), ids=NAMES[1:])
def test_the_middle_of_a_window_stays_where_a_photographs_patch_can_lie(index: int) -> None:
    scale = SCALES.judged[index]
    starts = scale_starts(scale, 4000, 0.0, step_rng(0, 0, 0))
    middles = (starts + (scale.cells - 1) / 2) * geometry.cell_px(scale.level)
    cell = geometry.cell_px(scale.level)
    assert scale.room_px / 2 - cell < float(middles.max()) <= scale.room_px / 2


def test_patches_beyond_the_view_lie_up_to_24_cells_farther() -> None:
    scale = SCALES.judged[-1]
    inside, beyond = (scale_starts(scale, 4000, share, step_rng(0, 0, 0)) for share in (0.0, 0.5))
    assert int(inside.min() - beyond.min()) == int(beyond.max() - inside.max()) == BEYOND_CELLS


def test_the_target_is_the_offset_from_the_middle_over_its_reach() -> None:
    scale = Scale(level=4, halvings=0, view_px=197, cells=11, patch_px=101)
    starts = torch.tensor([-8.0, -5.0, -2.0])  # middles at -48, 0 and 48 px
    torch.testing.assert_close(scale_target(starts, 0, scale), torch.tensor([-1.0, 0.0, 1.0]))


def test_the_target_follows_the_crop() -> None:
    scale = SCALES.judged[-1]
    upper, lower = (scale_target(torch.tensor([-3.0]), row, scale) for row in (0, 32))
    assert float(lower - upper) == pytest.approx(32 / (scale.room_px / 2))


def test_whole_views_never_lie_beyond_the_view() -> None:
    everywhere = SCALES.changed(beyond=0.9, batch=64)
    drawn = draw(
        everywhere, everywhere.judged[0], 64, step_rng(0, 0, 0), device=torch.device("cpu"), dtype=torch.float32
    )
    rows = torch.atanh(drawn.coordinates[:, 0, 20, 0].double()) / 0.3
    assert float(rows.abs().max()) < 4


# What a step generates


def drawn_by(index: int, **changes: Any) -> tuple[Generator, Any]:
    made_by = SCALES.changed(**changes)
    scale = made_by.judged[index]
    generator = random_generator(made_by.generator_config, seed=0)
    d = draw(made_by, scale, 2, step_rng(0, 1, 0), device=torch.device("cpu"), dtype=torch.float32)
    return generator.coarser(scale.halvings), d


@pytest.mark.parametrize("fusion", [0.0, 1.0])
@pytest.mark.parametrize("index", range(4), ids=NAMES)
def test_a_step_generates_patches_of_its_scale(index: int, fusion: float) -> None:
    images, z_s, _ = generate(*drawn_by(index, fusion=fusion))
    scale = SCALES.judged[index]
    assert images.shape == (2, 3, scale.patch_px, scale.patch_px)
    assert z_s.shape[-2:] == (scale.cells, scale.cells)


def test_fused_steps_have_weights_that_sum_to_one() -> None:
    weights = drawn_by(1, fusion=1.0)[1].weights
    assert isinstance(weights, StyleWeights)
    for maps in (weights.structure, *weights.texture):
        torch.testing.assert_close(maps.sum(1), torch.ones_like(maps[:, 0]))


def test_a_share_of_steps_is_fused() -> None:
    half, scale = SCALES.changed(fusion=0.5), SCALES.judged[0]
    fused = [
        draw(half, scale, 2, step_rng(0, step, 0), device=torch.device("cpu"), dtype=torch.float32).weights is not None
        for step in range(60)
    ]
    assert 15 < sum(fused) < 45


# Photographs


def test_photographs_join_at_the_scales_that_their_pixels_allow(photos: Path) -> None:
    pyramid, _ = PhotoPyramid.open(photos, COARSE.judged)
    assert [len(s) for s in pyramid.sets] == [4, 4, 4, 3]


def test_views_of_every_scale_are_those_of_the_photographs(photos: Path) -> None:
    pyramid, _ = PhotoPyramid.open(photos, COARSE.judged)
    assert [min(s.view(0).shape[:2]) for s in pyramid.sets] == [25, 50, 100, 200]


def test_photographs_are_read_once_for_all_scales(photos: Path) -> None:
    seen: list[tuple[int, int]] = []
    PhotoPyramid.open(photos, COARSE.judged, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_scale_without_a_large_enough_photograph_is_refused_with_the_sizes_found(photos: Path) -> None:
    with pytest.raises(InputError, match=r"no photograph with a short side of 394 px.*good for views of 197 px"):
        PhotoPyramid.open(photos, SCALES.judged)


def test_one_scale_has_the_fingerprint_of_its_set(photos: Path) -> None:
    pyramid, _ = PhotoPyramid.open(photos, COARSE.judged[:1])
    assert pyramid.fingerprint == pyramid.sets[0].fingerprint


# Runs


def test_the_log_names_the_view_of_every_term(whole: RunFolder) -> None:
    terms = [next(name for name in r if name.startswith("d_adversarial")) for r in records(whole)]
    assert terms[:5] == [f"d_adversarial_view{view}" for view in (25, 50, 100, 200, 25)]


def test_a_step_changes_the_discriminator_of_its_scale_alone(photos: Path, tmp_path: Path) -> None:
    trainer = begin(photos, tmp_path / "a", steps=2, made_by=QUICK).trainer
    heads = [[p.clone() for p in critic.heads.parameters()] for critic in trainer.state.discriminators]
    trainer.stepper.step()
    changed = [
        any(not a.equal(b) for a, b in zip(before, critic.heads.parameters(), strict=True))
        for before, critic in zip(heads, trainer.state.discriminators, strict=True)
    ]
    assert changed == [True, False, False, False]


def test_discriminators_share_the_frozen_network(photos: Path, tmp_path: Path) -> None:
    critics = begin(photos, tmp_path / "a", steps=1, made_by=QUICK).trainer.state.discriminators
    assert len({id(critic.network) for critic in critics}) == len({id(critic.projection) for critic in critics}) == 1


def test_the_model_states_its_scales_and_view(whole: RunFolder) -> None:
    config = Generator.from_pretrained(whole.model).config
    assert (config.scales, config.view_px) == ((3, 4, 5, 6), 200)


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(
    stop: int, whole: RunFolder, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    with pytest.raises(KeyboardInterrupt):
        train(photos, folder, steps=9, made_by=QUICK, checkpoint_every=stop, report=stop_at(stop + 1))
    resumed = train(photos, folder, steps=9, made_by=QUICK, resume=True)
    assert differences(saved(resumed), saved(whole)) == []


def test_a_run_is_not_resumed_with_other_scales(whole: RunFolder, photos: Path) -> None:
    fewer = QUICK.changed(scale_shares=(2, 1, 1, 1))
    with pytest.raises(InputError, match=r"another recipe \(scale_shares \[\] -> \[2, 1, 1, 1\]\)"):
        begin(photos, whole.path, steps=10, made_by=fewer, resume=True)


def test_only_the_discriminators_learn_during_the_warmup(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=4, made_by=QUICK.changed(warmup_steps=4))
    before = [p.clone() for p in run.trainer.state.generator.parameters()]
    run.train(nothing)
    assert all(a.equal(b) for a, b in zip(before, run.trainer.state.generator.parameters(), strict=True))


# Refusals


@pytest.mark.parametrize(
    ("changes", "said"),
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
def test_impossible_scales_are_refused_in_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        SCALES.changed(**changes)
    assert "\n" not in str(refusal.value)
