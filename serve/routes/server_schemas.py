"""What the server says of itself: its model, zoom levels and limits."""

from typing import Literal

from infgen.serve.routes.schemas import Answer


class Model(Answer):
    """The model that renders."""

    name: str
    """Name of the model file."""
    sha256: str
    """SHA-256 of the model file."""


class Zoom(Answer):
    """Zoom levels of tiles: at level z a pixel shows 2**-z px of the world."""

    min: int
    """Coarsest level."""
    max: Literal[0] = 0
    """Full resolution."""
    first: int
    """Level at which the page opens: 0 for landscapes, the coarsest picture of a land seen from above."""
    pictures: list[int]
    """Levels that the model renders directly, 0 first. Other levels average the next finer of these."""


class Info(Answer):
    """The server and its limits."""

    version: str
    """Version of infgen."""
    model: Model
    """Model file."""
    cell_px: int
    """Side of a cell in px. Periods of worlds are multiples of it."""
    levels: int
    """Number of upsampling levels of the network."""
    tile_px: int
    """Side of a tile in pixels."""
    photograph_px: int
    """Height of photographs in px of the world."""
    zoom: Zoom
    """Zoom levels of tiles."""
    limits: dict[str, int]
    """Limits of this server."""
