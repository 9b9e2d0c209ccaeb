"""Name what a tile shows: the world without strokes and edits, and those of them that reach the tile.

Revisions that differ elsewhere share their tiles. So a change costs only the tiles that it reaches.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from infgen.geometry import STRUCTURE_HALO, TEXTURE_HALO, Span, Window
from infgen.rendering.photographs import reached_windows
from infgen.serve.tiles.artist import Address
from infgen.world.document import Document
from infgen.world.edits import FIELDS
from infgen.world.overlaps import window_overlaps
from infgen.world.world import World

_BYTES = 10


@dataclass(frozen=True, eq=False)
class WorldContent:
    """What the tiles of one revision show. ``rest``: hash of everything that reaches every tile.

    ``whole``: hash of the world, for tiles near ``photographs`` (px): their colours depend on the model's pixels under them.
    """

    world: World
    rest: bytes
    strokes: tuple[bytes, ...]
    edits: dict[int, bytes]  # by the identity of the edit
    whole: bytes
    photographs: tuple[Window, ...]

    @classmethod
    def of(cls, world: World, *, renderer_hash: str) -> "WorldContent":
        """Hash the parts of ``world``. ``renderer_hash``: of the model and engine that draw it."""
        layout = world.layout
        strokes = () if layout is None else layout.strokes
        bare = world.model_copy(update={"edits": (), "layout": None})
        ground = "" if layout is None else layout.model_copy(update={"strokes": ()}).model_dump_json()
        rest = _digest(f"{renderer_hash} {bare.model_dump_json()} {ground}")
        edits = dict(zip(map(id, world.edits), _digests(world.edits), strict=True))
        whole = _digest(f"{renderer_hash} {world.model_dump_json()}")
        return cls(world, rest, _digests(strokes), edits, whole, reached_windows(world))

    def key(self, tile: Address, *, reach: int, cell_px: int) -> str:
        """Return the hash of what ``tile`` shows, the same for all tiles of its group of ``reach`` x ``reach`` tiles."""
        side = reach * tile.side
        return self.key_of(Window(*(Span(at // reach * side, side) for at in (tile.x, tile.y))), cell_px=cell_px)

    def key_of(self, part: Window, *, cell_px: int) -> str:
        """Return the hash of what ``part`` shows, a rectangle in px of the world."""
        if not self.strokes and not self.edits:
            return self.rest.hex()
        halo = (STRUCTURE_HALO + TEXTURE_HALO) * cell_px
        window = Window(*(Span(span.start - halo, span.size + 2 * halo) for span in (part.x, part.y)))
        found = hashlib.blake2b(self.rest, digest_size=_BYTES)
        layout, periods = self.world.layout, {"period": self.world.period, "period_y": self.world.period_y}
        if any(next(window_overlaps(window, near, **periods), None) for near in self.photographs):
            return self.whole.hex()
        for index in () if layout is None else layout.stroke_table.touching(window, **periods):
            found.update(self.strokes[index])
        for field in FIELDS:
            found.update(field.encode())
            for edit in self.world.edit_tables[field].touching(window, **periods):
                found.update(self.edits[id(edit)])
        return found.hexdigest()


def _digests(parts: Sequence[Document]) -> tuple[bytes, ...]:
    return tuple(_digest(part.model_dump_json()) for part in parts)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_BYTES).digest()
