"""Layout files: named styles and where each of them rules, from centres placed anywhere or from a painted picture.

``Layout`` is what a person writes. ``resolve`` reads the files that it names and turns percentages into px; the
``ResolvedLayout`` that comes out needs neither files nor a region any more and knows the style of every pixel there is.
"""

import base64
import io
import json
import os
import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WrapValidator, model_validator
from safetensors import SafetensorError, safe_open

from infgen.errors import WorldError
from infgen.limits import MAX_PHOTO_MB, MAX_PHOTO_PIXELS, MIB
from infgen.world.geometry import Span, Window
from infgen.world.mixing import Centre, Labels, nearest_styles
from infgen.world.world import MAX_DOCUMENT_BYTES, PX_LIMIT, Mix, Seed

if TYPE_CHECKING:  # planning imports worlds
    from infgen.rendering.plan import Region

SCHEMA = 1
MAX_STYLES = 256  # the number of a style is one byte of the stored painting
MAX_TRANSITION = 4096
MAX_PAINTING_PX = 2**26  # stays below the number of pixels at which Pillow warns
MAX_LATENT_BYTES = 4 * MIB
MAX_FLOAT = float(np.finfo(np.float32).max)
_SHOWN = 5  # things that one message lists
_STRIP_PX = 2**20  # pixels whose colours are looked up together
_PNG = b"\x89PNG\r\n\x1a\n"


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


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_entries(cls, data: object) -> object:
        names = [field.alias or name for name, field in cls.model_fields.items()]
        if isinstance(data, dict) and (unknown := [key for key in data if key not in names]):
            raise ValueError(f"unknown entry {_cut(repr(unknown[0]))}; allowed are {', '.join(names)}")
        return data


class _File(_Document):
    schema_version: Literal[1] = Field(default=1, alias="schema")

    def to_json(self) -> str:
        """The document; ``from_json`` reads it back, equal to the last bit."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str = "layout") -> Self:
        """Read a document. Raises WorldError for broken JSON, a name given twice, unknown entries or illegal values."""
        try:
            data = json.loads(text, object_pairs_hook=_without_duplicates)
        except WorldError as error:
            raise WorldError(f"{source}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise WorldError(f"{source} is not JSON ({error}); give a layout document") from None
        if not isinstance(data, dict):
            raise WorldError(f"{source} holds {type(data).__name__}, not a mapping; give a layout document")
        version = data.get("schema", SCHEMA)
        if version != SCHEMA or isinstance(version, bool):
            raise WorldError(
                f"{source} has schema {_cut(repr(version))}; this infgen reads schema {SCHEMA}: update infgen"
            )
        return _checked(cls, data, source=source)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a layout file. Raises WorldError where it is missing, too large or not a layout."""
        content = _read(path, what="layout file", limit=MAX_DOCUMENT_BYTES)
        return cls.from_json(content, source=f"layout file {path}")


class _Origin(_Document):
    """``truncation`` None: the world's own. ``mix``: rows from ``crossover`` on come from another seed; truncated last."""

    seed: Seed | None = None
    mean: Literal[True] | None = None
    truncation: Truncation | None = None
    mix: Mix | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("seed", "mean", "latent") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given) or 'nothing'} given; give one of seed, mean and latent")
        if self.mix is not None and getattr(self, "texture", None) is not None:
            raise ValueError("mix beside texture would change nothing; put it into texture")
        return self


class Source(_Origin):
    """Where latents come from: a ``seed``, the ``mean`` style, or a ``latent`` file.

    A latent file is a safetensors file with float32 tensors ``z_g`` (D,) and ``w_plus`` (rows, D).
    """

    latent: FileName | None = None


class StyleSpec(Source):
    """One style. ``texture``: W+ comes from there, so that only the structure's z_g comes from the outer source."""

    texture: Source | None = None


class CentreSpec(_Document):
    """A place that carries a style: px of the image, or percentages of the region (from its left and top edge)."""

    style: Name
    x: Place
    y: Place


class Painting(_Document):
    """A picture that is stretched over the region: file ``image`` (PNG), and the style that each of its colours means."""

    image: FileName
    colours: Annotated[dict[Colour, Name], Field(min_length=1, max_length=MAX_STYLES)]

    @model_validator(mode="after")
    def _different_colours(self) -> Self:
        if len({colour.lower() for colour in self.colours}) < len(self.colours):
            raise ValueError("a colour occurs twice, in upper and lower case; give each colour once")
        return self


class Layout(_File):
    """What a layout file says (schema 1; ``Layout.model_json_schema()`` is its JSON schema).

    ``styles`` by name. Then either ``centres``, each pixel belonging to the nearest one, or a ``painting``; a single style
    needs neither. ``transition``: side in px of the square over which styles are averaged; 0 and 1 are a hard edge, an
    even side is rounded up to the next odd one, which has a middle.
    """

    styles: Annotated[dict[Name, StyleSpec], Field(min_length=1, max_length=MAX_STYLES)]
    centres: tuple[CentreSpec, ...] = ()
    painting: Painting | None = None
    transition: Annotated[int, Field(strict=True, ge=0, le=MAX_TRANSITION)] = 127

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.centres and self.painting is not None:
            raise ValueError("both centres and painting given; give one of them")
        if len(self.styles) > 1 and not self.centres and self.painting is None:
            raise ValueError(f"{len(self.styles)} styles and no place for them; give centres or a painting")
        uses = [(f"centre {i}", centre.style) for i, centre in enumerate(self.centres)]
        if self.painting is not None:
            uses += [(f"colour {colour}", style) for colour, style in self.painting.colours.items()]
        _check_styles(uses, self.styles)
        return self


class Latent(_Document):
    """A stored latent: ``z_g`` (D,) and ``w_plus`` (rows, D), float32."""

    z_g: Annotated[tuple[Float32, ...], Field(min_length=1)]
    w_plus: Annotated[tuple[tuple[Float32, ...], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _equal_widths(self) -> Self:
        for i, row in enumerate(self.w_plus):
            if len(row) != len(self.z_g):
                raise ValueError(f"w_plus row {i} has {len(row)} values and z_g {len(self.z_g)}; give equally many")
        return self


class ResolvedSource(_Origin):
    """As ``Source``, with the latent itself."""

    latent: Latent | None = None


class ResolvedStyle(ResolvedSource):
    """As ``StyleSpec``, with its name."""

    name: Name
    texture: ResolvedSource | None = None


class ResolvedCentre(_Document):
    """A place (px) and the name of its style."""

    style: Name
    x: Px
    y: Px


class ResolvedPainting(_Document):
    """Numbers of styles on a rectangle of the image (px). ``png``: a grey PNG of these numbers in base64."""

    x: Px
    y: Px
    w: Size
    h: Size
    png: str

    @property
    def numbers(self) -> npt.NDArray[np.uint8]:
        """The picture, (height, width) uint8, not to be written to. Raises ValueError where it cannot be decoded."""
        return _stored_numbers(self.png)

    def labels(self, window: Window, *, period: int | None) -> Labels:
        """The nearest sample for every pixel of ``window`` (px), (H, W) int32; the edges of the rectangle continue outside."""
        rows, columns = self.numbers.shape
        across = _samples(window.x, self.x, self.w, count=columns, period=period)
        down = _samples(window.y, self.y, self.h, count=rows, period=None)
        return self.numbers[np.ix_(down, across)].astype(np.int32)


class ResolvedLayout(_File):
    """A layout that is fixed to places of the image; the number of a style is its index in ``styles``.

    ``transition``: side in px of the square over which styles are averaged, odd; 1 is a hard edge.
    """

    styles: Annotated[tuple[ResolvedStyle, ...], Field(min_length=1, max_length=MAX_STYLES)]
    centres: tuple[ResolvedCentre, ...] = ()
    painting: ResolvedPainting | None = None
    transition: Annotated[int, Field(strict=True, ge=1, le=MAX_TRANSITION + 1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [style.name for style in self.styles]
        if len(set(names)) < len(names):
            raise ValueError("two styles have one name; give each another name")
        if self.transition % 2 == 0:
            raise ValueError(f"transition {self.transition} is even; give an odd number of px")
        if self.painting is None and not self.centres and len(names) > 1:
            raise ValueError(f"{len(names)} styles and no place for them; give centres or a painting")
        if self.painting is not None and self.centres:
            raise ValueError("both centres and painting given; give one of them")
        _check_styles([(f"centre {i}", centre.style) for i, centre in enumerate(self.centres)], names)
        if self.painting is not None and (highest := int(self.painting.numbers.max())) >= len(names):
            raise ValueError(f"painting holds style number {highest}; allowed are 0 to {len(names) - 1}")
        return self

    @cached_property
    def _places(self) -> tuple[Centre, ...]:
        numbers = {style.name: i for i, style in enumerate(self.styles)}
        return tuple(Centre(c.x, c.y, numbers[c.style]) for c in self.centres)

    def labels(self, window: Window, *, period: int | None = None) -> Labels:
        """Number of the style of every pixel of ``window`` (px), (H, W) int32; exact for positions up to 2^40.

        ``period``: the image repeats along x after so many px; every centre then stands once in each period.
        """
        if self.painting is not None:
            return self.painting.labels(window, period=period)
        if not self.centres:
            return np.zeros(window.shape, np.int32)
        if period is None:
            return nearest_styles(self._places, window)
        # A pixel of [0, period) is at most half a period from one of these copies of each centre.
        copies = [Centre(c.x % period + turn, c.y, c.style) for c in self._places for turn in (-period, 0, period)]
        return _cyclic(window, period, lambda part: nearest_styles(copies, part))


def resolve(layout: Layout, region: "Region", *, folder: Path) -> ResolvedLayout:
    """Fix ``layout`` to places of the image: percentages and the painting refer to ``region`` (px).

    ``folder``: where relative names of files begin. Raises WorldError for files that are missing, damaged or of another
    kind, colours that mean no style, and centres outside of the canvas.
    """
    painting = layout.painting
    return ResolvedLayout(
        styles=tuple(_resolved_style(name, spec, folder) for name, spec in layout.styles.items()),
        centres=tuple(
            ResolvedCentre(style=c.style, x=_px(c.x, region.x, region.w), y=_px(c.y, region.y, region.h))
            for c in layout.centres
        ),
        painting=None if painting is None else _resolved_painting(painting, list(layout.styles), region, folder),
        transition=layout.transition | 1,
    )


def _px(place: int | str, start: int, size: int) -> int:
    """Pixel of ``place`` along one axis; percentages are rounded down."""
    if isinstance(place, int):
        return place
    px = start + Fraction(place.removesuffix("%")) * size // 100
    if abs(px) > PX_LIMIT:
        raise WorldError(f"layout: centre at {place} is px {px}, off the canvas; allowed is -2^40 to 2^40")
    return px


def _samples(span: Span, start: int, size: int, *, count: int, period: int | None) -> list[int]:
    """Indices of the samples of a span's positions, where ``count`` samples cover ``size`` px from ``start``."""

    def sample(position: int) -> int:
        offset = position - start
        if period is not None:
            offset %= period
            if offset >= size and period - offset < offset - (size - 1):
                offset = 0  # the next copy begins nearer than this one ended
        return min(max(offset, 0), size - 1) * count // size

    return [sample(position) for position in range(span.start, span.stop)]  # Python's integers: no overflow


def _cyclic(window: Window, period: int, labels: Callable[[Window], Labels]) -> Labels:
    """Labels (H, W) of a window of the image that repeats ``labels`` of x = 0 to ``period`` - 1."""
    start, size = window.x.start % period, window.x.size
    if size >= period:
        return labels(Window(Span(0, period), window.y))[:, (np.arange(size) + start) % period]
    first = min(size, period - start)
    left = labels(Window(Span(start, first), window.y))
    return left if first == size else np.hstack([left, labels(Window(Span(0, size - first), window.y))])


def _check_styles(uses: Iterable[tuple[str, str]], names: Collection[str]) -> None:
    for user, style in uses:
        if style not in names:
            raise ValueError(f"{user} has style {_cut(repr(style))}, which is not given; styles are {_listed(names)}")


def _resolved_style(name: str, spec: StyleSpec, folder: Path) -> ResolvedStyle:
    texture = spec.texture
    values = {
        **_resolved_values(spec, folder),
        "name": name,
        "texture": None if texture is None else _resolved_values(texture, folder),
    }
    return _checked(ResolvedStyle, values, source=f"style {_cut(repr(name))}")


def _resolved_values(spec: Source, folder: Path) -> dict[str, object]:
    latent = None if spec.latent is None else _read_latent(folder / spec.latent)
    return {**spec.model_dump(exclude={"latent", "texture"}), "latent": latent}


def _read_latent(path: Path) -> Latent:
    """The latent in a safetensors file. Raises WorldError where it is missing, too large or holds anything else."""
    _check_file(path, what="latent file", limit=MAX_LATENT_BYTES)
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            found = {name: (s.get_dtype(), len(s.get_shape())) for name, s in slices.items()}
            if found != {"z_g": ("F32", 1), "w_plus": ("F32", 2)}:
                raise WorldError(
                    f"latent file {path} holds {_listed(found)}; give float32 z_g (D,) and w_plus (rows, D)"
                )
            values = {name: file.get_tensor(name).tolist() for name in found}
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise WorldError(f"latent file {path} is not a safetensors file ({reason}); write it again") from None
    return _checked(Latent, values, source=f"latent file {path}")


def _resolved_painting(painting: Painting, names: Sequence[str], region: "Region", folder: Path) -> ResolvedPainting:
    path = folder / painting.image
    content = _read(path, what="painting", limit=MAX_PHOTO_MB.value() * MIB)
    try:
        picture = _decoded(content, mode="RGB")
        meanings = {int(colour[1:], 16): names.index(style) for colour, style in painting.colours.items()}
        numbers = _numbers(np.asarray(picture), meanings)
    except ValueError as error:
        raise WorldError(f"painting {path} {error}") from None
    file = io.BytesIO()
    Image.fromarray(numbers).save(file, "PNG", optimize=True)
    png = base64.b64encode(file.getvalue()).decode()
    if len(png) > MAX_DOCUMENT_BYTES // 2:
        raise WorldError(f"painting {path} takes {len(png)} bytes, over {MAX_DOCUMENT_BYTES // 2}; give a smaller one")
    return ResolvedPainting(x=region.x, y=region.y, w=region.w, h=region.h, png=png)


@lru_cache(maxsize=4)  # not kept in the document: documents are compared by what they hold
def _stored_numbers(png: str) -> npt.NDArray[np.uint8]:
    return np.asarray(_decoded(base64.b64decode(png, validate=True), mode="L"))


def _decoded(content: bytes, *, mode: str) -> Image.Image:
    """The PNG in ``content``, its size checked before anything is decoded. Raises ValueError with the reason."""
    if len(content) < 33 or not content.startswith(_PNG) or content[12:16] != b"IHDR":
        raise ValueError("is not a PNG picture; save it as PNG")
    width, height, depth, kind = struct.unpack(">IIBB", content[16:26])
    limit = min(MAX_PAINTING_PX, MAX_PHOTO_PIXELS.value())
    if width * height > limit:
        raise ValueError(
            f"has {width} x {height} px, over the limit of {limit}; scale it down: the region stretches it"
        )
    if depth == 16:
        raise ValueError("has 16 bits per channel; save it with 8")
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
    except Exception as error:  # Pillow raises many kinds for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot be decoded ({reason}); save it again as PNG") from None
    if kind & 4 or "transparency" in image.info:
        raise ValueError("has transparency; save it without an alpha channel")
    return image.convert(mode)


def _numbers(rgb: npt.NDArray[np.uint8], meanings: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    """Numbers of styles (H, W) for colours (H, W, 3). Raises ValueError that lists the colours without a meaning."""
    table = np.full(2**24, -1, np.int16)
    table[list(meanings)] = list(meanings.values())
    numbers = np.empty(rgb.shape[:2], np.uint8)
    unknown = np.zeros(2**24, np.int32)  # pixels of each colour
    rows = max(1, _STRIP_PX // rgb.shape[1])
    for top in range(0, len(rgb), rows):
        red, green, blue = np.moveaxis(rgb[top : top + rows].astype(np.uint32), -1, 0)
        codes = red << 16 | green << 8 | blue
        found = table[codes]
        np.add.at(unknown, codes[found < 0], 1)
        numbers[top : top + rows] = found.astype(np.uint8)
    if len(colours := np.flatnonzero(unknown)):
        order = colours[np.argsort(-unknown[colours], kind="stable")]
        listed = ", ".join(f"#{code:06x} ({unknown[code]} px)" for code in order[:_SHOWN])
        listed += f" and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
        allowed = _listed([f"#{code:06x}" for code in meanings])
        raise ValueError(f"has colours that mean no style: {listed}; allowed are {allowed} (save it without smoothing)")
    return numbers


def _check_file(path: Path, *, what: str, limit: int) -> None:
    if not os.path.isfile(path):  # unlike Path.is_file, false for a name that is too long
        raise WorldError(f"{what} {_cut(str(path), 200)} does not exist; give an existing file")
    if (size := path.stat().st_size) > limit:
        raise WorldError(f"{what} {path} has {size} bytes, over the limit of {limit}; give a smaller one")


def _read(path: Path, *, what: str, limit: int) -> bytes:
    _check_file(path, what=what, limit=limit)
    try:
        return path.read_bytes()
    except OSError as error:
        raise WorldError(f"{what} {path} cannot be read ({error.strerror}); give a readable file") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise WorldError(f"{_cut(repr(name))} is given twice in one place; give each name once")
        found[name] = value
    return found


_Model = TypeVar("_Model", bound=BaseModel)


def _checked(model: type[_Model], values: Mapping[str, object], *, source: str) -> _Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise WorldError(f"{source}: {_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    """One line about the first problem pydantic found."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(_cut(str(part)) for part in problem["loc"] if part != "[key]")
    message, value = problem["msg"].removeprefix("Value error, "), problem["input"]
    if not where or isinstance(value, (dict, list, tuple, BaseModel)):
        return f"{where}: {message}" if where else message
    return f"{where} is {_cut(repr(value))}: {message}"


def _cut(text: str, most: int = 60) -> str:
    """``text`` on one line, at most so many characters."""
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(_cut(name) for name in list(names)[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
