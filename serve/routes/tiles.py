"""Routes of pictures rendered on demand: tiles of worlds, and style previews."""

import asyncio
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Header, Path, Query, Request, Response

from infgen.rendering.photographs import without_photographs
from infgen.serve.canvas import CanvasServer
from infgen.serve.guard import CLIENT_GONE
from infgen.serve.routes.common import CanvasDep, Responses, Revision, WorldId, errors, pictures
from infgen.serve.tiles.artist import Address
from infgen.serve.tiles.painter import MEDIA_TYPES, Work
from infgen.world.document import SEED_MAX, SEED_MIN

router = APIRouter(tags=["tiles"])

Suffix = Literal["webp", "png"]
Column = Annotated[int, Path(description="Column: starts at px x * 256 * 2^-z.", examples=[0, -3])]
Row = Annotated[
    int, Path(description="Row: starts at px y * 256 * 2^-z; row 0 starts at the horizon.", examples=[0, -1])
]
Level = Annotated[int, Path(description="Zoom level, 0 or below: a pixel shows 2^-z px.", examples=[0, -2])]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]
UNCHANGED: Responses = {304: {"description": "The client's copy is current."}}
FOR_EVER = "private, max-age=31536000, immutable"


@router.get(
    "/worlds/{world_id}/{revision}/tiles/{z}/{x}/{y}.{suffix}",
    response_class=Response,
    responses=pictures(*MEDIA_TYPES.values()) | UNCHANGED | errors(400, 404, 413, 429, 503, 504),
)
async def tile(
    canvas: CanvasDep,
    request: Request,
    world_id: WorldId,
    revision: Revision,
    z: Level,
    x: Column,
    y: Row,
    suffix: Suffix,
    photographs: Annotated[bool, Query(description="Whether to draw photographs over the model's pixels.")] = True,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Render 256 x 256 pixels of a world: WebP (quality 90) for display, PNG for exact pixels. Immutable."""
    address = Address(z, x, y)
    world = await anyio.to_thread.run_sync(canvas.worlds.at, world_id, revision)
    if not photographs:
        world, revision = without_photographs(world), f"{revision}/model"
    work = canvas.painter.tile_work(world, revision, address, suffix)
    return await send_picture(canvas, request, work, if_none_match)


@router.get(
    "/styles/{seed}.webp",
    response_class=Response,
    responses=pictures("image/webp") | UNCHANGED | errors(400, 429, 503, 504),
)
async def style(
    canvas: CanvasDep,
    request: Request,
    seed: Annotated[int, Path(ge=SEED_MIN, le=SEED_MAX, description="Any 64-bit integer.", examples=[7])],
    size: Annotated[int, Query(ge=16, le=256, description="Side in pixels.")] = 96,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Render a style preview at the origin of world 0: a whole view for models with scales, else 256 x 256 px."""
    work = canvas.painter.style_work(seed, size)
    return await send_picture(canvas, request, work, if_none_match)


async def send_picture(canvas: CanvasServer, request: Request, work: Work, known: str | None = None) -> Response:
    """Return the picture, or 304 if the client has it. Abandons the work when the client disconnects."""
    # Weak ETag: a tile rendered again in another batch may differ by 1 of 255 in one pixel of a thousand.
    tag = f'W/"{work.key}"'
    headers = {"ETag": tag, "Cache-Control": FOR_EVER}
    if known is not None and tag in known:
        return Response(status_code=304, headers=headers)
    picture = asyncio.ensure_future(canvas.painter.picture(work))
    gone = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait((picture, gone), return_when=asyncio.FIRST_COMPLETED)
        if not picture.done():
            return Response(status_code=CLIENT_GONE)
        return Response(picture.result(), headers=headers, media_type=MEDIA_TYPES[work.key.rpartition(".")[2]])
    finally:
        for task in (picture, gone):
            task.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
