"""One word for one thing: every option has a panel and one meaning, and every command has examples that parse."""

import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from infgen.cli.command import Command
from infgen.cli.defaults import long_name
from infgen.cli.main import COMMANDS, cli
from infgen.cli.words import COMMAND_PANELS, OPTIONS, find_word

LISTING = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "prose" / "help_texts.py"))["list_commands"]
# Words of former versions that a command must not show again, with the word to use.
FORMER = {"--out": "--output", "--world-seed": "--seed", "--devices": "--device"}


def commands() -> Iterator[tuple[str, click.Command]]:
    for name, command in LISTING(cli, "infgen"):
        if not isinstance(command, click.Group) or name == "infgen eval":
            yield name.removeprefix("infgen "), command


ALL = dict(commands())


def options(command: click.Command) -> list[click.Option]:
    return [one for one in command.params if isinstance(one, click.Option) and not one.hidden]


@pytest.mark.parametrize("name", ALL)
def test_every_option_has_a_panel(name: str) -> None:
    assert [long_name(o) for o in options(ALL[name]) if find_word(name, long_name(o))[0] == OPTIONS] == []


@pytest.mark.parametrize("name", ALL)
def test_a_value_without_choices_has_a_metavar(name: str) -> None:
    free = [o for o in options(ALL[name]) if not o.is_flag and not o.count and not isinstance(o.type, click.Choice)]
    assert [long_name(o) for o in free if find_word(name, long_name(o))[1] is None] == []


@pytest.mark.parametrize("name", ALL)
def test_former_words_are_not_options(name: str) -> None:
    assert set(FORMER) & {word for option in options(ALL[name]) for word in option.opts} == set()


@pytest.mark.parametrize("name", ALL)
def test_output_is_o_and_quiet_is_q_and_verbose_is_v(name: str) -> None:
    short = {long_name(o): {word for word in o.opts if len(word) == 2} for o in options(ALL[name])}
    wanted = {"--output": {"-o"}, "--quiet": {"-q"}, "--verbose": {"-v"}}
    assert {word: short[word] for word in wanted if word in short} == {w: s for w, s in wanted.items() if w in short}
    assert "--verbose" in short


def test_every_command_is_in_one_panel_of_the_help() -> None:
    assert sorted(COMMANDS) == sorted(name for names in COMMAND_PANELS.values() for name in names)


@pytest.mark.parametrize("name", [name for name in ALL if name != "eval"])
def test_a_command_has_examples(name: str) -> None:
    command = ALL[name]
    assert isinstance(command, Command)
    assert command.examples


EXAMPLES = [words for command in ALL.values() if isinstance(command, Command) for _, words in command.examples]


@pytest.mark.parametrize("words", EXAMPLES)
def test_an_example_parses(words: str) -> None:
    first, *rest = shlex.split(words.split(" > ")[0].split(" | ")[0])
    command = cli.get_command(click.Context(cli), first)
    assert command is not None
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("infgen", rest)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that examples read while they are parsed."""
    monkeypatch.chdir(tmp_path)
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/recipe.json").write_text("{}")
    Path("run.yaml").write_text("data: photos\n")
