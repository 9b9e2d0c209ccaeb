"""Routes of painted maps: the styles of a part of a world as a picture with one colour per style, and back."""

import io
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from PIL import Image

from infgen.errors import LimitError
from infgen.geometry import PX_LIMIT as LIMIT_PX
from infgen.geometry import Region
from infgen.limits import MAX_UPLOAD_MB, MIB
from infgen.rendering.painted_map import apply_map, map_pixels
from infgen.serve.routes.bodies import BodyRoute
from infgen.serve.routes.common import CanvasDep, IfMatch, Revision, WorldId, errors, pictures
from infgen.serve.routes.schemas import WorldRecord
from infgen.serve.routes.worlds import CHANGES, check_world, world_response
from infgen.serve.worlds.limits import check_painting
from infgen.serve.worlds.store import match
from infgen.world.world import World

router = APIRouter(prefix="/worlds/{world_id}", tags=["worlds"], route_class=BodyRoute)

SIDE_PX = 1024
MOST_SIDE_PX = 4096


@router.get("/{revision}/map.png", response_class=Response, responses=pictures("image/png") | errors(400, 404))
def read_map(
    canvas: CanvasDep,
    world_id: WorldId,
    revision: Revision,
    x: Annotated[int, Query(ge=-LIMIT_PX, le=LIMIT_PX, description="Left edge in px.", examples=[0])],
    y: Annotated[int, Query(ge=-LIMIT_PX, le=LIMIT_PX, description="Upper edge in px.", examples=[-512])],
    w: Annotated[int, Query(ge=1, le=LIMIT_PX, description="Width in px.", examples=[4096])],
    h: Annotated[int, Query(ge=1, le=LIMIT_PX, description="Height in px.", examples=[1024])],
    side: Annotated[int, Query(ge=1, le=MOST_SIDE_PX, description="Longest side of the map in pixels.")] = SIDE_PX,
) -> Response:
    """Render the map of a region, as ``infgen map`` writes it. Soft edges of strokes become hard."""
    file = io.BytesIO()
    pixels = map_pixels(canvas.worlds.at(world_id, revision), Region(x, y, w, h), side=side)
    Image.fromarray(pixels).save(file, "PNG")
    return Response(file.getvalue(), media_type="image/png")


@router.post("/map", response_model=WorldRecord, responses=CHANGES)
def paint_world(
    canvas: CanvasDep,
    world_id: WorldId,
    map: Annotated[UploadFile, File(description="PNG with the colours of the map that was read.")],
    x: Annotated[int, Form(ge=-LIMIT_PX, le=LIMIT_PX, description="Left edge in px.")],
    y: Annotated[int, Form(ge=-LIMIT_PX, le=LIMIT_PX, description="Upper edge in px.")],
    w: Annotated[int, Form(ge=1, le=LIMIT_PX, description="Width in px.")],
    h: Annotated[int, Form(ge=1, le=LIMIT_PX, description="Height in px.")],
    if_match: IfMatch = None,
) -> Response:
    """Place the styles of a world as a map paints them on a region, instead of its pins and strokes."""
    if (map.size or 0) > MAX_UPLOAD_MB.value() * MIB:
        raise LimitError(f"the map has {map.size} bytes; allowed are {MAX_UPLOAD_MB.value()} MiB; scale it down")
    png, region = map.file.read(), Region(x, y, w, h)
    check_painting(png)

    def paint(old: World) -> World:
        new = apply_map(old, png, region)
        check_world(canvas, new)
        return new

    return world_response(canvas.worlds.change(world_id, paint, expected=match(if_match)))
