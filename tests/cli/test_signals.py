"""Signals that end a command: what is done is kept, and the exit code names the signal."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infgen.rendering import render as module
from infgen.signals import stop_signals
from infgen.sinks.files.work_folder import JOURNAL
from infgen.train.checkpoint import RunFolder
from infgen.train.stopping import stop_requests
from tests.cli.conftest import Call
from tests.patience import until
from tests.train.photos import save_landscapes
from tests.train.runs import read_log

ENDING = [signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", ENDING)
def test_a_render_keeps_its_tiles_and_prints_how_to_continue(
    render: Call,
    tmp_path: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
    request.addfinalizer(lambda: signal.signal(number, before))
    drawn, draw = [0], module.render_batch

    def count(*arguments: object) -> object:
        drawn[0] += bool(list(tmp_path.glob("*/" + JOURNAL)))  # tiles of the picture, not of the estimate
        if drawn[0] == 3:
            os.kill(os.getpid(), number)
        return draw(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "render_batch", count)
    monkeypatch.setattr("infgen.signals.leave_terminal", lambda number: None)  # of the test itself
    words = ("--w", 300, "--h", 40, "--tile", 101, "-o", tmp_path / "a.png")
    code, _, err = render(*words)
    assert code == 128 + number
    assert err.splitlines()[-2:] == [err.splitlines()[-2], f"Error: stopped by {number.name}"]
    assert "tiles are kept: run the same command with --resume" in err
    assert render(*words, "--resume")[0] == 0
    assert (tmp_path / "a.png").exists()


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert signal.SIGHUP not in stop_signals()
        with stop_requests() as request:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not request.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_training_saves_when_its_terminal_is_closed(tmp_path: Path) -> None:
    words = ["train", save_landscapes(tmp_path / "photos"), "--preset", "tiny", "--output", tmp_path / "run"]
    words += ["--batch", 2, "--steps", 10**6, "--threads", 1]
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
        os.login_tty(theirs)  # the end of the child's terminal sends SIGHUP

    process = subprocess.Popen(
        [sys.executable, "-m", "infgen", *map(str, words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=take_terminal,
    )
    os.close(theirs)
    folder = RunFolder(tmp_path / "run")
    try:
        until(lambda: folder.log_file.exists() and read_log(folder), alive=[process])
        os.close(ours)
        assert process.wait(60) == 128 + signal.SIGHUP
    finally:
        process.kill()
    assert folder.state.exists()
