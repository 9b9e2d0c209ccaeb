"""Old words stay out of docs and help texts. ``make prose`` reads the same list and counts the words of sentences, too."""

import ast
import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROSE = ROOT / "docs" / "prose"
DOCS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "infgen" / "assets").glob("MODEL_CARD*.md")),
    ROOT / "tests" / "oracles" / "README.md",
]
RULES = yaml.safe_load((PROSE / "words.yml").read_text())["rules"]
LINE = 120


def pattern_of(rule: dict) -> re.Pattern[str]:
    """The pattern of a rule of the word list, which is written as in JavaScript: /.../i."""
    return re.compile(rule["pattern"].removeprefix("/").removesuffix("/i"), re.IGNORECASE)


def prose_of(text: str) -> str:
    """A Markdown text without code, whose words are not ours to choose."""
    return re.sub(r"`[^`]*`", "`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def old_words(text: str) -> list[str]:
    """Words of ``text`` that the list rejects, each with the word to use."""
    found = [(match, rule["expected"]) for rule in RULES for match in pattern_of(rule).finditer(prose_of(text))]
    return [f"{' '.join(match[0].split())!r}: use {word!r}" for match, word in found]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_page_has_no_old_words(path: Path) -> None:
    assert old_words(path.read_text()) == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_lines_of_a_page_fit_in_the_editor(path: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in prose.splitlines() if len(line) > LINE and not line.startswith(("|", "!["))] == []


def test_help_texts_have_no_old_words(tmp_path: Path) -> None:
    runpy.run_path(str(PROSE / "help_texts.py"))["write_help"](tmp_path)
    found = {path.stem: old_words(path.read_text()) for path in sorted(tmp_path.glob("*.md"))}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "text",
    [
        "Rates that\nfall.",
        "The file's recipe.",
        "# Beside the picture",
        "| a | The edge is led over. |",
        "**Who asks** must have it.",
    ],
)
def test_an_old_word_is_found_anywhere_in_a_page(text: str) -> None:
    assert old_words(text)


@pytest.mark.parametrize(
    "text", ["Besides, the recipe of a run.", "```\nbeside\n```\n", "`led over`", "A file's provenance."]
)
def test_other_words_and_code_are_left_alone(text: str) -> None:
    assert old_words(text) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["expected"])
def test_a_rule_does_not_reject_the_word_it_asks_for(rule: dict) -> None:
    assert not pattern_of(rule).search(rule["expected"])


# Names in the code: one word for one thing, and verbs for functions.

PACKAGES = ("infgen", "train", "serve", "export")
OLD_NAMES = {"Errand", "Crew", "Turns", "Here", "Order", "lay", "look", "tell", "average"}
OLD_MODULES = {
    "work",
    "feed",
    "blobs",
    "blocks",
    "nearest",
    "ahead",
    "turns",
    "recent",
    "fresh",
    "subjects",
    "opening",
    "whole",
}


def definitions() -> list[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """The file and the node of every class and function."""
    found = []
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        nodes = ast.walk(ast.parse(path.read_text()))
        found += [(path.name, node) for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return found


def is_property(node: ast.ClassDef | ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_classes_functions_and_modules_have_no_old_names() -> None:
    modules = {path.stem for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert modules & OLD_MODULES == set()
    assert {node.name for _, node in definitions()} & OLD_NAMES == set()


def test_functions_are_named_with_verbs_and_not_with_participles() -> None:
    """A property may state what is, as ``job.ended``."""
    bare = [(file, node) for file, node in definitions() if re.fullmatch(r"_?[a-z]+ed", node.name)]
    assert [f"{file}: {node.name}" for file, node in bare if not is_property(node)] == []
