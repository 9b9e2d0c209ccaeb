"""Routes of the gallery: rename a world, keep its favourite styles, duplicate it, and list its revisions."""

from fastapi import APIRouter, Response

from infgen.serve.routes.bodies import BodyRoute
from infgen.serve.routes.common import CanvasDep, WorldId, errors
from infgen.serve.routes.schemas import RevisionEntry, WorldRecord, WorldSettings
from infgen.serve.routes.worlds import world_response

router = APIRouter(prefix="/worlds", tags=["worlds"], route_class=BodyRoute)


@router.patch("/{world_id}", response_model=WorldRecord, responses=errors(400, 404, 408, 413, 507))
def change_settings(canvas: CanvasDep, world_id: WorldId, body: WorldSettings) -> Response:
    """Rename a world, or replace its favourite styles. The document and its revisions stay the same."""
    values = {name: value for name in ("name", "favourites") if (value := getattr(body, name)) is not None}
    return world_response(canvas.worlds.describe(world_id, **values))


@router.post("/{world_id}/duplicate", status_code=201, response_model=WorldRecord, responses=errors(404, 413, 507))
def duplicate_world(canvas: CanvasDep, world_id: WorldId) -> Response:
    """Create a world with the current document, photographs and favourites of another, without its history."""
    return world_response(canvas.worlds.duplicate(world_id), 201)


@router.get("/{world_id}/revisions", responses=errors(404))
def list_revisions(canvas: CanvasDep, world_id: WorldId) -> list[RevisionEntry]:
    """List the revisions of a world, oldest first: those before the current one can be undone, those after it redone."""
    return [
        RevisionEntry(revision=revision, current=current) for revision, current in canvas.worlds.revisions(world_id)
    ]
