"""Define all deliberate errors of infgen, and the table of exit codes.

A message names the problem, the value, the allowed values and a remedy. It is shown unchanged.
"""

from http import HTTPStatus

_LONGEST = 300  # characters of a foreign message


class InfgenError(Exception):
    """Base of all deliberate errors: the work failed with acceptable input (exit code 1).

    >>> from infgen import InfgenError, World
    >>> try:
    ...     World().without_last_edit()
    ... except InfgenError as error:
    ...     print(error)
    world has no edits; there is nothing to undo
    """


class InputError(InfgenError):
    """A value, file or option given by the user is not acceptable (exit code 2).

    >>> from infgen import InputError, Region
    >>> try:
    ...     Region(0, 0, 0, 64)
    ... except InputError as error:
    ...     print(error)
    width 0 px is not possible; give 1 or more
    """


class LimitError(InputError):
    """A request is larger than a limit of this installation or of the file format (exit code 2)."""


class ModelFileError(InputError):
    """A model file is damaged, of another kind, or contradicts its own configuration (exit code 2)."""


class WorldError(InputError):
    """A world document cannot be read, or has content that this version does not support (exit code 2)."""


class MissingExtraError(InputError):
    """An optional dependency is needed and not installed; the message names the extra (exit code 2)."""


class DivergenceError(InfgenError):
    """Training produced a value that is not finite or far out of range; the message names the loss term (exit code 1)."""


# Common to all servers. A server puts its own rows before these.
HTTP_STATUSES: tuple[tuple[type[InfgenError], HTTPStatus], ...] = (
    (LimitError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InputError, HTTPStatus.BAD_REQUEST),
    (InfgenError, HTTPStatus.INTERNAL_SERVER_ERROR),
)

EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (InputError, 2),
    (InfgenError, 1),
    (KeyboardInterrupt, 130),
)


def one_line(error: BaseException) -> str:
    """Return the message of ``error``, made by another library, as one short line; its type if it has no message."""
    return " ".join(str(error).split())[:_LONGEST] or type(error).__name__


def exit_code(error: BaseException) -> int:
    """Return the exit code for ``error``: the first matching row of ``EXIT_CODES``, else 1."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
