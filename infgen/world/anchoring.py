"""Place the anchors of a world: check and load their files, and write their latents into the random fields."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor

from infgen.atomic import write_atomically
from infgen.errors import WorldError
from infgen.geometry import PX_LIMIT, LayerSpans, Span, Window
from infgen.limits import MAX_ANCHOR_MB, MIB
from infgen.world.anchors import AnchoredLatents
from infgen.world.document import Document, Seed, check_file, cut, validate
from infgen.world.layout import MAX_STYLES, ResolvedLayout
from infgen.world.overlaps import Part, window_overlaps

MAX_REACH_CELLS = 1024
MAX_ANCHORS = MAX_STYLES  # each anchor adds one style
MAX_PHOTOGRAPH_PX = 2**16  # side at the scale of the inversion


def _plain_name(name: str) -> str:
    if name in (".", "..") or any(c in "/\\:" or not c.isprintable() for c in name):
        raise ValueError("give the plain name of a file in the folder of the world file")
    return name


class AnchorPhotograph(Document):
    """The photograph of an anchor, stored next to the world file. Its own pixels replace the model's."""

    file: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_plain_name)]
    """Name of the picture file, without a folder."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Hash of the file. A file with another hash is rejected."""
    x: Annotated[int, Field(strict=True, ge=-PX_LIMIT, le=PX_LIMIT)]
    """Left edge at the inversion, in px of its scale. It moves with the anchor's cell_x."""
    y: Annotated[int, Field(strict=True, ge=-PX_LIMIT, le=PX_LIMIT)]
    """Upper edge at the inversion, in px of its scale."""
    w: Annotated[int, Field(strict=True, ge=1, le=MAX_PHOTOGRAPH_PX)]
    """Width in px of that scale."""
    h: Annotated[int, Field(strict=True, ge=1, le=MAX_PHOTOGRAPH_PX)]
    """Height in px of that scale."""


class Anchor(Document):
    """Latents of a photograph, stored in a file next to the world file. Inside their block they replace the seed's values."""

    file: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_plain_name)]
    """Name of the safetensors file, without a folder."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Hash of the file. A file with another hash is rejected."""
    cell_x: Annotated[int, Field(strict=True, ge=-PX_LIMIT, le=PX_LIMIT)]
    """First column of the window, in cells. It may differ from the column of the inversion."""
    cell_y: Annotated[int, Field(strict=True, ge=-PX_LIMIT, le=PX_LIMIT)]
    """First row of the window, in cells. It must be the row of the inversion, because coordinates depend on the height."""
    reach: Annotated[int, Field(strict=True, ge=1, le=MAX_REACH_CELLS)] | None = None
    """Columns beyond the photograph, on both sides, whose local latents resemble the photograph's."""
    seed: Seed | None = None
    """Seed of these columns: another seed continues the photograph differently. By default the world's."""
    photograph: AnchorPhotograph | None = None
    """The photograph itself, drawn over the model's pixels. By default none is drawn."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.seed is not None and self.reach is None:
            raise ValueError("seed has no effect without reach; give both or leave it out")
        return self

    @property
    def is_new(self) -> bool:
        """Whether it has entries that came with schema 3 of worlds."""
        return self.photograph is not None or self.seed is not None

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """(name, hash) of every file of the anchor."""
        photograph = self.photograph
        own = ((self.file, self.sha256),)
        return own if photograph is None else (*own, (photograph.file, photograph.sha256))


@dataclass(frozen=True, eq=False)
class PlacedAnchor:
    """Latents with a position in the world. ``x``, ``y``: spans of every layer. ``pixels``: the window they give, in px.

    ``reach``, ``seed``: see ``Anchor``; a reach of 0: no surroundings.
    """

    latents: AnchoredLatents
    x: LayerSpans
    y: LayerSpans
    pixels: Window
    reach: int = 0
    seed: int | None = None

    @classmethod
    def at(cls, latents: AnchoredLatents, cell_x: int, *, reach: int = 0, seed: int | None = None) -> "PlacedAnchor":
        """Place ``latents`` with ``cell_x`` as the first column."""
        return cls(latents, *latents.spans(cell_x=cell_x), latents.pixels_at(cell_x), reach, seed)

    @property
    def local(self) -> tuple[Tensor, Window]:
        """Stored z_l (C, n + 24, m + 24) and its window of cells."""
        return self.latents.z_l, Window(self.x.local, self.y.local)

    def noise(self, conv: int) -> tuple[Tensor, Window]:
        """Return the noise (1, h, w) of a texture convolution and its window."""
        return self.latents.noises[conv], Window(self.x.noise[conv], self.y.noise[conv])

    def distance(self, block: Window, part: Part, *, spacing: int) -> Tensor:
        """Return the squared distance in px from positions to the anchor's pixels, (h, w) int64.

        ``block``: a window of the anchor on a lattice of ``spacing`` px. ``part``: rows and columns of ``block`` to measure.
        """
        down, across = (
            _axis_distances(span, inside, pixels, spacing)
            for span, inside, pixels in zip((block.y, block.x), part, (self.pixels.y, self.pixels.x), strict=True)
        )
        return down[:, None] ** 2 + across[None, :] ** 2


def _axis_distances(span: Span, part: slice, pixels: Span, spacing: int) -> Tensor:
    """Return distances (N,) int64 in px, along one axis, from positions to a run of pixels; 0 inside."""
    places = torch.arange(span.start + part.start, span.start + part.stop) * spacing
    return torch.maximum(pixels.start - places, places - (pixels.stop - 1)).clamp_(min=0)


@lru_cache(maxsize=MAX_ANCHORS)
def _load_latents(path: Path, sha256: str) -> AnchoredLatents:
    """Load the latents in ``path`` once per process. Raises WorldError if its hash is not ``sha256``."""
    check_hash(path, sha256)
    with torch.inference_mode(False):  # ordinary tensors, independent of the mode of the first caller
        return AnchoredLatents.load(path)


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of an anchor file. Raises WorldError if it is missing, too large or unreadable."""
    check_file(path, what="anchor file", limit=MAX_ANCHOR_MB.value() * MIB)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WorldError(f"anchor file {path} cannot be read ({error.strerror}); give a readable file") from None


def check_hash(path: Path, sha256: str) -> None:
    """Raise WorldError unless the anchor file ``path`` has the hash ``sha256``."""
    if (found := file_sha256(path)) != sha256:
        raise WorldError(
            f"anchor file {path} is not the file of this world (sha256 {found[:12]}..., not {sha256[:12]}...); "
            "replace it by the right one"
        )


def place_anchors(anchors: Sequence[Anchor], *, folder: Path | None, period: int | None) -> tuple[PlacedAnchor, ...]:
    """Load the latents of ``anchors`` from ``folder`` for a world of ``period`` px, and place them.

    Raises WorldError if a file is missing, changed or damaged, or belongs to another height or period.
    """
    if not anchors:
        return ()
    if folder is None:
        raise WorldError(
            f"world has the anchor file {cut(anchors[0].file)} and no folder to read it from; read the world with "
            "World.load, or set the folder with World.in_folder"
        )
    return tuple(_place_file(folder / a.file, a, period) for a in anchors)


@lru_cache(maxsize=MAX_ANCHORS)
def _place_file(path: Path, anchor: Anchor, period: int | None) -> PlacedAnchor:
    latents = _load_latents(path, anchor.sha256)
    if anchor.cell_y != latents.cell_y:
        raise WorldError(
            f"anchor {path} is placed at cell_y {anchor.cell_y} and was inverted at {latents.cell_y}; coordinates depend on the "
            "height: leave it there, or invert the photograph again"
        )
    if period != latents.period:
        raise WorldError(
            f"anchor {path} was inverted for {_period_words(latents.period)} and the world has {_period_words(period)}; "
            "coordinates depend on it: invert the photograph again"
        )
    return PlacedAnchor.at(latents, anchor.cell_x, reach=anchor.reach or 0, seed=anchor.seed)


def open_anchors(
    paths: Sequence[Path], *, positions: Sequence[int] | None, reach: int | None = None
) -> tuple[tuple[Anchor, ...], tuple[PlacedAnchor, ...]]:
    """Make anchors of the files of latents ``paths``, with the first columns ``positions`` (cells; None: as inverted).

    Raises WorldError if a file cannot be read, or if the files differ in folder, model or period.
    """
    if not paths:
        raise WorldError("no files of latents given; give one or more")
    if positions is not None and len(positions) != len(paths):
        raise WorldError(f"{len(positions)} positions given for {len(paths)} files of latents; give one for each")
    anchors: list[Anchor] = []
    placed: list[PlacedAnchor] = []
    for i, path in enumerate(paths):
        if path.absolute().parent != paths[0].absolute().parent:
            raise WorldError(f"{paths[0]} and {path} are in different folders; move all files of latents into one")
        sha256 = file_sha256(path)
        latents = _load_latents(path.absolute(), sha256)
        first = placed[0].latents if placed else latents
        if (latents.model_sha256, latents.period) != (first.model_sha256, first.period):
            raise WorldError(
                f"{path} and {paths[0]} were inverted with different models or periods; invert both with the same"
            )
        cell_x = latents.cell_x if positions is None else positions[i]
        entry = {"file": path.name, "sha256": sha256, "cell_x": cell_x, "cell_y": latents.cell_y}
        entry |= {} if reach is None else {"reach": reach}
        anchors.append(validate(Anchor, entry, source=f"anchor {path}"))
        placed.append(PlacedAnchor.at(latents, cell_x, reach=reach or 0))
    return tuple(anchors), tuple(placed)


def _period_words(period: int | None) -> str:
    return "no period" if period is None else f"period {period} px"


def write_anchors(
    values: Tensor,
    window: Window,
    anchors: Sequence[PlacedAnchor],
    read: Callable[[PlacedAnchor], tuple[Tensor, Window]],
    *,
    spacing: int,
    period: int | None,
) -> None:
    """Write the values of ``anchors`` into ``values`` (C, H, W) of ``window`` on a lattice of ``spacing`` px.

    ``read(anchor)`` returns its values (C, h, w) and their window. Where anchors overlap, the anchor with the nearest pixels
    wins; of equally near ones, the first. ``period``: period of the world in px.
    """
    lattice_period = None if period is None else period // spacing
    nearest: Tensor | None = None
    for anchor in anchors:
        block_values, block = read(anchor)
        for (rows, columns), part in window_overlaps(window, block, period=lattice_period):
            if nearest is None:
                nearest = torch.full(window.shape, torch.iinfo(torch.int64).max)
            target, best = values[:, rows, columns], nearest[rows, columns]
            distance = anchor.distance(block, part, spacing=spacing)
            closer = (distance < best).to(values.device)
            target.copy_(torch.where(closer, block_values[:, part[0], part[1]].to(values), target))
            best.copy_(torch.minimum(distance, best))


def anchor_layout(anchors: Sequence[PlacedAnchor], *, transition: int) -> ResolvedLayout:
    """Make a layout with one style per anchor: its stored latent, centred on the anchor's pixels.

    ``transition``: side in px of the square over which styles are averaged; an even side is rounded up to odd. Raises
    WorldError for an illegal ``transition``, or for more anchors than a layout may have styles.
    """
    styles, centres = [], []
    for i, anchor in enumerate(anchors, 1):
        latents, name = anchor.latents, f"anchor-{i}"
        latent = {"z_g": latents.z_g.tolist(), "w_plus": latents.world_w_plus.tolist()}
        styles.append({"name": name, "latent": latent, "truncation": 1.0})  # shows the photograph as it is
        x, y = (span.start + span.size // 2 for span in (anchor.pixels.x, anchor.pixels.y))
        centres.append({"style": name, "x": x, "y": y})
    values = {"styles": styles, "centres": centres, "transition": transition | 1}
    return validate(ResolvedLayout, values, source="layout of anchors")


def copy_files(anchors: Sequence[Anchor], source: Path, target: Path) -> None:
    """Copy the files of ``anchors`` from folder ``source`` to folder ``target`` unless they exist there.

    Raises WorldError if a file is missing or changed, or if ``target`` has another file of that name. Raises InputError
    if ``target`` is not writable.
    """
    if os.path.realpath(source) == os.path.realpath(target):
        return
    for name, sha256 in (file for anchor in anchors for file in anchor.files):
        copy = target / name
        if not copy.exists():
            check_hash(source / name, sha256)
            with write_atomically(copy) as temporary:
                shutil.copyfile(source / name, temporary)
        elif file_sha256(copy) != sha256:
            raise WorldError(f"{copy} exists and is not the anchor file of this world; save it in another folder")
