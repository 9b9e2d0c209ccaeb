"""The sink of PNG, JPEG and WebP files: tiles go to a canvas on disk, which libvips then encodes row by row.

The only module that imports pyvips, and only when a sink is opened.
"""

import functools
import mmap
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from infgen.atomic import check_output, write_atomically
from infgen.errors import InfgenError, MissingExtraError
from infgen.sinks import xmp
from infgen.sinks.base import Format, Pixels, Progress
from infgen.sinks.canvas import CHANNELS, Canvas, drop_pages
from infgen.sinks.recipe import Recipe, pack

DROP_PX = 4_000_000  # canvas pixels that stay in memory while encoding: 12 MB
DOTS_PER_MM = 72 / 25.4  # the resolution that programs assume where none is known
POLL_S = 0.1


@dataclass(frozen=True)
class _Encoder:
    """How libvips writes one format: its operation, and ``header``, the first bytes, after which XMP is inserted.

    ``header_bytes`` 0: libvips places the XMP packet itself, as far as it can.
    """

    operation: str
    options: Mapping[str, Any]
    header: bytes = b""
    header_bytes: int = 0


_ENCODERS: Mapping[str, _Encoder] = {
    # Measured on a natural picture: 8 % smaller than filter "up" at level 2 for 5 % more time. Level 6 gains less than
    # 1 %, and filter "all" nothing for 1.8 times the time.
    "PNG": _Encoder("pngsave_target", {"compression": 3, "filter": "avg", "keep": "none"}, xmp.PNG_SIGNATURE, 33),
    # Optimised or progressive coding would hold the whole picture in memory.
    "JPEG": _Encoder(
        "jpegsave_target",
        {"Q": 95, "subsample_mode": "off", "optimize_coding": False, "interlace": False, "keep": "none"},
        b"\xff\xd8\xff",
        header_bytes=2,
    ),
    # Lossless: the lossy encoder fails on large detailed pictures after all the work, for VP8 keeps its block modes in
    # 512 KiB. Q 0 gives the size of Q 75 in a ninth of the time.
    "WebP": _Encoder("webpsave_target", {"lossless": True, "effort": 0, "Q": 0, "keep": "xmp"}),
}


class RasterSink:
    """A ``Sink`` that writes one PNG, JPEG or WebP file through a canvas in the same folder."""

    def __init__(self, path: Path, *, width: int, height: int, file_format: Format) -> None:
        """Create the canvas. Raises InputError where the folder does not take it, MissingExtraError without libvips."""
        _vips()  # a missing library is found before the tiles are computed
        self._format = file_format
        self._target = check_output(path)
        self._canvas = Canvas(self._target, width=width, height=height)

    @property
    def format(self) -> Format:
        """The format that is written."""
        return self._format

    def write_tile(self, tile: Pixels, x: int, y: int) -> None:
        """See ``Sink.write_tile``."""
        self._canvas.write(tile, x, y)

    def finish(self, recipe: Recipe, *, progress: Progress = lambda done, total: None) -> None:
        """See ``Sink.finish``."""
        properties = pack(recipe)
        with write_atomically(self._target) as temporary, self._canvas.mapped() as view, open(temporary, "wb") as file:
            job = _Job(_ENCODERS[self._format.name], _Output(file), view, (self._canvas.width, self._canvas.height))
            job.run(properties, progress)
        self._canvas.close()

    def abort(self) -> None:
        """See ``Sink.abort``."""
        self._canvas.close()

    def __enter__(self) -> Self:
        """The sink itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Abort, which does nothing after ``finish``."""
        self.abort()


@functools.cache
def _vips() -> Any:
    """The pyvips module, set up once: every picture is read once, so nothing is worth caching."""
    try:
        import pyvips
    except (ImportError, OSError) as error:  # OSError: pyvips without the libvips library
        reason = " ".join(str(error).split())
        raise MissingExtraError(f"libvips cannot be loaded ({reason}); run: pip install 'pyvips[binary]'") from error
    pyvips.cache_set_max(0)
    return pyvips


@dataclass
class _Output:
    """The file under construction: puts ``insertion`` after ``header_bytes`` bytes, and keeps the first error."""

    file: BinaryIO
    header: bytes = b""
    header_bytes: int = 0
    insertion: bytes = b""
    position: int = 0
    error: Exception | None = None

    def write(self, data: Any) -> int:
        """Take the encoder's next bytes; -1 tells it to stop. An exception would be lost in the C code between."""
        try:
            self._put(bytes(data))
        except Exception as error:  # any error: it is raised again when the encoder has stopped
            self.error = self.error or error
            return -1
        return len(data)

    def _put(self, data: bytes) -> None:
        if self.position == 0 and not data.startswith(self.header):
            raise InfgenError(
                "this version of libvips begins the file in an unknown way; install pyvips[binary] 3.0 or later"
            )
        cut = self.header_bytes - self.position
        if self.insertion and 0 <= cut < len(data):
            data = data[:cut] + self.insertion + data[cut:]
            self.insertion = b""
        self.file.write(data)
        self.position += len(data)


@dataclass
class _Job:
    """One run of an encoder over the mapped canvas ``view`` of ``size`` (width, height) px."""

    encoder: _Encoder
    output: _Output
    view: mmap.mmap
    size: tuple[int, int]
    done_px: int = field(default=0, init=False)
    dropped_px: int = field(default=0, init=False)

    def run(self, properties: xmp.Properties, progress: Progress) -> None:
        """Encode in another thread, so that this one can report progress and be interrupted."""
        total = self.size[0] * self.size[1]
        image = self._image(properties)
        with futures.ThreadPoolExecutor(1, "infgen-encoder") as pool:
            future = pool.submit(self._save, image)
            try:
                while not futures.wait([future], POLL_S).done:
                    progress(min(self.done_px, total), total)
            except BaseException:
                image.set_kill(True)  # leaving the block waits for the encoder to stop
                raise
        future.result()
        progress(total, total)

    def _image(self, properties: xmp.Properties) -> Any:
        vips = _vips()
        width, height = self.size
        image = vips.Image.new_from_memory(self.view, width, height, CHANNELS, "uchar").copy(
            interpretation="srgb", xres=DOTS_PER_MM, yres=DOTS_PER_MM
        )
        image.set_type(vips.GValue.gint_type, "concurrency", 1)  # nothing is computed, so threads only take memory
        if self.encoder.header_bytes == 0:
            image.set_type(vips.GValue.blob_type, "xmp-data", xmp.packet(properties))
        else:
            place = xmp.png_chunks if self.encoder.header == xmp.PNG_SIGNATURE else xmp.jpeg_segments
            self.output.insertion = place(properties)
            self.output.header, self.output.header_bytes = self.encoder.header, self.encoder.header_bytes
        image.set_progress(True)
        image.signal_connect("eval", self._on_rows)
        return image

    def _on_rows(self, image: Any, progress: Any) -> None:
        """Called by libvips after some rows."""
        self.done_px = progress.npels
        if self.done_px - self.dropped_px >= DROP_PX:
            drop_pages(self.view)
            self.dropped_px = self.done_px

    def _save(self, image: Any) -> None:
        vips = _vips()
        target = vips.TargetCustom()
        target.on_write(self.output.write)
        try:
            getattr(image, self.encoder.operation)(target, **self.encoder.options)
        except vips.Error as error:
            if self.output.error is not None:
                raise self.output.error from None
            raise InfgenError(f"the picture cannot be encoded: {' '.join(str(error).split())}") from None
