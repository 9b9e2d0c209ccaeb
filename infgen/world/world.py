"""``World``: one implicit image as a small, versioned JSON document. With a model it determines every pixel."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    FailFast,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from infgen.atomic import write_atomically
from infgen.errors import WorldError
from infgen.geometry import PX_LIMIT
from infgen.inputs import Read, check_outputs
from infgen.world import anchoring
from infgen.world.anchoring import MAX_ANCHORS, Anchor, PlacedAnchor
from infgen.world.document import MAX_DOCUMENT_BYTES, Document, Mix, Seed, VersionedDocument, one_line_error, validate
from infgen.world.edits import FIELDS, MAX_EDITS, Edit, EditTable, FieldName, Shape
from infgen.world.facade import RenderingFacade
from infgen.world.layout import ResolvedLayout

if TYPE_CHECKING:  # fields import this module
    from infgen.geometry import Region
    from infgen.world.world_fields import Sizes

__all__ = ["PX_LIMIT", "Anchor", "Edit", "Mix", "StyleSource", "World"]

DEFAULT_TRUNCATION = 0.7
DEFAULT_LOCAL_TRUNCATION = 0.5

_NOT_TRUNCATED = {"truncation": 1.0, "local_truncation": 1.0}  # the defaults of schema 1
_LISTS = ("anchors", "edits")  # omitted from documents if empty

Finite = Annotated[float, Field(allow_inf_nan=False)]


class StyleSource(Document):
    """Origin of a style."""

    seed: Seed | None = None
    """Draw the style from this seed instead of the world's own."""
    mix: Mix | None = None
    """Take the finer texture rows from another seed."""


class World(RenderingFacade, VersionedDocument):
    """One implicit image. With a model it determines every pixel."""

    kind = "world"
    schema_number = 3

    schema_version: Literal[3] = Field(default=3, alias="schema")  # type: ignore[assignment]
    """Version of this kind of document. Schema 1 has no local_truncation, and its truncation is 1 by default.

    Schema 2 has no strokes, photographs and seeds of anchors, and no period_y."""
    seed: Seed = 0
    """Any 64-bit integer: seed of local latents and noises, and of the style unless style or layout set it."""
    style: StyleSource = StyleSource()
    """The one style of the whole image."""
    layout: ResolvedLayout | None = None
    """Several styles and their positions; replaces style."""
    truncation: Annotated[Finite, Field(ge=-2, le=2)] = DEFAULT_TRUNCATION
    """1: styles as sampled, 0: the mean style."""
    local_truncation: Annotated[Finite, Field(ge=0, le=2)] = DEFAULT_LOCAL_TRUNCATION
    """Multiplies the local latents of seeds. 1: as sampled; lower values give calmer compositions."""
    noise: Annotated[Finite, Field(ge=0, le=10)] = 1.0
    """Multiplies the learned noise strengths."""
    period: Annotated[int, Field(strict=True, ge=1, le=PX_LIMIT)] | None = None
    """The image repeats along x after this many px, a multiple of the model's cell."""
    period_y: Annotated[int, Field(strict=True, ge=1, le=PX_LIMIT)] | None = None
    """The image repeats along y after this many px. Only models without a horizon can repeat along y."""
    anchors: Annotated[tuple[Anchor, ...], FailFast(), Field(max_length=MAX_ANCHORS)] = ()
    """Blocks of latents of photographs, stored next to the world file. They replace the seed's values."""
    edits: Annotated[tuple[Edit, ...], FailFast(), Field(max_length=MAX_EDITS)] = ()
    """Rectangles that are resampled from other seeds, in order. The last one wins, also over anchors."""

    _folder: Path | None = PrivateAttr(default=None)

    if not TYPE_CHECKING:  # type checkers see the fields as keywords instead

        def __init__(self, /, **values: object) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise one_line_error(error, source=self.kind) from None

        # Marks a plain constructor for pydantic: worlds inside other documents are validated without calling it.
        __init__.__pydantic_base_init__ = True

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, data: object) -> object:
        if not isinstance(data, dict) or isinstance(data.get("schema"), bool) or data.get("schema") not in (1, 2):
            return data
        return {**(_NOT_TRUNCATED if data["schema"] == 1 else {}), **data, "schema": cls.schema_number}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.layout is not None and self.style != StyleSource():
            raise ValueError("style has no effect next to layout; leave one out")
        for i, edit in enumerate(self.edits):
            if self.period is not None and edit.w > self.period:
                raise ValueError(f"edit {i} is {edit.w} px wide; allowed is at most the period, {self.period} px")
            if self.period_y is not None and edit.h > self.period_y:
                raise ValueError(f"edit {i} is {edit.h} px tall; allowed is at most period_y, {self.period_y} px")
        if self.period_y is not None and self.anchors:
            raise ValueError("a world with photographs cannot repeat along y; omit period_y, or the anchors")
        return self

    @model_serializer(mode="wrap")
    def _shortest(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit empty lists, and use the first schema that can express the world: renders of older versions can be resumed."""
        values = {name: value for name, value in serialize(self).items() if value or name not in _LISTS}
        painted = self.layout is not None and bool(self.layout.strokes)
        painted = painted or any(edit.points is not None for edit in self.edits)
        if painted or self.period_y is not None or any(anchor.is_new for anchor in self.anchors):
            return values
        if "schema" in values:
            values["schema"] = 2
        plain = self.local_truncation == 1 and all(anchor.reach is None for anchor in self.anchors)
        if plain and {"schema", "local_truncation"} <= values.keys():
            del values["local_truncation"]
            values["schema"] = 1
        return values

    def __eq__(self, other: object) -> bool:
        """Compare the fields of two worlds; their folders may differ."""
        names = type(self).model_fields
        return isinstance(other, World) and all(getattr(self, name) == getattr(other, name) for name in names)

    @property
    def folder(self) -> Path | None:
        """Folder of the anchor files: the world file's folder, or the one given to ``in_folder``."""
        return self._folder

    def in_folder(self, folder: str | Path | None) -> Self:
        """Return the same world with its anchor files in ``folder``."""
        world = self.model_copy()
        world._folder = None if folder is None else Path(folder).absolute()
        return world

    @property
    def reads(self) -> tuple[Read, ...]:
        """Anchor files, which no output may replace."""
        if self._folder is None:
            return ()
        return tuple(("anchor file", self._folder / name) for anchor in self.anchors for name, _ in anchor.files)

    @property
    def placed_anchors(self) -> tuple[PlacedAnchor, ...]:
        """The latents of the anchors. Each file is read once per process.

        Raises WorldError if a file is missing, changed or damaged, or belongs to another height or period.
        """
        return anchoring.place_anchors(self.anchors, folder=self._folder, period=self.period)

    @cached_property
    def edit_tables(self) -> Mapping[FieldName, EditTable]:
        """Edits by field."""
        return {field: EditTable.of(self.edits, field) for field in FIELDS}

    @property
    def style_seed(self) -> int:
        """Seed of the style's latent in a world without layout."""
        return self.seed if self.style.seed is None else self.style.seed

    def replace(
        self,
        *,
        style_seed: int | None = None,
        mix_seed: int | None = None,
        crossover: int | None = None,
        **values: object,
    ) -> Self:
        """Return the world with some values replaced; None keeps a value. Raises WorldError for illegal values."""
        parts = {"layout": self.layout, "anchors": self.anchors, "edits": self.edits}
        document = self.model_dump(by_alias=True, exclude=set(parts)) | parts
        document |= {k: v for k, v in values.items() if v is not None}
        if style_seed is not None:
            document["style"]["seed"] = style_seed
        if mix_seed is not None or crossover is not None:
            mix = document["style"]["mix"] or {}
            changes = {"seed": mix_seed, "crossover": crossover}
            document["style"]["mix"] = mix | {k: v for k, v in changes.items() if v is not None}
        return self.create(**document).in_folder(self._folder)

    @classmethod
    def create(cls, **values: object) -> Self:
        """Make a world of keyword values. Raises WorldError with one line about the first illegal value."""
        return validate(cls, values, source=cls.kind)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a world file. Its anchor files must be in the same folder.

        Raises WorldError if the file is missing, too large or not a world.

        >>> from infgen import World
        >>> World(seed=7).save("world.json")
        >>> World.load("world.json").seed
        7
        """
        return super().load(path).in_folder(Path(path).parent)

    @classmethod
    def from_inversions(
        cls,
        files: Sequence[str | Path],
        *,
        seed: int = 0,
        transition: int = 127,
        positions: Sequence[int] | None = None,
        reach: int | None = None,
    ) -> Self:
        """Make a world with saved latents of photographs as anchors. Each pixel has the style of the nearest anchor.

        ``files``: files of latents in one folder. ``seed``: seed of all other cells. ``transition``: side in px of the square
        over which styles are averaged. ``positions``: first column (cells) of each anchor; None: that of the inversion.
        ``reach``: columns of cells on both sides of a photograph whose local latents resemble the photograph's; None: none.
        The period is that of the inversions. Raises WorldError if files cannot be read or are incompatible.
        """
        if isinstance(files, str | Path):
            raise WorldError(f"files is one file, {files}; give a list")
        paths = [Path(file) for file in files]
        anchors, placed = anchoring.open_anchors(paths, positions=positions, reach=reach)
        layout = anchoring.anchor_layout(placed, transition=transition)
        world = cls.create(seed=seed, period=placed[0].latents.period, layout=layout, anchors=anchors)
        return world.in_folder(paths[0].parent)

    def resample(
        self,
        region: "Region",
        *,
        seed: int,
        sizes: "Sizes",
        fields: Sequence[FieldName] = FIELDS,
        like: "Region | None" = None,
        points: str | None = None,
        radius: int | None = None,
    ) -> Self:
        """Return the world with one more edit, which resamples ``region`` (px) from ``seed``.

        ``sizes``: the model's configuration, or an anchor's latents. ``fields``: "local" and "noise", or one of them.
        ``like``: a region (px) whose mean and standard deviation per channel of z_l are copied. ``points``, ``radius``: only
        positions within ``radius`` px of the line "x y x y ..." change. Raises WorldError for a region without a cell, for a
        ``like`` of less than 2 cells, and for too many edits.

        >>> from infgen import Generator, Region, World
        >>> from infgen.model.checkpoint import SHIPPED
        >>> sizes = Generator.from_pretrained(SHIPPED).config
        >>> world = World(seed=7).resample(Region(0, 0, 256, 256), seed=8, sizes=sizes)
        >>> len(world.edits), len(world.without_last_edit().edits)
        (1, 0)
        """
        from infgen.world.world_fields import resampling

        shape = Shape(region.x, region.y, region.w, region.h, points, radius)
        edit = resampling(self, shape, seed=seed, sizes=sizes, fields=fields, like=like)
        return self.replace(edits=(*self.edits, edit))

    def without_edits_inside(
        self,
        region: "Region",
        fields: Sequence[FieldName] = FIELDS,
        *,
        points: str | None = None,
        radius: int | None = None,
    ) -> Self:
        """Return the world without the edits of ``fields`` that lie completely in ``region`` (px).

        ``points``, ``radius``: remove only those with this line.
        """
        shape = Shape(region.x, region.y, region.w, region.h, points, radius)
        kept = (edit for edit in self.edits if not edit.inside(shape, fields))
        return self.replace(edits=tuple(kept))

    def without_last_edit(self) -> Self:
        """Return the world without its last edit. Raises WorldError if there is none."""
        if not self.edits:
            raise WorldError("world has no edits; there is nothing to undo")
        return self.replace(edits=self.edits[:-1])

    def save(self, path: str | Path) -> None:
        """Write the document to ``path`` atomically, and copy its anchor files to the same folder.

        Raises WorldError for a document over the size limit, or if another file has the name of an anchor file. Raises
        InputError if ``path`` is an anchor file.
        """
        text = self.to_json() + "\n"
        if (size := len(text.encode())) > MAX_DOCUMENT_BYTES:
            raise WorldError(f"world takes {size} bytes, over {MAX_DOCUMENT_BYTES}; keep fewer edits or anchors")
        copies = [("anchor file", Path(path).parent / name) for anchor in self.anchors for name, _ in anchor.files]
        check_outputs([path], [*self.reads, *copies])
        if self._folder is not None:
            anchoring.copy_files(self.anchors, self._folder, Path(path).parent)
        with write_atomically(path) as temporary:
            temporary.write_text(text)
