"""One word for one thing: every option has a panel and one meaning, and every command has examples that parse."""

import re
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
# Options with several help texts and one meaning: number of texts, and the meaning. Before you raise a number, compare
# the new text with the meaning: another meaning needs another name.
ONE_MEANING = {
    "--batch": (3, "how many tiles or patches one pass computes"),
    "--device": (3, "the processor that computes"),
    "--engine": (2, "the runtime of the model"),
    "--engine-file": (2, "a file of infgen export"),
    "--format": (2, "the format of the files to write"),
    "--h": (2, "the height of each picture to render"),
    "--metrics": (2, "the metrics to compute"),
    "--model": (2, "the model"),
    "--n": (2, "how many pictures a metric reads"),
    "--output": (16, "the file or folder to write"),
    "--precision": (2, "the number format of the computation"),
    "--preset": (2, "a training recipe"),
    "--preview": (2, "a small PNG that exists before the result"),
    "--quiet": (3, "fewer lines"),
    "--region": (2, "a rectangle of the world"),
    "--resume": (2, "continue what was interrupted"),
    "--seed": (5, "the start of the random numbers"),
    "--side": (2, "the longest side of the picture"),
    "--size": (3, "the short side of the photographs for training"),
    "--threads": (2, "how many CPU threads compute"),
    "--w": (2, "the width of each picture to render"),
    "--x": (2, "the left edge in the world"),
}


def commands() -> Iterator[tuple[str, click.Command]]:
    for name, command in LISTING(cli, "infgen"):
        if not isinstance(command, click.Group) or name == "infgen eval":
            yield name.removeprefix("infgen "), command


ALL = dict(commands())


def kind(option: click.Option) -> tuple[object, ...]:
    """What a value of the option is: a flag, a count, a number, or a text, which may be a name or a path."""
    number = isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
    return option.is_flag, option.count, option.nargs, number


def uses() -> dict[str, list[tuple[str, click.Option]]]:
    """Option -> the commands that have it, each with its own."""
    found: dict[str, list[tuple[str, click.Option]]] = {}
    for name, command in ALL.items():
        for option in options(command):
            found.setdefault(long_name(option), []).append((name, option))
    return found


def first_sentence(option: click.Option) -> str:
    return re.split(r"\.(?= |$)| *\[default", option.help or "")[0]


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


def test_an_option_has_one_meaning() -> None:
    texts = {option: {first_sentence(one) for _, one in found} for option, found in uses().items()}
    several = {option: len(found) for option, found in texts.items() if len(found) > 1}
    assert several == {option: count for option, (count, _) in ONE_MEANING.items()}


def test_an_option_takes_one_kind_of_value() -> None:
    kinds = {option: {kind(one) for _, one in found} for option, found in uses().items()}
    assert {option: found for option, found in kinds.items() if len(found) > 1} == {}


def test_an_option_has_one_metavar() -> None:
    metavars = {o: {find_word(name, o)[1] for name, _ in found} - {None} for o, found in uses().items()}
    assert [option for option, found in metavars.items() if len(found) > 1] == ["--output"]  # a file or a folder


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
