"""The anchors of a world: which files they are, where their blocks lie, and what these write into the random fields."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from infgen.atomic import write_atomically
from infgen.errors import WorldError
from infgen.geometry import PX_LIMIT, LayerSpans, Span, Window
from infgen.limits import MAX_ANCHOR_MB, MIB
from infgen.world.anchors import AnchoredLatents
from infgen.world.document import Document, check_file, cut, validate
from infgen.world.layout import MAX_STYLES, ResolvedLayout
from infgen.world.overlaps import Part, window_overlaps

MAX_ANCHORS = MAX_STYLES  # each brings a style of its own


def _plain_name(name: str) -> str:
    if name in (".", "..") or any(c in "/\\:" or not c.isprintable() for c in name):
        raise ValueError("give the plain name of a file that lies beside the world file")
    return name


class Anchor(Document):
    """Latents of a photograph, stored in a file beside the world file: inside their block they win over the seed."""

    file: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_plain_name)]
    """Name of the safetensors file, without a folder."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Hash of the file: another one under the same name is refused."""
    cell_x: Annotated[int, Field(strict=True, ge=-PX_LIMIT, le=PX_LIMIT)]
    """First column of its window in cells; may differ from where it was inverted."""
    cell_y: Annotated[int, Field(strict=True, ge=-PX_LIMIT, le=PX_LIMIT)]
    """First row of its window in cells: where it was inverted, as coordinates depend on the height."""


@dataclass(frozen=True, eq=False)
class PlacedAnchor:
    """Stored latents at their place. ``x``, ``y``: spans of every layer; ``pixels``: their px of the world."""

    latents: AnchoredLatents
    x: LayerSpans
    y: LayerSpans
    pixels: Window

    @classmethod
    def at(cls, latents: AnchoredLatents, cell_x: int) -> "PlacedAnchor":
        """``latents`` with ``cell_x`` as first column."""
        return cls(latents, *latents.spans(cell_x=cell_x), latents.pixels_at(cell_x))

    @property
    def local(self) -> tuple[Tensor, Window]:
        """z_l (C, n + 24, m + 24) and its cells."""
        return self.latents.z_l, Window(self.x.local, self.y.local)

    def noise(self, conv: int) -> tuple[Tensor, Window]:
        """The noise (1, h, w) of a texture convolution and its positions."""
        return self.latents.noises[conv], Window(self.x.noise[conv], self.y.noise[conv])

    def distance(self, block: Window, part: Part, *, spacing: int) -> Tensor:
        """Squared distance in px from positions to the pixels that the latents give, (h, w) int64.

        ``block``: one of its windows, on a lattice ``spacing`` px apart; ``part``: rows and columns of it.
        """
        down, across = (
            _axis_distances(span, inside, pixels, spacing)
            for span, inside, pixels in zip((block.y, block.x), part, (self.pixels.y, self.pixels.x), strict=True)
        )
        return down[:, None] ** 2 + across[None, :] ** 2


def _axis_distances(span: Span, part: slice, pixels: Span, spacing: int) -> Tensor:
    """Distances (N,) int64 of positions, in px along one axis, from a run of pixels; 0 inside."""
    places = torch.arange(span.start + part.start, span.start + part.stop) * spacing
    return torch.maximum(pixels.start - places, places - (pixels.stop - 1)).clamp_(min=0)


@lru_cache(maxsize=MAX_ANCHORS)
def _load_latents(path: Path, sha256: str) -> AnchoredLatents:
    """The latents in the file ``path``, read once in a process. Raises WorldError where it is another file."""
    _check_hash(path, sha256)
    with torch.inference_mode(False):  # whoever asks first, they stay ordinary tensors
        return AnchoredLatents.load(path)


def file_sha256(path: Path) -> str:
    """SHA-256 of an anchor file, hexadecimal. Raises WorldError where it is missing, too large or cannot be read."""
    check_file(path, what="anchor file", limit=MAX_ANCHOR_MB.value() * MIB)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WorldError(f"anchor file {path} cannot be read ({error.strerror}); give a readable file") from None


def _check_hash(path: Path, sha256: str) -> None:
    if (found := file_sha256(path)) != sha256:
        raise WorldError(
            f"anchor file {path} is not the one of this world (sha256 {found[:12]}..., not {sha256[:12]}...); "
            "put the right one there"
        )


def place_anchors(anchors: Sequence[Anchor], *, folder: Path | None, period: int | None) -> tuple[PlacedAnchor, ...]:
    """The latents of ``anchors``, whose files lie in ``folder``, in a world of ``period`` px.

    Raises WorldError where a file is missing, altered or damaged, or was made at another height or for another period.
    """
    if not anchors:
        return ()
    if folder is None:
        raise WorldError(
            f"world has the anchor file {cut(anchors[0].file)} and no folder where it lies; read the world with "
            "World.load, or name the folder with World.in_folder"
        )
    return tuple(_place_file(folder / a.file, a.sha256, a.cell_x, a.cell_y, period) for a in anchors)


@lru_cache(maxsize=MAX_ANCHORS)
def _place_file(path: Path, sha256: str, cell_x: int, cell_y: int, period: int | None) -> PlacedAnchor:
    latents = _load_latents(path, sha256)
    if cell_y != latents.cell_y:
        raise WorldError(
            f"anchor {path} is placed at cell_y {cell_y} and was inverted at {latents.cell_y}; coordinates depend on the "
            "height: leave it there, or invert the photograph again"
        )
    if period != latents.period:
        raise WorldError(
            f"anchor {path} was inverted for {_period_words(latents.period)} and the world has {_period_words(period)}; "
            "coordinates depend on it: invert the photograph again"
        )
    return PlacedAnchor.at(latents, cell_x)


def open_anchors(
    paths: Sequence[Path], *, positions: Sequence[int] | None
) -> tuple[tuple[Anchor, ...], tuple[PlacedAnchor, ...]]:
    """Anchors of the latents in ``paths``, each with the first column ``positions`` (cells), None for its own.

    Raises WorldError where a file cannot be read, or they do not lie in one folder or have different models or periods.
    """
    if not paths:
        raise WorldError("no files of latents given; give one or more")
    if positions is not None and len(positions) != len(paths):
        raise WorldError(f"{len(positions)} positions given for {len(paths)} files of latents; give one for each")
    anchors: list[Anchor] = []
    placed: list[PlacedAnchor] = []
    for i, path in enumerate(paths):
        if path.absolute().parent != paths[0].absolute().parent:
            raise WorldError(f"{paths[0]} and {path} lie in different folders; put all files of latents into one")
        sha256 = file_sha256(path)
        latents = _load_latents(path.absolute(), sha256)
        first = placed[0].latents if placed else latents
        if (latents.model_sha256, latents.period) != (first.model_sha256, first.period):
            raise WorldError(f"{path} and {paths[0]} were inverted with different models or periods; invert them alike")
        cell_x = latents.cell_x if positions is None else positions[i]
        entry = {"file": path.name, "sha256": sha256, "cell_x": cell_x, "cell_y": latents.cell_y}
        anchors.append(validate(Anchor, entry, source=f"anchor {path}"))
        placed.append(PlacedAnchor.at(latents, cell_x))
    return tuple(anchors), tuple(placed)


def _period_words(period: int | None) -> str:
    return "no period" if period is None else f"period {period} px"


def write_anchors(
    values: Tensor,
    window: Window,
    anchors: Sequence[PlacedAnchor],
    stored: Callable[[PlacedAnchor], tuple[Tensor, Window]],
    *,
    spacing: int,
    period: int | None,
) -> None:
    """Write what ``anchors`` store into ``values`` (C, H, W) of ``window``, positions of a lattice ``spacing`` px apart.

    ``stored(anchor)``: its values (C, h, w) and their window. Where several anchors have a position, the one whose pixels are
    nearest wins, of equally near ones the first. ``period``: of the world, in px.
    """
    lattice_period = None if period is None else period // spacing
    nearest: Tensor | None = None
    for anchor in anchors:
        block_values, block = stored(anchor)
        for (rows, columns), part in window_overlaps(window, block, period=lattice_period):
            if nearest is None:
                nearest = torch.full(window.shape, torch.iinfo(torch.int64).max)
            target, best = values[:, rows, columns], nearest[rows, columns]
            distance = anchor.distance(block, part, spacing=spacing)
            closer = (distance < best).to(values.device)
            target.copy_(torch.where(closer, block_values[:, part[0], part[1]].to(values), target))
            best.copy_(torch.minimum(distance, best))


def anchor_layout(anchors: Sequence[PlacedAnchor], *, transition: int) -> ResolvedLayout:
    """One style for each anchor, its stored latent, centred in the middle of the anchor's pixels.

    ``transition``: side in px of the square over which styles are averaged; an even one is rounded up. Raises WorldError for
    an illegal one, or more anchors than a layout holds styles.
    """
    styles, centres = [], []
    for i, anchor in enumerate(anchors, 1):
        latents, name = anchor.latents, f"anchor-{i}"
        styles.append({"name": name, "latent": {"z_g": latents.z_g.tolist(), "w_plus": latents.world_w_plus.tolist()}})
        x, y = (span.start + span.size // 2 for span in (anchor.pixels.x, anchor.pixels.y))
        centres.append({"style": name, "x": x, "y": y})
    values = {"styles": styles, "centres": centres, "transition": transition | 1}
    return validate(ResolvedLayout, values, source="layout of anchors")


def copy_files(anchors: Sequence[Anchor], source: Path, target: Path) -> None:
    """Put the files of ``anchors`` from folder ``source`` into folder ``target`` where they are not there yet.

    Raises WorldError where one is missing or altered, or another file has its name in ``target``; InputError where
    ``target`` takes none.
    """
    if os.path.realpath(source) == os.path.realpath(target):
        return
    for anchor in anchors:
        copy = target / anchor.file
        if not copy.exists():
            _check_hash(source / anchor.file, anchor.sha256)
            with write_atomically(copy) as temporary:
                shutil.copyfile(source / anchor.file, temporary)
        elif file_sha256(copy) != anchor.sha256:
            raise WorldError(f"{copy} exists and is not the anchor file of this world; save it in another folder")
