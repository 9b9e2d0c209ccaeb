"""Where finished tiles go: one sink per file format, all behind one small protocol.

``open_sink`` refuses what cannot work before any tile is computed; ``read_recipe`` tells how a picture was made.
"""

from infgen.sinks.base import FORMATS, Format, Progress, Sink, check_picture, format_of, open_sink
from infgen.sinks.recipe import check_recipe, read_recipe

__all__ = [
    "FORMATS",
    "Format",
    "Progress",
    "Sink",
    "check_picture",
    "check_recipe",
    "format_of",
    "open_sink",
    "read_recipe",
]
