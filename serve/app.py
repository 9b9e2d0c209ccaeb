"""Build the ASGI application: routes, error handlers and the page. ``infgen serve`` runs it; others can mount it."""

import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from infgen.errors import InfgenError
from infgen.rendering.studio import Options, open_studio
from infgen.serve.canvas import CanvasServer
from infgen.serve.errors import error_response, first_problem, one_line
from infgen.serve.guard import LOOPBACK_NAMES, Guard
from infgen.serve.head import AnswerHead
from infgen.serve.proxy import Proxied, check_prefix, parse_networks
from infgen.serve.routes import gallery, jobs, maps, photographs, status, styles, tiles, views, worlds
from infgen.serve.storage import Storage
from infgen.version import __version__
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
    root_path: str = "",
    proxies: Collection[str] = (),
    report: Callable[[str], None] = logger.info,
) -> FastAPI:
    """Create the server. It stores worlds, tiles and jobs in the folder ``data``, which only one server may use.

    ``model``: a file or hub id; None loads the shipped one. ``token``: requests must carry it; None disables the check.
    ``hosts``: allowed names in the Host header; None allows any. ``root_path``: prefix of all addresses, such as "/canvas".
    ``proxies``: addresses or networks of reverse proxies whose X-Forwarded-* headers are used. ``report`` gets a line about
    the engine's file.

    Raises InputError for an unusable model, engine, folder, prefix or address, InfgenError if the engine fails its self-test.
    Logs a warning for a model of one scale, because its zoomed-out tiles are slow.

    To mount the application, enter its lifespan in the lifespan of the outer application:
    ``async with canvas.router.lifespan_context(canvas): ...``.

    >>> from fastapi.testclient import TestClient
    >>> from infgen.serve import create_app
    >>> with TestClient(create_app("canvas"), base_url="http://localhost") as client:
    ...     client.post("/api/v1/worlds", json={"name": "Meadows", "world": {"seed": 7}}).status_code
    201
    """
    prefix, networks = check_prefix(root_path), parse_networks(proxies)
    canvas = CanvasServer(open_studio(World(), model=model, options=options, report=report), Path(data))
    _warn_of_one_scale(canvas)
    app = _make_api(canvas)
    _add_errors(app, canvas.storage)
    _add_page(app)
    app.add_middleware(AnswerHead)
    app.add_middleware(Guard, token=token, hosts=hosts, metrics=canvas.metrics)
    app.add_middleware(Proxied, root_path=prefix, networks=networks)  # the last one added is the first to run
    return app


def _warn_of_one_scale(canvas: CanvasServer) -> None:
    artist = canvas.painter.artist
    if len(artist.pictures) == 1:
        logger.warning(
            "%s has one scale: zoomed-out tiles are rendered at full size and averaged, down to level %d; a model with "
            "several scales renders them faster",
            canvas.studio.model_path.name,
            artist.least,
        )


def _make_api(canvas: CanvasServer) -> FastAPI:
    """Create the application with the routes of the API."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with canvas.working():
            yield

    app = FastAPI(
        title="infgen canvas",
        summary="Endless images: worlds, tiles, exports and continued photographs.",
        version=__version__,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # FastAPI's page loads scripts from another site
        redoc_url=None,
        redirect_slashes=False,  # these redirects name a host, which is wrong behind a proxy
        lifespan=lifespan,
    )
    app.state.canvas = canvas
    for routes in (worlds, gallery, maps, styles, tiles, views, photographs, jobs):
        app.include_router(routes.router, prefix=API)
    app.include_router(status.api, prefix=API)
    app.include_router(status.router)
    return app


def _add_errors(app: FastAPI, storage: Storage) -> None:
    @app.exception_handler(InfgenError)
    async def on_infgen_error(request: Request, error: Exception) -> JSONResponse:
        answer = error_response(error, text=storage.redact(str(error)))
        if (
            answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            and request.scope["path"].rpartition("/")[2] != "ready"
        ):
            logger.error("%s %s: %d: %s", request.method, request.scope["path"], answer.status_code, error)
        return answer

    @app.exception_handler(RequestValidationError)
    async def on_validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        return one_line(422, first_problem(error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
        return one_line(error.status_code, str(error.detail), dict(error.headers or {}))


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(STATIC / "index.html")

    @app.get("/api/docs", include_in_schema=False)
    def openapi_redirect() -> Response:
        return RedirectResponse("v1/openapi.json")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
