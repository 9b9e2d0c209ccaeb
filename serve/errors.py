"""How a request can fail: the one table from error class to HTTP status, and the body that says it in one line."""

from http import HTTPStatus

from starlette.responses import JSONResponse

from infgen.errors import HTTP_STATUSES, InfgenError, InputError


class NotFoundError(InputError):
    """There is no such world, revision, tile, job or file (404)."""


class UnauthorizedError(InputError):
    """The token is missing or wrong (401)."""


class ForbiddenError(InputError):
    """The request comes by another name or from another site than the server's own (403)."""


class ConflictError(InputError):
    """The thing is not in a state that allows this (409)."""


class StaleError(InputError):
    """The world has changed since the revision that the request goes out from (412)."""


class PreconditionError(InputError):
    """A change does not say which revision it goes out from (428)."""


class BusyError(InfgenError):
    """The queue is full (429). ``retry_after``: seconds after which there is probably room."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoppingError(InfgenError):
    """The server is about to stop (503)."""


class DeadlineError(InfgenError):
    """The tile was not drawn in time (504)."""


STATUSES: tuple[tuple[type[InfgenError], HTTPStatus], ...] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (UnauthorizedError, HTTPStatus.UNAUTHORIZED),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (ConflictError, HTTPStatus.CONFLICT),
    (StaleError, HTTPStatus.PRECONDITION_FAILED),
    (PreconditionError, HTTPStatus.PRECONDITION_REQUIRED),
    (BusyError, HTTPStatus.TOO_MANY_REQUESTS),
    (StoppingError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DeadlineError, HTTPStatus.GATEWAY_TIMEOUT),
    *HTTP_STATUSES,
)
FAILED = "the server failed; its log says why"
STOPPING_RETRY = 5  # seconds


def status_of(error: Exception) -> HTTPStatus:
    """The HTTP status of ``error``: the first row of ``STATUSES`` that matches, 500 otherwise."""
    found = (status for kind, status in STATUSES if isinstance(error, kind))
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)


def one_line(status: int, line: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer {"error": line}."""
    return JSONResponse({"error": " ".join(line.split())}, status, headers=headers)


def error_response(error: Exception) -> JSONResponse:
    """The answer to a request that ended in ``error``. What is no InfgenError is not told."""
    if not isinstance(error, InfgenError):
        return one_line(HTTPStatus.INTERNAL_SERVER_ERROR, FAILED)
    headers = {}
    if isinstance(error, BusyError | StoppingError):
        headers["Retry-After"] = str(error.retry_after if isinstance(error, BusyError) else STOPPING_RETRY)
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    return one_line(status_of(error), str(error), headers)
