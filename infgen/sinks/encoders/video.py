"""Encode videos: MP4 and WebM through PyAV, GIF and WebP through Pillow. No other module imports PyAV.

A sink holds the frames one below the other, as one tall picture.
"""

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from infgen.errors import InputError, LimitError, MissingExtraError
from infgen.pixels import Pixels
from infgen.sinks.encoders.encoder import replace
from infgen.sinks.files.row_reader import RowReader
from infgen.sinks.formats import Format
from infgen.sinks.grid import Box
from infgen.sinks.provenance import Provenance

MAX_GIF_PIXELS = 2 * 10**8  # of all frames; Pillow holds a GIF in memory
MAX_FRAMES = 100_000
_BT709 = 1  # number of the colour space of HD video in H.264 and VP9


@dataclass(frozen=True)
class VideoFormat:
    """A video format. ``codec``: FFmpeg's encoder with its ``options``; None: Pillow writes the file."""

    file: Format
    codec: str | None = None
    options: Mapping[str, str] | None = None

    def check(self, size: tuple[int, int], *, frames: int) -> None:
        """Raise InputError or LimitError for a size (w, h) or a number of frames that the format cannot hold."""
        (width, height), name = size, self.file.name
        if width < 1 or height < 1 or max(size) > self.file.max_side:
            raise LimitError(f"{name} holds 1 to {self.file.max_side:,} px per side, not {width} x {height} px")
        if self.codec is not None and (width % 2 or height % 2):
            even = f"{max(2, width - width % 2)} x {max(2, height - height % 2)}"
            raise InputError(f"{name} needs even sides, not {width} x {height} px; give {even} px, or write .webp")
        if not 2 <= frames <= MAX_FRAMES:
            raise LimitError(f"a video of {frames} frames is not possible; allowed are 2 to {MAX_FRAMES:,}")
        if self.file.key == "gif" and frames * width * height > MAX_GIF_PIXELS:
            raise LimitError(
                f"a GIF of {frames} frames of {width} x {height} px is over {MAX_GIF_PIXELS:,} px; write .webp or .mp4, or "
                "give a smaller size"
            )


# Bytes per px are upper bounds, as for pictures.
VIDEO_FORMATS: tuple[VideoFormat, ...] = (
    VideoFormat(
        Format("mp4", "MP4 (H.264)", (".mp4",), 8192, file_bytes=1.5), "libx264", {"crf": "18", "preset": "medium"}
    ),
    VideoFormat(
        Format("webm", "WebM (VP9)", (".webm",), 8192, file_bytes=1.5),
        "libvpx-vp9",
        {"crf": "24", "b": "0", "row-mt": "1", "cpu-used": "4"},
    ),
    VideoFormat(Format("gif", "GIF", (".gif",), 65_535, file_bytes=1.5)),
    VideoFormat(Format("webp", "WebP", (".webp",), 16_383, file_bytes=1.5)),
)


def video_format(path: str | Path) -> VideoFormat:
    """Return the format of the extension of ``path``. Raises InputError for any other."""
    suffix = Path(path).suffix.lower()
    for candidate in VIDEO_FORMATS:
        if suffix in candidate.file.extensions:
            return candidate
    allowed = ", ".join(extension for each in VIDEO_FORMATS for extension in each.file.extensions)
    raise InputError(f"video {path} has the extension {suffix or '(none)'!r}; allowed are {allowed}")


class VideoEncoder:
    """``Encoder`` of one video, ``fps`` frames of ``height`` px per second.

    Raises MissingExtraError if the format needs PyAV and it is not installed.
    """

    def __init__(
        self, reader: RowReader, folder: Path, provenance: Provenance, *, video: VideoFormat, height: int, fps: int
    ) -> None:
        self._reader, self._video, self._height, self._fps = reader, video, height, fps
        self._comment = json.dumps(dict(provenance))
        self._path = folder / f"video{video.file.extensions[0]}"
        self._av = None if video.codec is None else _load_av()

    def encode(self) -> None:
        if self._av is None:
            self._encode_with_pillow()
        else:
            self._encode_with_av(self._av)
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())

    def stop(self) -> None:
        self._reader.stop()

    def publish(self, target: Path) -> None:
        replace(self._path, target)

    def _frames(self) -> Iterator[Pixels]:
        for y in range(0, self._reader.height, self._height):
            yield self._reader.read(Box(0, y, self._reader.width, self._height))

    def _encode_with_av(self, av: Any) -> None:
        layout = {"movflags": "faststart"} if self._video.file.key == "mp4" else {}  # playable before it is loaded
        with av.open(str(self._path), "w", options=layout) as container:
            container.metadata["comment"] = self._comment
            stream = container.add_stream(self._video.codec, rate=self._fps, options=dict(self._video.options or {}))
            stream.width, stream.height, stream.pix_fmt = self._reader.width, self._height, "yuv420p"
            context = stream.codec_context
            context.time_base = Fraction(1, self._fps)
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            for number, pixels in enumerate(self._frames()):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                    format="yuv420p", dst_colorspace=_BT709
                )
                frame.pts, frame.time_base = number, context.time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    def _encode_with_pillow(self) -> None:
        is_gif = self._video.file.key == "gif"
        pictures = (Image.fromarray(pixels) for pixels in self._frames())
        if is_gif:
            pictures = (picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG) for picture in pictures)
        options: dict[str, Any] = {} if is_gif else {"quality": 85, "method": 4}
        unit = 10 if is_gif else 1  # ms
        count = self._reader.height // self._height
        ticks = [round(1000 / unit * i / self._fps) for i in range(count + 1)]
        durations = [unit * (after - before) for before, after in itertools.pairwise(ticks)]
        first = next(pictures)
        first.save(self._path, save_all=True, append_images=pictures, duration=durations, loop=0, **options)


def _load_av() -> Any:
    try:
        import av
    except ImportError:
        raise MissingExtraError(
            "MP4 and WebM need PyAV, which is not installed; run: pip install 'infgen[video]', or write .webp or .gif"
        ) from None
    return av
