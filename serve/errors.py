"""Map error classes to HTTP statuses, and build one-line error responses."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from infgen.errors import HTTP_STATUSES, InfgenError, InputError
from infgen.world.document import cut


class NotFoundError(InputError):
    """The world, revision, tile, job or file does not exist (404)."""


class UnauthorizedError(InputError):
    """The token is missing or wrong (401)."""


class WrongTokenError(UnauthorizedError):
    """A token was given and is wrong (401)."""


class ForbiddenError(InputError):
    """The Host or Origin header is not allowed (403)."""


class ConflictError(InputError):
    """The state of the resource does not allow the request (409)."""


class InvalidBodyError(InputError):
    """The body is not JSON, or has an illegal value (422)."""


class StaleError(InputError):
    """The world has changed since the revision in If-Match (412)."""


class PreconditionError(InputError):
    """A change lacks the header If-Match (428)."""


class StorageError(InfgenError):
    """The data folder is full, over its limit, or not writable (507)."""


class BusyError(InfgenError):
    """The queue is full (429). ``retry_after``: estimated seconds until it has room."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoppingError(InfgenError):
    """The server is shutting down (503)."""


class DeadlineError(InfgenError):
    """The tile was not rendered in time (504)."""


STATUSES: tuple[tuple[type[InfgenError], HTTPStatus], ...] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (UnauthorizedError, HTTPStatus.UNAUTHORIZED),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (ConflictError, HTTPStatus.CONFLICT),
    (InvalidBodyError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (StaleError, HTTPStatus.PRECONDITION_FAILED),
    (PreconditionError, HTTPStatus.PRECONDITION_REQUIRED),
    (BusyError, HTTPStatus.TOO_MANY_REQUESTS),
    (StoppingError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StorageError, HTTPStatus.INSUFFICIENT_STORAGE),
    (DeadlineError, HTTPStatus.GATEWAY_TIMEOUT),
    *HTTP_STATUSES,
)
FAILED = "internal server error; see the server log"
STOPPING_RETRY = 5  # seconds


def status_of(error: Exception) -> HTTPStatus:
    """Return the HTTP status of ``error``: the first match in ``STATUSES``, otherwise 500."""
    found = (status for kind, status in STATUSES if isinstance(error, kind))
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)


def one_line(status: int, line: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Build the response {"error": line}."""
    return JSONResponse({"error": " ".join(line.split())}, status, headers=headers)


def error_response(error: Exception, *, text: str | None = None) -> JSONResponse:
    """Build the response for ``error``, with its own text or ``text``. Hides the text of errors that are not InfgenError."""
    if not isinstance(error, InfgenError):
        return one_line(HTTPStatus.INTERNAL_SERVER_ERROR, FAILED)
    headers = {}
    if isinstance(error, BusyError | StoppingError):
        headers["Retry-After"] = str(error.retry_after if isinstance(error, BusyError) else STOPPING_RETRY)
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    return one_line(status_of(error), str(error) if text is None else text, headers)


def first_problem(problem: Mapping[str, Any]) -> str:
    """Describe an error of pydantic in one line: its location, the value and the message."""
    where = ".".join(cut(str(part), 40) for part in problem["loc"] if part != "[key]")
    message, value = problem["msg"].removeprefix("Value error, "), problem.get("input")
    if value is None or isinstance(value, dict | list | tuple | bytes):
        return f"{where}: {message}"
    return f"{where} is {cut(repr(value))}: {message}"
