"""Defaults of options: the environment (``INFGEN_RENDER_TILE``), and the files infgen.toml and pyproject.toml.

Precedence, highest first: the command line, the environment, the table of the command, the shared entries of the file,
and the defaults in the help texts.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from infgen.cli.words import COMMANDS
from infgen.errors import InputError

SHARED = ("model", "device", "threads", "quiet", "json")  # options that every command takes from INFGEN_MODEL ...
_OWN_FILE, _PROJECT_FILE = "infgen.toml", "pyproject.toml"
_PLAIN_TYPES: tuple[tuple[type, tuple[type, ...], str], ...] = (
    (click.types.BoolParamType, (bool,), "true or false"),
    (click.types.IntParamType, (int,), "a whole number"),
    (click.types.FloatParamType, (int, float), "a number"),
)


@dataclass(frozen=True)
class Defaults:
    """The defaults of one command: ``values`` by the name of the parameter, and where each of them stands."""

    command: str
    values: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)  # long name of an option -> file and entry
    renamed: Mapping[str, str] = field(default_factory=dict)  # former name of an option -> its name now

    def variables(self, option: click.Option) -> list[str]:
        """Return the environment variables of an option, highest precedence first."""
        names = [self._variable(long_name(option))]
        if self.command == "serve" or _is_shared(option):
            names.append(f"INFGEN_{_key(long_name(option)).upper()}")
        return [*names, *(self._variable(former) for former, now in self.renamed.items() if now == long_name(option))]

    def note_former_variables(self) -> None:
        """Print a line for each variable of the environment that has a former name."""
        for former, now in self.renamed.items():
            if os.environ.get(self._variable(former)):
                note_former_name(self._variable(former), self._variable(now))

    def _variable(self, name: str) -> str:
        words = [word.replace("-", "_") for word in self.command.split(" ")]
        return "_".join(("INFGEN", *words, _key(name))).upper()

    def place(self, option: click.Option, source: ParameterSource | None) -> str | None:
        """Return the variable or the file that sets ``option``, or None for the command line."""
        if source is ParameterSource.ENVIRONMENT:
            found = next(name for name in self.variables(option) if os.environ.get(name))
            return f"environment variable {found}"
        return self.places.get(long_name(option)) if source is ParameterSource.DEFAULT_MAP else None


@dataclass(frozen=True)
class Entry:
    """A value, and the file and entry where it stands."""

    value: Any
    place: str


def find_defaults(
    command: str, options: Sequence[click.Option], *, renamed: Mapping[str, str] | None = None
) -> Defaults:
    """Read the defaults of ``command`` from the nearest folder with a file, from the current one upwards.

    ``renamed``: former name of an option -> its name now. Raises InputError for unknown entries, wrong types, and an
    entry with two values.
    """
    renamed = renamed or {}
    known = known_options(options)
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for key, entry in _read_entries(command, known, renamed).items():
        option = known[key]
        check_type(option, entry)
        assert option.name is not None
        values[option.name] = entry.value
        places[long_name(option)] = entry.place
    return Defaults(command, values, places, renamed)


def note_former_name(former: str, now: str) -> None:
    """Print a line about the former name of an option."""
    click.echo(f"note: {former} is now called {now}; the old name works until the next minor version", err=True)


def current_key(key: str, entries: Mapping[str, Any], *, renamed: Mapping[str, str], place: str) -> str:
    """Return the name that the option of the entry ``key`` has now, with "_". A former name prints a line.

    Raises InputError if ``entries`` have both names.
    """
    now = {_key(former): _key(name) for former, name in renamed.items()}.get(_key(key))
    if now is None:
        return _key(key)
    if now in map(_key, entries):
        raise InputError(f"{place}: {key} is the former name of {now}, and both are given; remove {key}")
    note_former_name(f"{key} in {place}", now)
    return now


def known_options(options: Sequence[click.Option]) -> dict[str, click.Option]:
    """Return the options that a file can set, by the name of their entry."""
    return {_key(long_name(option)): option for option in options if _can_have_default(option)}


def long_name(option: click.Parameter) -> str:
    """Return the long name of an option, such as "--tile"."""
    return max(option.opts, key=len)


def _is_shared(option: click.Option) -> bool:
    """Whether one entry sets the option in all commands; not if a command has its own default, as planet has a model."""
    return _key(long_name(option)) in SHARED and not isinstance(option.default, str)


def _key(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


def _can_have_default(option: click.Option) -> bool:
    """Whether files can set the option: not for one that chooses between several, such as --onnx or --trt."""
    return option.expose_value and not (option.is_flag and not option.is_bool_flag)


def _read_entries(command: str, known: Mapping[str, click.Option], renamed: Mapping[str, str]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for path, document in _find_documents():
        for key, entry in _entries_of(command, known, renamed, (path, document)).items():
            other = found.setdefault(key, entry)
            if other.value != entry.value:
                raise InputError(
                    f"{key} is {other.value!r} in {other.place} and {entry.value!r} in {entry.place}; remove one of them"
                )
    return found


def _find_documents() -> list[tuple[Path, Mapping[str, Any]]]:
    """Return the settings in the nearest folder that has some, each with its file."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        found = [(path, table) for path in (folder / _OWN_FILE, folder / _PROJECT_FILE) if (table := _load(path))]
        if found:
            return found
    return []


def _load(path: Path) -> Mapping[str, Any] | None:
    """Read the settings in a file. Returns None if there are none. Raises InputError for a file that is not TOML."""
    is_project = path.name == _PROJECT_FILE
    try:
        text = path.read_text(encoding="utf-8")
        if is_project and "tool.infgen" not in text:
            return None
        document: dict[str, Any] = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError) as error:  # ValueError: neither UTF-8 nor TOML
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}; correct the file") from None
    return document.get("tool", {}).get("infgen") if is_project else document


def _entries_of(
    command: str,
    known: Mapping[str, click.Option],
    renamed: Mapping[str, str],
    source: tuple[Path, Mapping[str, Any]],
) -> dict[str, Entry]:
    """Return the entries of one file for ``command``: the shared ones, replaced by those of its table."""
    path, document = source
    prefix = "tool.infgen." if path.name == _PROJECT_FILE else ""
    for key, value in document.items():
        if isinstance(value, Mapping) and key not in COMMANDS:
            raise InputError(f"{path}: {unknown_entry(f'[{prefix}{key}]', key, COMMANDS)}")
        if not isinstance(value, Mapping) and _key(key) not in SHARED:
            raise InputError(f"{path}: {unknown_entry(repr(key), key, SHARED)}, or a table such as [{prefix}render]")
    shared = {_key(key): value for key, value in document.items() if not isinstance(value, Mapping)}
    found = {
        key: Entry(value, f"{path}, {key}") for key, value in shared.items() if key in known and _is_shared(known[key])
    }
    for name, table in _tables(command, document):
        place = f"{path}, [{prefix}{name}]"
        for key, value in table.items():
            now = current_key(key, table, renamed=renamed, place=place)
            if now not in known:
                raise InputError(f"{place}: {unknown_entry(repr(key), key, known)}")
            found[now] = Entry(value, f"{place} {key}")
    return found


def _tables(command: str, document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the table of the command, such as [render] or [bench.render], with its name, without tables inside it."""
    table: Any = document
    for word in command.split(" "):
        table = table.get(word) if isinstance(table, Mapping) else None
    if isinstance(table, Mapping):
        yield command.replace(" ", "."), {key: value for key, value in table.items() if not isinstance(value, Mapping)}


def unknown_entry(shown: str, key: str, allowed: Mapping[str, Any] | Sequence[str]) -> str:
    """Describe an unknown entry, with the nearest known one."""
    near = difflib.get_close_matches(_key(key), list(allowed), n=1)
    return f"unknown entry {shown}; " + (f"did you mean {near[0]}?" if near else f"allowed are {', '.join(allowed)}")


def check_type(option: click.Option, entry: Entry) -> None:
    """Raise InputError for a value of another type than the option's; click would convert some of them."""
    values = entry.value if option.multiple or option.nargs != 1 else [entry.value]
    if not isinstance(values, list):
        raise InputError(f"{entry.place} is {entry.value!r}; a list is needed")
    for kind, allowed, wanted in (*_PLAIN_TYPES, (click.ParamType, (str, int, float), "a text")):
        if isinstance(option.type, kind):
            for value in values:
                if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
                    raise InputError(f"{entry.place} is {value!r}; {wanted} is needed")
            return
