"""How a run ends, what it keeps as best, what it starts from, and its curves."""

import math
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from infgen.errors import InputError
from infgen.model.generator import Generator
from infgen.train import start
from infgen.train.checkpoint import RunFolder
from infgen.train.judge import judge_by
from infgen.train.loop import End, Judge, Report, Schedule
from infgen.train.presets import ABLATIONS, Recipe, ablate
from infgen.train.state import State
from infgen.train.stopping import stop_requests
from tests.train.photos import save_landscapes
from tests.train.runs import PROJECTED, SMALL, begin, differences, nothing, records, saved, train

pytestmark = pytest.mark.usefixtures("small_sheets")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(photos, tmp_path_factory.mktemp("whole"), steps=4)


def send(number: signal.Signals, *, at: int) -> Report:
    """A report that sends this process a signal after step ``at``."""

    def report(step: int, terms: dict[str, float]) -> None:
        if step == at:
            os.kill(os.getpid(), number)

    return report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step_with_a_checkpoint(
    number: signal.Signals, photos: Path, tmp_path: Path
) -> None:
    run = begin(photos, tmp_path / "a", steps=9)
    assert run.train(send(number, at=2)) is End.SIGNAL
    assert saved(run.folder)["step"] == 2


def test_a_run_that_was_stopped_by_a_signal_continues_exactly(whole: RunFolder, photos: Path, tmp_path: Path) -> None:
    begin(photos, tmp_path / "a", steps=4).train(send(signal.SIGTERM, at=3))
    folder = train(photos, tmp_path / "a", steps=4, resume=True)
    assert differences(saved(folder), saved(whole)) == []


def test_the_second_signal_interrupts_at_once() -> None:
    with stop_requests() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.made
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_signals_mean_afterwards_what_they_meant_before() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with stop_requests():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_run_ends_when_its_hours_are_over(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=9, hours=1e-9)
    assert run.train(nothing) is End.HOURS
    assert saved(run.folder)["step"] == 1


def test_a_run_with_time_left_ends_with_its_steps(photos: Path, tmp_path: Path) -> None:
    assert begin(photos, tmp_path / "a", steps=1, hours=1.0).train(nothing) is End.STEPS


# Rates that fall


def rates(state: State) -> list[float]:
    """The rates of the last step: generator's and discriminator's."""
    return [o.param_groups[0]["lr"] for o in (state.generator_optimizer, state.discriminator_optimizer)]


@pytest.mark.parametrize("recipe", [SMALL, PROJECTED], ids=["paper", "projected"])
def test_the_rates_of_every_step_are_shares_of_the_first_ones(recipe: Recipe, photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=4, made_by=recipe.changed(decay_steps=4))
    first, seen = rates(run.trainer.state), []
    run.train(lambda step, terms: seen.append(rates(run.trainer.state)))
    assert seen == [[share * rate for rate in first] for share in (1, 0.75, 0.5, 0.25)]


def test_falling_rates_are_what_the_networks_are_trained_with(whole: RunFolder, photos: Path, tmp_path: Path) -> None:
    folder = train(photos, tmp_path / "a", steps=4, made_by=SMALL.changed(decay_steps=4))
    same = [a["d_adversarial"] == b["d_adversarial"] for a, b in zip(records(folder), records(whole), strict=True)]
    assert same == [True, True, False, False]  # of the second step, the first with lower rates, it comes before them


def test_falling_rates_go_on_exactly_where_a_run_was_stopped(photos: Path, tmp_path: Path) -> None:
    falling = SMALL.changed(decay_steps=5)
    begin(photos, tmp_path / "a", steps=4, made_by=falling).train(send(signal.SIGTERM, at=2))
    stopped = train(photos, tmp_path / "a", steps=4, made_by=falling, resume=True)
    assert differences(saved(stopped), saved(train(photos, tmp_path / "b", steps=4, made_by=falling))) == []


def test_a_run_that_starts_from_one_whose_rates_fell_has_its_own(photos: Path, tmp_path: Path) -> None:
    old = train(photos, tmp_path / "a", steps=2, made_by=SMALL.changed(decay_steps=2))
    run = start(photos, SMALL, Schedule(steps=1, device="cpu"), out=tmp_path / "b", init=old.path)
    run.train(nothing)
    assert rates(run.trainer.state) == rates(begin(photos, tmp_path / "c", steps=1).trainer.state)


# The best model


def judged(photos: Path, out: Path, values: list[float], **schedule: object) -> RunFolder:
    """A run of as many steps as ``values``, judged after each with one of them."""
    left = iter(values)
    run = start(
        photos,
        SMALL,
        Schedule(steps=len(values), judge_every=1, checkpoint_every=1, device="cpu", **schedule),  # type: ignore[arg-type]
        out=out,
        make_judge=lambda photos, device: Judge("distance", lambda generator: next(left)),
    )
    run.train(nothing)
    return run.folder


def test_the_best_judged_model_is_kept_and_the_log_says_every_judgement(photos: Path, tmp_path: Path) -> None:
    folder = judged(photos, tmp_path / "a", [3.0, 1.0, 2.0])
    assert [r["distance"] for r in records(folder)] == [3.0, 1.0, 2.0]
    assert saved(folder)["best"] == {"value": 1.0, "step": 2.0}


def test_the_best_model_is_the_average_of_its_step(photos: Path, tmp_path: Path) -> None:
    best = judged(photos, tmp_path / "a", [3.0, 1.0, 2.0]).best
    assert best.read_bytes() == train(photos, tmp_path / "b", steps=2).model.read_bytes()


def test_without_a_judge_there_is_no_best_model(whole: RunFolder) -> None:
    assert not whole.best.exists()


def test_a_measure_that_is_not_a_number_is_never_the_best(photos: Path, tmp_path: Path) -> None:
    assert saved(judged(photos, tmp_path / "a", [math.nan, 2.0]))["best"] == {"value": 2.0, "step": 2.0}


def test_a_model_is_not_judged_by_the_network_it_is_trained_against() -> None:
    with pytest.raises(InputError, match="cannot judge a model trained against the same network"):
        judge_by("fd-effnet", PROJECTED, n=10)


def test_the_judge_measures_a_distance_from_the_photographs(photos: Path, tmp_path: Path) -> None:
    run = start(
        photos,
        SMALL,
        Schedule(steps=1, device="cpu"),
        out=tmp_path / "a",
        make_judge=judge_by("fd-effnet", SMALL, n=4),
    )
    run.train(nothing)
    assert records(run.folder)[-1]["fd_effnet"] > 0


# What a run starts from


def test_a_run_starts_from_the_networks_of_another_run(whole: RunFolder, photos: Path, tmp_path: Path) -> None:
    changed = SMALL.changed(diversity_weight=0.5)
    run = start(photos, changed, Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=whole.path)
    state = saved(whole)
    assert run.trainer.state.step == 0
    assert differences(run.trainer.state.discriminators.state_dict(), state["discriminators"]) == []
    assert differences(run.trainer.state.generator.state_dict(), state["generator"]) == []


def test_a_run_that_starts_from_another_keeps_its_own_learning_rates(
    whole: RunFolder, photos: Path, tmp_path: Path
) -> None:
    slow = SMALL.changed(generator_rate=3e-4, discriminator_rate=5e-5)
    state = start(photos, slow, Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=whole.path).trainer.state
    fresh = begin(photos, tmp_path / "b", steps=1, made_by=slow).trainer.state
    for name in ("generator_optimizer", "discriminator_optimizer"):
        mine, theirs = (getattr(s, name).state_dict() for s in (state, fresh))
        assert mine["param_groups"] == theirs["param_groups"]
        assert differences(mine["state"], saved(whole)[name]["state"]) == []


def test_a_run_starts_from_the_generator_of_a_model_file(whole: RunFolder, photos: Path, tmp_path: Path) -> None:
    run = start(photos, SMALL, Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=whole.model)
    model = Generator.from_pretrained(whole.model).state_dict()
    assert differences(run.trainer.state.generator.state_dict(), model) == []
    assert differences(run.trainer.state.ema.state_dict(), model) == []


def test_another_discriminator_starts_afresh(whole: RunFolder, photos: Path, tmp_path: Path) -> None:
    run = start(photos, PROJECTED, Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=whole.path)
    assert differences(run.trainer.state.generator.state_dict(), saved(whole)["generator"]) == []


def test_a_start_from_another_size_is_refused(whole: RunFolder, photos: Path, tmp_path: Path) -> None:
    for init in (whole.path, whole.model):
        with pytest.raises(InputError, match=r"has global_channels 16 and this recipe 8; choose the preset"):
            start(photos, SMALL.changed(width=0.5), Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=init)


def test_resuming_and_starting_from_something_at_once_is_refused(
    whole: RunFolder, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="give one of them"):
        start(photos, SMALL, Schedule(steps=9, device="cpu"), out=whole.path, init=whole.model, resume=True)


# Micro-batches, ADA, TensorBoard


def test_micro_batches_use_every_photograph_of_the_batch_once(photos: Path, tmp_path: Path) -> None:
    stepper = begin(photos, tmp_path / "a", steps=1, made_by=SMALL.changed(batch=8, micro_batch=2)).trainer.stepper
    stepper.state.step = 3
    images = torch.cat([stepper._real(i).images for i in stepper.shares])
    batch = stepper.photos.sets[0].batch(range(24, 32), seed=0, device=torch.device("cpu"))
    assert images.equal(batch.images)


@pytest.mark.parametrize("made_by", [SMALL, PROJECTED])
def test_the_gradient_over_micro_batches_is_the_mean_of_theirs(made_by, photos: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    stepper = begin(photos, tmp_path / "a", steps=1, made_by=made_by.changed(batch=4, micro_batch=2)).trainer.stepper
    network, optimizer = stepper.state.generator, stepper.state.generator_optimizer
    weight = network.texture.convs[0].conv.weight
    seen = []
    for factor in (1.0, 3.0, None):
        loss = lambda i, f=factor: weight.square().sum() * (f if f is not None else (1.0, 3.0)[i])  # noqa: E731
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(optimizer, "step", lambda: None)
            stepper._update(network, optimizer, loss)
        assert weight.grad is not None
        seen.append(weight.grad.clone())
    torch.testing.assert_close(seen[2], (seen[0] + seen[1]) / 2)


def test_ada_moves_its_probability_every_fourth_step_and_resumes_with_it(photos: Path, tmp_path: Path) -> None:
    made_by = SMALL.changed(augment="ada", r1_weight=0.0, path_weight=0.0)
    whole = train(photos, tmp_path / "whole", steps=5, made_by=made_by)
    probabilities = [r["augment_p"] for r in records(whole)]
    assert probabilities[:3] == [0.0, 0.0, 0.0]
    train(photos, tmp_path / "a", steps=2, made_by=made_by)
    folder = train(photos, tmp_path / "a", steps=5, made_by=made_by, resume=True)
    assert differences(saved(folder), saved(whole)) == []


def test_tensorboard_gets_curves_and_sheets_and_a_resumed_run_repeats_no_step(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # resumed within the second, after which its files are named
    train(photos, tmp_path / "a", steps=2, tensorboard=True, sample_every=1)
    folder = train(photos, tmp_path / "a", steps=3, tensorboard=True, resume=True)
    files = sorted(folder.board.iterdir())
    assert len(files) == 2
    content = b"".join(f.read_bytes() for f in files)
    assert b"d_adversarial" in content
    assert b"samples" in content


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_every_ablation_trains(name: str, photos: Path, tmp_path: Path) -> None:
    folder = train(photos, tmp_path / "a", steps=1, made_by=ablate(SMALL, name))
    assert Generator.from_pretrained(folder.model).config == ablate(SMALL, name).generator_config
