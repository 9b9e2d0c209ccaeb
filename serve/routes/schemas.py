"""Define the request and response bodies of the API."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, model_validator

from infgen.inversion.arrangement import Scale
from infgen.serve.jobs.board import Kind, State
from infgen.serve.jobs.exports import Format
from infgen.serve.worlds.files import MAX_FAVOURITES, Favourite, Name
from infgen.world.document import Document, Seed, validate
from infgen.world.edits import FIELDS, FieldName
from infgen.world.layout import (
    DEFAULT_TRANSITION,
    MAX_STYLES,
    MAX_TRANSITION,
    Px,
    ResolvedLayout,
    ResolvedStyle,
    Size,
)
from infgen.world.strokes import PointText, Radius, Stroke
from infgen.world.world import StyleSource, World

MAX_DRAFT_STROKES = 64
EXAMPLE_WORLD: dict[str, Any] = {"schema": 2, "seed": 7}
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
    "name": "4096 x 2048 px, PNG",
    "world": "5f3a09c1d2e4",
    "world_name": "World 7",
    "state": "running",
    "stage": None,
    "created": "2025-01-31T12:00:00.000+00:00",
    "progress": {"done": 1048576, "total": 8388608},
    "seconds_left": 8.4,
    "terms": {},
    "preview": None,
    "region": {"x": 0, "y": -1024, "w": 4096, "h": 2048},
    "revision": "0d6cbb1fa2c94e8f3a71",
    "anchors": [],
    "sides": None,
    "continuations": [],
    "result": None,
    "error": None,
}


class Answer(BaseModel):
    """Part of a response."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ErrorBody(Answer):
    """An error message."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "there is no world '5f3a09c1d2e4'"}]})

    error: str
    """One line: the problem, the value, the allowed values, and a remedy."""


class Rectangle(Document):
    """A rectangle in px of the world: x points right, y points down, y = 0 at the horizon."""

    x: Px
    """Left edge."""
    y: Px
    """Upper edge."""
    w: Size
    """Width."""
    h: Size
    """Height."""


Margin = Annotated[int, Field(strict=True, ge=0, le=2**20)]


def _one_line(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name has no control characters and line breaks; remove them")
    return name


class NewWorld(Document):
    """A world to create."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Blue hills", "world": EXAMPLE_WORLD}]})

    name: Annotated[Name, AfterValidator(_one_line)] | None = None
    """Display name, without control characters; by default "World" and its seed."""
    world: World = World()
    """World document; by default the world of seed 0."""


class ChangedWorld(Document):
    """A new document for a world."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"world": {"schema": 2, "seed": 7, "truncation": 0.5}}]})

    world: World
    """Complete world document."""


class Draft(Document):
    """Brush strokes over a revision that are not part of the world yet: a stroke while it is painted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"styles": [{"name": "own", "seed": 7}], "strokes": [{"points": "0 0 64 0", "radius": 32}]}]
        }
    )

    styles: Annotated[tuple[ResolvedStyle, ...], FailFast(), Field(min_length=1, max_length=MAX_STYLES)]
    """All styles of the world with those of the strokes."""
    transition: Annotated[int, Field(strict=True, ge=1, le=MAX_TRANSITION + 1)] = DEFAULT_TRANSITION
    """Transition of the world's layout."""
    strokes: Annotated[tuple[Stroke, ...], FailFast(), Field(min_length=1, max_length=MAX_DRAFT_STROKES)]
    """Strokes to paint over the world."""

    def over(self, world: World) -> World:
        """Return ``world`` with the strokes. Raises WorldError if a style is missing."""
        old = world.layout
        places = {} if old is None else {"centres": old.centres, "painting": old.painting}
        strokes = (*(() if old is None else old.strokes), *self.strokes)
        values = {"styles": self.styles, "transition": self.transition, **places, "strokes": strokes}
        layout = validate(ResolvedLayout, values, source="draft")
        return world.replace(layout=layout, style=StyleSource())


class Resampling(Rectangle):
    """A rectangle to resample."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"x": 0, "y": -64, "w": 256, "h": 128, "seed": 11}]})

    fields: Annotated[tuple[FieldName, ...], FailFast(), Field(min_length=1, max_length=len(FIELDS))] = FIELDS
    """Inputs to resample: local latents (content), noise (fine texture)."""
    seed: Seed | None = None
    """Any 64-bit integer; by default random. The world's last edit records it."""
    like: Rectangle | None = None
    """Match mean and standard deviation of the latents to this rectangle."""
    points: PointText | None = None
    """A line as "x y x y ..." in px: only positions within radius of it change."""
    radius: Radius | None = None
    """Distance from the line in px."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.points is None) != (self.radius is None):
            raise ValueError("points and radius belong together; give both or none")
        return self


class WorldSettings(Document):
    """Values of a world that no pixel depends on. Absent ones stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Blue hills", "favourites": [{"seed": 7}]}]})

    name: Annotated[Name, AfterValidator(_one_line)] | None = None
    """Display name, without control characters."""
    favourites: Annotated[tuple[Favourite, ...] | None, Field(max_length=MAX_FAVOURITES)] = None
    """All favourite styles."""


class Export(Rectangle):
    """A rectangle to export to a picture file."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"x": 0, "y": -512, "w": 2048, "h": 1024, "format": "png"}]}
    )

    format: Format = "png"
    """File format."""
    revision: Annotated[str, Field(max_length=64)] | None = None
    """Revision of the world; by default the current one."""


class Picture(Document):
    """A photograph of a world to compose with its surroundings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"anchor": "photo.0d6cbb1f.safetensors", "right": 512}]})

    anchor: Annotated[str, Field(max_length=255)]
    """File of the photograph's latents, as in the world document."""
    left: Margin = 0
    """Px to add on the left."""
    top: Margin = 0
    """Px to add above."""
    right: Margin = 0
    """Px to add on the right."""
    bottom: Margin = 0
    """Px to add below."""
    scale: Scale = "source"
    """source: the photograph's own size; work: the working size, which is faster."""
    revision: Annotated[str, Field(max_length=64)] | None = None
    """Revision of the world; by default the current one."""


class WorldEntry(Answer):
    """A world in the list of worlds."""

    id: str
    """Id, as used in addresses."""
    name: str
    """Display name."""
    revision: str
    """Hash of everything that its pixels depend on."""
    created: str
    """Time of creation, ISO 8601."""
    modified: str
    """Time of the last change, undo or redo, ISO 8601."""


class WorldRecord(WorldEntry):
    """The current state of a world."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_RECORD]})

    world: dict[str, Any]
    """World document, as read by ``infgen render --world``."""
    can_undo: bool
    """Whether there is an older revision."""
    can_redo: bool
    """Whether there is an undone revision."""
    favourites: list[dict[str, Any]] = []
    """Favourite styles: seed, and name if it has one."""


class NearStyle(Answer):
    """A style near a photograph."""

    seed: int
    """Seed of the style."""
    distance: float
    """Difference of feature statistics; 0 for equal ones."""


class RevisionEntry(Answer):
    """A revision in the history of a world."""

    revision: str
    """The revision, as used in addresses of tiles."""
    current: bool
    """Whether the world shows it."""


class Place(Answer):
    """A rectangle in px of the world."""

    x: int
    """Left edge."""
    y: int
    """Upper edge."""
    w: int
    """Width."""
    h: int
    """Height."""


class Progress(Answer):
    """Progress of a job: px of an export, steps of all inversions."""

    done: int
    """Amount done."""
    total: int
    """Total amount; 0 while unknown."""


class Sides(Answer):
    """Px around a photograph."""

    left: int
    """Px left of it."""
    top: int
    """Px above it."""
    right: int
    """Px right of it."""
    bottom: int
    """Px below it."""


class Continuation(Answer):
    """A continuation of a photograph."""

    seed: int
    """Seed of the surroundings. To choose it, set it in the photograph's anchors."""
    picture: str
    """Address of its picture, relative to the API."""


class JobRecord(Answer):
    """A job: an export, the inversion of photographs, or the picture of one with its surroundings."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_JOB]})

    id: str
    """Id, as used in addresses."""
    kind: Kind
    """Type of the job."""
    name: str
    """What it makes: the file of a photograph, or the size of a picture."""
    world: str
    """The world's id."""
    world_name: str | None
    """The world's name; null if it was deleted."""
    state: State
    """State of the job; the last three are final."""
    stage: str | None
    """What a running job does at present."""
    created: str
    """Time of the request, ISO 8601."""
    progress: Progress
    """Progress of the job."""
    seconds_left: float | None
    """Estimated seconds left while it runs."""
    terms: dict[str, float]
    """PSNR in dB and all loss terms of an inversion."""
    preview: str | None
    """Address of the current preview of an inversion, relative to the API. Changes with each preview."""
    region: Place | None
    """Rectangle that the result shows."""
    revision: str | None
    """Revision of the world that the result shows."""
    anchors: list[str]
    """Files of latents that the job added to the world."""
    sides: Sides | None
    """Px of the picture around a single photograph."""
    continuations: list[Continuation]
    """Continuations of the photographs to choose from. The first one is in the world."""
    result: str | None
    """Address of the finished file, relative to the API."""
    error: str | None
    """Reason of a failure or cancellation."""
