"""The table of output formats: extensions, limits of size, and upper bounds of disk and memory."""

from dataclasses import dataclass
from pathlib import Path

from infgen.errors import InputError
from infgen.limits import MIB

WORK_FILE_BYTES = 3  # per px of the work file, which holds tiles as raw rows until they are encoded
MAX_OVERLAP = 4  # px of DeepZoom tiles; the figures below hold up to it
QUEUE_BYTES = 2**26  # of tiles queued for the work file; one tile of any size is always accepted
_FIXED_BYTES = 4 * MIB  # headers and provenance, in memory and on disk


@dataclass(frozen=True)
class Format:
    """One file format. The byte figures are upper bounds, measured on noise, which compresses worst."""

    key: str  # for options and tables
    name: str  # for people
    extensions: tuple[str, ...]
    max_side: int  # px; the smaller limit of the format and its encoder
    file_bytes: float  # per px on disk at the peak, without the work file
    max_pixels: int | None = None
    work_file_bytes: int = WORK_FILE_BYTES
    tile_bytes: int = 0  # additional bytes on disk for each tile of 512 x 512 px
    memory_bytes: float = 0  # per px in the encoder; 0: it streams
    row_memory_bytes: float = 0  # per px of one row in the encoder

    @property
    def constant_memory(self) -> bool:
        """Whether the memory of encoding is independent of the height of the picture."""
        return self.memory_bytes == 0

    @property
    def is_store(self) -> bool:
        """Whether the picture is an OME-Zarr store, in a folder or behind a URL."""
        return ".zarr" in self.extensions

    @property
    def is_default(self) -> bool:
        """Whether the extension alone selects this format."""
        return format_of(f"picture{self.extensions[0]}") == self

    def holds(self, width: int, height: int) -> bool:
        """Whether a picture of ``width`` x ``height`` px fits the format."""
        return max(width, height) <= self.max_side and width * height <= (self.max_pixels or width * height)

    def disk_bytes(self, width: int, height: int) -> int:
        """Return the peak of bytes on disk: the work file and the largest possible output at the same time."""
        filters = height  # PNG spends one byte on each row
        # A third more for smaller copies, which are at least one tile wide and high.
        tiles = 4 * (-(-width // 512) * -(-height // 512)) // 3 + (width + height) // 256 + 64
        pixels = int(width * height * (self.work_file_bytes + self.file_bytes))
        return pixels + filters + tiles * self.tile_bytes + _FIXED_BYTES

    def encode_memory_bytes(self, width: int, height: int) -> int:
        """Return the bytes of memory that storing and encoding need, in addition to the rest of the process."""
        queue = QUEUE_BYTES if self.work_file_bytes else 0
        return int(width * height * self.memory_bytes + width * self.row_memory_bytes) + queue + 32 * MIB


# JPEG headers count to 65,535; the encoder stops at 65,500. PNG counts to 2**31 - 1, the image library to 10**8. No
# program opens a PNG of more than about 10**10 px, and none reads a part of it without decoding everything above.
FORMATS: tuple[Format, ...] = (
    Format("png", "PNG", (".png",), 10**8, file_bytes=3.1, max_pixels=10**10, row_memory_bytes=2300),
    Format("jpeg", "JPEG", (".jpg", ".jpeg"), 65_500, file_bytes=4.5, row_memory_bytes=2300),
    Format("webp", "WebP", (".webp",), 16_383, file_bytes=3.1, memory_bytes=28),
    Format("tiff", "BigTIFF", (".tif", ".tiff"), 10**8, file_bytes=4.1, tile_bytes=4096),
    # Tiles are first written in the order of encoding, then copied in the order of the format.
    Format("cog", "COG", (".tif", ".tiff"), 10**8, file_bytes=8.2, tile_bytes=8192),
    Format("dzi", "DeepZoom", (".dzi",), 10**8, file_bytes=4.3, tile_bytes=8192),
    Format("zarr", "OME-Zarr", (".zarr",), 2**40, file_bytes=4.1, work_file_bytes=0),
    Format("ome-zarr-0.4", "OME-Zarr 0.4", (".zarr",), 2**40, file_bytes=4.1, work_file_bytes=0),
)


def list_outputs(path: str | Path, file_format: str | None = None) -> tuple[str | Path, ...]:
    """List the files and folders that a picture ``path`` consists of. Raises as ``format_of``."""
    if format_of(path, file_format).key == "dzi":
        return path, Path(path).with_name(f"{Path(path).stem}_files")
    return (path,)


def format_of(path: str | Path, file_format: str | None = None) -> Format:
    """Return the format named ``file_format``, or chosen by the extension of ``path``.

    Raises InputError for an unknown format or extension, and for a format that does not take this extension.
    """
    extension = Path(path).suffix.lower()
    if file_format is None:
        for candidate in FORMATS:
            if extension in candidate.extensions:
                return candidate
        known = ", ".join(dict.fromkeys(e for f in FORMATS for e in f.extensions))
        raise InputError(f"output {path} has the extension {extension or '(none)'!r}; allowed are {known}")
    for candidate in FORMATS:
        if candidate.key == file_format.lower():
            if extension in candidate.extensions:
                return candidate
            allowed = " or ".join(candidate.extensions)
            raise InputError(
                f"output {path} has the extension {extension or '(none)'!r}; {candidate.name} takes {allowed}"
            )
    raise InputError(f"format {file_format!r} is not known; allowed are {', '.join(f.key for f in FORMATS)}")
