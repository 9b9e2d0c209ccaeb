from pathlib import Path

import pytest
import torch

from infgen.errors import InputError
from infgen.train import run as module
from infgen.train.checkpoint import RunFolder
from infgen.train.loop import Schedule, Trainer
from infgen.train.presets import recipe
from infgen.train.processes import Processes, join
from tests.patience import until
from tests.train.group import finish, launch, launch_python, train_in
from tests.train.photos import save_landscapes
from tests.train.runs import PROJECTED, SMALL, begin, records

STEPS = 10
OPTIONS = ("--micro-batch", "2", "--sample-every", "1000")  # two micro-batches of two


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def alone(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One process with a global batch of four in two micro-batches."""
    out = tmp_path_factory.mktemp("alone") / "run"
    train_in(1, photos, out, "--steps", str(STEPS), *OPTIONS)
    return RunFolder(out)


def assert_same_curves(one: list[dict[str, float]], other: list[dict[str, float]]) -> None:
    assert [r.keys() for r in one] == [r.keys() for r in other]
    for a, b in zip(one, other, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-4)


def test_two_processes_compute_what_one_does(alone: RunFolder, photos: Path, tmp_path: Path) -> None:
    train_in(2, photos, tmp_path / "two", "--steps", str(STEPS), *OPTIONS)
    assert_same_curves(records(RunFolder(tmp_path / "two")), records(alone))


def test_a_run_goes_on_in_another_number_of_processes(alone: RunFolder, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_in(1, photos, out, "--steps", "3", *OPTIONS)
    train_in(2, photos, out, "--steps", "6", "--resume", *OPTIONS)
    train_in(1, photos, out, "--steps", "8", "--resume", *OPTIONS)
    assert_same_curves(records(RunFolder(out)), records(alone)[:8])


SCALES = ("--preset", "tiny-scales", "--view", "200", "--batch", "4", *OPTIONS)


def test_two_processes_train_four_scales_as_one_does(photos: Path, tmp_path: Path) -> None:
    for count in (1, 2):
        train_in(count, photos, tmp_path / str(count), "--steps", "9", *SCALES)
    assert_same_curves(*(records(RunFolder(tmp_path / str(count))) for count in (1, 2)))


def test_when_one_process_is_killed_the_others_stop_and_the_run_resumes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [str(photos), "--out", str(out), "--preset", "tiny", "--device", "cpu", "--quiet", *OPTIONS]
    processes = launch([*arguments, "--steps", "100000", "--checkpoint-every", "2"], count=2)
    folder = RunFolder(out)
    until(folder.state.exists, alive=processes)
    processes[1].kill()
    first, _ = finish(processes, within=60)
    assert first[0] == 1
    assert "process 0 of 2 lost another one" in first[1]
    done = int(torch.load(folder.state, weights_only=True)["step"])
    train_in(1, photos, out, "--steps", str(done + 1), "--resume", *OPTIONS)
    assert [r["step"] for r in records(folder)] == list(range(1, done + 2))


LEAVES = """
import atexit, weakref, torch
from infgen.train.processes import join

atexit.register(lambda: print("alive" if world() else "gone"))  # runs last
group = join("cpu")
world = weakref.ref(torch.distributed.group.WORLD)
weight = torch.nn.Parameter(torch.ones(4))
torch.optim.Adam([weight])
weight.grad = torch.ones(4)
group.average_gradients([weight])
"""


def test_the_group_is_gone_before_python_ends() -> None:
    """Its threads abort a process, rarely, where they outlive the interpreter."""
    processes = launch_python(["-c", LEAVES], count=2)
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert [out for out, _ in said] == ["gone\n"] * 2


class Third(Processes):
    """One of three processes, which never meets the others."""

    count = 3
    index = 1


def test_a_batch_that_the_processes_cannot_share_is_refused_with_one_they_can(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=1, made_by=SMALL.changed(batch=12))
    with pytest.raises(InputError, match=r"batch 12 in micro-batches of 12 .* by 3 processes; give --micro-batch 4"):
        Trainer(run.trainer.recipe, run.trainer.photos, Schedule(steps=1), processes=Third("cpu"))


@pytest.mark.parametrize("kind", [Processes, Third])
def test_only_the_first_process_locks_the_folder(
    kind: type[Processes], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "join", kind)
    (tmp_path / "a").mkdir()
    begun = begin(photos, tmp_path / "a", steps=1, made_by=SMALL.changed(batch=6, micro_batch=2))
    assert (tmp_path / "a" / "lock").exists() is (kind is Processes)
    assert (begun.lock is not None) is (kind is Processes)


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (join("cpu").index, join("cpu").count) == (0, 1)


@pytest.mark.parametrize("made_by", [SMALL.changed(batch=4), PROJECTED.changed(batch=4)])
def test_processes_that_share_a_step_get_the_gradients_of_one(made_by, photos: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    shared = made_by.changed(micro_batch=2)
    trainer = begin(photos, tmp_path / "a", steps=1, made_by=shared).trainer
    terms = trainer.stepper.step()
    halves = [_share(i, shared, trainer) for i in range(2)]
    for name, value in terms.items():
        if name.startswith("d_adv"):  # computed before any update, so that the halves know nothing of each other
            assert value == pytest.approx(sum(h[name] for h in halves) / 2, rel=1e-5)


def _share(index: int, made_by, trainer: Trainer) -> dict[str, float]:  # type: ignore[no-untyped-def]
    class Half(Processes):
        count = 2

    half = Half("cpu")
    half.index = index
    return Trainer(made_by, trainer.photos, Schedule(steps=1), processes=half).stepper.step()


def test_recipes_with_impossible_micro_batches_are_refused() -> None:
    with pytest.raises(InputError, match="micro-batch 3 is not possible"):
        recipe("tiny").changed(micro_batch=3)
    with pytest.raises(InputError, match="batch 10 is not a multiple of micro-batch 4"):
        recipe("tiny").changed(batch=10, micro_batch=4)
