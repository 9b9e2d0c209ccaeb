"""``infgen schema``, and the examples of the page on layouts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infgen.cli.schema import command
from infgen.errors import exit_code
from infgen.world.layout import Layout

PAGE = Path(__file__).parents[2] / "docs" / "layouts.md"
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def schema(kind: str) -> dict[str, Any]:
    return json.loads(run(kind).output)


def entries(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Every entry of every mapping that the schema describes."""
    found = [*part["$defs"].values(), part]
    return [entry for mapping in found for entry in mapping["properties"].values()]


@pytest.mark.parametrize("kind", ["layout", "world"])
def test_every_entry_is_explained(kind: str):
    assert all(entry.get("description") for entry in entries(schema(kind)))


@pytest.mark.parametrize("kind", ["layout", "world"])
def test_a_schema_states_its_identifier_and_title(kind: str):
    found = schema(kind)
    assert (found["$id"], found["title"]) == (f"urn:infgen:{kind}:{3 if kind == 'world' else 1}", f"infgen {kind}")


def test_unknown_entries_are_marked_in_editors():
    found = schema("layout")
    assert all(part["additionalProperties"] is False for part in [*found["$defs"].values(), found])


def test_the_schema_of_worlds_describes_their_layouts():
    assert "ResolvedLayout" in schema("world")["$defs"]


def test_the_schema_goes_to_a_file(tmp_path: Path):
    result = run("layout", "-o", tmp_path / "s.json")
    assert result.output.strip() == str(tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text()) == schema("layout")


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path):
    result = run("layout", "-o", tmp_path / "none" / "s.json")
    assert result.exception is not None
    assert "does not exist" in str(result.exception)
    assert exit_code(result.exception) == 2


def test_an_unknown_kind_of_document_is_refused():
    assert run("picture").exit_code == 2


def test_the_page_on_layouts_has_examples():
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page_on_layouts_is_a_layout(text: str):
    Layout.from_json(text)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_schema_contains_every_entry_of_the_examples(text: str):
    found = schema("layout")
    assert set(json.loads(text)) <= set(found["properties"])


def test_the_entry_for_editors_is_left_aside():
    plain = Layout.from_json('{"styles": {"a": {"seed": 1}}}')
    assert Layout.from_json('{"$schema": "./x.json", "styles": {"a": {"seed": 1}}}') == plain


def test_an_entry_for_editors_that_is_no_name_is_refused():
    with pytest.raises(Exception, match=r"unknown entry '\$schema'"):
        Layout.from_json('{"$schema": 1, "styles": {"a": {"seed": 1}}}')
