"""Write and read pictures: one sink for each file format, all behind one small protocol.

``open_sink`` rejects impossible outputs before any tile is computed. ``read_provenance`` shows how a picture was made.
"""

from infgen.progress import Progress
from infgen.sinks.base import Sink
from infgen.sinks.factory import check_picture, find_unfinished, open_sink
from infgen.sinks.files.work_folder import Start
from infgen.sinks.formats import FORMATS, Format, format_of, list_outputs
from infgen.sinks.grid import Box, Grid
from infgen.sinks.provenance import check_provenance
from infgen.sinks.read import picture_size, read_provenance, read_region

__all__ = [
    "FORMATS",
    "Box",
    "Format",
    "Grid",
    "Progress",
    "Sink",
    "Start",
    "check_picture",
    "check_provenance",
    "find_unfinished",
    "format_of",
    "list_outputs",
    "open_sink",
    "picture_size",
    "read_provenance",
    "read_region",
]
