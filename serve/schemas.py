"""Bodies of requests and answers, as the OpenAPI document describes them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from infgen.serve.exports import Format
from infgen.serve.jobs import Kind, State
from infgen.serve.worlds import Name
from infgen.world.document import Document, Seed
from infgen.world.edits import FIELDS, FieldName
from infgen.world.layout import Px, Size
from infgen.world.world import World

EXAMPLE_WORLD: dict[str, Any] = {"schema": 1, "seed": 7}
EXAMPLE_RECORD: dict[str, Any] = {
    "id": "5f3a09c1d2e4",
    "name": "World 7",
    "revision": "0d6cbb1fa2c94e8f3a71",
    "created": "2025-01-31T12:00:00.000+00:00",
    "modified": "2025-01-31T12:00:00.000+00:00",
    "world": EXAMPLE_WORLD,
    "can_undo": False,
    "can_redo": False,
}
EXAMPLE_JOB: dict[str, Any] = {
    "id": "9b2d4c5e6f708192",
    "kind": "export",
    "world": "5f3a09c1d2e4",
    "state": "running",
    "created": "2025-01-31T12:00:00.000+00:00",
    "progress": {"done": 1048576, "total": 8388608},
    "seconds_left": 8.4,
    "terms": {},
    "preview": None,
    "region": {"x": 0, "y": -1024, "w": 4096, "h": 2048},
    "revision": None,
    "result": None,
    "error": None,
}


class Answer(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ErrorBody(Answer):
    """What went wrong."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "there is no world '5f3a09c1d2e4'"}]})

    error: str
    """One line: what is wrong, with which value, what is allowed, what to do."""


class Rectangle(Document):
    """Px of the world: x to the right, y down, 0 at the horizon."""

    x: Px
    """Left edge."""
    y: Px
    """Upper edge."""
    w: Size
    """Width."""
    h: Size
    """Height."""


class NewWorld(Document):
    """A world to keep."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Blue hills", "world": EXAMPLE_WORLD}]})

    name: Name | None = None
    """What people call it; by default after its seed."""
    world: World = World()
    """The document; by default world 0."""


class ChangedWorld(Document):
    """Another document for a world."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"world": {"schema": 1, "seed": 7, "truncation": 0.7}}]})

    world: World
    """The whole document."""


class Resampling(Rectangle):
    """A rectangle to draw again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"x": 0, "y": -64, "w": 256, "h": 128, "seed": 11}]})

    fields: Annotated[tuple[FieldName, ...], Field(min_length=1, max_length=len(FIELDS))] = FIELDS
    """What is drawn again: local latents (what is there), noise (its grain)."""
    seed: Seed | None = None
    """Any 64-bit integer; by default a random one, to be found in the world's last edit."""
    like: Rectangle | None = None
    """Take mean and spread of the latents from this rectangle."""


class Export(Rectangle):
    """A rectangle to write to a picture file."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"x": 0, "y": -512, "w": 2048, "h": 1024, "format": "png"}]}
    )

    format: Format = "png"
    """Of the file."""
    revision: Annotated[str, Field(max_length=64)] | None = None
    """Of the world; by default the shown one."""


class WorldEntry(Answer):
    """A world in the list of all."""

    id: str
    """Names it in addresses."""
    name: str
    """What people call it."""
    revision: str
    """A hash of all that its pixels depend on."""
    created: str
    """When it was made, ISO 8601."""
    modified: str
    """When it was last changed, undone or redone."""


class WorldRecord(WorldEntry):
    """A world as it is now."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_RECORD]})

    world: dict[str, Any]
    """The world document: what ``infgen render --world`` reads."""
    can_undo: bool
    """Whether there is an older revision."""
    can_redo: bool
    """Whether there is a newer one, that was undone."""


class Place(Answer):
    """A rectangle of the world, px."""

    x: int
    """Left edge."""
    y: int
    """Upper edge."""
    w: int
    """Width."""
    h: int
    """Height."""


class Progress(Answer):
    """How far a job is: px of an export, steps of all inversions."""

    done: int
    """So much is done."""
    total: int
    """Of so much; 0 while that is not known."""


class JobRecord(Answer):
    """An export, or inversions of photographs."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_JOB]})

    id: str
    """Names it in addresses."""
    kind: Kind
    """What is done."""
    world: str
    """The world's id."""
    state: State
    """The last three are final."""
    created: str
    """When it was asked for, ISO 8601."""
    progress: Progress
    """How far it is."""
    seconds_left: float | None
    """An estimate, while it runs."""
    terms: dict[str, float]
    """Of an inversion: PSNR in dB, and every term of the loss."""
    preview: str | None
    """Address of a picture of the running inversion so far, relative to the API; another one for each picture."""
    region: Place | None
    """What the result shows."""
    revision: str | None
    """Of the world that holds the photographs now."""
    result: str | None
    """Address of the file, relative to the API, once it is whole."""
    error: str | None
    """Why it failed or was cancelled."""


class Model(Answer):
    """What draws."""

    name: str
    """Name of the model file."""
    sha256: str
    """Its hash."""


class Zoom(Answer):
    """Levels of tiles: at level z a pixel shows 2**-z px of the world."""

    min: int
    """The farthest out."""
    max: Literal[0] = 0
    """Full resolution."""
    pictures: list[int]
    """Levels that the model draws as pictures of their own, 0 first; tiles of others are means of the next finer picture."""


class Info(Answer):
    """The server and what it can do."""

    version: str
    """Of infgen."""
    model: Model
    """The file of the model that draws."""
    cell_px: int
    """Px of a cell: periods of worlds are multiples of it."""
    levels: int
    """Upsampling levels of the network."""
    tile_px: int
    """Side of a tile."""
    zoom: Zoom
    """Levels of tiles."""
    limits: dict[str, int]
    """What this server takes at most."""
