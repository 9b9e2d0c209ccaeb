"""The command line as a function: exit code, standard output, standard error."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infgen.cli.main import main

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line; gives exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as leave:
            main([str(w) for w in words])
        code = leave.value.code
        captured = capsys.readouterr()
        assert code is None or isinstance(code, int)
        return code or 0, captured.out, captured.err

    return run


@pytest.fixture
def render(call: Call, tiny_model: Path) -> Call:
    """``infgen render`` with the tiny model."""
    return lambda *words: call("render", "--model", tiny_model, "--quiet", *words)
