import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from infgen.errors import DivergenceError, InputError
from infgen.model.generator import Generator
from infgen.train import losses, start
from infgen.train.checkpoint import RunFolder
from infgen.train.loop import Schedule, StopReason, Trainer
from infgen.train.networks.projected import ProjectedDiscriminator
from infgen.train.presets import Recipe, find_recipe
from infgen.train.processes import Processes
from infgen.train.state import lazy_adam
from infgen.train.step import ADVERSARIAL_LOSSES, LossTerms
from tests.train.photos import save_landscapes
from tests.train.runs import (
    PROJECTED,
    SMALL,
    begin,
    differences,
    ignore_step,
    list_files,
    load_state,
    read_log,
    stop_at,
    train,
)

pytestmark = pytest.mark.usefixtures("small_sheets")

ALWAYS = {"d_adversarial", "d_position", "g_adversarial", "g_position", "g_diversity"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def full_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of four steps without interruption, with checkpoints after 2 and 4."""
    return train(photos, tmp_path_factory.mktemp("whole"), steps=4, checkpoint_every=2)


# Results of a run


def test_every_step_is_logged_once_and_in_order(full_run: RunFolder) -> None:
    assert [r["step"] for r in read_log(full_run)] == [1, 2, 3, 4]


def test_the_log_holds_every_loss_term_and_the_lazy_ones_when_they_are_due(full_run: RunFolder) -> None:
    for record in read_log(full_run):
        lazy = {"d_r1", "g_path"} if record["step"] % 2 else set()
        assert set(record) == {"step"} | ALWAYS | lazy


def test_the_logged_values_are_finite(full_run: RunFolder) -> None:
    assert all(math.isfinite(value) for record in read_log(full_run) for value in record.values())


def test_a_run_writes_these_files_and_no_others(full_run: RunFolder) -> None:
    sheet = "samples/0000004.png"
    assert list_files(full_run.path) == [
        "lock",
        "log.jsonl",
        "model.safetensors",
        "recipe.json",
        "samples",
        sheet,
        "state.pt",
    ]


def test_the_report_gets_every_step_and_the_logged_terms(photos: Path, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    folder = train(photos, tmp_path / "a", steps=2, report=lambda step, terms: seen.append({"step": step, **terms}))
    assert seen == read_log(folder)


def test_sample_sheets_are_written_when_they_are_due_and_at_the_end(photos: Path, tmp_path: Path) -> None:
    folder = train(photos, tmp_path / "a", steps=3, sample_every=2)
    assert list_files(folder.samples) == ["0000002.png", "0000003.png"]


def test_training_changes_every_parameter_of_both_networks(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=2)
    state = run.trainer.state
    before = {n: p.clone() for m in (state.generator, state.discriminators) for n, p in m.named_parameters()}
    run.train(ignore_step)
    after = {n: p for m in (state.generator, state.discriminators) for n, p in m.named_parameters()}
    assert [n for n in before if before[n].equal(after[n])] == []


def test_another_seed_gives_another_run(full_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    other = train(photos, tmp_path / "a", steps=1, seed=1)
    assert read_log(other)[0] != read_log(full_run)[0]


def test_training_leaves_the_global_random_numbers_alone(photos: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    train(photos, tmp_path / "a", steps=1)
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.parametrize(
    ("weight", "term"), [("diversity_weight", "g_diversity"), ("r1_weight", "d_r1"), ("path_weight", "g_path")]
)
def test_a_weight_of_zero_switches_its_term_off(weight: str, term: str, photos: Path, tmp_path: Path) -> None:
    folder = train(photos, tmp_path / "a", steps=1, recipe=SMALL.with_values(**{weight: 0.0}))
    assert (ALWAYS | {"d_r1", "g_path"}) - set(read_log(folder)[0]) == {term}


@pytest.mark.parametrize("system", ["texture", "object"])
def test_the_other_coordinate_systems_train(system: str, photos: Path, tmp_path: Path) -> None:
    recipe = SMALL.with_values(coordinates=system, position_weight=0.0, r1_weight=0.0, path_weight=0.0)
    folder = train(photos, tmp_path / "a", steps=1, recipe=recipe)
    assert Generator.from_pretrained(folder.model).config.coordinates == system


def test_the_feature_network_is_never_trained(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=1, recipe=PROJECTED)
    (discriminator,) = run.trainer.state.discriminators
    assert isinstance(discriminator, ProjectedDiscriminator)
    frozen = (discriminator.network, discriminator.projection)
    before = [p.clone() for m in frozen for p in m.parameters()]
    run.train(ignore_step)
    assert all(a.equal(b) for a, b in zip(before, (p for m in frozen for p in m.parameters()), strict=True))


def test_all_trained_parameters_require_gradients_after_a_step(photos: Path, tmp_path: Path) -> None:
    trainer = begin(photos, tmp_path / "a", steps=1).trainer
    trainer.stepper.step()
    assert all(p.requires_grad for m in (trainer.state.generator, trainer.state.discriminators) for p in m.parameters())


# EMA and optimisers


@pytest.mark.parametrize(("done", "decay"), [(0, 0.1), (10, 11 / 20), (10**6, 0.75)])
def test_the_ema_decay_is_small_at_the_start(done: int, decay: float, photos: Path, tmp_path: Path) -> None:
    trainer = begin(photos, tmp_path / "a", steps=1, recipe=SMALL.with_values(ema=0.75)).trainer
    state = trainer.state
    state.step = done
    before = [p.clone() for p in state.ema.parameters()]
    trainer.stepper.step()
    for old, new, now in zip(before, state.generator.parameters(), state.ema.parameters(), strict=True):
        torch.testing.assert_close(now, decay * old + (1 - decay) * new.detach())


@pytest.mark.parametrize(("every", "ratio"), [(None, 1.0), (16, 16 / 17), (4, 4 / 5)])
def test_the_optimiser_is_corrected_for_lazy_regularisers(every: int | None, ratio: float) -> None:
    (group,) = lazy_adam(torch.nn.Linear(1, 1), 2e-3, every=every).param_groups
    assert group["lr"] == pytest.approx(2e-3 * ratio)
    assert group["betas"] == pytest.approx((0.0, 0.99**ratio))


# Resuming


@pytest.mark.parametrize("stop", [3, 4])
def test_an_interrupted_run_continues_exactly(stop: int, full_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(photos, tmp_path / "a", steps=4, checkpoint_every=2, report=stop_at(stop))
    torch.manual_seed(stop)
    folder = train(photos, tmp_path / "a", steps=4, checkpoint_every=2, resume=True)
    assert differences(load_state(folder), load_state(full_run)) == []
    assert folder.model.read_bytes() == full_run.model.read_bytes()
    assert folder.log_file.read_bytes() == full_run.log_file.read_bytes()


def test_a_finished_run_trains_further_as_if_it_had_not_stopped(
    full_run: RunFolder, photos: Path, tmp_path: Path
) -> None:
    train(photos, tmp_path / "a", steps=3)
    folder = train(photos, tmp_path / "a", steps=4, resume=True)
    assert differences(load_state(folder), load_state(full_run)) == []
    assert folder.log_file.read_bytes() == full_run.log_file.read_bytes()


def test_a_run_with_the_projected_discriminator_in_half_precision_continues_exactly(
    photos: Path, tmp_path: Path
) -> None:
    full_run = train(photos, tmp_path / "whole", steps=2, recipe=PROJECTED, precision="bf16")
    train(photos, tmp_path / "a", steps=1, recipe=PROJECTED, precision="bf16")
    folder = train(photos, tmp_path / "a", steps=2, recipe=PROJECTED, precision="bf16", resume=True)
    assert differences(load_state(folder), load_state(full_run)) == []
    assert folder.log_file.read_bytes() == full_run.log_file.read_bytes()


def test_after_an_interrupt_before_the_first_checkpoint_a_new_run_can_start(
    full_run: RunFolder, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(photos, tmp_path / "a", steps=4, report=stop_at(1))
    folder = train(photos, tmp_path / "a", steps=1)
    assert read_log(folder) == read_log(full_run)[:1]


def test_resuming_a_finished_run_changes_nothing(full_run: RunFolder, photos: Path) -> None:
    before = [path.stat().st_mtime_ns for path in (full_run.state, full_run.log_file, full_run.model)]
    run = begin(photos, full_run.path, steps=4, resume=True)
    assert run.train(lambda step, terms: pytest.fail("it trained on")) is StopReason.STEPS
    assert [path.stat().st_mtime_ns for path in (full_run.state, full_run.log_file, full_run.model)] == before


# Divergence


def make_broken_loss(value: float) -> Callable[..., Tensor]:
    """Make a loss function that returns ``value`` with a defined gradient."""

    def loss(*values: object, **options: object) -> Tensor:
        return torch.tensor(value, requires_grad=True)

    return loss


def break_term(patch: pytest.MonkeyPatch, term: str, value: float) -> None:
    loss = make_broken_loss(value)
    functions = {"d_position": "position", "g_diversity": "diversity", "d_r1": "r1_penalty"}
    if term in functions:
        patch.setattr(losses, functions[term], loss)
    elif term == "g_path":
        patch.setattr(losses, "path_penalty", lambda lengths, mean: (loss(), mean))
    else:
        side = {"d_adversarial": "discriminator", "g_adversarial": "generator"}[term]
        patch.setitem(ADVERSARIAL_LOSSES, "paper", replace(ADVERSARIAL_LOSSES["paper"], **{side: loss}))


@pytest.mark.parametrize("term", ["d_adversarial", "d_position", "g_adversarial", "g_diversity", "d_r1", "g_path"])
def test_a_loss_that_is_nan_stops_the_run_and_is_named(
    term: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_term(monkeypatch, term, math.nan)
    with pytest.raises(DivergenceError, match=rf"training diverged at step 1: loss term {term} is nan"):
        train(photos, tmp_path / "a", steps=2)


def only_term(value: float) -> dict[str, float]:
    terms = LossTerms()
    terms.add("x", torch.tensor(value))
    return terms.means(Processes("cpu"), step=1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.1e5, -1.1e5])
def test_a_value_that_is_not_finite_or_too_large_is_refused(value: float) -> None:
    with pytest.raises(DivergenceError, match="loss term x is"):
        only_term(value)


@pytest.mark.parametrize("value", [0.0, 9.9e4, -9.9e4])
def test_a_large_value_is_kept(value: float) -> None:
    assert only_term(value) == {"x": pytest.approx(value)}


@pytest.fixture(scope="module")
def diverged_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose generator is set to NaN after step 3, one step after a checkpoint."""
    run = begin(photos, tmp_path_factory.mktemp("diverged"), steps=4, checkpoint_every=2)

    def set_nan(step: int, terms: dict[str, float]) -> None:
        if step == 3:
            next(run.trainer.state.generator.parameters()).data.fill_(math.nan)

    with pytest.raises(DivergenceError, match=r"at step 4: loss term d_adversarial is nan"):
        run.train(set_nan)
    return run.folder


def test_nothing_is_logged_after_the_last_good_step(diverged_run: RunFolder) -> None:
    assert [r["step"] for r in read_log(diverged_run)] == [1, 2, 3]


def test_the_last_good_checkpoint_can_be_resumed_after_a_divergence(
    diverged_run: RunFolder, full_run: RunFolder, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(diverged_run.path, tmp_path / "a")
    folder = train(photos, tmp_path / "a", steps=4, resume=True)
    assert folder.log_file.read_bytes() == full_run.log_file.read_bytes()


def test_the_model_of_the_last_good_checkpoint_loads_after_a_divergence(diverged_run: RunFolder) -> None:
    Generator.from_pretrained(diverged_run.model)


def test_weights_that_are_not_finite_are_not_saved(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=2, checkpoint_every=1)

    def set_nan(step: int, terms: dict[str, float]) -> None:
        if step == 2:  # the losses are finite, and a gradient overflows
            next(run.trainer.state.generator.parameters()).data[0] = math.inf

    with pytest.raises(DivergenceError, match=r"diverged at step 2: the generator has weights that are not finite"):
        run.train(set_nan)
    assert load_state(run.folder)["step"] == 1
    Generator.from_pretrained(run.folder.model)


# Refusals before anything is read or written


def start_error(photos: Path, out: Path, recipe: Recipe = SMALL, **schedule: Any) -> str:
    with pytest.raises(InputError) as caught:
        start(photos, recipe, Schedule(steps=1, **schedule), out=out)
    return str(caught.value)


def test_a_missing_device_is_refused_before_photographs_are_read(tmp_path: Path) -> None:
    assert "device 'nonsense' cannot be used here" in start_error(
        tmp_path / "no photographs", tmp_path, device="nonsense"
    )


def test_a_run_folder_inside_the_photographs_is_refused(photos: Path) -> None:
    assert "is inside data folder" in start_error(photos, photos / "runs" / "a", device="cpu")
    assert not (photos / "runs").exists()


def test_a_width_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"width 0\.001 is out of range"):
        SMALL.with_values(width=0.001)


def test_without_a_usable_photograph_no_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    start_error(tmp_path / "photos", tmp_path / "runs" / "a", device="cpu")
    assert list_files(tmp_path) == ["photos"]


def test_the_summary_lists_photographs_networks_and_hardware(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=5, recipe=find_recipe("tiny"), seed=3)
    lines = run.summary().splitlines()
    assert lines[:2] == ["3 photographs, 0 skipped", "scale 1: 101 px of 197, 3 photographs"]
    assert lines[2].endswith("paper discriminator; batch 4")
    assert lines[3] == f"step 0 to 5 on cpu, fp32, seed 3; {tmp_path / 'a'}"


def test_the_first_step_of_a_run_depends_only_on_its_seed(photos: Path, tmp_path: Path) -> None:
    one = begin(photos, tmp_path / "a", steps=1).trainer
    other = Trainer(SMALL, one.photos, Schedule(steps=100, device="cpu"))
    assert one.stepper.step() == other.stepper.step()
