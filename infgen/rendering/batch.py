"""Render the same region of several worlds with one loaded model, each to its own file.

Worlds follow one another: on a CPU core, eight worlds in one batch take longer than one by one.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from infgen.errors import InputError, LimitError
from infgen.inputs import Read, check_outputs
from infgen.limits import MIB
from infgen.progress import Progress, silent
from infgen.rendering.job import Job
from infgen.sinks import format_of, read_provenance
from infgen.sinks.files.work_folder import differences

FIELD = "{seed}"
MAX_WORLDS = 100_000
_SHOWN = 3  # most differences in a message


@dataclass(frozen=True)
class Batch:
    """One picture of each seed. ``job``: that of the first seed, after all checks. ``pattern``: file name with {seed}."""

    job: Job
    pattern: str
    seeds: tuple[int, ...]

    def check(self, reads: Iterable[Read] = ()) -> None:
        """Check seeds, files and disk space before the first picture.

        Raises InputError for a seed out of range, if a file exists and the start is "new", and if a file to replace is
        one of ``reads``. Raises LimitError if the disk is too small.
        """
        for seed in (min(self.seeds), max(self.seeds)):
            self.job.studio.scene.world.replace(seed=seed)
        start, reads = self.job.output.start, list(reads)
        existing = [path for seed in self.seeds if os.path.lexists(path := file_of(self.pattern, seed))]
        if existing and start == "new":
            raise InputError(
                f"{existing[0]} exists, and {len(existing)} of {len(self.seeds)} pictures in all; add --resume to keep "
                "them, or --restart to render them again"
            )
        for path in existing:
            check_outputs([path], reads)
        self._check_disk(len(self.seeds) - (len(existing) if start == "resume" else 0))

    def _check_disk(self, missing: int) -> None:
        region, file_format = self.job.plan.region, format_of(self.pattern, self.job.output.file_format)
        needed = int(file_format.file_bytes * region.pixels) * missing
        free = shutil.disk_usage(Path(self.pattern).absolute().parent).free
        if needed > free:
            raise LimitError(
                f"{missing} pictures of {region.w} x {region.h} px need up to {needed // MIB:,} MiB of disk and "
                f"{free // MIB:,} MiB are free; give fewer seeds or another folder"
            )

    def run(self, *, progress: Progress = silent) -> Iterator[str]:
        """Render and yield the files in the order of the seeds. Files of an earlier run are kept with start "resume".

        Calls ``progress(pictures done, pictures in all)``. Raises InputError if a kept file is another picture.
        """
        for done, seed in enumerate(self.seeds, 1):
            job = self._job(seed)
            if self.job.output.start != "resume" or not _is_finished(job):
                job.run()
            progress(done, len(self.seeds))
            yield job.output.path

    def _job(self, seed: int) -> Job:
        studio = self.job.studio.with_world(self.job.studio.scene.world.replace(seed=seed))
        output = replace(self.job.output, path=file_of(self.pattern, seed))
        return replace(self.job, studio=studio, output=output, finished=False)


def file_of(pattern: str, seed: int) -> str:
    """Return the file of the world ``seed``."""
    return pattern.replace(FIELD, str(seed))


@contextmanager
def folder_of(pattern: str) -> Iterator[None]:
    """Create the folder of ``pattern``; a new one is removed if the block fails. Raises InputError."""
    folder = Path(pattern).parent
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be created: {error.strerror}; choose another") from None
    try:
        yield
    except BaseException:
        if new:
            with suppress(OSError):
                folder.rmdir()
        raise


def check_pattern(pattern: str) -> str:
    """Return ``pattern``. Raises InputError if it is a URL, or if "{seed}" is not in its file name, or in its folder."""
    folder, name = os.path.split(pattern)
    if "://" in pattern or FIELD not in name or FIELD in folder:
        raise InputError(
            f"output {pattern} cannot name several pictures; give a file name with {FIELD}, such as 'out/{FIELD}.png'"
        )
    return pattern


def _is_finished(job: Job) -> bool:
    """Whether the file of ``job`` exists. Raises InputError if it is another picture than that of the job."""
    path = job.output.path
    if not os.path.lexists(path):
        return False
    found: Sequence[str] = list(differences(read_provenance(path) or {}, json.loads(json.dumps(job.provenance))))
    if found:
        raise InputError(
            f"{path} exists and is another picture: {'; '.join(found[:_SHOWN])}; give the same options, another name, or "
            "--restart to replace it"
        )
    return True
