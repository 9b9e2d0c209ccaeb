"""Hooks of MkDocs: add pages from outside of docs/, generate the reference, and rewrite links between all of them."""

import importlib
import json
import posixpath
import re
import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Page of the site -> file of the repository.
PAGES = {
    "index.md": "README.md",
    "project/changelog.md": "CHANGELOG.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "project/security.md": "SECURITY.md",
    "project/model-card.md": "infgen/assets/MODEL_CARD.md",
    "project/model-card-planet.md": "infgen/assets/MODEL_CARD_planet.md",
    "project/model-card-atlas.md": "infgen/assets/MODEL_CARD_atlas.md",
    "project/credits.md": "infgen/assets/CREDITS.md",
}
MODULES = ("infgen", "infgen.train", "infgen.export", "infgen.serve")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_EXAMPLE = re.compile(r"^([ ]+)>>> .*\n(?:\1(?!\"\"\")\S.*\n)*", re.MULTILINE)  # up to an empty line


def on_startup(command: str, dirty: bool) -> None:
    """Copy the packages into one tree, build/source, as they are installed: mkdocstrings reads files."""
    tree = ROOT / "build" / "source"
    shutil.rmtree(tree, ignore_errors=True)
    only_code = shutil.ignore_patterns("assets", "static", "__pycache__", "node_modules")
    shutil.copytree(ROOT / "infgen", tree / "infgen", ignore=only_code)
    for name in ("train", "export", "serve"):
        shutil.copytree(ROOT / name, tree / "infgen" / name, ignore=only_code)
    for path in tree.rglob("*.py"):
        path.write_text(_EXAMPLE.sub(_mark_example, path.read_text(encoding="utf-8")), encoding="utf-8")


def _mark_example(match: re.Match[str]) -> str:
    """Put the example of a docstring under a heading that mkdocstrings knows."""
    indent = match[1]
    return f"{indent}Examples:\n" + "".join(f"    {line}\n" for line in match[0].splitlines())


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for uri, source in PAGES.items():
        text = re.sub(r"\A---\n.*?\n---\n", "", (ROOT / source).read_text(encoding="utf-8"), flags=re.DOTALL)
        files.append(File.generated(config, uri, content=text))
    for uri, text in (("commands", describe_commands()), ("python", describe_python()), ("http", describe_http())):
        files.append(File.generated(config, f"reference/{uri}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links that are relative to the repository. A link to a file outside of the site becomes plain text."""
    here = page.file.src_uri

    def replace(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        found = _rewrite(target, here, files)
        return f"{image}[{text}]({found})" if found else text

    return _LINK.sub(replace, markdown)


def _rewrite(target: str, here: str, files: Files) -> str | None:
    """Return the link to ``target`` on the page ``here``, or None if it is not on the site."""
    if target.startswith(("http://", "https://", "#", "mailto:")):
        return target
    path, hash_, anchor = target.partition("#")
    source = PAGES.get(here, f"docs/{here}")
    place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    uri = next((page for page, file in PAGES.items() if file == place), place.removeprefix("docs/"))
    if files.get_file_from_path(uri) is None:
        if not (ROOT / place).exists() and not place.startswith("out/"):  # out/ holds what make writes
            return target  # MkDocs reports it
        return None
    return posixpath.relpath(uri, posixpath.dirname(here) or ".") + hash_ + anchor


def describe_commands() -> str:
    """Generate the reference of all commands from their help texts."""
    from infgen.cli.main import cli

    listing = runpy.run_path(str(ROOT / "docs" / "prose" / "help_texts.py"))["list_commands"]
    parts = ["# Commands", "Generated from `--help`. [The command line](../command-line.md) explains what they share."]
    for name, command in listing(cli, "infgen"):
        context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
        parts += [f"## {name}", f"```text\n{click.unstyle(command.get_help(context))}\n```"]
    return "\n\n".join(parts) + "\n"


def describe_python() -> str:
    """Generate the reference of the public names; mkdocstrings fills it from the docstrings."""
    parts = ["# Python", "Everything that is not listed here may change without notice."]
    for module in MODULES:
        parts.append(f"## {module}")
        package = importlib.import_module(module)
        for name in package.__all__:
            if not name.startswith("__"):
                home = getattr(package, name).__module__
                parts.append(f"::: {home}.{name}\n    options:\n      heading: {module}.{name}")
    return "\n\n".join(parts) + "\n"


def describe_http() -> str:
    """Generate the reference of the HTTP API from its OpenAPI document."""
    from infgen.serve import create_app

    with tempfile.TemporaryDirectory() as folder:
        document: dict[str, Any] = create_app(Path(folder), model=None).openapi()
    parts = [
        "# HTTP API",
        f"`infgen serve`, API version {document['info']['version']}. See also [the server](../serve.md).",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"## {method.upper()} {path}")
            parts.append(operation.get("description") or operation.get("summary", ""))
            rows = [
                f"| `{p['name']}` | {p['in']} | {'yes' if p.get('required') else 'no'} | {_schema(p['schema'])} |"
                for p in operation.get("parameters", [])
            ]
            if rows:
                parts.append("\n".join(["| parameter | in | required | type |", "|---|---|---|---|", *rows]))
            answers = ", ".join(f"{code} {answer['description']}" for code, answer in operation["responses"].items())
            parts.append(f"Answers: {answers}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _schema(schema: dict[str, Any]) -> str:
    return "`" + json.dumps(schema.get("type") or schema.get("anyOf") or schema.get("$ref")).replace("|", "\\|") + "`"
