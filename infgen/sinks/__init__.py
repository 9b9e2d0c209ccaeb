"""Where finished tiles go: one sink per file format, all behind one small protocol.

``open_sink`` refuses what cannot work before any tile is computed; ``read_recipe`` tells how a picture was made.
"""

from infgen.sinks.base import (
    FORMATS,
    Format,
    Progress,
    Sink,
    check_picture,
    format_of,
    open_sink,
    unfinished,
)
from infgen.sinks.files.work import Start
from infgen.sinks.grid import Box, Grid
from infgen.sinks.read import picture_size, read_recipe, read_region
from infgen.sinks.recipe import check_recipe

__all__ = [
    "FORMATS",
    "Box",
    "Format",
    "Grid",
    "Progress",
    "Sink",
    "Start",
    "check_picture",
    "check_recipe",
    "format_of",
    "open_sink",
    "picture_size",
    "read_recipe",
    "read_region",
    "unfinished",
]
