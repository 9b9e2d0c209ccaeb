"""Render a video of a camera's way over a world. Frames that are done survive an interrupt."""

import shutil
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from infgen.atomic import check_output
from infgen.errors import InputError, LimitError
from infgen.limits import MIB
from infgen.progress import Phase, silent_phase
from infgen.rendering.camera import Camera, coarsest_spacing, frame_times
from infgen.rendering.frames import FrameRenderer
from infgen.rendering.studio import Studio
from infgen.sinks.encoders.video import VideoEncoder, VideoFormat, video_format
from infgen.sinks.files import work_folder
from infgen.sinks.files.work_folder import Start
from infgen.sinks.grid import Grid
from infgen.version import __version__

MAX_FPS = 240


@dataclass(frozen=True)
class Video:
    """A video of ``w`` x ``h`` px. Raises InputError for a length or a rate out of range."""

    camera: Camera
    _: KW_ONLY
    seconds: float = 10.0
    fps: int = 30
    w: int = 1280
    h: int = 720

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= MAX_FPS:
            raise InputError(f"{self.fps} frames per second are not possible; allowed are 1 to {MAX_FPS}")
        if not 0 < self.seconds < float("inf"):
            raise InputError(f"a video of {self.seconds:g} s is not possible; give more than 0 s")

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)

    @property
    def grid(self) -> Grid:
        """The frames one below the other, each a tile."""
        return Grid(self.w, self.h * self.frames, self.w, self.h)

    def to_dict(self) -> dict[str, Any]:
        return {"camera": self.camera.to_dict(), "frames": self.frames, "fps": self.fps, "w": self.w, "h": self.h}


def check_video(video: Video, path: str | Path, *, start: Start = "new") -> VideoFormat:
    """Check that ``video`` can be written to ``path``, and return its format. Creates nothing.

    Raises InputError, or LimitError for a video that is too large for its format or the disk.
    """
    chosen = video_format(path)
    chosen.check((video.w, video.h), frames=video.frames)
    target = check_output(path)
    work_folder.check_start(target, start)
    needed = chosen.file.disk_bytes(video.w, video.h * video.frames) - work_folder.held_bytes(target)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise LimitError(
            f"{video.frames} frames of {video.w} x {video.h} px need up to {needed / MIB:,.0f} MiB of disk and "
            f"{free / MIB:,.0f} MiB are free; give a shorter or smaller video, or another folder"
        )
    return chosen


def render_video(
    studio: Studio, video: Video, path: str | Path, *, start: Start = "new", phase: Phase = silent_phase
) -> None:
    """Render ``video`` of the world of ``studio`` to ``path``. The file appears when it is complete.

    ``start``: as for pictures; "resume" keeps the frames of an interrupted run. ``phase``: as in ``Job.run``, in frames.
    Raises what ``check_video`` and ``FrameRenderer`` raise, and MissingExtraError without PyAV.
    """
    from infgen.sinks.files.file_sink import FileSink

    chosen = check_video(video, path, start=start)
    renderer = FrameRenderer(studio, (video.w, video.h), widest=coarsest_spacing(video.camera))
    encoder = partial(VideoEncoder, video=chosen, height=video.h, fps=video.fps)
    provenance = _provenance(studio, video)
    with FileSink(
        check_output(path), video.grid, provenance, start=start, file_format=chosen.file, encoder=encoder
    ) as sink:
        with phase("rendering") as progress:
            for number, time in enumerate(frame_times(video.frames)):
                if number not in sink.done:
                    sink.write_tile(number, renderer.frame(video.camera.pose(time)))
                progress(number + 1, video.frames)
        with phase("encoding") as progress:
            sink.finish(progress=lambda done, total: progress(done // (video.w * video.h), video.frames))


def _provenance(studio: Studio, video: Video) -> dict[str, Any]:
    engine = studio.scene.engine
    return {
        "infgen": __version__,
        "model": {"name": studio.model_path.name, "sha256": studio.model_hash},
        "world": studio.scene.world.to_dict(),
        "video": video.to_dict(),
        "engine": engine.name,
        "precision": engine.precision,
        "device": engine.device.type,
    }
