"""``World``: one implicit image as a small, versioned JSON document. Together with a model it fixes every pixel there is."""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infgen.atomic import write_atomically
from infgen.errors import WorldError

SCHEMA = 1
MAX_DOCUMENT_BYTES = 16 * 2**20

SEED_MIN, SEED_MAX = -(2**63), 2**64 - 1
PX_LIMIT = 2**40  # corners of every window lie within +-2**40 px

Seed = Annotated[int, Field(strict=True, ge=SEED_MIN, le=SEED_MAX)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mix(_Document):
    """Style mixing: texture rows from ``crossover`` on come from the latent of another seed."""

    seed: Seed
    crossover: Annotated[int, Field(strict=True, ge=1, le=64)]


class StyleSource(_Document):
    """Where a style comes from. ``seed`` None: the world's own seed."""

    seed: Seed | None = None
    mix: Mix | None = None


class World(_Document):
    """One implicit image.

    ``seed``: any 64-bit integer; fixes local latents, noises and, unless ``style`` says otherwise, the look.
    ``truncation``: 1 the style as drawn, 0 the mean style. ``noise``: multiplies the learnt noise strengths.
    ``period``: the image repeats along x after so many px (a multiple of the model's cell size), None for never.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    seed: Seed = 0
    style: StyleSource = StyleSource()
    truncation: Annotated[Finite, Field(ge=-2, le=2)] = 1.0
    noise: Annotated[Finite, Field(ge=0, le=10)] = 1.0
    period: Annotated[int, Field(strict=True, ge=1, le=PX_LIMIT)] | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @property
    def style_seed(self) -> int:
        """Seed of the style's latent."""
        return self.seed if self.style.seed is None else self.style.seed

    def changed(
        self,
        *,
        style_seed: int | None = None,
        mix_seed: int | None = None,
        crossover: int | None = None,
        **values: object,
    ) -> Self:
        """The world with some values replaced; None leaves a value as it is. Raises WorldError for illegal values."""
        document = self.model_dump(by_alias=True) | {k: v for k, v in values.items() if v is not None}
        if style_seed is not None:
            document["style"]["seed"] = style_seed
        if mix_seed is not None or crossover is not None:
            mix = document["style"]["mix"] or {}
            changes = {"seed": mix_seed, "crossover": crossover}
            document["style"]["mix"] = mix | {k: v for k, v in changes.items() if v is not None}
        return self.create(**document)

    def to_json(self) -> str:
        """The document; ``from_json`` reads it back."""
        return self.model_dump_json(by_alias=True, indent=2)

    @classmethod
    def create(cls, **values: object) -> Self:
        """A world from keyword values. Raises WorldError with one line for the first illegal one."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise WorldError(f"world: {_first_problem(error)}") from None

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str = "world") -> Self:
        """Read a document. Raises WorldError for broken JSON, unknown keys, illegal values or a newer schema version."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WorldError(f"{source} is not JSON ({error}); give a world document") from None
        if not isinstance(data, dict):
            raise WorldError(f"{source} holds {type(data).__name__}, not a mapping; give a world document")
        version = data.get("schema", SCHEMA)
        if version != SCHEMA or isinstance(version, bool):
            raise WorldError(f"{source} has schema {version!r}; this infgen reads schema {SCHEMA}: update infgen")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise WorldError(f"{source}: {_first_problem(error)}") from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a world file. Raises WorldError where it is missing, too large or not a world."""
        try:
            if path.stat().st_size > MAX_DOCUMENT_BYTES:
                raise WorldError(f"world file {path} is over {MAX_DOCUMENT_BYTES} bytes; give a world document")
            return cls.from_json(path.read_bytes(), source=f"world file {path}")
        except OSError as error:
            raise WorldError(f"world file {path} cannot be read ({error.strerror}); give an existing file") from None

    def save(self, path: Path) -> None:
        """Write the document to ``path``, whole or not at all."""
        with write_atomically(path) as temporary:
            temporary.write_text(self.to_json() + "\n")

    @model_validator(mode="before")
    @classmethod
    def _no_version_twice(cls, data: object) -> object:
        if isinstance(data, dict) and "schema_version" in data:
            raise ValueError("unknown entry 'schema_version'; the version is called 'schema'")
        return data


def _first_problem(error: ValidationError) -> str:
    """One line about the first problem pydantic found."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "document"
    if problem["type"] == "extra_forbidden":
        return f"unknown entry {where!r}; allowed are {', '.join(_names())}"
    value = repr(problem.get("input"))
    return f"{where} is {value if len(value) < 60 else value[:57] + '...'}: {problem['msg']}"


def _names() -> list[str]:
    return [field.alias or name for name, field in World.model_fields.items()]
