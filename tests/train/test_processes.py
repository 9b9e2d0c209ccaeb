from pathlib import Path

import pytest
import torch

from infgen.errors import InputError
from infgen.train import run as module
from infgen.train.checkpoint import RunFolder
from infgen.train.loop import Schedule, Trainer
from infgen.train.presets import find_recipe
from infgen.train.processes import Processes, join_processes
from tests.patience import until
from tests.train.group import finish, launch, launch_python, train_in
from tests.train.photos import save_landscapes
from tests.train.runs import PROJECTED, SMALL, begin, read_log

STEPS = 10
OPTIONS = ("--micro-batch", "2", "--sample-every", "1000")  # two micro-batches of two


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def one_process(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One process with a global batch of four in two micro-batches."""
    out = tmp_path_factory.mktemp("alone") / "run"
    train_in(1, photos, out, "--steps", str(STEPS), *OPTIONS)
    return RunFolder(out)


def assert_same_curves(one: list[dict[str, float]], other: list[dict[str, float]]) -> None:
    assert [r.keys() for r in one] == [r.keys() for r in other]
    for a, b in zip(one, other, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-4)


def test_two_processes_compute_the_same_as_one(one_process: RunFolder, photos: Path, tmp_path: Path) -> None:
    train_in(2, photos, tmp_path / "two", "--steps", str(STEPS), *OPTIONS)
    assert_same_curves(read_log(RunFolder(tmp_path / "two")), read_log(one_process))


def test_a_run_resumes_in_another_number_of_processes(one_process: RunFolder, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_in(1, photos, out, "--steps", "3", *OPTIONS)
    train_in(2, photos, out, "--steps", "6", "--resume", *OPTIONS)
    train_in(1, photos, out, "--steps", "8", "--resume", *OPTIONS)
    assert_same_curves(read_log(RunFolder(out)), read_log(one_process)[:8])


SCALES = ("--preset", "tiny-scales", "--view", "200", "--batch", "4", *OPTIONS)


def test_two_processes_train_four_scales_like_one(photos: Path, tmp_path: Path) -> None:
    for count in (1, 2):
        train_in(count, photos, tmp_path / str(count), "--steps", "9", *SCALES)
    assert_same_curves(*(read_log(RunFolder(tmp_path / str(count))) for count in (1, 2)))


def test_when_one_process_is_killed_the_others_stop_and_the_run_resumes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [str(photos), "--output", str(out), "--preset", "tiny", "--device", "cpu", "--quiet", *OPTIONS]
    processes = launch([*arguments, "--steps", "100000", "--checkpoint-every", "2"], count=2)
    folder = RunFolder(out)
    until(folder.state.exists, alive=processes)
    processes[1].kill()
    first, _ = finish(processes, within=60)
    assert first[0] == 1
    assert "process 0 of 2 lost the connection to another process" in first[1]
    done = int(torch.load(folder.state, weights_only=True)["step"])
    train_in(1, photos, out, "--steps", str(done + 1), "--resume", *OPTIONS)
    assert [r["step"] for r in read_log(folder)] == list(range(1, done + 2))


GROUP_SCRIPT = """
import atexit, weakref, torch
from infgen.train.processes import join_processes

atexit.register(lambda: print("alive" if world() else "gone"))  # runs last
group = join_processes("cpu")
world = weakref.ref(torch.distributed.group.WORLD)
weight = torch.nn.Parameter(torch.ones(4))
torch.optim.Adam([weight])
weight.grad = torch.ones(4)
group.average_gradients([weight])
"""


def test_the_process_group_is_destroyed_before_python_exits() -> None:
    """Threads of the group that outlive the interpreter abort the process in rare cases."""
    processes = launch_python(["-c", GROUP_SCRIPT], count=2)
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [out for out, _ in outputs] == ["gone\n"] * 2


class Third(Processes):
    """One of three processes, without a connection to the others."""

    count = 3
    index = 1


def test_a_batch_that_processes_cannot_share_is_refused_with_a_better_micro_batch(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "a", steps=1, recipe=SMALL.with_values(batch=12))
    with pytest.raises(InputError, match=r"batch 12 in micro-batches of 12 .* among 3 processes; give --micro-batch 4"):
        Trainer(run.trainer.recipe, run.trainer.photos, Schedule(steps=1), processes=Third("cpu"))


@pytest.mark.parametrize("processes", [Processes, Third])
def test_only_the_first_process_locks_the_folder(
    processes: type[Processes], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "join_processes", processes)
    (tmp_path / "a").mkdir()
    run = begin(photos, tmp_path / "a", steps=1, recipe=SMALL.with_values(batch=6, micro_batch=2))
    assert (tmp_path / "a" / "lock").exists() is (processes is Processes)
    assert (run.lock is not None) is (processes is Processes)


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (join_processes("cpu").index, join_processes("cpu").count) == (0, 1)


@pytest.mark.parametrize("recipe", [SMALL.with_values(batch=4), PROJECTED.with_values(batch=4)])
def test_processes_that_share_a_step_compute_the_terms_of_one(recipe, photos: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    halved = recipe.with_values(micro_batch=2)
    trainer = begin(photos, tmp_path / "a", steps=1, recipe=halved).trainer
    terms = trainer.stepper.step()
    halves = [_step_in_half(i, halved, trainer) for i in range(2)]
    for name, value in terms.items():
        if name.startswith("d_adv"):  # computed before any update, so the halves are independent
            assert value == pytest.approx(sum(h[name] for h in halves) / 2, rel=1e-5)


def _step_in_half(index: int, recipe, trainer: Trainer) -> dict[str, float]:  # type: ignore[no-untyped-def]
    class Half(Processes):
        count = 2

    half = Half("cpu")
    half.index = index
    return Trainer(recipe, trainer.photos, Schedule(steps=1), processes=half).stepper.step()


def test_recipes_with_impossible_micro_batches_are_refused() -> None:
    with pytest.raises(InputError, match="micro-batch 3 is not possible"):
        find_recipe("tiny").with_values(micro_batch=3)
    with pytest.raises(InputError, match="batch 10 is not a multiple of micro-batch 4"):
        find_recipe("tiny").with_values(batch=10, micro_batch=4)
