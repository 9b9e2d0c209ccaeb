"""The document that ``--json`` prints: one schema for estimates, results and errors of all commands."""

from typing import Any, Literal

import click
from pydantic import BaseModel, ConfigDict, Field

from infgen.cli.command import command_words
from infgen.errors import InfgenError, exit_code
from infgen.version import __version__


class Failure(BaseModel):
    """Why a command failed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(description="The name of the error, such as InputError.")
    message: str = Field(description="One line: what is wrong, which value, what is allowed.")
    exit_code: int = Field(description="Exit code of the command.")


class Answer(BaseModel):
    """What a command prints with --json, as one document. On failure it has an error; a result only if there is one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of this schema.")
    infgen: str = Field(default=__version__, description="Version of infgen.")
    command: str = Field(description="Words of the command, such as render or bench batches.")
    estimate: dict[str, Any] | None = Field(default=None, description="What the work needs, known before it starts.")
    result: dict[str, Any] | None = Field(default=None, description="What the command found or wrote.")
    error: Failure | None = Field(default=None, description="Why the command failed.")


def print_answer(
    *, result: dict[str, Any] | None = None, estimate: dict[str, Any] | None = None, error: InfgenError | None = None
) -> None:
    """Print the answer of the running command to standard output. With ``error``, end the command with its exit code."""
    command = command_words(click.get_current_context())
    code = 0 if error is None else exit_code(error)
    failure = None if error is None else Failure(kind=type(error).__name__, message=str(error), exit_code=code)
    _print(Answer(command=command, estimate=estimate, result=result, error=failure))
    if error is not None:
        click.echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(code)


def print_failure(command: str, *, kind: str, message: str, code: int) -> None:
    """Print the answer of a command that failed."""
    _print(Answer(command=command, error=Failure(kind=kind, message=message, exit_code=code)))


def _print(answer: Answer) -> None:
    text = answer.model_dump_json(by_alias=True, exclude_none=True, indent=2)
    click.echo(text)


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document to standard output, also if the command fails."
)
