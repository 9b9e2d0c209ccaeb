"""Every code block of README and docs works: commands parse, cheap ones run, TOML and JSON are readable."""

import json
import shutil
import tomllib
from pathlib import Path

import click
import pytest

from infgen.cli.main import cli
from infgen.cli.standard_streams import InputPath
from tests.cli.conftest import Call, call  # noqa: F401  (a fixture)
from tests.docs.blocks import ROOT, Block, list_blocks

BLOCKS = list_blocks()
COMMANDS = [(block, words) for block in BLOCKS for words in block.commands()]
# Commands that run for real, with the tiny model. Others take minutes, a server, a GPU or files of yours.
RUN = ("render", "styles", "info", "verify", "schema", "env", "completion")
RUN_PAGES = ("README.md", "docs/command-line.md", "docs/tutorial-first-picture.md", "docs/tutorial-panorama.md")
MOST_PX = 10**6
# Files of the reader that commands of the pages name.
READERS_FILES = {"run.yaml": "data: photos\n", "recipe.json": "{}"}


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that ``words`` name, and its arguments."""
    command, rest = cli.get_command(click.Context(cli), words[0]), words[1:]
    assert command is not None, f"infgen {words[0]} is no command"
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize(("block", "words"), COMMANDS, ids=lambda value: str(value) if isinstance(value, Block) else "")
def test_a_command_of_the_docs_parses(
    block: Block, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in READERS_FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(InputPath, "convert", lambda self, value, param, ctx: Path(value))  # "-" reads standard input
    words = [word for word in words if word not in ("...", "--help") and not word.startswith("[")]
    if not words:
        return
    command, rest = find_command(words)
    if rest or not isinstance(command, click.Group):
        command.make_context("infgen", rest)


def is_cheap(words: list[str]) -> bool:
    """Whether a command ends in seconds with the tiny model and needs no file of the reader."""
    sizes = [int(words[i + 1]) for i, word in enumerate(words) if word in ("--w", "--h")]
    small = not sizes or sizes[0] * sizes[-1] <= MOST_PX or "--dry-run" in words
    own = {"-", "best_fid.pth.tar", "layout.json", "photo.jpg"} & set(words) or "--model" in words
    return words[0] in RUN and small and not own and "1/8" not in words


@pytest.mark.parametrize("page", RUN_PAGES)
def test_the_cheap_commands_of_a_page_run_one_after_the_other(
    page: str,
    call: Call,  # noqa: F811
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFGEN_MODEL", str(tiny_model))
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    (tmp_path / "world.json").write_text('{"schema": 2, "seed": 3}')
    for block in BLOCKS:
        for words in block.commands() if block.page == page and not block.needs else ():
            if is_cheap(words):
                code, _, err = call(*words, *(["--threads", 1, "-q"] if words[0] in ("render", "styles") else []))
                missing = "does not exist" in err or "No such file" in err  # a file of the reader
                assert code == 0 or missing, f"{block}: infgen {' '.join(words)}: {err}"


DATA_BLOCKS = [block for block in BLOCKS if block.language in ("json", "toml")]


@pytest.mark.parametrize("block", DATA_BLOCKS, ids=str)
def test_a_data_block_is_readable(block: Block) -> None:
    assert (json.loads if block.language == "json" else tomllib.loads)(block.text)


def test_marks_name_what_is_missing_here() -> None:
    assert {word for block in BLOCKS for word in block.needs.split(", ")} <= {
        "",
        "cluster",
        "gpu",
        "network",
        "hours",
        "minutes",
        "java",
    }
