"""Resolve layout files: read the latents and the painting they name, and convert percentages to px."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError

from infgen.errors import WorldError, one_line
from infgen.geometry import PX_LIMIT
from infgen.inputs import Read
from infgen.limits import MAX_PHOTO_MB, MIB
from infgen.tensor_files import open_tensors
from infgen.world.document import MAX_DOCUMENT_BYTES, check_file, cut, join_names, read_file, validate
from infgen.world.layout import (
    Latent,
    Layout,
    Painting,
    ResolvedCentre,
    ResolvedLayout,
    ResolvedPainting,
    ResolvedStyle,
    Source,
    StyleSpec,
)
from infgen.world.painting import decode_png

if TYPE_CHECKING:
    from infgen.geometry import Region

MAX_LATENT_BYTES = 4 * MIB
MAX_RESOLVED_BYTES = MAX_DOCUMENT_BYTES // 2  # it takes up to twice as many in an indented world document
_STRIP_PX = 2**20  # pixels whose colours are looked up together
_SHOWN = 5  # colours that one message lists
_MOST_SNAPPED = 0.25  # share of a painting; smoothed edges cover a few percent, another palette covers most


def resolve(
    layout: Layout,
    region: "Region",
    *,
    folder: Path,
    snap: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> ResolvedLayout:
    """Convert ``layout`` to px of the image. Percentages and the painting refer to ``region`` (px).

    ``folder``: base of relative file names. ``snap``: colours of the painting without a style take the nearest colour
    that has one, as at smoothed edges; ``report`` gets a line with their number.

    Raises WorldError for files that are missing, damaged or of another kind, for colours without a style on more than a
    quarter of the painting (on any pixel without ``snap``), for centres outside the limits, and for more stored latents
    than a document can hold.
    """
    painting = layout.painting
    resolved = ResolvedLayout(
        styles=tuple(_resolve_style(name, spec, folder) for name, spec in layout.styles.items()),
        centres=tuple(
            ResolvedCentre(style=c.style, x=_px(c.x, region.x, region.w), y=_px(c.y, region.y, region.h))
            for c in layout.centres
        ),
        painting=None
        if painting is None
        else _resolve_painting(painting, list(layout.styles), region, folder, snap=snap, report=report),
        transition=layout.transition | 1,
        strokes=layout.strokes,
    )
    size = len(resolved.model_dump_json(by_alias=True, exclude_none=True))
    if size > MAX_RESOLVED_BYTES:
        raise WorldError(
            f"layout with its files takes {size} bytes, over {MAX_RESOLVED_BYTES}; name fewer latent files, centres or strokes"
        )
    return resolved


def list_reads(layout: Layout, *, folder: Path) -> tuple[Read, ...]:
    """List the painting and the latent files that ``layout`` names, relative to ``folder``."""
    sources: list[Source] = [*layout.styles.values(), *(s.texture for s in layout.styles.values() if s.texture)]
    latents = [("latent file", folder / source.latent) for source in sources if source.latent is not None]
    painting = [] if layout.painting is None else [("painting", folder / layout.painting.image)]
    return (*painting, *latents)


def _px(place: int | str, start: int, size: int) -> int:
    """Convert ``place`` to px along one axis; percentages are rounded down."""
    if isinstance(place, int):
        return place
    px = start + Fraction(place.removesuffix("%")) * size // 100
    if abs(px) > PX_LIMIT:
        raise WorldError(f"layout: centre at {place} is px {px}, out of range; allowed are -2^40 to 2^40")
    return px


def _resolve_style(name: str, spec: StyleSpec, folder: Path) -> ResolvedStyle:
    texture = spec.texture
    values = {
        **_resolve_source(spec, folder),
        "name": name,
        "texture": None if texture is None else _resolve_source(texture, folder),
    }
    return validate(ResolvedStyle, values, source=f"style {cut(repr(name))}")


def _resolve_source(spec: Source, folder: Path) -> dict[str, object]:
    values = spec.model_dump(exclude={"latent", "texture"})
    if spec.latent is None:
        return values
    if spec.truncation is None:
        values["truncation"] = 1.0  # a stored latent is a style that a person chose
    return {**values, "latent": _read_latent(folder / spec.latent)}


def _read_latent(path: Path) -> Latent:
    """Read the latent in a safetensors file. Raises WorldError if it is missing, too large or of another kind."""
    check_file(path, what="latent file", limit=MAX_LATENT_BYTES)
    try:
        with open_tensors(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            found = {name: (s.get_dtype(), len(s.get_shape())) for name, s in slices.items()}
            if found != {"z_g": ("F32", 1), "w_plus": ("F32", 2)}:
                raise WorldError(
                    f"latent file {path} holds {join_names(found)}; give float32 z_g (D,) and w_plus (rows, D)"
                )
            values = {name: file.get_tensor(name).tolist() for name in found}
    except (SafetensorError, OSError) as error:
        reason = one_line(error)
        raise WorldError(f"latent file {path} is not a safetensors file ({reason}); write it again") from None
    return validate(Latent, values, source=f"latent file {path}")


def _resolve_painting(
    painting: Painting,
    names: Sequence[str],
    region: "Region",
    folder: Path,
    *,
    snap: bool,
    report: Callable[[str], None],
) -> ResolvedPainting:
    path = folder / painting.image
    content = read_file(path, what="painting", limit=MAX_PHOTO_MB.value() * MIB)
    meanings = {int(colour[1:], 16): names.index(style) for colour, style in painting.colours.items()}
    try:
        return decode_painting(
            content, meanings, region, snap=snap, report=lambda line: report(f"painting {path}: {line}")
        )
    except ValueError as error:
        raise WorldError(f"painting {path} {error}") from None


def decode_painting(
    content: bytes,
    meanings: Mapping[int, int],
    region: "Region",
    *,
    snap: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> ResolvedPainting:
    """Convert a painted PNG to style numbers on ``region`` (px). ``meanings``: style number of each colour 0xRRGGBB.

    ``snap`` and ``report`` as in ``resolve``. Raises ValueError with the reason if the picture cannot be used.
    """
    numbers = _numbers(np.asarray(decode_png(content, mode="RGB")), meanings, snap=snap, report=report)
    file = io.BytesIO()
    Image.fromarray(numbers).save(file, "PNG", optimize=True)
    png = base64.b64encode(file.getvalue()).decode()
    if len(png) > MAX_RESOLVED_BYTES:
        raise ValueError(f"takes {len(png)} bytes, over {MAX_RESOLVED_BYTES}; give a smaller one")
    return ResolvedPainting(x=region.x, y=region.y, w=region.w, h=region.h, png=png)


def _numbers(
    rgb: npt.NDArray[np.uint8], meanings: Mapping[int, int], *, snap: bool, report: Callable[[str], None]
) -> npt.NDArray[np.uint8]:
    """Convert colours (H, W, 3) to style numbers (H, W). ``snap``: colours without a style take the nearest one that has.

    Raises ValueError that lists the colours without a style, if they are not to be snapped or cover too much.
    """
    table = np.full(2**24, -1, np.int16)
    table[list(meanings)] = list(meanings.values())
    counts = np.zeros(2**24, np.int32)  # pixels of each colour
    rows = max(1, _STRIP_PX // rgb.shape[1])
    strips = [slice(top, top + rows) for top in range(0, len(rgb), rows)]
    for strip in strips:
        np.add.at(counts, _codes(rgb[strip]), 1)
    unknown = np.flatnonzero((counts > 0) & (table < 0))
    if len(unknown):
        _check_unknown(unknown, counts, meanings, snap=snap)
        table[unknown] = table[_nearest(unknown, np.array(list(meanings)))]
        pixels = int(counts[unknown].sum())
        share = 100 * pixels / counts.sum()
        report(f"{pixels} px ({share:.2g} %) have colours without a style, and take the nearest colour that has one")
    numbers = np.empty(rgb.shape[:2], np.uint8)
    for strip in strips:
        numbers[strip] = table[_codes(rgb[strip])]
    return numbers


def _codes(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    red, green, blue = np.moveaxis(rgb.astype(np.uint32), -1, 0)
    return red << 16 | green << 8 | blue


def _check_unknown(
    unknown: npt.NDArray[np.int64], counts: npt.NDArray[np.int32], meanings: Mapping[int, int], *, snap: bool
) -> None:
    """Raise ValueError unless the ``unknown`` colours may be snapped."""
    if snap and counts[unknown].sum() <= _MOST_SNAPPED * counts.sum():
        return
    order = unknown[np.argsort(-counts[unknown], kind="stable")]
    shown = ", ".join(f"#{code:06x} ({counts[code]} px)" for code in order[:_SHOWN])
    shown += f" and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
    allowed = join_names([f"#{code:06x}" for code in meanings])
    much = f" on more than {100 * _MOST_SNAPPED:.0f} % of its pixels" if snap else ""
    raise ValueError(
        f"has colours without a style{much}: {shown}; allowed are {allowed} (list its colours, or save it without smoothing)"
    )


def _nearest(colours: npt.NDArray[np.int64], allowed: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the code of ``allowed`` (K,) that is nearest in RGB to each of ``colours`` (N,); the first of equally near."""
    parts = [
        colours[i : i + _STRIP_PX // len(allowed) + 1] for i in range(0, len(colours), _STRIP_PX // len(allowed) + 1)
    ]
    channels = [(allowed >> shift & 255).astype(np.int32) for shift in (16, 8, 0)]
    nearest = []
    for part in parts:
        differences = [
            (part >> shift & 255).astype(np.int32)[:, None] - channel[None]
            for shift, channel in zip((16, 8, 0), channels, strict=True)
        ]
        nearest.append(sum(d * d for d in differences).argmin(axis=1))  # type: ignore[union-attr]
    return allowed[np.concatenate(nearest)]
