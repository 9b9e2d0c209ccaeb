"""Define the limits of an installation: constants whose defaults ``INFGEN_*`` environment variables replace.

The environment is read at every use of a limit, so changes apply immediately.
"""

import os
from dataclasses import dataclass

from infgen.errors import InputError

KIB = 2**10  # bytes in the unit "KiB"
MIB = 2**20  # bytes in the unit "MiB"
_MAX_DIGITS = 18  # keeps every limit inside 64 bits


@dataclass(frozen=True)
class Limit:
    """One limit: the environment variable ``name`` replaces ``default``; both count in ``unit``.

    ``former``: an earlier name of the variable, read if ``name`` is not set.
    """

    name: str
    default: int
    unit: str
    purpose: str
    former: str | None = None

    def value(self) -> int:
        """Return the current limit in ``unit``. Raises InputError if the variable is not a whole number above 0."""
        names = [name for name in (self.name, self.former) if name and os.environ.get(name, "").strip()]
        if not names:
            return self.default
        text = os.environ[names[0]].strip()
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) > 0):
            raise InputError(
                f"environment variable {names[0]} is {text[:40]!r}; allowed is a whole number of {self.unit} from 1 "
                f"to {_MAX_DIGITS} digits; correct it, or unset it for the default {self.default}"
            )
        return int(text)


MAX_PIXELS = Limit("INFGEN_MAX_PIXELS", 10**11, "px", "pixels of one rendered picture")
MAX_PHOTO_PIXELS = Limit(
    "INFGEN_MAX_PHOTO_PIXELS",
    170_000_000,
    "px",
    "pixels of one photograph in memory; a larger one is scaled down while it is read",
)
MAX_PHOTO_MB = Limit(
    "INFGEN_MAX_PHOTO_MB",
    512,
    "MiB",
    "size of one photograph as a file or archive member; a larger one is skipped before it is read",
)
MAX_SHRUNK_PHOTO_PIXELS = Limit(
    "INFGEN_MAX_SHRUNK_PHOTO_PIXELS",
    500_000_000,
    "px",
    "pixels of one photograph; a larger one is rejected before decoding",
)
MAX_INVERSION_PIXELS = Limit(
    "INFGEN_MAX_INVERSION_PIXELS",
    1_000_000,
    "px",
    "pixels of one photograph, scaled to its working height for inversion",
)
MAX_JOINED_PIXELS = Limit(
    "INFGEN_MAX_JOINED_PIXELS", 100_000_000, "px", "pixels of one picture made of photographs, held in memory"
)
MAX_SHARD_MB = Limit(
    "INFGEN_MAX_SHARD_MB", 65_536, "MiB", "size of one `.tar.gz` shard, decompressed into a temporary file"
)
MAX_SHARDS = Limit(
    "INFGEN_MAX_SHARDS", 100_000, "shards", "shards that one pattern such as `{0000..0009}.tar` may name"
)
MAX_MODEL_MB = Limit(
    "INFGEN_MAX_MODEL_MB", 4096, "MiB", "size of a model file; a larger one is rejected before it is read"
)
MAX_PROVENANCE_MB = Limit(
    "INFGEN_MAX_PROVENANCE_MB",
    64,
    "MiB",
    "size of the provenance in a picture, written or read",
    former="INFGEN_MAX_RECIPE_MB",
)
MAX_ANCHOR_MB = Limit(
    "INFGEN_MAX_ANCHOR_MB",
    1024,
    "MiB",
    "size of one file with latents of an inverted photograph; a larger one is rejected before it is read",
)
MAX_REQUEST_KB = Limit("INFGEN_MAX_REQUEST_KB", 256, "KiB", "size of one request to a TorchServe handler")
MAX_REQUEST_PIXELS = Limit(
    "INFGEN_MAX_REQUEST_PIXELS", 2_000_000, "px", "pixels computed for one request, including the halo of the tiles"
)
MAX_REQUEST_STYLES = Limit("INFGEN_MAX_REQUEST_STYLES", 16, "styles", "styles in the layout of one request")
MAX_REQUEST_CENTRES = Limit("INFGEN_MAX_REQUEST_CENTRES", 256, "centres", "centres in the layout of one request")
MAX_REQUEST_TRANSITION = Limit("INFGEN_MAX_REQUEST_TRANSITION", 1024, "px", "transition of the layout of one request")
MAX_RESPONSE_KB = Limit(
    "INFGEN_MAX_RESPONSE_KB",
    6300,
    "KiB",
    "size of the picture in one response; TorchServe's own default is a little more",
)
MAX_WORLD_KB = Limit(
    "INFGEN_MAX_WORLD_KB", 4096, "KiB", "size of one JSON document sent to the canvas server, mainly worlds"
)
MAX_UPLOAD_MB = Limit("INFGEN_MAX_UPLOAD_MB", 64, "MiB", "size of one photograph sent to the canvas server")
REQUEST_SECONDS = Limit(
    "INFGEN_REQUEST_SECONDS", 30, "s", "time until the next part of a request must reach the canvas server"
)
HEADER_SECONDS = Limit(
    "INFGEN_HEADER_SECONDS", 20, "s", "time until the header of a request must have reached the canvas server"
)
MAX_CONNECTIONS = Limit(
    "INFGEN_MAX_CONNECTIONS",
    1000,
    "connections",
    "open connections of the canvas server; fewer if descriptors are short",
)
MAX_DATA_MB = Limit(
    "INFGEN_MAX_DATA_MB",
    20_480,
    "MiB",
    "data folder of the canvas server; tiles and then the oldest revisions go first",
)
MAX_UPLOADS = Limit(
    "INFGEN_MAX_UPLOADS", 4, "requests", "requests with photographs that the canvas server receives at the same time"
)
MAX_CANVAS_STYLES = Limit("INFGEN_MAX_CANVAS_STYLES", 64, "styles", "styles in one world of the canvas server")
MAX_CANVAS_CENTRES = Limit(
    "INFGEN_MAX_CANVAS_CENTRES", 1024, "centres", "style centres in one world of the canvas server"
)
MAX_CANVAS_STROKES = Limit(
    "INFGEN_MAX_CANVAS_STROKES", 10_000, "strokes", "brush strokes in one world of the canvas server"
)
MAX_CANVAS_POINTS = Limit(
    "INFGEN_MAX_CANVAS_POINTS", 200_000, "points", "points of all brush strokes in one world of the canvas server"
)
MAX_PAINTING_PIXELS = Limit(
    "INFGEN_MAX_PAINTING_PIXELS", 2**22, "px", "pixels of one painted style map sent to the canvas server"
)
MAX_WORLDS = Limit("INFGEN_MAX_WORLDS", 1000, "worlds", "worlds stored by the canvas server")
MAX_REVISIONS = Limit("INFGEN_MAX_REVISIONS", 200, "revisions", "revisions of one world in its undo history")
MAX_QUEUE = Limit(
    "INFGEN_MAX_QUEUE", 256, "tiles", "tiles in the queue; when it is full, the oldest requests are dropped"
)
TILE_SECONDS = Limit("INFGEN_TILE_SECONDS", 60, "s", "deadline of a tile request to the canvas server")
TILE_CACHE_MB = Limit("INFGEN_TILE_CACHE_MB", 128, "MiB", "memory of the tile cache")
TILE_DISK_MB = Limit("INFGEN_TILE_DISK_MB", 1024, "MiB", "disk space of the tile cache")
MAX_EXPORT_PIXELS = Limit(
    "INFGEN_MAX_EXPORT_PIXELS", 100_000_000, "px", "pixels of one picture exported from the canvas"
)
MAX_OUTPAINT_STEPS = Limit("INFGEN_MAX_OUTPAINT_STEPS", 1000, "steps", "steps of one inversion on the canvas server")
MAX_INBETWEEN_PHOTOS = Limit(
    "INFGEN_MAX_INBETWEEN_PHOTOS", 8, "photographs", "photographs in one inbetween job of the canvas server"
)
JOB_SECONDS = Limit("INFGEN_JOB_SECONDS", 3600, "s", "time of one export or inversion on the canvas server")
JOBS_AT_ONCE = Limit("INFGEN_JOBS_AT_ONCE", 2, "jobs", "exports and inversions running at the same time")
MAX_JOBS = Limit("INFGEN_MAX_JOBS", 16, "jobs", "exports and inversions queued or running")
KEPT_JOBS = Limit(
    "INFGEN_KEPT_JOBS", 16, "jobs", "finished exports and inversions that keep their files on the canvas server"
)
MAX_STREAMS = Limit("INFGEN_MAX_STREAMS", 64, "streams", "clients following jobs at the same time")
DRAIN_SECONDS = Limit(
    "INFGEN_DRAIN_SECONDS", 30, "s", "time for the canvas server to finish its work after a stop signal"
)
TILE_MEMORY_MB = Limit(
    "INFGEN_TILE_MEMORY_MB", 6144, "MiB", "memory for computing one batch of tiles, at most half of the device's"
)
DATA_CACHE_MB = Limit(
    "INFGEN_DATA_CACHE_MB", 4096, "MiB", "memory for decoded training pictures; the rest is decoded again on demand"
)

ALL: tuple[Limit, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Limit))
