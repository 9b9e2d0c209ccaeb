"""Routes of views: one picture of any rectangle, which the page shows before its tiles."""

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Request, Response

from infgen.serve.canvas import CanvasServer
from infgen.serve.routes.bodies import BodyRoute
from infgen.serve.routes.common import CanvasDep, Responses, Revision, WorldId, errors, pictures
from infgen.serve.routes.schemas import Draft
from infgen.serve.routes.tiles import UNCHANGED, IfNoneMatch, Level, send_picture
from infgen.serve.routes.worlds import check_world
from infgen.serve.tiles.artist import View
from infgen.serve.tiles.painter import ViewWork

router = APIRouter(prefix="/worlds/{world_id}/{revision}/views", tags=["tiles"], route_class=BodyRoute)

PATH = "/{z}/{x}/{y}/{w}/{h}.webp"
Left = Annotated[int, Path(description="Left edge in pixels of the level: px x * 2^-z.", examples=[0, -320])]
Top = Annotated[int, Path(description="Upper edge in pixels of the level: px y * 2^-z.", examples=[0, -200])]
Width = Annotated[int, Path(ge=1, description="Width in pixels.", examples=[320])]
Height = Annotated[int, Path(ge=1, description="Height in pixels.", examples=[200])]
ANSWERS: Responses = pictures("image/webp") | errors(400, 404, 413, 429, 503, 504)


@router.get(PATH, response_class=Response, responses=ANSWERS | UNCHANGED)
async def view(
    canvas: CanvasDep,
    request: Request,
    world_id: WorldId,
    revision: Revision,
    z: Level,
    x: Left,
    y: Top,
    w: Width,
    h: Height,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Render any rectangle of a level that the model renders itself, before all tiles that wait. Immutable."""
    world = await anyio.to_thread.run_sync(canvas.worlds.at, world_id, revision)
    work = canvas.painter.view_work(world, revision, View(z, x, y, w, h))
    return await send_picture(canvas, request, work, if_none_match)


@router.post(PATH, response_class=Response, responses=ANSWERS | errors(408))
async def draft_view(
    canvas: CanvasDep,
    request: Request,
    body: Draft,
    world_id: WorldId,
    revision: Revision,
    z: Level,
    x: Left,
    y: Top,
    w: Width,
    h: Height,
) -> Response:
    """Render the same with brush strokes that are not part of the world yet. Stores nothing."""
    work = await anyio.to_thread.run_sync(_draft_work, canvas, world_id, revision, View(z, x, y, w, h), body)
    return await send_picture(canvas, request, work)


def _draft_work(canvas: CanvasServer, world_id: str, revision: str, view: View, draft: Draft) -> ViewWork:
    """Check a draft on a worker thread: a world may have thousands of strokes."""
    world = draft.over(canvas.worlds.at(world_id, revision))
    check_world(canvas, world)
    return canvas.painter.view_work(world, revision, view, draft=draft.model_dump_json())
