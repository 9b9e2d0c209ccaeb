"""``infgen train`` on the command line."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from infgen.cli.main import main
from infgen.limits import MAX_PHOTO_PIXELS, MAX_SHRUNK_PHOTO_PIXELS
from infgen.model.generator import Generator
from infgen.train import losses
from infgen.train.checkpoint import RunFolder
from infgen.train.step import Stepper
from tests.patience import until
from tests.train.photos import landscape, save, save_landscapes
from tests.train.runs import list_files, load_state, read_log

pytestmark = pytest.mark.usefixtures("small_sheets")

Call = Callable[..., tuple[int, str, str]]
TINY = ("--preset", "tiny", "--batch", 2, "--device", "cpu", "--threads", 1, "--quiet")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run ``infgen train``. Returns exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as leave:
            main(["train", *(str(w) for w in words)])
        code = leave.value.code
        captured = capsys.readouterr()
        assert code is None or isinstance(code, int)
        return code or 0, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def trained_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of two steps. Do not change it."""
    out = tmp_path_factory.mktemp("runs") / "a"
    with pytest.raises(SystemExit) as leave:
        main([str(w) for w in ("train", photos, "--output", out, "--steps", 2, *TINY)])
    assert leave.value.code == 0
    return RunFolder(out)


# Results


def test_a_run_leaves_a_model_that_loads(trained_run: RunFolder) -> None:
    assert Generator.from_pretrained(trained_run.model).config.patch_px == 101


def test_a_run_prints_the_path_of_the_model(call: Call, photos: Path, tmp_path: Path) -> None:
    code, out, err = call(photos, "--output", tmp_path / "a", "--steps", 1, *TINY)
    assert (code, out, err) == (0, f"{tmp_path / 'a' / 'model.safetensors'}: step 1, finished\n", "")


def test_resuming_continues_from_the_last_step(call: Call, photos: Path, tmp_path: Path) -> None:
    for steps, resume in ((1, ()), (2, ("--resume",))):
        assert call(photos, "--output", tmp_path / "a", "--steps", steps, *TINY, *resume)[0] == 0
    assert [r["step"] for r in read_log(RunFolder(tmp_path / "a"))] == [1, 2]


def test_options_change_the_recipe(call: Call, photos: Path, tmp_path: Path) -> None:
    more = ("--width-multiplier", 2, "--generator-rate", 0.001, "--discriminator-rate", 0.0005, "--seed", 5)
    other = ("--discriminator", "projected")  # sets a learning rate too; the given one wins
    assert call(photos, "--output", tmp_path / "a", "--steps", 1, *TINY, *more, *other)[0] == 0
    content = load_state(RunFolder(tmp_path / "a"))
    recipe = content["recipe"]
    assert (recipe["width"], recipe["generator_rate"], recipe["discriminator_rate"]) == (2.0, 0.001, 0.0005)
    assert (recipe["batch"], content["seed"]) == (2, 5)
    assert (recipe["discriminator"], recipe["r1_weight"]) == ("projected", 0.0)


def test_a_run_ends_where_its_learning_rates_decay_to_zero(call: Call, photos: Path, tmp_path: Path) -> None:
    code, out, _ = call(photos, "--output", tmp_path / "a", "--decay-steps", 2, *TINY)
    assert (code, out) == (0, f"{tmp_path / 'a' / 'model.safetensors'}: step 2, finished\n")
    code, out, _ = call(photos, "--output", tmp_path / "a", "--device", "cpu", "--quiet", "--resume")
    assert code == 0
    assert "step 2, finished already; its learning rates have decayed to zero: start a new run" in out


def test_a_finished_run_is_resumed_without_error(call: Call, photos: Path, trained_run: RunFolder) -> None:
    code, out, _ = call(photos, "--output", trained_run.path, "--resume", "--threads", 1, "--device", "cpu", "--quiet")
    assert code == 0
    assert out == f"{trained_run.model}: step 2, finished already; give --steps more than that to train on\n"


def test_a_resumed_run_takes_unset_options_from_itself(call: Call, photos: Path, tmp_path: Path) -> None:
    more = ("--width-multiplier", 2, "--seed", 5, "--precision", "bf16", "--checkpoint-every", 7)
    assert call(photos, "--output", tmp_path / "a", "--steps", 1, *TINY, *more)[0] == 0
    code, _, err = call(photos, "--output", tmp_path / "a", "--resume", "--steps", 2, "--device", "cpu", "--quiet")
    assert code == 0, err
    content = load_state(RunFolder(tmp_path / "a"))
    assert (content["step"], content["seed"], content["recipe"]["width"]) == (2, 5, 2.0)
    assert (content["options"]["precision"], content["options"]["checkpoint_every"]) == ("bf16", 7)
    code, _, err = call(photos, "--output", tmp_path / "a", "--resume", "--steps", 3, "--precision", "fp32")
    assert code == 2
    assert "was trained in bf16, and --precision is fp32; omit --precision" in err


def test_unusable_files_are_listed_with_their_reasons(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAX_PHOTO_PIXELS.name, "100000")
    monkeypatch.setenv(MAX_SHRUNK_PHOTO_PIXELS.name, "100000")
    data = save_landscapes(tmp_path / "photos", count=1)
    save(data, "sub/small.png", landscape(0, height=100))
    save(data, "sub/large.jpg", landscape(0, height=400))
    Image.new("I;16", (300, 220)).save(data / "deep.png")
    (data / "truncated.jpg").write_bytes(b"\xff\xd8\xff")
    code, _, err = call(data, "--output", tmp_path / "a", "--steps", 1, *TINY)
    reasons = dict(line.removeprefix("skipped ").split(": ", 1) for line in err.splitlines())
    assert code == 0
    assert list(reasons) == [
        str(data / name) for name in ("deep.png", "sub/large.jpg", "sub/small.png", "truncated.jpg")
    ]
    for reason, message in zip(
        reasons.values(), ("grey with 16 bits", "over the limit", "too small", "cannot be read"), strict=True
    ):
        assert message in reason


def test_without_quiet_it_prints_a_summary_and_its_progress(call: Call, photos: Path, tmp_path: Path) -> None:
    code, _, err = call(photos, "--output", tmp_path / "a", "--steps", 2, *(w for w in TINY if w != "--quiet"))
    assert code == 0
    assert "3 photographs, 0 skipped" in err
    assert "training: 100 %" in err


# Refusals

BAD_INPUT: list[tuple[list[object], str]] = [
    (
        ["missing", "--output", "a"],
        "data folder missing does not exist or is not a folder; give a folder of photographs",
    ),
    (
        ["file", "--output", "a"],
        "data file is one file, neither zip nor tar; give a folder of photographs, or cut a large map",
    ),
    (["empty", "--output", "a"], "data folder empty holds no usable photograph (0 pictures found)"),
    (["small", "--output", "a"], "holds no usable photograph (1 pictures found; a.png: 60 x 50 px is too small"),
    (["PHOTOS", "--output", "file"], "run folder file cannot be created: file is not a folder; give another one"),
    (["PHOTOS", "--output", "file/a"], "run folder file/a cannot be created"),
    (["PHOTOS", "--output", "a", "--resume"], "a holds no run to resume (state.pt is missing); leave out --resume"),
    (["PHOTOS", "--output", "empty", "--resume"], "empty holds no run to resume"),
    (["PHOTOS", "--output", "RUN"], "holds a run already; continue it with --resume or give another folder"),
    (["PHOTOS", "--output", "RUN", "--resume", "--seed", 1], "was trained with other seed (0 before, 1 now)"),
    (["PHOTOS", "--output", "RUN", "--resume", "--batch", 4], "another recipe (batch 2 -> 4); resume it unchanged"),
    (
        ["PHOTOS", "--output", "RUN", "--resume", "--width-multiplier", 2],
        "another recipe (width 1.0 -> 2.0); resume it unchanged",
    ),
    (["OTHER", "--output", "RUN", "--resume"], "was trained with other photographs"),
    (["PHOTOS", "--output", "a", "--preset", "nonsense"], "Invalid value for '--preset'"),
    (["PHOTOS", "--output", "a", "--steps", 0], "Invalid value for '--steps'"),
    (["PHOTOS", "--output", "a", "--steps", "many"], "Invalid value for '--steps'"),
    (["PHOTOS", "--output", "a", "--seed", "x"], "Invalid value for '--seed'"),
    (["PHOTOS", "--output", "a", "--seed", 2**64], "--seed is 18446744073709551616"),
    (["PHOTOS", "--output", "a", "--batch", 3], "batch 3 is not possible"),
    (["PHOTOS", "--output", "a", "--batch", 0], "batch 0 is not possible"),
    (["PHOTOS", "--output", "a", "--width-multiplier", 0], "width 0.0 is out of range; allowed are 1/64 to 4"),
    (["PHOTOS", "--output", "a", "--width-multiplier", "nan"], "width nan is out of range"),
    (["PHOTOS", "--output", "a", "--generator-rate", 0], "generator_rate 0.0 is out of range"),
    (["PHOTOS", "--output", "a", "--discriminator-rate", "nan"], "discriminator_rate nan is out of range"),
    (["PHOTOS", "--output", "a", "--decay-steps", 0], "decay_steps 0 is out of range; allowed are 1 step or more"),
    (
        ["empty", "--output", "a", "--decay-steps", 3, "--steps", 4],  # before photographs are read
        "--steps 4 goes past step 3, where the learning rates decay to zero; give --steps 3 or fewer",
    ),
    (["PHOTOS", "--output", "a", "--checkpoint-every", 0], "Invalid value for '--checkpoint-every'"),
    (["PHOTOS", "--output", "a", "--sample-every", 0], "Invalid value for '--sample-every'"),
    (["PHOTOS", "--output", "a", "--threads", 0], "Invalid value for '--threads'"),
    (["PHOTOS", "--output", "a", "--precision", "fp8"], "Invalid value for '--precision'"),
    (["PHOTOS", "--output", "a", "--discriminator", "none"], "Invalid value for '--discriminator'"),
    (["PHOTOS", "--output", "a", "--device", "nonsense"], "device 'nonsense' cannot be used here"),
    (["PHOTOS", "--output", "PHOTOS/runs"], "is inside data folder"),
]


@pytest.mark.parametrize(("words", "message"), BAD_INPUT, ids=[message[:60] for _, message in BAD_INPUT])
def test_bad_input_is_one_line_with_exit_code_2_and_changes_nothing(
    words: list[object],
    message: str,
    call: Call,
    photos: Path,
    trained_run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("empty").mkdir()
    save(Path("small"), "a.png", landscape(0, height=50, width=60))
    save_landscapes(Path("OTHER"), count=1)
    before = [list_files(folder) for folder in (tmp_path, trained_run.path, photos)]
    stamps = [p.stat().st_mtime_ns for p in (trained_run.state, trained_run.log_file, trained_run.model)]
    places = {"PHOTOS": photos, "PHOTOS/runs": photos / "runs", "RUN": trained_run.path}
    defaults = [] if "--steps" in words else ["--steps", 3]
    code, out, err = call(*defaults, *TINY, *(places.get(str(w), w) for w in words))
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert message in err
    assert [list_files(folder) for folder in (tmp_path, trained_run.path, photos)] == before
    assert [p.stat().st_mtime_ns for p in (trained_run.state, trained_run.log_file, trained_run.model)] == stamps


def test_without_data_the_photographs_below_the_current_folder_are_trained_and_resumed(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_landscapes(Path("trip"), count=16)
    code, out, err = call("--steps", 1, *TINY)
    assert (code, out) == (0, "infgen-run/model.safetensors: step 1, finished\n")
    assert err == (
        f"found 16 photographs below {tmp_path}: training tiny to step 1 in infgen-run; Ctrl-C stops, --resume continues\n"
    )
    save_landscapes(Path("infgen-run", "samples"), count=1)  # sample sheets are no photographs
    assert call("--steps", 2, "--resume", *TINY)[0] == 0


def test_too_few_photographs_below_the_current_folder_are_refused(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_landscapes(Path("trip"), count=15)
    code, out, err = call(*TINY)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{tmp_path} holds 15 usable photographs; training needs at least 16" in err
    assert not Path("infgen-run").exists()


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_a_folder_in_use_is_refused_with_the_number_of_its_process(
    resume: tuple[str, ...], call: Call, photos: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "a")
    lock = folder.lock()
    before = list_files(tmp_path)
    code, out, err = call(photos, "--output", folder.path, *TINY, *resume)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"run folder {folder.path} is in use by process {os.getpid()}, which trains there" in err
    assert list_files(tmp_path) == before
    lock.close()
    assert call(photos, "--output", folder.path, "--steps", 1, *TINY)[0] == 0


def test_a_failed_run_unlocks_its_folder(call: Call, photos: Path, trained_run: RunFolder) -> None:
    for words in (("--seed", 1), ("--batch", 4)):
        assert call(photos, "--output", trained_run.path, "--resume", *TINY, *words)[0] == 2
        trained_run.check_free()


def test_a_missing_feature_network_gives_one_line_that_names_the_extra(
    call: Call, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    code, _, err = call(photos, "--output", tmp_path / "a", *TINY, "--discriminator", "projected")
    assert code == 2
    assert err == (
        "Error: the projected discriminator needs efficientnet_lite_pytorch, which is not installed; "
        "run: pip install 'infgen[train]'\n"
    )
    assert list_files(tmp_path) == []


def test_coordinates_without_a_horizon_leave_out_the_vertical_position(
    call: Call, photos: Path, tmp_path: Path
) -> None:
    assert call(photos, "--output", tmp_path / "a", "--steps", 1, "--coordinates", "texture", *TINY)[0] == 0
    recipe = load_state(RunFolder(tmp_path / "a"))["recipe"]
    assert (recipe["coordinates"], recipe["position_weight"], recipe["steps"]) == ("texture", 0.0, 1)


def test_a_share_beyond_the_strip_is_refused_with_coordinates_without_a_horizon(
    call: Call, photos: Path, tmp_path: Path
) -> None:
    code, _, err = call(photos, "--output", tmp_path / "a", "--coordinates", "object", "--beyond", 0.2, *TINY)
    assert code == 2
    assert err.startswith("Error: beyond 0.2 is not possible with coordinates 'object'")
    assert list_files(tmp_path) == []


# Stopping


def test_divergence_gives_one_line_with_the_loss_term_and_exit_code_1(
    call: Call, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "diversity", lambda z_l, z_s, norm: torch.tensor(float("nan")))
    code, _, err = call(photos, "--output", tmp_path / "a", "--steps", 2, *TINY)
    assert code == 1
    assert err.startswith(
        "Error: training diverged at step 1: loss term g_diversity is nan; start another run with lower learning rates "
        "(--generator-rate, --discriminator-rate); there is no checkpoint of an earlier step"
    )
    assert err.count("\n") == 1


def test_an_interrupt_finishes_the_step_with_exit_code_130_and_the_run_can_be_resumed(
    call: Call, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = (photos, "--output", tmp_path / "a", "--steps", 3, "--checkpoint-every", 1, *TINY)
    step = Stepper.step

    def step_with_interrupt(self: Stepper) -> dict[str, float]:
        if self.state.step == 1:
            signal.raise_signal(signal.SIGINT)
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", step_with_interrupt)
        code, out, err = call(*run)
    message = f"{tmp_path / 'a' / 'model.safetensors'}: step 2, stopped; continue with --resume\n"
    assert (code, out, err.strip()) == (130, message, "")
    assert load_state(RunFolder(tmp_path / "a"))["step"] == 2
    assert call(*run, "--resume")[0] == 0
    assert [r["step"] for r in read_log(RunFolder(tmp_path / "a"))] == [1, 2, 3]


def start_process(*words: object) -> subprocess.Popen[bytes]:
    program = "from infgen.cli.main import main; main()"
    return subprocess.Popen([sys.executable, "-c", program, "train", *(str(w) for w in words)])


def kill_when(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    """Send SIGKILL as soon as ``condition`` holds. Fails if the process ends by itself."""
    until(condition, alive=[process], pause=0.002)
    process.kill()
    process.wait()


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_run_killed_before_and_after_its_first_checkpoint_ends_like_an_uninterrupted_one(
    call: Call, photos: Path, tmp_path: Path
) -> None:
    schedule = ("--steps", 10, "--checkpoint-every", 4, *TINY)
    uninterrupted, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    assert call(photos, "--output", uninterrupted.path, *schedule)[0] == 0
    log = killed.log_file

    kill_when(
        start_process(photos, "--output", killed.path, *schedule), lambda: log.exists() and log.stat().st_size > 0
    )
    assert not killed.state.exists()
    kill_when(start_process(photos, "--output", killed.path, *schedule), lambda: killed.state.exists())
    assert call(photos, "--output", killed.path, *schedule, "--resume")[0] == 0
    assert log.read_bytes() == uninterrupted.log_file.read_bytes()
    assert killed.model.read_bytes() == uninterrupted.model.read_bytes()
    assert list_files(killed.path) == list_files(uninterrupted.path)
