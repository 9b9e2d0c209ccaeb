import errno
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from infgen.atomic import TEMPORARY_PREFIX
from infgen.errors import DivergenceError, InfgenError, InputError
from infgen.model import checkpoint as model_checkpoint
from infgen.model.generator import Generator
from infgen.train.checkpoint import RunFolder
from infgen.train.loop import Trainer
from infgen.train.presets import Recipe
from infgen.train.state import State, initial_state
from tests.train.photos import save_landscapes
from tests.train.runs import SMALL, begin, differences, names, saved

CPU = torch.device("cpu")
DATA = "the photographs' fingerprint"
Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """After one step, so that optimisers and path mean hold something. Not to be changed."""
    photos = save_landscapes(tmp_path_factory.mktemp("photos"))
    trainer = begin(photos, tmp_path_factory.mktemp("run") / "a", steps=1).trainer
    trainer.stepper.step()
    return trainer


@pytest.fixture(scope="module")
def written(trainer: Trainer, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A folder with a checkpoint of ``trainer``. Not to be changed."""
    folder = RunFolder(tmp_path_factory.mktemp("written"))
    save(folder, trainer.state)
    return folder


@pytest.fixture
def folder(written: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of ``written``, to be changed."""
    shutil.copytree(written.path, tmp_path / "a")
    return RunFolder(tmp_path / "a")


def save(folder: RunFolder, state: State) -> None:
    folder.save(state, SMALL, seed=0, data=DATA)


def fresh(seed: int = 9) -> State:
    return initial_state(SMALL, seed=seed, device=CPU)


def refusal(folder: RunFolder, recipe: Recipe = SMALL, *, seed: int = 0, data: str = DATA) -> str:
    """The message with which ``folder`` is not resumed."""
    with pytest.raises(InputError) as caught:
        folder.load(fresh(), recipe, seed=seed, data=data)
    message = str(caught.value)
    assert "\n" not in message
    return message


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder) if (folder / name).is_file()}


# What is saved


def test_a_saved_state_is_loaded_bit_for_bit(trainer: Trainer, folder: RunFolder, tmp_path: Path) -> None:
    state = fresh()
    folder.load(state, SMALL, seed=0, data=DATA)
    (tmp_path / "b").mkdir()
    save(RunFolder(tmp_path / "b"), state)
    assert differences(saved(RunFolder(tmp_path / "b")), saved(folder)) == []
    assert (state.step, float(state.path_mean)) == (1, float(trainer.state.path_mean))


def test_the_model_file_holds_the_average(trainer: Trainer, written: RunFolder) -> None:
    model, average = Generator.from_pretrained(written.model), trainer.state.ema
    assert differences(dict(model.state_dict()), dict(average.state_dict())) == []


def test_the_model_file_holds_the_mean_style_of_the_average(written: RunFolder) -> None:
    model = Generator.from_pretrained(written.model)
    stored = model.mean_style.clone()
    model.update_mean_style()
    assert float(stored.abs().max()) > 0
    torch.testing.assert_close(model.mean_style, stored)


def test_every_network_is_saved_apart(written: RunFolder) -> None:
    content = saved(written)
    assert differences(content["generator"], content["ema"]) != []


def test_saving_again_replaces_both_files(trainer: Trainer, folder: RunFolder) -> None:
    other = fresh()
    save(folder, other)
    assert saved(folder)["step"] == 0
    assert differences(saved(folder)["generator"], dict(other.generator.state_dict())) == []


def test_the_model_takes_its_name_before_the_state_so_that_a_state_is_never_without_it(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace = os.replace

    def noted(source: Path, target: Path) -> None:
        order.append(target.name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    save(folder, fresh())
    assert [name for name in order if name in (folder.model.name, folder.state.name)] == [
        folder.model.name,
        folder.state.name,
    ]


# Saving that fails

WRITERS = {"training state": (torch, "save"), "model": (model_checkpoint, "save_file")}


@pytest.mark.parametrize("part", WRITERS)
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("pos"), KeyboardInterrupt()]
)
def test_an_error_while_saving_keeps_the_last_checkpoint_and_leaves_nothing_else(
    part: str, error: BaseException, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder.path)

    def fail(content: object, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(*WRITERS[part], fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else InfgenError):
        save(folder, fresh())
    assert contents(folder.path) == before


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such limit")
def test_a_disk_that_takes_no_more_keeps_the_last_checkpoint_and_is_said_so(folder: RunFolder) -> None:
    import resource

    before = contents(folder.path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(InfgenError, match="was not written: the disk did not take it"):
            save(folder, fresh())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(folder.path) == before


@pytest.mark.parametrize("network", ["generator", "ema", "discriminators"])
def test_weights_that_are_not_finite_are_not_saved_and_the_network_is_named(network: str, folder: RunFolder) -> None:
    before, state = contents(folder.path), fresh()
    next(getattr(state, network).parameters()).data[0] = float("nan")
    with pytest.raises(DivergenceError, match=f"the {network} has weights that are not finite"):
        save(folder, state)
    assert contents(folder.path) == before


# Resuming what does not fit


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"batch": 4}, "batch 2 -> 4"),
        ({"width": 2.0}, "width 1.0 -> 2.0"),
        ({"generator": "scenery-101-small"}, "generator 'tiny' -> 'scenery-101-small'"),
        (
            {"discriminator": "projected", "r1_weight": 0.0},
            "discriminator 'paper' -> 'projected', r1_weight 10.0 -> 0.0",
        ),
        ({"generator_rate": 1e-4, "ema": 0.5}, f"generator_rate 0.002 -> 0.0001, ema {SMALL.ema} -> 0.5"),
    ],
)
def test_another_recipe_is_refused_with_its_differences(
    change: dict[str, Any], difference: str, folder: RunFolder
) -> None:
    assert f"was trained with another recipe ({difference}); resume it unchanged" in refusal(
        folder, SMALL.changed(**change)
    )


def test_another_seed_is_refused(folder: RunFolder) -> None:
    assert "was trained with other seed (0 then, 7 now)" in refusal(folder, seed=7)


def test_other_photographs_are_refused(folder: RunFolder) -> None:
    assert f"was trained with other photographs ({DATA} then, more now)" in refusal(folder, data="more")


def test_a_recipe_with_entries_of_another_version_is_refused_by_their_names(folder: RunFolder) -> None:
    rewrite(folder, lambda content: content["recipe"].update(colour="blue"))
    assert "another recipe (colour 'blue' -> None)" in refusal(folder)


def rewrite(folder: RunFolder, change: Callable[[dict[str, Any]], object]) -> None:
    content = saved(folder)
    change(content)
    torch.save(content, folder.state)


def other_shape(content: dict[str, Any]) -> None:
    name = next(iter(content["generator"]))
    content["generator"][name] = torch.zeros(1, 2, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_shape, "does not fit"),
        (lambda c: c["generator"].clear(), "does not fit"),
        (lambda c: c["generator"].update(more=torch.zeros(1)), "does not fit"),
        (lambda c: c["generator_optimizer"].clear(), "does not fit"),
        (lambda c: c["generator_optimizer"].update(param_groups=[]), "does not fit"),
        (lambda c: c.pop("ema"), "it has no ema"),
        (lambda c: c.update(path_mean=0.5), "it has no path_mean"),
        (lambda c: c.update(step="1"), "it has no step"),
        (lambda c: c.update(recipe=[1]), "it has no recipe"),
        (lambda c: c.update(version=1), "has version 1, infgen needs 5"),
        (lambda c: c.pop("version"), "has version None"),
    ],
)
def test_a_state_with_other_contents_is_refused_in_one_line(
    change: Callable[[dict[str, Any]], object], said: str, folder: RunFolder
) -> None:
    rewrite(folder, change)
    assert said in refusal(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a checkpoint"),
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(bytes(20_000)),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save(torch.zeros(3), path),
        lambda path: path.write_bytes(pickle.dumps({"version": 1})),
    ],
)
def test_a_damaged_or_foreign_state_is_refused_in_one_line(damage: Damage, folder: RunFolder) -> None:
    damage(folder.state)
    assert str(folder.state) in refusal(folder)


class Bomb:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_that_would_run_code_is_refused_and_not_run(zipped: bool, folder: RunFolder, tmp_path: Path) -> None:
    bomb = {"version": 1, "step": Bomb(tmp_path / "exploded")}
    torch.save(bomb, folder.state, _use_new_zipfile_serialization=zipped)
    assert "is damaged or foreign" in refusal(folder)
    assert not (tmp_path / "exploded").exists()


# The folder


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_a_state_holds_nothing_to_resume(made: bool, tmp_path: Path) -> None:
    if made:
        (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"holds no run to resume \(state.pt is missing\); leave out --resume"):
        RunFolder(tmp_path / "a").check(resume=True)


def test_a_new_run_over_an_old_one_is_refused(folder: RunFolder) -> None:
    before = contents(folder.path)
    with pytest.raises(InputError, match="holds a run already; continue it with --resume or give another folder"):
        folder.create(SMALL)
    assert contents(folder.path) == before


def test_missing_folders_above_are_made(tmp_path: Path) -> None:
    RunFolder(tmp_path / "runs" / "a").create(SMALL)
    assert names(tmp_path) == ["runs", "runs/a", "runs/a/recipe.json", "runs/a/samples"]


def test_the_recipe_is_saved_as_json(tmp_path: Path) -> None:
    RunFolder(tmp_path / "a").create(SMALL)
    assert json.loads((tmp_path / "a" / "recipe.json").read_text()) == SMALL.to_dict()


@pytest.mark.parametrize("path", ["file", "file/a", "dangling", "dangling/a"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_that_cannot_be_one_is_refused(path: str, resume: bool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"cannot be made: .* is not a folder; give another one"):
        RunFolder(tmp_path / path).check(resume=resume)


def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=r"cannot be made: .* is not writable"):
        RunFolder(tmp_path / "runs" / "a").check(resume=False)


def test_a_folder_that_the_system_does_not_make_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(InputError, match=r"cannot be made \(Read-only file system\); give another one"):
        RunFolder(tmp_path / "a").create(SMALL)


def test_what_a_killed_process_left_unfinished_is_removed_with_the_lock_and_nothing_else(folder: RunFolder) -> None:
    for place in (folder.path / "samples", folder.path):
        place.mkdir(exist_ok=True)
        (place / f"{TEMPORARY_PREFIX}1234.tmp").write_bytes(b"half")
        (place / "notes.txt").touch()
    folder.lock().close()
    rest = ["lock", "model.safetensors", "notes.txt", "samples", "samples/notes.txt", "state.pt"]
    assert names(folder.path) == rest


def test_a_process_without_the_lock_leaves_what_the_first_one_writes(folder: RunFolder) -> None:
    unfinished = folder.path / f"{TEMPORARY_PREFIX}1234.tmp"
    unfinished.touch()
    folder.load(fresh(), SMALL, seed=0, data=DATA)
    assert unfinished.exists()


# The log


def line(step: object, **more: object) -> str:
    return json.dumps({"step": step, **more}) + "\n"


def reopened(folder: RunFolder, text: str | bytes, *, from_step: int) -> str:
    """The log after ``text`` was found and the run went on from ``from_step``."""
    folder.path.mkdir(exist_ok=True)
    folder.log_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with folder.log(from_step=from_step) as log:
        log.write({"step": from_step + 1})
    return folder.log_file.read_text()


def test_the_log_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    text = "".join(line(step, loss=0.1 * step) for step in range(1, 8))
    kept = "".join(line(step, loss=0.1 * step) for step in range(1, 5))
    assert reopened(RunFolder(tmp_path), text, from_step=4) == kept + line(5)


def test_a_new_run_begins_an_empty_log(tmp_path: Path) -> None:
    assert reopened(RunFolder(tmp_path), line(1) + line(2), from_step=0) == line(1)


@pytest.mark.parametrize("half", ['{"step": 3, "loss": 0.', '{"step": 3}', "{", '{"step": 3}}\n', "\0\0\0\0", '{"st\n'])
def test_half_a_record_at_the_end_is_dropped(half: str, tmp_path: Path) -> None:
    assert reopened(RunFolder(tmp_path), line(1) + line(2) + half, from_step=3) == line(1) + line(2) + line(4)


ODD = ["\n", "text\n", "[1]\n", "1\n", "null\n", "{}\n", "[" * 5000 + "\n"]
ODD_STEPS = ["1", 1.0, None, True, -1]


@pytest.mark.parametrize("odd", [*ODD, *(line(step) for step in ODD_STEPS)])
def test_a_record_of_another_kind_is_dropped(odd: str, tmp_path: Path) -> None:
    assert reopened(RunFolder(tmp_path), line(1) + odd + line(2), from_step=2) == line(1) + line(2) + line(3)


def test_bytes_that_are_no_text_are_dropped(tmp_path: Path) -> None:
    assert reopened(RunFolder(tmp_path), line(1).encode() + b"\xff\xfe\x80\n", from_step=1) == line(1) + line(2)


def test_a_log_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(InputError, match="is a folder"), RunFolder(tmp_path).log(from_step=0):
        pass


def test_every_record_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.log(from_step=0) as log:
        log.write({"step": 1})
        assert folder.log_file.read_text() == line(1)


def test_an_error_closes_the_log_with_what_was_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)

    def fail() -> None:
        with folder.log(from_step=0) as log:
            log.write({"step": 1})
            raise DivergenceError("x")

    with pytest.raises(DivergenceError):
        fail()
    assert folder.log_file.read_text() == line(1)


def test_a_disk_that_takes_no_log_is_one_error_of_ours(tmp_path: Path) -> None:
    def fail() -> None:
        with RunFolder(tmp_path).log(from_step=0):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InfgenError, match="cannot be written: No space left on device"):
        fail()
