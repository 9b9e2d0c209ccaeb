"""Routes of pictures that are drawn while somebody waits: tiles of worlds, and styles to choose from."""

import asyncio
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Header, Path, Query, Request, Response

from infgen.serve.canvas import Canvas
from infgen.serve.painting import MEDIA_TYPES, StyleWork, TileWork
from infgen.serve.routes import Here, Responses, Revision, WorldId, errors, pictures
from infgen.serve.tiles import Address
from infgen.world.document import SEED_MAX, SEED_MIN

router = APIRouter(tags=["tiles"])

Suffix = Literal["webp", "png"]
Column = Annotated[int, Path(description="Column: px x * 256 * 2^-z and on.", examples=[0, -3])]
Row = Annotated[int, Path(description="Row: px y * 256 * 2^-z and on; row 0 begins at the horizon.", examples=[0, -1])]
Level = Annotated[int, Path(description="Zoom level, 0 or below: a pixel shows 2^-z px.", examples=[0, -2])]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]
UNCHANGED: Responses = {304: {"description": "The client has it."}}
FOR_EVER = "private, max-age=31536000, immutable"
CLIENT_GONE = 499  # nobody reads this answer


@router.get(
    "/worlds/{world_id}/{revision}/tiles/{z}/{x}/{y}.{suffix}",
    response_class=Response,
    responses=pictures(*MEDIA_TYPES.values()) | UNCHANGED | errors(400, 404, 413, 429, 503, 504),
)
async def tile(
    here: Here,
    request: Request,
    world_id: WorldId,
    revision: Revision,
    z: Level,
    x: Column,
    y: Row,
    suffix: Suffix,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """256 x 256 pixels of a world: WebP (quality 90) for looking at, PNG for exact pixels. Never changes."""
    address = Address(z, x, y)
    world = await anyio.to_thread.run_sync(here.worlds.at, world_id, revision)
    work = here.painter.tile_work(world, revision, address, suffix)
    return await _answer(here, request, work, if_none_match)


@router.get(
    "/styles/{seed}.webp",
    response_class=Response,
    responses=pictures("image/webp") | UNCHANGED | errors(400, 429, 503, 504),
)
async def style(
    here: Here,
    request: Request,
    seed: Annotated[int, Path(ge=SEED_MIN, le=SEED_MAX, description="Any 64-bit integer.", examples=[7])],
    size: Annotated[int, Query(ge=16, le=256, description="Side in pixels.")] = 96,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The style of a seed at the origin of world 0: a whole view where the model has scales, else 256 x 256 px."""
    work = here.painter.style_work(seed, size)
    return await _answer(here, request, work, if_none_match)


async def _answer(here: Canvas, request: Request, work: TileWork | StyleWork, known: str | None) -> Response:
    """The picture, or 304 where the client has it; the work is given up when the client goes away."""
    # Weak: a tile that is drawn again beside others may differ by one step of 255 on one pixel in a thousand.
    tag = f'W/"{work.key}"'
    headers = {"ETag": tag, "Cache-Control": FOR_EVER}
    if known is not None and tag in known:
        return Response(status_code=304, headers=headers)
    picture = asyncio.ensure_future(here.painter.picture(work))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((picture, gone), return_when=asyncio.FIRST_COMPLETED)
        if not picture.done():
            return Response(status_code=CLIENT_GONE)
        return Response(picture.result(), headers=headers, media_type=MEDIA_TYPES[work.key.rpartition(".")[2]])
    finally:
        for task in (picture, gone):
            task.cancel()


async def _gone(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
