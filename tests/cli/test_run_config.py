"""Training from a file: options, and the recipe of another run."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from infgen.cli.run_config import run_config
from infgen.cli.train import command
from infgen.errors import InputError
from infgen.train.presets import find_recipe


@pytest.fixture
def parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a file and parse ``train --config FILE`` with more words."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, *words: str, name: str = "run.yaml") -> click.Context:
        Path(name).write_text(text)
        return command.make_context("train", ["--config", name, *words])

    return run


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "data: photos\nbatch: 4\ngenerator_rate: 1e-4\nprecision: bf16\noutput: runs/b\n"),
        ("a.json", '{"data": "photos", "batch": 4, "generator-rate": 1e-4, "precision": "bf16", "output": "runs/b"}'),
        ("a.toml", 'data = "photos"\nbatch = 4\ngenerator_rate = 1e-4\nprecision = "bf16"\noutput = "runs/b"\n'),
    ],
)
def test_a_file_gives_data_and_options(name: str, text: str, parse: Any) -> None:
    found = parse(text, name=name).params
    values = [found[key] for key in ("data", "batch", "generator_rate", "precision", "out")]
    assert values == ["photos", 4, 1e-4, "bf16", Path("runs/b")]


def test_the_command_line_has_priority(parse: Any) -> None:
    assert parse("batch: 4\n", "--batch", "8").params["batch"] == 8


def test_the_recipe_of_a_run_is_taken_whole(parse: Any) -> None:
    recipe = find_recipe("tiny").with_values(batch=6)
    found = run_config(parse(json.dumps(recipe.to_dict()), name="recipe.json"))
    assert found is not None
    assert found.recipe == recipe
    with pytest.raises(InputError, match=r"--preset is given, and recipe\.json is a whole recipe"):
        found.check(data=None, preset_given=True)


def test_photographs_in_file_and_command_line_must_agree(parse: Any) -> None:
    found = run_config(parse("data: photos\n"))
    assert found is not None
    found.check(data="photos", preset_given=True)
    with pytest.raises(InputError, match=r"data is 'photos' in run\.yaml and 'others' on the command line"):
        found.check(data="others", preset_given=False)


BAD = {
    "unknown": ("batchs: 4\n", r"run\.yaml: unknown entry 'batchs'; did you mean batch\?"),
    "type": ("batch: many\n", r"run\.yaml, batch is 'many'; a whole number is needed"),
    "rate": ("generator_rate: fast\n", r"generator_rate is 'fast'; a number is needed"),
    "list": ("- 1\n", "is a list; entries such as batch: 8 are needed"),
    "no YAML": ("a: [\n", "cannot be read"),
    "recipe": ("generator: scenery-101\nbatchs: 4\n", "unknown entry 'batchs'; did you mean batch"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_faulty_file_is_refused_with_its_entry(text: str, message: str, parse: Any) -> None:
    with pytest.raises(InputError, match=message):
        parse(text)


def test_another_ending_and_a_missing_file_are_refused(parse: Any) -> None:
    with pytest.raises(InputError, match=r"no known ending; give one of \.json, \.toml"):
        parse("", name="run.txt")
    with pytest.raises(InputError, match="cannot be read"):
        command.make_context("train", ["--config", "missing.yaml"])
