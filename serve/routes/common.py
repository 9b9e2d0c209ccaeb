"""Shared parts of routes: the server dependency, path parameters, and OpenAPI descriptions of responses."""

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request

from infgen.serve.canvas import CanvasServer
from infgen.serve.routes.schemas import ErrorBody


def _canvas(request: Request) -> CanvasServer:
    canvas: CanvasServer = request.app.state.canvas
    return canvas


CanvasDep = Annotated[CanvasServer, Depends(_canvas)]
WorldId = Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="Id of a world.", examples=["5f3a09c1d2e4"])]
JobId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="Id of a job.", examples=["9b2d4c5e6f708192"])]
Revision = Annotated[
    str, Path(pattern="^[0-9a-f]{20}$", description="A revision of the world.", examples=["0d6cbb1fa2c94e8f3a71"])
]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description='The revision that the change is based on, in quotes: `"0d6c..."`.'),
]

Responses = dict[int | str, dict[str, Any]]
_TEXTS = {
    400: "A value is invalid.",
    401: "The token is missing or wrong.",
    403: "The Host or Origin header is not allowed.",
    404: "The resource does not exist.",
    408: "The request did not arrive in time.",
    409: "The state of the resource does not allow the request.",
    412: "The world has changed since that revision.",
    413: "The request, or its result, is too large.",
    422: "A parameter or a field of the body is invalid.",
    428: "The header If-Match is missing.",
    429: "The queue is full; retry after the seconds in the header Retry-After.",
    503: "The server is shutting down; retry after the seconds in the header Retry-After.",
    507: "The data folder of the server is full or not writable.",
    504: "The tile was not rendered in time.",
}


def errors(*statuses: int) -> Responses:
    """Describe the error responses of a route, including those of every route (401, 403, 422)."""
    every = {401, 403, 422, *statuses}
    body = {"application/json": {"schema": ErrorBody.model_json_schema()}}
    return {status: {"content": body, "description": _TEXTS[status]} for status in sorted(every)}


def pictures(*media: str) -> Responses:
    """Describe a response that is a picture of one of these media types."""
    content = {name: {"schema": {"type": "string", "format": "binary"}} for name in media}
    return {200: {"content": content, "description": "The picture."}}
