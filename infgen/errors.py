"""Every error that infgen raises on purpose, and the one table from error class to exit code.

A message says what is wrong, the value found, what is allowed, and what to do: it is shown to people as it is.
"""

from http import HTTPStatus


class InfgenError(Exception):
    """Base of all deliberate errors: the work failed although the input was acceptable (exit code 1)."""


class InputError(InfgenError):
    """A value, file or option given by the user is not acceptable (exit code 2)."""


class LimitError(InputError):
    """A request is larger than a limit of this installation or of the file format (exit code 2)."""


class ModelFileError(InputError):
    """A model file is damaged, of another kind, or contradicts its own configuration (exit code 2)."""


class WorldError(InputError):
    """A world document cannot be read, or says something that this version does not know (exit code 2)."""


class MissingExtraError(InputError):
    """An optional dependency is needed and not installed; the message names the extra (exit code 2)."""


class DivergenceError(InfgenError):
    """Training produced a value that is not finite or far out of range; names the loss term (exit code 1)."""


# The rows that every server has; what it raises besides comes before them.
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


def exit_code(error: BaseException) -> int:
    """The process exit code for ``error``: the first row of ``EXIT_CODES`` that matches, 1 otherwise."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
