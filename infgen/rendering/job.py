"""Render one picture to a file. All checks and estimates come before the first tile."""

import json
from dataclasses import KW_ONLY, dataclass
from typing import Any

from infgen.engines import pick_device
from infgen.engines.exported import ExportedEngine
from infgen.errors import InputError
from infgen.geometry import Region
from infgen.progress import Phase, Progress, silent_phase
from infgen.rendering.plan import Plan
from infgen.rendering.preflight import Preflight, check_styles, estimate
from infgen.rendering.render import render_to
from infgen.rendering.studio import Studio
from infgen.sinks import (
    Sink,
    Start,
    check_picture,
    check_provenance,
    find_unfinished,
    format_of,
    open_sink,
    read_provenance,
)
from infgen.sinks.provenance import VERSION_KEY


@dataclass(frozen=True)
class Output:
    """Target of a picture: a file, or for Zarr also a URL.

    ``start``: "new"; "resume" or "restart" an interrupted render. ``file_format``: None selects it by extension.
    """

    path: str
    _: KW_ONLY
    start: Start = "new"
    file_format: str | None = None
    overlap: int = 0  # px that neighbouring tiles of a DeepZoom picture share


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Where to compute: in this process, in one process per entry of ``devices``, or on a dask ``scheduler``."""

    devices: tuple[str, ...] = ()
    scheduler: str | None = None


@dataclass(frozen=True)
class Job:
    """One picture after all checks."""

    studio: Studio
    plan: Plan
    _: KW_ONLY
    output: Output
    workers: Workers
    preflight: Preflight
    finished: bool = False  # a resumed picture that is complete already

    @property
    def provenance(self) -> dict[str, Any]:
        """The provenance that the picture gets."""
        return self.studio.provenance(self.plan)

    def run(self, *, phase: Phase = silent_phase) -> None:
        """Render and write the file; nothing if it is ``finished``. Finished tiles are kept for ``start="resume"``.

        ``phase(title)`` returns a context with a callback for (pixels done, pixels in all). Titles: "rendering", "writing".
        """
        if self.finished:
            return
        if self.workers.scheduler is not None:
            with phase("rendering") as progress:
                self._run_on_cluster(self.workers.scheduler, progress)
            return
        output = self.output
        with open_sink(
            output.path,
            self.plan.grid,
            self.provenance,
            start=output.start,
            file_format=output.file_format,
            overlap=output.overlap,
        ) as sink:
            with phase("rendering") as progress:
                self._fill(sink, progress)
            with phase("writing") as progress:
                sink.finish(progress=progress)

    def _fill(self, sink: Sink, progress: Progress) -> None:
        if len(self.workers.devices) < 2:
            render_to(self.studio.scene, self.plan, sink, progress=progress)
            return
        from infgen.rendering.pool import render_with_pool
        from infgen.rendering.remote import StudioSpec

        spec = StudioSpec.of(self.studio)
        render_with_pool(spec, self.plan, sink, devices=self.workers.devices, progress=progress)

    def _run_on_cluster(self, scheduler: str, progress: Progress) -> None:
        from infgen.rendering.cluster import render_on_cluster
        from infgen.rendering.remote import StudioSpec

        render_on_cluster(
            StudioSpec.of(self.studio),
            self.plan,
            self.output.path,
            scheduler=scheduler,
            provenance=self.provenance,
            start=self.output.start,
            progress=progress,
        )


def prepare(studio: Studio, region: Region, output: Output, *, workers: Workers | None = None) -> Job:
    """Check and estimate the picture of ``region``. Raises InputError before any rendering."""
    workers = Workers() if workers is None else workers
    for device in workers.devices:
        pick_device(device)
    plan = studio.plan(region)
    finished = output.start == "resume" and _is_finished(output, studio.provenance(plan))
    if finished:
        file_format = format_of(output.path, output.file_format)
    else:
        file_format = check_picture(output.path, plan.grid, start=output.start, file_format=output.file_format)
    if output.overlap and file_format.key != "dzi":
        raise InputError(
            f"output {output.path} is {file_format.name}; only DeepZoom (.dzi) has --overlap, leave it out"
        )
    if workers.scheduler is not None and file_format.key != "zarr":
        raise InputError(
            f"output {output.path} is {file_format.name}, which one process writes; "
            "with a scheduler give a .zarr folder or URL, without --format"
        )
    check_provenance(studio.provenance(plan))
    if isinstance(studio.scene.engine, ExportedEngine):
        check_styles(studio.scene, plan, studio.scene.engine)
    preflight = estimate(
        studio.scene,
        plan,
        disk=file_format.disk_bytes(region.w, region.h),
        encode_memory=file_format.encode_memory_bytes(region.w, region.h),
    )
    return Job(studio, plan, output=output, workers=workers, preflight=preflight, finished=finished)


def _is_finished(output: Output, provenance: dict[str, Any]) -> bool:
    """Whether ``output`` is the complete picture of ``provenance``, and no unfinished one is next to it."""
    if find_unfinished(output.path, output.file_format) is not None:
        return False
    try:
        found = read_provenance(output.path)
    except InputError:  # missing, or another file: the checks of a new picture report it
        return False
    expected = json.loads(json.dumps(provenance))
    return found is not None and {**found, VERSION_KEY: None} == {**expected, VERSION_KEY: None}
