"""The end of a run, its best model, its initial networks, and its curves."""

import math
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from infgen.errors import InputError
from infgen.model.generator import Generator
from infgen.train import evaluation, start
from infgen.train.checkpoint import RunFolder
from infgen.train.judge import make_judge_factory
from infgen.train.loop import Judge, Schedule, StepReport, StopReason
from infgen.train.presets import ABLATIONS, Recipe, ablate
from infgen.train.state import TrainingState
from infgen.train.stopping import stop_requests
from tests.train.photos import save_landscapes
from tests.train.runs import PROJECTED, SMALL, begin, differences, ignore_step, load_state, read_log, train

pytestmark = pytest.mark.usefixtures("small_sheets")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def full_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(photos, tmp_path_factory.mktemp("whole"), steps=4)


def send(number: signal.Signals, *, at: int) -> StepReport:
    """Make a report callback that sends this process a signal after step ``at``."""

    def report(step: int, terms: dict[str, float]) -> None:
        if step == at:
            os.kill(os.getpid(), number)

    return report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step_with_a_checkpoint(
    number: signal.Signals, photos: Path, tmp_path: Path
) -> None:
    run = begin(photos, tmp_path / "a", steps=9)
    assert run.train(send(number, at=2)) is StopReason.SIGNAL
    assert load_state(run.folder)["step"] == 2


def test_a_run_that_was_stopped_by_a_signal_continues_exactly(
    full_run: RunFolder, photos: Path, tmp_path: Path
) -> None:
    begin(photos, tmp_path / "a", steps=4).train(send(signal.SIGTERM, at=3))
    folder = train(photos, tmp_path / "a", steps=4, resume=True)
    assert differences(load_state(folder), load_state(full_run)) == []


def test_the_second_signal_interrupts_at_once() -> None:
    with stop_requests() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_signal_handlers_are_restored_afterwards() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with stop_requests():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_run_ends_when_its_hours_are_over(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=9, hours=1e-9)
    assert run.train(ignore_step) is StopReason.HOURS
    assert load_state(run.folder)["step"] == 1


def test_a_run_with_time_left_ends_with_its_steps(photos: Path, tmp_path: Path) -> None:
    assert begin(photos, tmp_path / "a", steps=1, hours=1.0).train(ignore_step) is StopReason.STEPS


# Learning rate decay


def learning_rates(state: TrainingState) -> list[float]:
    """Learning rates of the last step: the generator's and the discriminator's."""
    return [o.param_groups[0]["lr"] for o in (state.generator_optimizer, state.discriminator_optimizer)]


@pytest.mark.parametrize("recipe", [SMALL, PROJECTED], ids=["paper", "projected"])
def test_the_learning_rates_decay_linearly(recipe: Recipe, photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=4, recipe=recipe.with_values(decay_steps=4))
    first, seen = learning_rates(run.trainer.state), []
    run.train(lambda step, terms: seen.append(learning_rates(run.trainer.state)))
    assert seen == [[share * rate for rate in first] for share in (1, 0.75, 0.5, 0.25)]


def test_the_networks_are_trained_with_the_decayed_rates(full_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    folder = train(photos, tmp_path / "a", steps=4, recipe=SMALL.with_values(decay_steps=4))
    same = [a["d_adversarial"] == b["d_adversarial"] for a, b in zip(read_log(folder), read_log(full_run), strict=True)]
    assert same == [
        True,
        True,
        False,
        False,
    ]  # the second step computes this term before its first lower rate applies


def test_a_stopped_run_with_decay_continues_exactly(photos: Path, tmp_path: Path) -> None:
    decaying = SMALL.with_values(decay_steps=5)
    begin(photos, tmp_path / "a", steps=4, recipe=decaying).train(send(signal.SIGTERM, at=2))
    stopped = train(photos, tmp_path / "a", steps=4, recipe=decaying, resume=True)
    assert differences(load_state(stopped), load_state(train(photos, tmp_path / "b", steps=4, recipe=decaying))) == []


def test_a_run_started_from_one_with_decay_has_its_own_rates(photos: Path, tmp_path: Path) -> None:
    old = train(photos, tmp_path / "a", steps=2, recipe=SMALL.with_values(decay_steps=2))
    run = start(photos, SMALL, Schedule(steps=1, device="cpu"), out=tmp_path / "b", init=old.path)
    run.train(ignore_step)
    assert learning_rates(run.trainer.state) == learning_rates(begin(photos, tmp_path / "c", steps=1).trainer.state)


# The best model


def train_with_judge(photos: Path, out: Path, values: list[float], **schedule: object) -> RunFolder:
    """Train one step per value in ``values``, each measured by the judge as that value."""
    remaining = iter(values)
    run = start(
        photos,
        SMALL,
        Schedule(steps=len(values), judge_every=1, checkpoint_every=1, device="cpu", **schedule),  # type: ignore[arg-type]
        out=out,
        judge_factory=lambda photos, device: Judge("distance", lambda generator: next(remaining)),
    )
    run.train(ignore_step)
    return run.folder


def test_the_best_model_is_kept_and_every_measurement_is_logged(photos: Path, tmp_path: Path) -> None:
    folder = train_with_judge(photos, tmp_path / "a", [3.0, 1.0, 2.0])
    assert [r["distance"] for r in read_log(folder)] == [3.0, 1.0, 2.0]
    assert load_state(folder)["best"] == {"value": 1.0, "step": 2.0}


def test_the_best_model_is_the_ema_of_its_step(photos: Path, tmp_path: Path) -> None:
    best = train_with_judge(photos, tmp_path / "a", [3.0, 1.0, 2.0]).best
    assert best.read_bytes() == train(photos, tmp_path / "b", steps=2).model.read_bytes()


def test_without_a_judge_there_is_no_best_model(full_run: RunFolder) -> None:
    assert not full_run.best.exists()


def test_a_measurement_that_is_nan_is_never_the_best(photos: Path, tmp_path: Path) -> None:
    assert load_state(train_with_judge(photos, tmp_path / "a", [math.nan, 2.0]))["best"] == {"value": 2.0, "step": 2.0}


def test_a_model_is_not_measured_with_the_network_of_its_discriminator() -> None:
    with pytest.raises(InputError, match="cannot measure a model trained against the same network"):
        make_judge_factory("fd-effnet", PROJECTED, n=10)


def test_the_standard_network_can_be_the_judge(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def load(name: str, files: evaluation.WeightFiles, **_: object) -> None:
        asked.append((name, files.inception))
        raise InputError("that is enough")

    monkeypatch.setattr(evaluation, "load_network", load)
    judge = make_judge_factory("fid", PROJECTED, n=2, inception_weights=Path("weights.pth"))
    with pytest.raises(InputError, match="that is enough"):
        start(photos, SMALL, Schedule(steps=1, device="cpu"), out=tmp_path / "a", judge_factory=judge)
    assert asked == [("inception", Path("weights.pth"))]


def test_the_judge_measures_a_distance_from_the_photographs(photos: Path, tmp_path: Path) -> None:
    run = start(
        photos,
        SMALL,
        Schedule(steps=1, device="cpu"),
        out=tmp_path / "a",
        judge_factory=make_judge_factory("fd-effnet", SMALL, n=4),
    )
    run.train(ignore_step)
    assert read_log(run.folder)[-1]["fd_effnet"] > 0


# Initial networks


def test_a_run_starts_from_the_networks_of_another_run(full_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    changed = SMALL.with_values(diversity_weight=0.5)
    run = start(photos, changed, Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=full_run.path)
    state = load_state(full_run)
    assert run.trainer.state.step == 0
    assert differences(run.trainer.state.discriminators.state_dict(), state["discriminators"]) == []
    assert differences(run.trainer.state.generator.state_dict(), state["generator"]) == []


def test_a_run_that_starts_from_another_keeps_its_own_learning_rates(
    full_run: RunFolder, photos: Path, tmp_path: Path
) -> None:
    slow = SMALL.with_values(generator_rate=3e-4, discriminator_rate=5e-5)
    state = start(photos, slow, Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=full_run.path).trainer.state
    new_state = begin(photos, tmp_path / "b", steps=1, recipe=slow).trainer.state
    for name in ("generator_optimizer", "discriminator_optimizer"):
        mine, theirs = (getattr(s, name).state_dict() for s in (state, new_state))
        assert mine["param_groups"] == theirs["param_groups"]
        assert differences(mine["state"], load_state(full_run)[name]["state"]) == []


def test_a_run_starts_from_the_generator_of_a_model_file(full_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    run = start(photos, SMALL, Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=full_run.model)
    model = Generator.from_pretrained(full_run.model).state_dict()
    assert differences(run.trainer.state.generator.state_dict(), model) == []
    assert differences(run.trainer.state.ema.state_dict(), model) == []


def test_another_discriminator_starts_from_random_weights(full_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    run = start(photos, PROJECTED, Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=full_run.path)
    assert differences(run.trainer.state.generator.state_dict(), load_state(full_run)["generator"]) == []


def test_a_start_from_another_size_is_refused(full_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    for init in (full_run.path, full_run.model):
        with pytest.raises(InputError, match=r"has global_channels 16 and this recipe 8; choose the preset"):
            start(photos, SMALL.with_values(width=0.5), Schedule(steps=1, device="cpu"), out=tmp_path / "a", init=init)


def test_resume_and_init_together_are_refused(full_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give one of them"):
        start(photos, SMALL, Schedule(steps=9, device="cpu"), out=full_run.path, init=full_run.model, resume=True)


# Micro-batches, ADA, TensorBoard


def test_micro_batches_use_every_photograph_of_the_batch_once(photos: Path, tmp_path: Path) -> None:
    stepper = begin(photos, tmp_path / "a", steps=1, recipe=SMALL.with_values(batch=8, micro_batch=2)).trainer.stepper
    stepper._scale_step = 3
    images = torch.cat([stepper._real_batch(i).images for i in stepper.micro_batches])
    batch = stepper.photos.sets[0].batch(range(24, 32), seed=0, device=torch.device("cpu"))
    assert images.equal(batch.images)


@pytest.mark.parametrize("recipe", [SMALL, PROJECTED])
def test_the_gradient_over_micro_batches_is_the_mean_of_theirs(recipe, photos: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    stepper = begin(photos, tmp_path / "a", steps=1, recipe=recipe.with_values(batch=4, micro_batch=2)).trainer.stepper
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


def test_ada_changes_its_probability_every_fourth_step_and_resumes_with_it(photos: Path, tmp_path: Path) -> None:
    recipe = SMALL.with_values(augment="ada", r1_weight=0.0, path_weight=0.0)
    full_run = train(photos, tmp_path / "whole", steps=5, recipe=recipe)
    probabilities = [r["augment_p"] for r in read_log(full_run)]
    assert probabilities[:3] == [0.0, 0.0, 0.0]
    train(photos, tmp_path / "a", steps=2, recipe=recipe)
    folder = train(photos, tmp_path / "a", steps=5, recipe=recipe, resume=True)
    assert differences(load_state(folder), load_state(full_run)) == []


def test_tensorboard_gets_curves_and_sheets_and_a_resumed_run_repeats_no_step(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # resume within one second: file names contain the second
    train(photos, tmp_path / "a", steps=2, tensorboard=True, sample_every=1)
    folder = train(photos, tmp_path / "a", steps=3, tensorboard=True, resume=True)
    files = sorted(folder.tensorboard.iterdir())
    assert len(files) == 2
    content = b"".join(f.read_bytes() for f in files)
    assert b"d_adversarial" in content
    assert b"samples" in content


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_every_ablation_trains(name: str, photos: Path, tmp_path: Path) -> None:
    folder = train(photos, tmp_path / "a", steps=1, recipe=ablate(SMALL, name))
    assert Generator.from_pretrained(folder.model).config == ablate(SMALL, name).generator_config
