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
    """One limit: the environment variable ``name`` replaces ``default``; both count in ``unit``."""

    name: str
    default: int
    unit: str
    purpose: str

    def value(self) -> int:
        """Return the current limit in ``unit``. Raises InputError if the variable is not a whole number above 0."""
        text = os.environ.get(self.name, "").strip()
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) > 0):
            raise InputError(
                f"environment variable {self.name} is {text[:40]!r}; allowed is a whole number of {self.unit} from 1 "
                f"to {_MAX_DIGITS} digits; correct it, or unset it for the default {self.default}"
            )
        return int(text)


MAX_PIXELS = Limit("INFGEN_MAX_PIXELS", 10**11, "px", "pixels of one rendered picture")
MAX_PHOTO_PIXELS = Limit(
    "INFGEN_MAX_PHOTO_PIXELS",
    170_000_000,
    "px",
    "pixels of one photograph; a larger one is refused before it is decoded",
)
MAX_PHOTO_MB = Limit(
    "INFGEN_MAX_PHOTO_MB", 512, "MiB", "size of one encoded photograph; a larger one is skipped before it is read"
)
MAX_SHRUNK_PHOTO_PIXELS = Limit(
    "INFGEN_MAX_SHRUNK_PHOTO_PIXELS",
    500_000_000,
    "px",
    "pixels of one photograph to be continued; over INFGEN_MAX_PHOTO_PIXELS it is shrunk while it is read",
)
MAX_INVERSION_PIXELS = Limit(
    "INFGEN_MAX_INVERSION_PIXELS", 1_000_000, "px", "pixels of one photograph, as it is scaled to be inverted"
)
MAX_JOINED_PIXELS = Limit(
    "INFGEN_MAX_JOINED_PIXELS", 100_000_000, "px", "pixels of one picture made of photographs, which is held in memory"
)
MAX_SHARD_MB = Limit("INFGEN_MAX_SHARD_MB", 65_536, "MiB", "size of one compressed tar shard when decompressed")
MAX_SHARDS = Limit("INFGEN_MAX_SHARDS", 100_000, "shards", "shards that one brace pattern may name")
MAX_MODEL_MB = Limit(
    "INFGEN_MAX_MODEL_MB", 4096, "MiB", "size of a model file; a larger one is refused before it is read"
)
MAX_RECIPE_MB = Limit("INFGEN_MAX_RECIPE_MB", 64, "MiB", "size of the recipe embedded in a picture, written or read")
MAX_ANCHOR_MB = Limit(
    "INFGEN_MAX_ANCHOR_MB", 1024, "MiB", "size of one file with latents of a photograph; a larger one is not read"
)
MAX_REQUEST_KB = Limit("INFGEN_MAX_REQUEST_KB", 256, "KiB", "size of one request to a server")
MAX_REQUEST_PIXELS = Limit(
    "INFGEN_MAX_REQUEST_PIXELS", 2_000_000, "px", "pixels computed for one request, with the borders of the tiles"
)
MAX_REQUEST_STYLES = Limit("INFGEN_MAX_REQUEST_STYLES", 16, "styles", "styles in the layout of one request")
MAX_REQUEST_CENTRES = Limit("INFGEN_MAX_REQUEST_CENTRES", 256, "centres", "centres in the layout of one request")
MAX_REQUEST_TRANSITION = Limit("INFGEN_MAX_REQUEST_TRANSITION", 1024, "px", "transition of the layout of one request")
MAX_RESPONSE_KB = Limit("INFGEN_MAX_RESPONSE_KB", 6300, "KiB", "size of the picture that answers one request")
MAX_WORLD_KB = Limit("INFGEN_MAX_WORLD_KB", 4096, "KiB", "size of one JSON document sent to the canvas server")
MAX_UPLOAD_MB = Limit("INFGEN_MAX_UPLOAD_MB", 64, "MiB", "size of one photograph sent to the canvas server")
REQUEST_SECONDS = Limit(
    "INFGEN_REQUEST_SECONDS", 30, "s", "time in which the next part of a request must reach the canvas server"
)
MAX_CANVAS_STYLES = Limit("INFGEN_MAX_CANVAS_STYLES", 64, "styles", "styles in one world of the canvas server")
MAX_CANVAS_CENTRES = Limit(
    "INFGEN_MAX_CANVAS_CENTRES", 1024, "centres", "style centres in one world of the canvas server"
)
MAX_WORLDS = Limit("INFGEN_MAX_WORLDS", 1000, "worlds", "worlds that the canvas server keeps")
MAX_REVISIONS = Limit("INFGEN_MAX_REVISIONS", 200, "revisions", "revisions of one world that can be undone")
MAX_QUEUE = Limit(
    "INFGEN_MAX_QUEUE", 256, "tiles", "tiles that wait to be drawn; when more come, the oldest are refused"
)
TILE_SECONDS = Limit("INFGEN_TILE_SECONDS", 60, "s", "time in which the canvas server must have drawn a tile")
TILE_CACHE_MB = Limit("INFGEN_TILE_CACHE_MB", 128, "MiB", "memory for tiles that were drawn")
TILE_DISK_MB = Limit("INFGEN_TILE_DISK_MB", 1024, "MiB", "disk space for tiles that were drawn")
MAX_EXPORT_PIXELS = Limit(
    "INFGEN_MAX_EXPORT_PIXELS", 100_000_000, "px", "pixels of one picture exported from the canvas"
)
MAX_OUTPAINT_STEPS = Limit(
    "INFGEN_MAX_OUTPAINT_STEPS", 1000, "steps", "steps that one inversion on the canvas server may be asked to take"
)
MAX_INBETWEEN_PHOTOS = Limit(
    "INFGEN_MAX_INBETWEEN_PHOTOS", 8, "photographs", "photographs that the canvas server joins in one job"
)
JOB_SECONDS = Limit("INFGEN_JOB_SECONDS", 3600, "s", "time that one export or inversion of the canvas server may take")
JOBS_AT_ONCE = Limit("INFGEN_JOBS_AT_ONCE", 2, "jobs", "exports and inversions that run at the same time")
MAX_JOBS = Limit("INFGEN_MAX_JOBS", 16, "jobs", "exports and inversions that wait or run")
KEPT_JOBS = Limit("INFGEN_KEPT_JOBS", 16, "jobs", "finished exports and inversions whose files the canvas server keeps")
MAX_STREAMS = Limit("INFGEN_MAX_STREAMS", 64, "streams", "clients that follow jobs at the same time")
DRAIN_SECONDS = Limit(
    "INFGEN_DRAIN_SECONDS", 30, "s", "time that the canvas server takes to finish its work when it is told to stop"
)
TILE_MEMORY_MB = Limit(
    "INFGEN_TILE_MEMORY_MB", 6144, "MiB", "memory that one batch of tiles may take while it is computed"
)
DATA_CACHE_MB = Limit(
    "INFGEN_DATA_CACHE_MB", 4096, "MiB", "memory for decoded training pictures; the rest is decoded again"
)

ALL: tuple[Limit, ...] = (
    MAX_PIXELS,
    MAX_PHOTO_PIXELS,
    MAX_PHOTO_MB,
    MAX_SHRUNK_PHOTO_PIXELS,
    MAX_INVERSION_PIXELS,
    MAX_JOINED_PIXELS,
    MAX_SHARD_MB,
    MAX_SHARDS,
    MAX_MODEL_MB,
    MAX_RECIPE_MB,
    MAX_ANCHOR_MB,
    MAX_REQUEST_KB,
    MAX_REQUEST_PIXELS,
    MAX_REQUEST_STYLES,
    MAX_REQUEST_CENTRES,
    MAX_REQUEST_TRANSITION,
    MAX_RESPONSE_KB,
    MAX_WORLD_KB,
    MAX_UPLOAD_MB,
    REQUEST_SECONDS,
    MAX_CANVAS_STYLES,
    MAX_CANVAS_CENTRES,
    MAX_WORLDS,
    MAX_REVISIONS,
    MAX_QUEUE,
    TILE_SECONDS,
    TILE_CACHE_MB,
    TILE_DISK_MB,
    MAX_EXPORT_PIXELS,
    MAX_OUTPAINT_STEPS,
    MAX_INBETWEEN_PHOTOS,
    JOB_SECONDS,
    JOBS_AT_ONCE,
    MAX_JOBS,
    KEPT_JOBS,
    MAX_STREAMS,
    DRAIN_SECONDS,
    TILE_MEMORY_MB,
    DATA_CACHE_MB,
)
