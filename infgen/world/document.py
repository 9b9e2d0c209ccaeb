"""Base classes of world and layout files: strict, frozen documents, JSON read within limits, one-line errors."""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin

from annotated_types import MaxLen
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from infgen.errors import WorldError
from infgen.limits import MIB

MAX_DOCUMENT_BYTES = 16 * MIB

SEED_MIN, SEED_MAX = -(2**63), 2**64 - 1
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_EDITOR = "$schema"  # the schema file, for editors; no meaning for the image
_SHOWN = 5  # names that one message lists

Seed = Annotated[int, Field(strict=True, ge=SEED_MIN, le=SEED_MAX)]


class Document(BaseModel):
    """A frozen part of a document. Unknown entries are rejected. Texts below fields become their JSON schema descriptions.

    The lengths of lists are checked before their items. Lists with many items also need ``FailFast``, so that a long
    list of illegal items costs one error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _known_entries(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        names = _entry_names(cls)
        if (unknown := next((key for key in data if key not in names), None)) is not None:
            raise ValueError(f"unknown entry {cut(repr(unknown))}; allowed are {', '.join(names)}")
        for name, most in _longest(cls):
            value = data.get(name)
            if isinstance(value, list | tuple | dict) and len(value) > most:
                raise ValueError(f"{name} has {len(value)} items; allowed are at most {most} items")
        return data


class Mix(Document):
    """Style mixing: texture rows from ``crossover`` on use the latent of another seed."""

    seed: Seed
    """Seed of the other latent."""
    crossover: Annotated[int, Field(strict=True, ge=1, le=64)]
    """First row of the other latent; rows go from coarse to fine."""


class VersionedDocument(Document):
    """A whole file. ``kind``: its name in messages."""

    kind: ClassVar[str]
    schema_number: ClassVar[int] = 1  # version of documents that are written; earlier ones are read

    schema_version: Literal[1] = Field(default=1, alias="schema")
    """Version of this kind of document."""

    def to_json(self) -> str:
        """Return the document as JSON. ``from_json`` restores it exactly."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2)

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain JSON values."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str | None = None) -> Self:
        """Read a document. Raises WorldError for broken JSON, a name given twice, unknown entries or illegal values.

        ``source``: its name in messages, ``kind`` by default. An entry "$schema" is ignored.
        """
        source = cls.kind if source is None else source
        data = parse_document(text, kind=cls.kind, source=source)
        version = data.get("schema", cls.schema_number)
        if isinstance(version, bool) or version not in range(1, cls.schema_number + 1):
            raise WorldError(
                f"{source} has schema {cut(repr(version))}; this infgen reads schema {cls.schema_number}: update infgen"
            )
        if isinstance(data.get(_EDITOR), str):
            del data[_EDITOR]
        return validate(cls, data, source=source)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file. Raises WorldError if it is missing, too large or not such a document."""
        content = read_file(Path(path), what=f"{cls.kind} file", limit=MAX_DOCUMENT_BYTES)
        return cls.from_json(content, source=f"{cls.kind} file {path}")

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON schema (draft 2020-12) of the document, with a description of every entry."""
        schema = cls.model_json_schema(by_alias=True)
        schema["properties"][_EDITOR] = {"type": "string", "description": "File with this schema, for editors."}
        head = {_EDITOR: _DRAFT, "$id": f"urn:infgen:{cls.kind}:{cls.schema_number}", "title": f"infgen {cls.kind}"}
        return head | {name: value for name, value in schema.items() if name not in head}


@cache
def _entry_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of the entries of ``model``, as written in a file."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


@cache
def _longest(model: type[BaseModel]) -> tuple[tuple[str, int], ...]:
    """Return (name, most items) for the entries of ``model`` that have a maximum length."""
    limits = ((field.alias or name, _max_lengths(field)) for name, field in model.model_fields.items())
    return tuple((name, min(found)) for name, lengths in limits if (found := list(lengths)))


def _max_lengths(field: FieldInfo) -> Iterator[int]:
    """Yield the maximum lengths of a field, and of the members if it is a union."""
    is_union = get_origin(field.annotation) in (Union, UnionType)
    members = get_args(field.annotation) if is_union else ()
    for entry in chain(field.metadata, *(getattr(member, "__metadata__", ()) for member in members)):
        details = entry.metadata if isinstance(entry, FieldInfo) else [entry]
        yield from (each.max_length for each in details if isinstance(each, MaxLen))


def parse_document(text: str | bytes, *, kind: str, source: str) -> dict[str, Any]:
    """Parse a JSON mapping. Raises WorldError, which names ``source``, for anything else or a duplicate name."""
    try:
        data = json.loads(text, object_pairs_hook=_without_duplicates)
    except WorldError as error:
        raise WorldError(f"{source}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise WorldError(f"{source} is not JSON ({error}); give a {kind} document") from None
    if not isinstance(data, dict):
        raise WorldError(f"{source} holds {type(data).__name__}, not a mapping; give a {kind} document")
    return data


def check_file(path: Path, *, what: str, limit: int) -> None:
    """Raise WorldError if ``path`` is not a file or has more than ``limit`` bytes."""
    if not os.path.isfile(path):  # unlike Path.is_file, false for a name that is too long
        raise WorldError(f"{what} {cut(str(path), 200)} does not exist; give an existing file")
    if (size := path.stat().st_size) > limit:
        raise WorldError(f"{what} {path} has {size} bytes, over the limit of {limit}; give a smaller one")


def read_file(path: Path, *, what: str, limit: int) -> bytes:
    """Read ``path``. Raises WorldError if it is missing, unreadable or has more than ``limit`` bytes."""
    check_file(path, what=what, limit=limit)
    try:
        return path.read_bytes()
    except OSError as error:
        raise WorldError(f"{what} {path} cannot be read ({error.strerror}); give a readable file") from None


_Model = TypeVar("_Model", bound=BaseModel)


def validate(model: type[_Model], values: Mapping[str, object], *, source: str) -> _Model:
    """Make a document of ``values``. Raises WorldError with one line about the first illegal value, naming ``source``."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise one_line_error(error, source=source) from None


def one_line_error(error: ValidationError, *, source: str) -> WorldError:
    """Convert an error of pydantic to one line about the first illegal value, prefixed with ``source``."""
    return WorldError(f"{source}: {_first_problem(error)}")


def cut(text: str, most: int = 60) -> str:
    """Shorten ``text`` to one line of at most ``most`` characters."""
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def join_names(names: Collection[str]) -> str:
    """Join the first ``names`` with commas, and add the number of the others."""
    shown = ", ".join(cut(name) for name in list(names)[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(cut(str(part)) for part in problem["loc"] if part != "[key]")
    message, value = problem["msg"].removeprefix("Value error, "), problem["input"]
    if not where or isinstance(value, (dict, list, tuple, BaseModel)):
        return f"{where}: {message}" if where else message
    return f"{where} is {cut(repr(value))}: {message}"


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise WorldError(f"{cut(repr(name))} is given twice in one place; give each name once")
        found[name] = value
    return found
