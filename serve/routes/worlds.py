"""Routes of worlds: create, read, replace, resample, undo, redo, delete."""

import secrets

from fastapi import APIRouter, Response

from infgen.errors import InputError
from infgen.geometry import Region
from infgen.rendering.new_world import fit_world
from infgen.serve.canvas import CanvasServer
from infgen.serve.routes.bodies import BodyRoute
from infgen.serve.routes.common import CanvasDep, IfMatch, WorldId, errors
from infgen.serve.routes.schemas import ChangedWorld, NewWorld, Rectangle, Resampling, WorldEntry, WorldRecord
from infgen.serve.worlds.limits import check_counts
from infgen.serve.worlds.store import Record, match
from infgen.world.document import cut
from infgen.world.world import World

router = APIRouter(prefix="/worlds", tags=["worlds"], route_class=BodyRoute)
CHANGES = errors(400, 404, 408, 412, 413, 428, 507)


def world_response(record: Record, status: int = 200) -> Response:
    """Build the response for ``record``, with its revision as the ETag for a later If-Match.

    Call it on a worker thread: a large world takes long to serialize, and FastAPI would do it on the event loop.
    """
    body = WorldRecord(
        id=record.id,
        name=record.history.name,
        revision=record.revision,
        created=record.history.created,
        modified=record.history.modified,
        world=record.world.to_dict(),
        can_undo=record.can_undo,
        can_redo=record.can_redo,
        favourites=[favourite.model_dump(exclude_none=True) for favourite in record.history.favourites],
    )
    headers = {"ETag": f'"{record.revision}"'}
    return Response(body.model_dump_json(), status, headers=headers, media_type="application/json")


@router.get("", responses=errors())
def list_worlds(canvas: CanvasDep) -> list[WorldEntry]:
    """List all worlds, last changed first."""
    return [
        WorldEntry(id=id, name=h.name, revision=revision, created=h.created, modified=h.modified)
        for id, h, revision in canvas.worlds.entries()
    ]


@router.post("", status_code=201, response_model=WorldRecord, responses=errors(400, 408, 413, 507))
def create_world(canvas: CanvasDep, body: NewWorld) -> Response:
    """Create a world."""
    world = fit_world(body.world, canvas.studio.generator.config)
    if world.anchors:
        raise InputError("world: a new world cannot have anchors, the latents of photographs; leave them out")
    check_world(canvas, world)
    name = f"World {world.seed}" if body.name is None else body.name
    return world_response(canvas.worlds.create(world, name=name), 201)


@router.get("/{world_id}", response_model=WorldRecord, responses=errors(404))
def read_world(canvas: CanvasDep, world_id: WorldId) -> Response:
    """Read the current state of a world."""
    return world_response(canvas.worlds.get(world_id))


@router.put("/{world_id}", response_model=WorldRecord, responses=CHANGES)
def replace_world(canvas: CanvasDep, world_id: WorldId, body: ChangedWorld, if_match: IfMatch = None) -> Response:
    """Replace the document of a world. It may move or remove anchors; only jobs add them."""
    folder = canvas.worlds.folder(world_id)

    def replace_document(old: World) -> World:
        new = body.world.in_folder(folder)
        for anchor in new.anchors:
            if not all((folder / name).is_file() for name, _ in anchor.files):
                raise InputError(
                    f"world: it has no photograph {cut(anchor.file)}; add photographs with outpaint or inbetween"
                )
        check_world(canvas, new)
        return new

    return world_response(canvas.worlds.change(world_id, replace_document, expected=match(if_match)))


@router.delete("/{world_id}", status_code=204, responses=errors(404, 507))
def delete_world(canvas: CanvasDep, world_id: WorldId) -> None:
    """Delete a world, its history and its photographs."""
    canvas.worlds.delete(world_id)


@router.post("/{world_id}/resample", response_model=WorldRecord, responses=CHANGES)
def resample_world(canvas: CanvasDep, world_id: WorldId, body: Resampling, if_match: IfMatch = None) -> Response:
    """Resample a rectangle, or the part around a line, with another seed. Removes earlier resampling inside it first.

    Therefore equal requests give equal worlds, pixels and revisions, regardless of attempts in between.
    """
    seed = secrets.randbits(63) if body.seed is None else body.seed
    region, like = region_of(body), None if body.like is None else region_of(body.like)

    def resample(old: World) -> World:
        bare = old.without_edits_inside(region, body.fields, points=body.points, radius=body.radius)
        return bare.resample(
            region,
            seed=seed,
            sizes=canvas.studio.generator.config,
            fields=body.fields,
            like=like,
            points=body.points,
            radius=body.radius,
        )

    return world_response(canvas.worlds.change(world_id, resample, expected=match(if_match)))


@router.post("/{world_id}/undo", response_model=WorldRecord, responses=CHANGES | errors(409))
def undo_change(canvas: CanvasDep, world_id: WorldId, if_match: IfMatch = None) -> Response:
    """Return to the previous revision."""
    return world_response(canvas.worlds.step(world_id, -1, expected=match(if_match)))


@router.post("/{world_id}/redo", response_model=WorldRecord, responses=CHANGES | errors(409))
def redo_change(canvas: CanvasDep, world_id: WorldId, if_match: IfMatch = None) -> Response:
    """Restore the last undone revision."""
    return world_response(canvas.worlds.step(world_id, 1, expected=match(if_match)))


def region_of(rectangle: Rectangle) -> Region:
    """Convert a rectangle to a region. Raises LimitError if it leaves the canvas."""
    return Region(rectangle.x, rectangle.y, rectangle.w, rectangle.h)


def check_world(canvas: CanvasServer, world: World) -> None:
    """Raise WorldError if the model cannot render ``world``, LimitError if it has too many styles, InputError for names."""
    layout = world.layout
    if layout is not None:
        if (name := next((style.name for style in layout.styles if not style.name.isprintable()), None)) is not None:
            raise InputError(f"style name {cut(name)} has control characters; remove them")
        check_counts(
            styles=len(layout.styles),
            centres=len(layout.centres),
            transition=layout.transition,
            strokes=len(layout.strokes),
            points=sum(len(stroke.line) for stroke in layout.strokes),
        )
    canvas.studio.with_world(world)
