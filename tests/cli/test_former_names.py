"""Former names of options work on the command line, in files and in the environment, each with a note."""

from pathlib import Path
from typing import Any

import click
import pytest

from infgen.cli.command import Command
from infgen.cli.main import cli
from infgen.cli.run_config import run_config
from infgen.cli.train import command as train
from infgen.errors import InputError
from tests.cli.test_words import ALL

RENAMED = [
    (name, former, now)
    for name, command in ALL.items()
    if isinstance(command, Command)
    for former, now in command.renamed.items()
]
PANORAMA = ["photo.jpg", "--w", "512"]


@pytest.fixture
def parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Parse the words of ``panorama`` in an empty folder; gives the values of its options."""
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").touch()
    command = cli.get_command(click.Context(cli), "panorama")
    assert command is not None

    def run(*words: str) -> dict[str, Any]:
        return command.make_context(
            "panorama", [*PANORAMA, *words], parent=click.Context(cli, info_name="infgen")
        ).params

    return run


@pytest.mark.parametrize(("name", "former", "now"), RENAMED)
def test_a_former_name_means_an_option_and_is_free(name: str, former: str, now: str) -> None:
    names = {word for option in ALL[name].params for word in option.opts}
    assert (now in names, former in names) == (True, False)


def test_the_command_line_takes_a_former_name(parse: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("--steps", "7")["steps"] == 7
    assert capsys.readouterr().err.startswith("note: --steps is now called --inversion-steps; ")


def test_the_environment_takes_a_former_name(
    parse: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INFGEN_PANORAMA_STEPS", "7")
    assert parse()["steps"] == 7
    note = "note: INFGEN_PANORAMA_STEPS is now called INFGEN_PANORAMA_INVERSION_STEPS; "
    assert capsys.readouterr().err.startswith(note)
    monkeypatch.setenv("INFGEN_PANORAMA_INVERSION_STEPS", "8")
    assert parse()["steps"] == 8


def test_a_file_takes_a_former_name(parse: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Path("infgen.toml").write_text("[panorama]\nsteps = 7\n")
    assert parse()["steps"] == 7
    assert "note: steps in " in capsys.readouterr().err


def test_both_names_in_one_table_are_refused(parse: Any) -> None:
    Path("infgen.toml").write_text("[panorama]\nsteps = 7\ninversion-steps = 8\n")
    with pytest.raises(
        InputError, match="steps is the former name of inversion_steps, and both are given; remove steps"
    ):
        parse()


def test_the_file_of_a_run_takes_a_former_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text("data: photos\nwidth: 0.5\n")
    context = train.make_context("train", ["--config", "run.yaml"])
    assert (context.params["width"], run_config(context) is not None) == (0.5, True)
    assert "note: width in run.yaml is now called width_multiplier; " in capsys.readouterr().err
