"""Routes about the server itself: what it can do, whether it is well, what it has counted."""

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from infgen import __version__
from infgen.limits import (
    MAX_CANVAS_CENTRES,
    MAX_CANVAS_STYLES,
    MAX_EXPORT_PIXELS,
    MAX_INBETWEEN_PHOTOS,
    MAX_JOBS,
    MAX_OUTPAINT_STEPS,
    MAX_REQUEST_TRANSITION,
    MAX_REVISIONS,
    MAX_UPLOAD_MB,
    MAX_WORLDS,
)
from infgen.serve.errors import StoppingError
from infgen.serve.metrics import CONTENT_TYPE
from infgen.serve.routes import Here, errors
from infgen.serve.schemas import Info, Model, Zoom
from infgen.serve.tiles import TILE_PX

api = APIRouter(tags=["server"])
router = APIRouter(tags=["server"])

_LIMITS = {
    "export_pixels": MAX_EXPORT_PIXELS,
    "upload_mb": MAX_UPLOAD_MB,
    "outpaint_steps": MAX_OUTPAINT_STEPS,
    "inbetween_photos": MAX_INBETWEEN_PHOTOS,
    "worlds": MAX_WORLDS,
    "revisions": MAX_REVISIONS,
    "styles": MAX_CANVAS_STYLES,
    "centres": MAX_CANVAS_CENTRES,
    "transition": MAX_REQUEST_TRANSITION,
    "jobs": MAX_JOBS,
}


@api.get("/info", responses=errors())
def info(here: Here) -> Info:
    """The model, the levels of tiles, and what this server takes at most."""
    studio, artist = here.studio, here.painter.artist
    config = studio.generator.config
    return Info(
        version=__version__,
        model=Model(name=studio.model_path.name, sha256=studio.model_hash),
        cell_px=config.cell_px,
        levels=config.levels,
        tile_px=TILE_PX,
        zoom=Zoom(min=artist.least, pictures=artist.pictures),
        limits={name: limit.value() for name, limit in _LIMITS.items()},
    )


@router.get("/health/live", response_class=PlainTextResponse)
def live() -> str:
    """The process answers."""
    return "live"


@router.get("/health/ready", response_class=PlainTextResponse, responses=errors(503))
def ready(here: Here) -> str:
    """The model is loaded, the engine has passed its self-test, and the server is not about to stop."""
    if not here.ready:
        raise StoppingError("the server takes no work: it starts, or is about to stop")
    return "ready"


@router.get("/metrics", response_class=PlainTextResponse, responses=errors())
def metrics(here: Here) -> Response:
    """Counters, in the text format of Prometheus."""
    return Response(here.metrics.text(), media_type=CONTENT_TYPE)
