"""Layouts: named styles and the parts of the image they cover, given by centres or by a painted picture.

A person writes a ``Layout``. ``infgen.world.layout_files.resolve`` converts it to a ``ResolvedLayout``, which needs no
files and no region, and gives the style of every pixel.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WrapValidator,
    model_serializer,
    model_validator,
)

from infgen.geometry import PX_LIMIT, Span, Window
from infgen.world.document import Document, Mix, Seed, VersionedDocument, cut, join_names
from infgen.world.mixing import Centre, Labels, nearest_styles
from infgen.world.nearest_centres import copy_over_periods, nearest_at, repeat_labels, sample_indices
from infgen.world.painting import decode_numbers
from infgen.world.strokes import MAX_STROKES, Stroke, StrokeTable

MAX_STYLES = 256  # the number of a style is one byte of the stored painting
MAX_TRANSITION = 4096
DEFAULT_TRANSITION = 127  # px (paper, Appendix L)
MAX_LATENT_ROWS = 64
MAX_LATENT_CHANNELS = 8192
MAX_FLOAT = float(np.finfo(np.float32).max)


def _pixels_or_percentage(value: object, check: Callable[[object], Any]) -> Any:
    try:
        return check(value)
    except ValidationError:
        raise ValueError("give a whole number of px from -2^40 to 2^40, or a percentage like '25%'") from None


Name = Annotated[str, Field(min_length=1, max_length=100)]
FileName = Annotated[str, Field(min_length=1, max_length=4096)]
Truncation = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-2, le=2)]
Float32 = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MAX_FLOAT, le=MAX_FLOAT)]
Px = Annotated[int, Field(strict=True, ge=-PX_LIMIT, le=PX_LIMIT)]
Size = Annotated[int, Field(strict=True, ge=1, le=2 * PX_LIMIT)]
Percentage = Annotated[str, Field(pattern=r"^-?[0-9]{1,4}(\.[0-9]{1,6})?%$")]
Place = Annotated[Px | Percentage, WrapValidator(_pixels_or_percentage)]
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]


class _Origin(Document):
    seed: Seed | None = None
    """Draw the style from this seed."""
    mean: Literal[True] | None = None
    """The model's mean style."""
    truncation: Truncation | None = None
    """1: the style itself, 0: the mean style. By default 1 for a latent file, otherwise the world's truncation."""
    mix: Mix | None = None
    """Take the finer texture rows from another seed. Truncation is applied afterwards."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("seed", "mean", "latent") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given) or 'nothing'} given; give one of seed, mean and latent")
        if self.mix is not None and getattr(self, "texture", None) is not None:
            raise ValueError("mix has no effect next to texture; move it into texture")
        return self


class Source(_Origin):
    """Where a style comes from: a seed, the mean style, or a latent file."""

    latent: FileName | None = None
    """A safetensors file with float32 tensors z_g (D,) and w_plus (rows, D); relative to the layout file."""


class StyleSpec(Source):
    """One style: give a seed, the mean, or a latent file."""

    texture: Source | None = None
    """Take the texture from here instead, and only the structure from the outer entries."""


class CentreSpec(Document):
    """A position with a style: px of the image, or percentages of the region."""

    style: Name
    """Name of the style."""
    x: Place
    """Px of the endless image, or a percentage of the region's width from its left edge, such as "25%"."""
    y: Place
    """Px of the endless image, or a percentage of the region's height from its top edge, such as "50%"."""


class Painting(Document):
    """A picture, stretched over the region, whose colours select styles."""

    image: FileName
    """A PNG file without transparency or antialiasing; relative to the layout file."""
    colours: Annotated[dict[Colour, Name], Field(min_length=1, max_length=MAX_STYLES)]
    """Style of each colour of the picture, such as {"#ff0000": "mountains"}."""

    @model_validator(mode="after")
    def _different_colours(self) -> Self:
        if len({colour.lower() for colour in self.colours}) < len(self.colours):
            raise ValueError("a colour occurs twice, in upper and lower case; give each colour once")
        return self


class Layout(VersionedDocument):
    """Styles by name, and either centres or a painting to place them. A single style needs neither."""

    kind = "layout"

    styles: Annotated[dict[Name, StyleSpec], Field(min_length=1, max_length=MAX_STYLES)]
    """The styles by name."""
    centres: Annotated[tuple[CentreSpec, ...], FailFast()] = ()
    """Each pixel has the style of its nearest centre."""
    painting: Painting | None = None
    """Each pixel has the style of its colour in a picture."""
    transition: Annotated[int, Field(strict=True, ge=0, le=MAX_TRANSITION)] = DEFAULT_TRANSITION
    """Side in px of the square over which styles are averaged, the width of the blend between styles. 0: hard edges.

    An even side is rounded up to the next odd number.
    """
    strokes: Annotated[tuple[Stroke, ...], FailFast(), Field(max_length=MAX_STROKES)] = ()
    """Brush strokes over centres or painting, in order. Without either, the first style is the ground."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_places(self.styles, self.centres, self.painting, self.strokes)
        if self.painting is not None:
            _check_styles([(f"colour {c}", style) for c, style in self.painting.colours.items()], self.styles)
        return self


_Row = Annotated[tuple[Float32, ...], FailFast(), Field(max_length=MAX_LATENT_CHANNELS)]


class Latent(Document):
    """A stored latent, float32."""

    z_g: Annotated[tuple[Float32, ...], FailFast(), Field(min_length=1, max_length=MAX_LATENT_CHANNELS)]
    """The structure's latent (D,)."""
    w_plus: Annotated[tuple[_Row, ...], FailFast(), Field(min_length=1, max_length=MAX_LATENT_ROWS)]
    """The texture's latents (rows, D), coarse to fine."""

    @model_validator(mode="after")
    def _equal_widths(self) -> Self:
        for i, row in enumerate(self.w_plus):
            if len(row) != len(self.z_g):
                raise ValueError(f"w_plus row {i} has {len(row)} values and z_g {len(self.z_g)}; give equally many")
        return self


class ResolvedSource(_Origin):
    """Where a style comes from: a seed, the mean style, or a stored latent."""

    latent: Latent | None = None
    """The latent itself."""


class ResolvedStyle(ResolvedSource):
    """One style with its name."""

    name: Name
    """Name of the style."""
    texture: ResolvedSource | None = None
    """Take the texture from here instead, and only the structure from the outer entries."""


class ResolvedCentre(Document):
    """A position of the image with a style."""

    style: Name
    """Name of the style."""
    x: Px
    """Px of the image."""
    y: Px
    """Px of the image."""


class ResolvedPainting(Document):
    """Style numbers on a rectangle of the image (px)."""

    x: Px
    """Left edge in px."""
    y: Px
    """Upper edge in px."""
    w: Size
    """Width in px."""
    h: Size
    """Height in px."""
    png: str
    """A grey PNG of the numbers in base64, stretched over the rectangle."""

    @property
    def numbers(self) -> npt.NDArray[np.uint8]:
        """The decoded picture, (height, width) uint8, read-only. Raises ValueError if it cannot be decoded."""
        return decode_numbers(self.png)

    def labels_at(
        self, xs: Iterable[int], ys: Iterable[int], *, period: int | None, period_y: int | None = None
    ) -> Labels:
        """Return the nearest sample for pixels at ``xs``, ``ys``: (H, W) int32. Edges of the rectangle extend outwards."""
        rows, columns = self.numbers.shape
        across = sample_indices(xs, self.x, self.w, count=columns, period=period)
        down = sample_indices(ys, self.y, self.h, count=rows, period=period_y)
        return self.numbers[np.ix_(down, across)].astype(np.int32)


class ResolvedLayout(VersionedDocument):
    """A layout with positions in px of the image. The number of a style is its index in ``styles``."""

    kind = "layout"

    styles: Annotated[tuple[ResolvedStyle, ...], FailFast(), Field(min_length=1, max_length=MAX_STYLES)]
    """The styles by number."""
    centres: Annotated[tuple[ResolvedCentre, ...], FailFast()] = ()
    """Each pixel has the style of its nearest centre; of equally near ones, the first."""
    painting: ResolvedPainting | None = None
    """Each pixel has the style of its sample in a picture."""
    transition: Annotated[int, Field(strict=True, ge=1, le=MAX_TRANSITION + 1)]
    """Side in px of the square over which styles are averaged, odd; 1 is a hard edge."""
    strokes: Annotated[tuple[Stroke, ...], FailFast(), Field(max_length=MAX_STROKES)] = ()
    """Brush strokes over centres or painting, in order. Without either, the first style is the ground."""

    @model_serializer(mode="wrap")
    def _shortest(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit an empty list of strokes: documents without strokes stay as they were."""
        return {name: value for name, value in serialize(self).items() if value or name != "strokes"}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [style.name for style in self.styles]
        if len(set(names)) < len(names):
            raise ValueError("two styles have one name; give each another name")
        if self.transition % 2 == 0:
            raise ValueError(f"transition {self.transition} is even; give an odd number of px")
        _check_places(names, self.centres, self.painting, self.strokes)
        if self.painting is not None and (highest := int(self.painting.numbers.max())) >= len(names):
            raise ValueError(f"painting holds style number {highest}; allowed are 0 to {len(names) - 1}")
        return self

    @property
    def has_places(self) -> bool:
        """Whether centres or a painting place the styles. Otherwise the first style is everywhere below the strokes."""
        return bool(self.centres) or self.painting is not None

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Number of each style."""
        return {style.name: i for i, style in enumerate(self.styles)}

    @cached_property
    def stroke_table(self) -> StrokeTable:
        """The strokes with their index."""
        return StrokeTable.of(self.strokes)

    @cached_property
    def _places(self) -> tuple[Centre, ...]:
        return tuple(Centre(c.x, c.y, self.numbers[c.style]) for c in self.centres)

    def labels(
        self, window: Window, *, period: int | None = None, period_y: int | None = None, step: int = 1
    ) -> Labels:
        """Return the style number of every position of ``window`` below all strokes, (H, W) int32; exact for px up to 2^40.

        Positions are ``step`` px apart. ``period``, ``period_y``: the image repeats along x and y after this
        many px, multiples of ``step``; every centre then occurs once per period.
        """
        if self.painting is not None:
            xs, ys = (range(step * span.start, step * span.stop, step) for span in (window.x, window.y))
            return self.painting.labels_at(xs, ys, period=period, period_y=period_y)
        if not self.centres:
            return np.zeros(window.shape, np.int32)
        repeated = copy_over_periods(self._places, period, period_y)
        across, down = (None if px is None else px // step for px in (period, period_y))
        return repeat_labels(window, across, down, lambda part: nearest_styles(repeated, part, step=step))

    def labels_at(
        self, xs: Sequence[int], ys: Sequence[int], *, period: int | None = None, period_y: int | None = None
    ) -> Labels:
        """Return the style numbers where columns ``xs`` cross rows ``ys`` (px), (len(ys), len(xs)) int32: a coarse map.

        With strokes, ``xs`` and ``ys`` are ascending, and each number is that of the style with the largest weight.
        """
        ground = self._ground_at(xs, ys, period, period_y)
        if not self.strokes:
            return ground
        window = Window(Span(xs[0], xs[-1] - xs[0] + 1), Span(ys[0], ys[-1] - ys[0] + 1))
        found = self.stroke_table.touching(window, period=period, period_y=period_y)
        names = {self.strokes[i].style for i in found}
        used = np.unique([*np.unique(ground).tolist(), *(self.numbers[name] for name in names if name is not None)])
        weights = (ground[None] == used[:, None, None]).astype(np.float32)
        rows = {self.styles[number].name: row for row, number in enumerate(used.tolist())}
        painted = self.stroke_table.paint(weights, xs, ys, found=found, rows=rows, period=period, period_y=period_y)
        return used[painted.argmax(0)].astype(np.int32)

    def _ground_at(self, xs: Sequence[int], ys: Sequence[int], period: int | None, period_y: int | None) -> Labels:
        if self.painting is not None:
            return self.painting.labels_at(xs, ys, period=period, period_y=period_y)
        if not self.centres:
            return np.zeros((len(ys), len(xs)), np.int32)
        across, down = (at if px is None else [place % px for place in at] for at, px in ((xs, period), (ys, period_y)))
        return nearest_at(copy_over_periods(self._places, period, period_y), across, down)


def _check_places(
    names: Collection[str],
    centres: Sequence[CentreSpec | ResolvedCentre],
    painting: object,
    strokes: Sequence[Stroke],
) -> None:
    """Raise ValueError unless centres, a painting or strokes place the styles ``names``, and not two of the first."""
    if centres and painting is not None:
        raise ValueError("both centres and painting given; give one of them")
    if len(names) > 1 and not centres and painting is None and not strokes:
        raise ValueError(f"{len(names)} styles and no place for them; give centres, a painting or strokes")
    _check_styles([(f"centre {i}", centre.style) for i, centre in enumerate(centres)], names)
    _check_styles(
        [(f"stroke {i}", stroke.style) for i, stroke in enumerate(strokes) if stroke.style is not None], names
    )


def _check_styles(uses: Iterable[tuple[str, str]], names: Collection[str]) -> None:
    for user, style in uses:
        if style not in names:
            raise ValueError(f"{user} has style {cut(repr(style))}, which is not given; styles are {join_names(names)}")
