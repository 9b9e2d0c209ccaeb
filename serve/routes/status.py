"""Routes of the server itself: capabilities, health and metrics."""

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from infgen.inversion.placing import WORKING_HEIGHT_PX, working_scale
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
from infgen.serve.routes.common import CanvasDep, errors
from infgen.serve.routes.server_schemas import Info, Model, Zoom
from infgen.serve.tiles.artist import TILE_PX
from infgen.version import __version__

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
def info(canvas: CanvasDep) -> Info:
    """Read the model, the zoom levels and the limits of this server."""
    studio, artist = canvas.studio, canvas.painter.artist
    config = studio.generator.config
    return Info(
        version=__version__,
        model=Model(name=studio.model_path.name, sha256=studio.model_hash),
        cell_px=config.cell_px,
        levels=config.levels,
        tile_px=TILE_PX,
        photograph_px=WORKING_HEIGHT_PX << working_scale(config).halvings,
        zoom=Zoom(min=artist.least, first=artist.first, pictures=artist.pictures),
        limits={name: limit.value() for name, limit in _LIMITS.items()},
    )


@router.get("/health/live", response_class=PlainTextResponse)
async def live() -> str:
    """Report that the process is alive. Needs no thread, because long requests may have taken all of them."""
    return "live"


@router.get("/health/ready", response_class=PlainTextResponse, responses=errors(503))
def ready(canvas: CanvasDep) -> str:
    """Report that the model is loaded, the data folder is usable, and the server is not shutting down."""
    if not canvas.ready:
        raise StoppingError("the server is starting, shutting down or out of storage, and accepts no work")
    return "ready"


@router.get("/metrics", response_class=PlainTextResponse, responses=errors())
def metrics(canvas: CanvasDep) -> Response:
    """Read the metrics in the Prometheus text format."""
    return Response(canvas.metrics.text(), media_type=CONTENT_TYPE)
