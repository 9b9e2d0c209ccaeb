"""Read request bodies: check sizes first, and parse on threads of their own, so that other requests do not wait."""

import base64
import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from infgen.errors import InfgenError, LimitError
from infgen.limits import MAX_INBETWEEN_PHOTOS, MAX_UPLOADS
from infgen.serve.canvas import CanvasServer
from infgen.serve.errors import BusyError, InvalidBodyError, StorageError, first_problem, status_of
from infgen.serve.worlds.limits import check_counts, check_painting
from infgen.world.document import Document, parse_document

# The largest legal world has 60,000 lists and objects, 125,000 entries, and 530,000 numbers and texts. More would only
# keep the parser busy, during which no other thread runs.
MAX_CONTAINERS, MAX_ENTRIES, MAX_VALUES = 75_000, 150_000, 600_000
MAX_FIELDS = 32  # of a form, besides files
MAX_FIELD_BYTES = 1024
PARSERS = 2  # threads
UPLOAD_RETRY = 5  # seconds
_HEAD_CHARS = 44  # base64 of the first 33 bytes of a PNG, which hold its size

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BodyRoute(APIRoute):
    """A route that rejects what cannot succeed before it reads the body, and parses JSON outside the event loop."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler of FastAPI."""
        handle, model, parsers = super().get_route_handler(), _body_model(self.endpoint), CapacityLimiter(PARSERS)
        has_photographs = any("UploadFile" in str(kind) for kind in _annotations(self.endpoint))

        async def read_and_handle(request: Request) -> Response:
            canvas: CanvasServer = request.app.state.canvas
            if (id := request.path_params.get("world_id")) is not None:
                canvas.worlds.check(id)
            checked = _BodyRequest(request, model=model, parsers=parsers)
            if not has_photographs:
                return await handle(checked)
            with _upload(canvas):
                size = int(request.headers.get("content-length", 0))
                await anyio.to_thread.run_sync(canvas.storage.require, size)
                await _receive_form(checked)
            return await handle(checked)

        return read_and_handle


class _BodyRequest(Request):
    def __init__(self, request: Request, *, model: type[Document] | None, parsers: CapacityLimiter) -> None:
        super().__init__(request.scope, request.receive)
        self._model, self._parsers = model, parsers

    async def json(self) -> Any:
        """Return the body as an instance of the route's model. FastAPI accepts it without another validation."""
        content = await self.body()
        try:
            return await anyio.to_thread.run_sync(_parse, self._model, content, limiter=self._parsers)
        except InfgenError as error:  # FastAPI replaces other errors by a general one
            raise HTTPException(status_of(error), str(error)) from None

    def form(self, **limits: Any) -> Any:
        """Return the form. Its numbers of files and fields are limited to those that a route can use."""
        limits |= {"max_files": MAX_INBETWEEN_PHOTOS.value() + 1, "max_fields": MAX_FIELDS}
        return super().form(**limits | {"max_part_size": MAX_FIELD_BYTES})


async def _receive_form(request: Request) -> None:
    """Receive the form of ``request``, which keeps it. Raises StorageError, or InvalidBodyError for a broken form."""
    try:
        await request.form()
    except (HTTPException, ClientDisconnect):
        raise
    except OSError as error:
        raise StorageError(f"the photographs cannot be received ({error.strerror}); try again later") from None
    except Exception as error:  # the parser raises many kinds
        raise InvalidBodyError(f"the form cannot be read ({type(error).__name__}); send multipart/form-data") from None


@contextmanager
def _upload(canvas: CanvasServer) -> Iterator[None]:
    """Count a request with photographs. Raises BusyError if the server cannot start its job, or receives too many."""
    canvas.jobs.check_room()
    if canvas.uploads >= MAX_UPLOADS.value():
        line = f"{canvas.uploads} requests send photographs; allowed are {MAX_UPLOADS.value()}; try again later"
        raise BusyError(line, retry_after=UPLOAD_RETRY)
    canvas.uploads += 1
    try:
        yield
    finally:
        canvas.uploads -= 1


def _annotations(endpoint: Callable[..., Any]) -> list[Any]:
    return [parameter.annotation for parameter in inspect.signature(endpoint).parameters.values()]


def _body_model(endpoint: Callable[..., Any]) -> type[Document] | None:
    """Return the type of the parameter of ``endpoint`` that is a JSON document, None if it has none."""
    kinds = _annotations(endpoint)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Document)), None)


def _parse(model: type[Document] | None, content: bytes) -> BaseModel | dict[str, Any]:
    """Parse a body. Raises InvalidBodyError, or LimitError if it is too large to be parsed."""
    _check_counts(content)
    try:
        data = parse_document(content, kind="JSON", source="body")
    except InfgenError as error:
        raise InvalidBodyError(str(error)) from None
    _check_world(data.get("world"))
    if model is None:
        return data
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise InvalidBodyError(first_problem({**problem, "loc": ("body", *problem["loc"])})) from None


def _check_counts(content: bytes) -> None:
    """Raise LimitError for more JSON values than any legal body has. Counts characters, also those inside of texts."""
    for characters, limit, what in (
        (b"[{", MAX_CONTAINERS, "lists and objects"),
        (b":", MAX_ENTRIES, "entries"),
        (b",", MAX_VALUES, "values"),
    ):
        if (count := sum(content.count(character) for character in characters)) > limit:
            raise LimitError(f"the body has {count} {what}; allowed are {limit}; send less")


def _check_world(world: object) -> None:
    """Raise LimitError if a world has too many styles or centres, or too large a painting. Ignores illegal documents."""
    layout = world.get("layout") if isinstance(world, Mapping) else None
    if not isinstance(layout, Mapping):
        return
    names = ("styles", "centres", "strokes")
    styles, centres, strokes = (len(each) if isinstance(each := layout.get(name), list) else 0 for name in names)
    check_counts(styles=styles, centres=centres, strokes=strokes)
    painting = layout.get("painting")
    png = painting.get("png") if isinstance(painting, Mapping) else None
    if isinstance(png, str):
        with suppress(ValueError):  # no base64, which the document reports
            check_painting(base64.b64decode(png[:_HEAD_CHARS], validate=True))
