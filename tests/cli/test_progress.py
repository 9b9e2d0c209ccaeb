"""Progress on terminals of all kinds."""

import re

import pytest
import torch
from rich.console import Console

from infgen.cli.photographs import _show_steps
from infgen.cli.progress import progress
from infgen.inversion.run import Step

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setenv("TERM", "dumb")
    with progress("rendering", unit="Mpx") as advance:
        advance(2, 2)
    assert capsys.readouterr().err.startswith("rendering: 100 %, ")


def test_the_rate_of_a_finished_task_is_that_of_the_whole_task(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    with progress("rendering", unit="pictures") as advance:
        advance(1, 1)
    last = _ESCAPE.sub("", capsys.readouterr().err).rpartition("rendering")[2]
    assert "pictures/s" in last
    assert " 0 pictures/s" not in last


@pytest.mark.parametrize("columns", [80, 200])
def test_the_steps_of_an_inversion_fit_into_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    terms = dict.fromkeys(("pixel", "lpips", "noise", "z_l_excess", "style"), 0.0123)
    step = Step("detail", 7, steps=60, seconds=1.0, loss=1.0, terms=terms, psnr=13.8, image=torch.zeros(3, 2, 2))
    with _show_steps("inverting a [b] {c}.jpg", quiet=False) as report:
        report(step)
    last = _ESCAPE.sub("", capsys.readouterr().err).strip().splitlines()[-1].rpartition("\r")[2]
    assert "inverting a [b] {c}.jpg" in last
    assert " 7/60 " in last
    assert "13.8 dB" in last
    assert ("style 0.0123" in last, len(last.rstrip()) <= columns) == (columns == 200, True)
