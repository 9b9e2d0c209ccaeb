"""What all routes share: the server behind a request, how errors are described, and names in addresses."""

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request

from infgen.serve.canvas import Canvas
from infgen.serve.schemas import ErrorBody


def _canvas(request: Request) -> Canvas:
    canvas: Canvas = request.app.state.canvas
    return canvas


Here = Annotated[Canvas, Depends(_canvas)]
WorldId = Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="Id of a world.", examples=["5f3a09c1d2e4"])]
JobId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="Id of a job.", examples=["9b2d4c5e6f708192"])]
Revision = Annotated[
    str, Path(pattern="^[0-9a-f]{20}$", description="A revision of the world.", examples=["0d6cbb1fa2c94e8f3a71"])
]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description='The revision that the change goes out from, in quotes: `"0d6c..."`.'),
]

Responses = dict[int | str, dict[str, Any]]
_TEXTS = {
    400: "A value is not acceptable.",
    401: "The token is missing or wrong.",
    403: "The request comes by another name or from another site than the server's own.",
    404: "There is no such thing.",
    408: "The request did not arrive in time.",
    409: "The thing is not in a state that allows this.",
    412: "The world was changed since that revision.",
    413: "The request, or what it asks for, is too large.",
    422: "An entry of the address or the body is not as described.",
    428: "The header If-Match is missing.",
    429: "Too much is asked at once; the header Retry-After says when to ask again.",
    503: "The server is about to stop; the header Retry-After says when to ask again.",
    504: "The tile was not drawn in time.",
}


def errors(*statuses: int) -> Responses:
    """Descriptions of the errors that a route answers with, beside those of every route."""
    every = {401, 403, 422, *statuses}
    body = {"application/json": {"schema": ErrorBody.model_json_schema()}}
    return {status: {"content": body, "description": _TEXTS[status]} for status in sorted(every)}


def pictures(*media: str) -> Responses:
    """Description of an answer that is a picture of one of these media types."""
    content = {name: {"schema": {"type": "string", "format": "binary"}} for name in media}
    return {200: {"content": content, "description": "The picture."}}
