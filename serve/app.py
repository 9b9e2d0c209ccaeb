"""The ASGI application: routes, errors and the page, to be run by ``infgen serve`` or mounted in another application."""

import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from infgen import __version__
from infgen.errors import InfgenError
from infgen.rendering.studio import Options, open_studio
from infgen.serve import job_routes, photo_routes, status_routes, tile_routes, world_routes
from infgen.serve.canvas import Canvas
from infgen.serve.errors import error_response, one_line
from infgen.serve.guard import LOOPBACK_NAMES, Guard
from infgen.world.document import cut
from infgen.world.world import World

logger = logging.getLogger(__name__)

API = "/api/v1"
STATIC = Path(__file__).parent / "static"


def create_app(
    data: str | Path,
    *,
    model: str | Path | None = None,
    options: Options | None = None,
    token: str | None = None,
    hosts: Collection[str] | None = LOOPBACK_NAMES,
) -> FastAPI:
    """The server with its worlds, tiles and jobs in the folder ``data``, which no other server may have.

    ``model``: a file or hub id, None the shipped one. ``token``: who asks must have it; None: nobody is asked. ``hosts``:
    names that Host headers may say, None any. Raises InputError for an unusable model, engine or folder, InfgenError where the
    engine fails its self-test. Logs a warning for a model of one scale, whose zoomed-out tiles are slow.

    To mount it, enter its lifespan in that of the application around it:
    ``async with canvas.router.lifespan_context(canvas): ...``.
    """
    studio = open_studio(World(), model=model, options=options)
    canvas = Canvas(studio, Path(data))
    artist = canvas.painter.artist
    if len(artist.pictures) == 1:
        logger.warning(
            "%s has one scale: zoomed-out tiles are drawn at full size and averaged, down to level %d; a model with scales "
            "draws them faster",
            studio.model_path.name,
            artist.least,
        )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with canvas.working():
            yield

    app = FastAPI(
        title="infgen canvas",
        summary="Endless pictures: worlds, their tiles, exports and photographs continued.",
        version=__version__,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # the usual page of documents is loaded from another site
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.canvas = canvas
    for routes in (world_routes, tile_routes, photo_routes, job_routes):
        app.include_router(routes.router, prefix=API)
    app.include_router(status_routes.api, prefix=API)
    app.include_router(status_routes.router)
    _add_errors(app)
    _add_page(app)
    app.add_middleware(Guard, token=token, hosts=hosts, metrics=canvas.metrics)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(InfgenError)
    async def refused(request: Request, error: Exception) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def not_as_described(request: Request, error: RequestValidationError) -> JSONResponse:
        return one_line(422, _first_problem(error))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        return one_line(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return error_response(error)


def _first_problem(error: RequestValidationError) -> str:
    """The first thing that is wrong, where, and what was found there."""
    problem: dict[str, Any] = error.errors()[0]
    where = ".".join(cut(str(part), 40) for part in problem["loc"] if part != "[key]")
    message, value = problem["msg"].removeprefix("Value error, "), problem.get("input")
    if value is None or isinstance(value, dict | list | tuple | bytes):
        return f"{where}: {message}"
    return f"{where} is {cut(repr(value))}: {message}"


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(STATIC / "index.html")

    @app.get("/api/docs", include_in_schema=False)
    def documents() -> Response:
        return RedirectResponse("v1/openapi.json")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
