"""``infgen train --config``: options from a YAML, JSON or TOML file, or the recipe of another run."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import yaml

from infgen.cli.command import Command
from infgen.cli.defaults import Entry, check_type, current_key, known_options, unknown_entry
from infgen.errors import InputError, one_line
from infgen.train.presets import Recipe

_KEY = "infgen.run_config"
_RECIPE_ENTRY = "generator"  # no option has this name
_MAX_BYTES = 2**20


@dataclass(frozen=True)
class RunConfig:
    """The file of --config: its recipe, if it is one, and the photographs, if it names some."""

    path: Path
    recipe: Recipe | None
    data: str | None

    def check(self, *, data: str | None, preset_given: bool) -> None:
        """Raise InputError if the command line names other photographs, or a preset next to a whole recipe."""
        if data is not None and self.data is not None and data != self.data:
            raise InputError(
                f"data is {self.data!r} in {self.path} and {data!r} on the command line; remove one of them"
            )
        if self.recipe is not None and preset_given:
            raise InputError(f"--preset is given, and {self.path} is a whole recipe; remove one of them")


def run_config(ctx: click.Context) -> RunConfig | None:
    """Return the file of --config of the running command, or None."""
    found: RunConfig | None = ctx.meta.get(_KEY)
    return found


def read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Read the file and use its entries as defaults. Raises InputError for unknown entries and wrong types."""
    if path is None:
        return
    document = _load(path)
    data = document.pop("data", None)
    if data is not None and not isinstance(data, str):
        raise InputError(f"{path}, data is {data!r}; a text is needed")
    recipe = _parse_recipe(path, document) if _RECIPE_ENTRY in document else None
    values: dict[str, Any] = {} if data is None else {"data": data}
    if recipe is None:
        options = known_options([o for o in ctx.command.params if isinstance(o, click.Option)])
        renamed = ctx.command.renamed if isinstance(ctx.command, Command) else {}
        for key, value in document.items():
            option = options.get(current_key(str(key), document, renamed=renamed, place=str(path)))
            if option is None:
                raise InputError(f"{path}: {unknown_entry(repr(key), str(key), options)}")
            entry = Entry(_parse_number(value, option), f"{path}, {key}")
            check_type(option, entry)
            values[str(option.name)] = entry.value
    ctx.default_map = {**(ctx.default_map or {}), **values}
    ctx.meta[_KEY] = RunConfig(path, recipe, data)


def _load(path: Path) -> dict[str, Any]:
    parsers = {".json": json.loads, ".toml": tomllib.loads, ".yaml": yaml.safe_load, ".yml": yaml.safe_load}
    if path.suffix.lower() not in parsers:
        raise InputError(f"--config {path} has no known ending; give one of {', '.join(parsers)}")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"--config {path} has more than {_MAX_BYTES} bytes; give the file of a run")
        document = parsers[path.suffix.lower()](path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--config {path} cannot be read ({error.strerror}); check the name") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"--config {path} cannot be read: {one_line(error)}; correct the file") from None
    if not isinstance(document, dict):
        raise InputError(f"--config {path} is a {type(document).__name__}; entries such as batch: 8 are needed")
    return document


def _parse_number(value: Any, option: click.Option) -> Any:
    """Return a number that YAML reads as a text: 1e-4 has no point."""
    if isinstance(value, str) and isinstance(option.type, click.types.FloatParamType):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _parse_recipe(path: Path, document: Mapping[str, Any]) -> Recipe:
    """Parse the recipe.json of a run; entries that an older version lacks have their defaults."""
    names = {entry.name for entry in fields(Recipe)}
    for name in document:
        if name not in names:
            raise InputError(f"{path}: {unknown_entry(repr(name), name, sorted(names))}")
    entries: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in document.items()}
    try:
        return Recipe(**entries)
    except (TypeError, ValueError, InputError) as error:
        raise InputError(f"{path} is no usable recipe ({one_line(error)}); give the recipe.json of a run") from None
