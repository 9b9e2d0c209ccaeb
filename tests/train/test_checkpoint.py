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
from infgen.train.state import TrainingState, initial_state
from tests.train.photos import save_landscapes
from tests.train.runs import SMALL, begin, differences, list_files, load_state

CPU = torch.device("cpu")
DATA = "the photographs' fingerprint"
Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A trainer after one step, so that optimisers and path mean are not empty. Do not change it."""
    photos = save_landscapes(tmp_path_factory.mktemp("photos"))
    trainer = begin(photos, tmp_path_factory.mktemp("run") / "a", steps=1).trainer
    trainer.stepper.step()
    return trainer


@pytest.fixture(scope="module")
def saved_folder(trainer: Trainer, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A folder with a checkpoint of ``trainer``. Do not change it."""
    folder = RunFolder(tmp_path_factory.mktemp("written"))
    save(folder, trainer.state)
    return folder


@pytest.fixture
def folder(saved_folder: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of ``saved_folder`` that tests may change."""
    shutil.copytree(saved_folder.path, tmp_path / "a")
    return RunFolder(tmp_path / "a")


def save(folder: RunFolder, state: TrainingState) -> None:
    folder.save(state, SMALL, seed=0, data=DATA)


def new_state(seed: int = 9) -> TrainingState:
    return initial_state(SMALL, seed=seed, device=CPU)


def load_error(folder: RunFolder, recipe: Recipe = SMALL, *, seed: int = 0, data: str = DATA) -> str:
    """Return the error message of resuming ``folder``."""
    with pytest.raises(InputError) as caught:
        folder.load(new_state(), recipe, seed=seed, data=data)
    message = str(caught.value)
    assert "\n" not in message
    return message


def read_files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in list_files(folder) if (folder / name).is_file()}


# Saving


def test_a_saved_state_is_loaded_bit_for_bit(trainer: Trainer, folder: RunFolder, tmp_path: Path) -> None:
    state = new_state()
    folder.load(state, SMALL, seed=0, data=DATA)
    (tmp_path / "b").mkdir()
    save(RunFolder(tmp_path / "b"), state)
    assert differences(load_state(RunFolder(tmp_path / "b")), load_state(folder)) == []
    assert (state.step, float(state.path_mean)) == (1, float(trainer.state.path_mean))


def test_the_model_file_holds_the_ema(trainer: Trainer, saved_folder: RunFolder) -> None:
    model, average = Generator.from_pretrained(saved_folder.model), trainer.state.ema
    assert differences(dict(model.state_dict()), dict(average.state_dict())) == []


def test_the_model_file_holds_the_mean_style_of_the_ema(saved_folder: RunFolder) -> None:
    model = Generator.from_pretrained(saved_folder.model)
    stored = model.mean_style.clone()
    model.update_mean_style()
    assert float(stored.abs().max()) > 0
    torch.testing.assert_close(model.mean_style, stored)


def test_every_network_is_saved_separately(saved_folder: RunFolder) -> None:
    content = load_state(saved_folder)
    assert differences(content["generator"], content["ema"]) != []


def test_saving_again_replaces_both_files(trainer: Trainer, folder: RunFolder) -> None:
    other = new_state()
    save(folder, other)
    assert load_state(folder)["step"] == 0
    assert differences(load_state(folder)["generator"], dict(other.generator.state_dict())) == []


def test_the_model_is_renamed_before_the_state_so_that_every_state_has_its_model(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace = os.replace

    def record(source: Path, target: Path) -> None:
        order.append(target.name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", record)
    save(folder, new_state())
    assert [name for name in order if name in (folder.model.name, folder.state.name)] == [
        folder.model.name,
        folder.state.name,
    ]


# Errors while saving

WRITERS = {"training state": (torch, "save"), "model": (model_checkpoint, "_sort_metadata")}


@pytest.mark.parametrize("part", WRITERS)
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("pos"), KeyboardInterrupt()]
)
def test_an_error_while_saving_keeps_the_last_checkpoint_and_no_other_file(
    part: str, error: BaseException, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_files(folder.path)

    def fail(*arguments: object, **options: object) -> None:
        path = next(argument for argument in arguments if isinstance(argument, Path))
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(*WRITERS[part], fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else InfgenError):
        save(folder, new_state())
    assert read_files(folder.path) == before


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such limit")
def test_a_full_disk_keeps_the_last_checkpoint_and_is_reported(folder: RunFolder) -> None:
    import resource

    before = read_files(folder.path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(InfgenError, match="was not written: the disk did not accept it"):
            save(folder, new_state())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_files(folder.path) == before


@pytest.mark.parametrize("network", ["generator", "ema", "discriminators"])
def test_weights_that_are_not_finite_are_not_saved_and_the_error_names_the_network(
    network: str, folder: RunFolder
) -> None:
    before, state = read_files(folder.path), new_state()
    next(getattr(state, network).parameters()).data[0] = float("nan")
    with pytest.raises(DivergenceError, match=f"the {network} has weights that are not finite"):
        save(folder, state)
    assert read_files(folder.path) == before


# Refusals while resuming


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
    assert f"was trained with another recipe ({difference}); resume it unchanged" in load_error(
        folder, SMALL.with_values(**change)
    )


def test_another_seed_is_refused(folder: RunFolder) -> None:
    assert "was trained with other seed (0 before, 7 now)" in load_error(folder, seed=7)


def test_other_photographs_are_refused(folder: RunFolder) -> None:
    message = load_error(folder, data="more")
    assert "was trained with other photographs than there are now; restore them, or start a new run in" in message
    assert f"--init {folder.path}" in message


def test_a_recipe_with_entries_of_another_version_is_refused_by_their_names(folder: RunFolder) -> None:
    rewrite(folder, lambda content: content["recipe"].update(colour="blue"))
    assert "another recipe (colour 'blue' -> None)" in load_error(folder)


def rewrite(folder: RunFolder, change: Callable[[dict[str, Any]], object]) -> None:
    content = load_state(folder)
    change(content)
    torch.save(content, folder.state)


def other_shape(content: dict[str, Any]) -> None:
    name = next(iter(content["generator"]))
    content["generator"][name] = torch.zeros(1, 2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_shape, "does not match its recipe"),
        (lambda c: c["generator"].clear(), "does not match its recipe"),
        (lambda c: c["generator"].update(more=torch.zeros(1)), "does not match its recipe"),
        (lambda c: c["generator_optimizer"].clear(), "does not match its recipe"),
        (lambda c: c["generator_optimizer"].update(param_groups=[]), "does not match its recipe"),
        (lambda c: c.pop("ema"), "it has no ema"),
        (lambda c: c.update(path_mean=0.5), "it has no path_mean"),
        (lambda c: c.update(step="1"), "it has no step"),
        (lambda c: c.update(recipe=[1]), "it has no recipe"),
        (lambda c: c.update(version=1), "has version 1, infgen needs 5"),
        (lambda c: c.pop("version"), "has version None"),
    ],
)
def test_a_state_with_invalid_contents_is_refused_in_one_line(
    change: Callable[[dict[str, Any]], object], message: str, folder: RunFolder
) -> None:
    rewrite(folder, change)
    assert message in load_error(folder)


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
    assert str(folder.state) in load_error(folder)


class Bomb:
    """A pickle that creates a folder when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_that_would_run_code_is_refused_and_not_run(zipped: bool, folder: RunFolder, tmp_path: Path) -> None:
    bomb = {"version": 1, "step": Bomb(tmp_path / "exploded")}
    torch.save(bomb, folder.state, _use_new_zipfile_serialization=zipped)
    assert "is damaged or of another program" in load_error(folder)
    assert not (tmp_path / "exploded").exists()


# The folder


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_a_state_holds_nothing_to_resume(exists: bool, tmp_path: Path) -> None:
    if exists:
        (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"holds no run to resume \(state.pt is missing\); leave out --resume"):
        RunFolder(tmp_path / "a").check(resume=True)


def test_a_new_run_over_an_old_one_is_refused(folder: RunFolder) -> None:
    before = read_files(folder.path)
    with pytest.raises(InputError, match="holds a run already; continue it with --resume or give another folder"):
        folder.create(SMALL)
    assert read_files(folder.path) == before


def test_missing_parent_folders_are_created(tmp_path: Path) -> None:
    RunFolder(tmp_path / "runs" / "a").create(SMALL)
    assert list_files(tmp_path) == ["runs", "runs/a", "runs/a/recipe.json", "runs/a/samples"]


def test_the_recipe_is_saved_as_json(tmp_path: Path) -> None:
    RunFolder(tmp_path / "a").create(SMALL)
    assert json.loads((tmp_path / "a" / "recipe.json").read_text()) == SMALL.to_dict()


@pytest.mark.parametrize("path", ["file", "file/a", "dangling", "dangling/a"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_path_that_cannot_be_a_folder_is_refused(path: str, resume: bool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"cannot be created: .* is not a folder; give another one"):
        RunFolder(tmp_path / path).check(resume=resume)


def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=r"cannot be created: .* is not writable"):
        RunFolder(tmp_path / "runs" / "a").check(resume=False)


def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(InputError, match=r"cannot be created \(Read-only file system\); give another one"):
        RunFolder(tmp_path / "a").create(SMALL)


def test_the_lock_removes_only_the_temporary_files_of_a_killed_process(folder: RunFolder) -> None:
    for place in (folder.path / "samples", folder.path):
        place.mkdir(exist_ok=True)
        (place / f"{TEMPORARY_PREFIX}1234.tmp").write_bytes(b"half")
        (place / "notes.txt").touch()
    folder.lock().close()
    rest = ["lock", "model.safetensors", "notes.txt", "samples", "samples/notes.txt", "state.pt"]
    assert list_files(folder.path) == rest


def test_a_process_without_the_lock_keeps_the_temporary_files_of_the_first(folder: RunFolder) -> None:
    temporary = folder.path / f"{TEMPORARY_PREFIX}1234.tmp"
    temporary.touch()
    folder.load(new_state(), SMALL, seed=0, data=DATA)
    assert temporary.exists()


# The log


def line(step: object, **more: object) -> str:
    return json.dumps({"step": step, **more}) + "\n"


def reopen_log(folder: RunFolder, text: str | bytes, *, from_step: int) -> str:
    """Write ``text`` as the log, resume from ``from_step``, and return the log after one more record."""
    folder.path.mkdir(exist_ok=True)
    folder.log_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with folder.log(from_step=from_step) as log:
        log.write({"step": from_step + 1})
    return folder.log_file.read_text()


def test_the_log_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    text = "".join(line(step, loss=0.1 * step) for step in range(1, 8))
    kept = "".join(line(step, loss=0.1 * step) for step in range(1, 5))
    assert reopen_log(RunFolder(tmp_path), text, from_step=4) == kept + line(5)


def test_a_new_run_begins_an_empty_log(tmp_path: Path) -> None:
    assert reopen_log(RunFolder(tmp_path), line(1) + line(2), from_step=0) == line(1)


@pytest.mark.parametrize(
    "partial", ['{"step": 3, "loss": 0.', '{"step": 3}', "{", '{"step": 3}}\n', "\0\0\0\0", '{"st\n']
)
def test_a_partial_record_at_the_end_is_dropped(partial: str, tmp_path: Path) -> None:
    assert reopen_log(RunFolder(tmp_path), line(1) + line(2) + partial, from_step=3) == line(1) + line(2) + line(4)


INVALID_RECORDS = ["\n", "text\n", "[1]\n", "1\n", "null\n", "{}\n", "[" * 5000 + "\n"]
INVALID_STEPS = ["1", 1.0, None, True, -1]


@pytest.mark.parametrize("record", [*INVALID_RECORDS, *(line(step) for step in INVALID_STEPS)])
def test_an_invalid_record_is_dropped(record: str, tmp_path: Path) -> None:
    assert reopen_log(RunFolder(tmp_path), line(1) + record + line(2), from_step=2) == line(1) + line(2) + line(3)


def test_bytes_that_are_not_utf_8_are_dropped(tmp_path: Path) -> None:
    assert reopen_log(RunFolder(tmp_path), line(1).encode() + b"\xff\xfe\x80\n", from_step=1) == line(1) + line(2)


def test_a_log_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(InputError, match="is a folder"), RunFolder(tmp_path).log(from_step=0):
        pass


def test_every_record_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.log(from_step=0) as log:
        log.write({"step": 1})
        assert folder.log_file.read_text() == line(1)


def test_an_error_closes_the_log_with_all_records(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)

    def fail() -> None:
        with folder.log(from_step=0) as log:
            log.write({"step": 1})
            raise DivergenceError("x")

    with pytest.raises(DivergenceError):
        fail()
    assert folder.log_file.read_text() == line(1)


def test_a_full_disk_while_logging_raises_one_error(tmp_path: Path) -> None:
    def fail() -> None:
        with RunFolder(tmp_path).log(from_step=0):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InfgenError, match="cannot be written: No space left on device"):
        fail()
