"""Progress on terminals of all kinds."""

import pytest
from rich.console import Console

from infgen.cli.progress import progress


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setenv("TERM", "dumb")
    with progress("rendering", unit="Mpx") as advance:
        advance(2, 2)
    assert capsys.readouterr().err.startswith("rendering: 100 %, ")
