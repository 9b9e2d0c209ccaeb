"""Routes of worlds: create, read, replace, draw a part again, undo, redo, delete."""

import secrets

from fastapi import APIRouter, Response

from infgen.errors import InputError
from infgen.geometry import Region
from infgen.serve.canvas import Canvas
from infgen.serve.layouts import check_counts
from infgen.serve.routes import Here, IfMatch, WorldId, errors
from infgen.serve.schemas import ChangedWorld, NewWorld, Rectangle, Resampling, WorldEntry, WorldRecord
from infgen.serve.worlds import Record, match
from infgen.world.document import cut
from infgen.world.world import World

router = APIRouter(prefix="/worlds", tags=["worlds"])
CHANGES = errors(400, 404, 408, 412, 413, 428)


def described(record: Record, response: Response) -> WorldRecord:
    """The answer about ``record``; its revision is the ETag, which If-Match of a change repeats."""
    response.headers["ETag"] = f'"{record.revision}"'
    return WorldRecord(
        id=record.id,
        name=record.history.name,
        revision=record.revision,
        created=record.history.created,
        modified=record.history.modified,
        world=record.world.to_dict(),
        can_undo=record.can_undo,
        can_redo=record.can_redo,
    )


@router.get("", responses=errors())
def list_worlds(here: Here) -> list[WorldEntry]:
    """All worlds, the last changed first."""
    return [
        WorldEntry(id=id, name=h.name, revision=revision, created=h.created, modified=h.modified)
        for id, h, revision in here.worlds.entries()
    ]


@router.post("", status_code=201, responses=errors(400, 408, 413))
def create_world(here: Here, body: NewWorld, response: Response) -> WorldRecord:
    """Keep a new world."""
    world = body.world
    if world.anchors:
        raise InputError("world: anchors are latents of photographs, which a new world does not have; leave them out")
    _check(here, world)
    name = f"World {world.seed}" if body.name is None else body.name
    return described(here.worlds.create(world, name=name), response)


@router.get("/{world_id}", responses=errors(404))
def read_world(here: Here, world_id: WorldId, response: Response) -> WorldRecord:
    """The world as it is now."""
    return described(here.worlds.get(world_id), response)


@router.put("/{world_id}", responses=CHANGES)
def replace_world(
    here: Here, world_id: WorldId, body: ChangedWorld, response: Response, if_match: IfMatch = None
) -> WorldRecord:
    """Give the world another document. Anchors may be left out or moved, not added: photographs come by jobs."""
    folder = here.worlds.folder(world_id)

    def replaced(old: World) -> World:
        new = body.world.in_folder(folder)
        for anchor in new.anchors:
            if not (folder / anchor.file).is_file():
                raise InputError(
                    f"world: it has no photograph {cut(anchor.file)}; add photographs by outpaint or inbetween"
                )
        _check(here, new)
        return new

    return described(here.worlds.change(world_id, replaced, expected=match(if_match)), response)


@router.delete("/{world_id}", status_code=204, responses=errors(404))
def delete_world(here: Here, world_id: WorldId) -> None:
    """Remove the world, its history and its photographs."""
    here.worlds.delete(world_id)


@router.post("/{world_id}/resample", responses=CHANGES)
def resample_world(
    here: Here, world_id: WorldId, body: Resampling, response: Response, if_match: IfMatch = None
) -> WorldRecord:
    """Draw a rectangle again, from another seed; what an earlier request drew inside it is taken out first.

    So the same request gives the same world, pixels and revision again, whatever was tried in between.
    """
    seed = secrets.randbits(63) if body.seed is None else body.seed
    region, like = region_of(body), None if body.like is None else region_of(body.like)

    def resampled(old: World) -> World:
        config, bare = here.studio.generator.config, old.without_edits_inside(region, body.fields)
        return bare.resampled(region, seed=seed, sizes=config, fields=body.fields, like=like)

    return described(here.worlds.change(world_id, resampled, expected=match(if_match)), response)


@router.post("/{world_id}/undo", responses=CHANGES | errors(409))
def undo_change(here: Here, world_id: WorldId, response: Response, if_match: IfMatch = None) -> WorldRecord:
    """Show the revision before this one."""
    return described(here.worlds.step(world_id, -1, expected=match(if_match)), response)


@router.post("/{world_id}/redo", responses=CHANGES | errors(409))
def redo_change(here: Here, world_id: WorldId, response: Response, if_match: IfMatch = None) -> WorldRecord:
    """Show the revision that was undone last."""
    return described(here.worlds.step(world_id, 1, expected=match(if_match)), response)


def region_of(rectangle: Rectangle) -> Region:
    """The rectangle as a region. Raises LimitError where it leaves the canvas."""
    return Region(rectangle.x, rectangle.y, rectangle.w, rectangle.h)


def _check(here: Canvas, world: World) -> None:
    """Raise WorldError where the model cannot draw ``world``, LimitError where it would take too much work."""
    layout = world.layout
    if layout is not None:
        check_counts(styles=len(layout.styles), centres=len(layout.centres), transition=layout.transition)
    here.studio.with_world(world)
