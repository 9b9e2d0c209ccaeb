"""The sink of OME-Zarr pictures, in a folder or behind a URL: a few threads encode and store tiles in any order."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from infgen.errors import InfgenError, InputError
from infgen.lock import Lock, TakenError
from infgen.pixels import Pixels
from infgen.progress import Progress, silent
from infgen.sinks import pyramid
from infgen.sinks.files.work_folder import Start
from infgen.sinks.formats import FORMATS, Format
from infgen.sinks.grid import Grid
from infgen.sinks.provenance import Provenance
from infgen.sinks.zarr.store import (
    check_store,
    check_tile,
    create,
    discard_empty,
    downsample,
    find_unfinished,
    is_done,
    list_tiles,
    picture_size,
    publish,
    read_provenance,
    read_region,
    target,
    work_location,
    write_chunk,
)
from infgen.sinks.zarr.versions import OME_05, VERSIONS, Version
from infgen.urls import is_url

__all__ = [
    "VERSIONS",
    "Start",
    "ZarrSink",
    "check_store",
    "create",
    "downsample",
    "find_unfinished",
    "hold",
    "is_done",
    "picture_size",
    "publish",
    "read_provenance",
    "read_region",
    "write_chunk",
]

WRITERS = 4  # threads; zstd and storage release Python's lock
PENDING = 2 * WRITERS  # upper bound of queued tiles


@contextmanager
def hold(path: str) -> Iterator[None]:
    """Lock the local store ``path`` for this process. For a URL there is no lock, because its protocols have none.

    The lock ends with the process at the latest. Raises InputError if another process holds it.
    """
    if is_url(path):
        yield
        return
    name = Path(f"{work_location(path)}.lock")
    lock = _lock(name, path)
    try:
        yield
    finally:
        with suppress(OSError):
            os.rmdir(work_location(path))  # succeeds if the folder is empty
        name.unlink(missing_ok=True)
        lock.close()


def _lock(name: Path, path: str) -> Lock:
    try:
        return Lock(name)
    except TakenError as error:
        raise InputError(f"{path} is being written by process {error.owner}; wait for it or stop it") from None
    except OSError as error:
        raise InputError(f"output {path} cannot be written: {error.strerror}; choose another folder") from None


class ZarrSink:
    """``Sink`` of an OME-Zarr store.

    A local store is written to a hidden folder next to it, and takes its name at the end. Behind a URL it is written in
    place. A crash loses at most ``PENDING`` queued tiles and those being computed.
    """

    def __init__(
        self, path: str, grid: Grid, provenance: Provenance, *, start: Start = "new", version: Version = OME_05
    ) -> None:
        """Open or create the store. Raises what ``create`` and ``hold`` raise."""
        check_store(path, grid, start)  # before creating a lock file
        self._path = path if is_url(path) else str(target(path))
        self._grid, self._provenance, self._version = grid, provenance, version
        with ExitStack() as stack:
            stack.enter_context(hold(self._path))
            create(self._path, grid, provenance, start, version=version)
            self._threads = stack.enter_context(ThreadPoolExecutor(WRITERS, "infgen-zarr"))
            self._pending: dict[Future[None], int] = {}
            self._done = self._verify_tiles() if start == "resume" else frozenset()
            self._stored = set(self._done)
            self._open: ExitStack | None = stack.pop_all()

    @property
    def format(self) -> Format:
        return next(one for one in FORMATS if one.key == self._version.format_key)

    @property
    def done(self) -> frozenset[int]:
        return self._done

    def write_tile(self, number: int, tile: Pixels) -> None:
        """See ``Sink.write_tile``. Does not copy ``tile``: it must not change afterwards."""
        check_tile(self._grid, number, tile)
        self._submit(number, write_chunk, self._path, self._grid, number, tile)
        self._stored.update(self._wait(PENDING))

    def finish(self, *, progress: Progress = silent) -> None:
        """See ``Sink.finish``. Writes the smaller copies, then the metadata."""
        self._stored.update(self._wait(0))
        missing = self._grid.count - len(self._stored)
        if missing:
            raise InfgenError(
                f"{missing} of {self._grid.count} tiles of {self._path} are missing; render them with --resume"
            )
        levels = pyramid.levels(self._grid)
        total, done = sum(one.width * one.height for one in levels[1:]), 0
        for level, grid in enumerate(levels[1:], 1):  # one after another: each level is made from the one before
            for number in range(grid.count):
                self._submit(number, downsample, self._path, self._grid, level, number)
                done += sum(grid.box(n).pixels for n in self._wait(PENDING))
                progress(done, total)
            done += sum(grid.box(n).pixels for n in self._wait(0))
            progress(done, total)
        publish(self._path, self._grid, self._provenance, version=self._version)
        self.close()

    def close(self) -> None:
        """See ``Sink.close``. Raises InfgenError if the last tiles cannot be stored."""
        if self._open is None:
            return
        stack, self._open = self._open, None
        with stack:
            self._stored.update(self._wait(0))
            if not self._stored:
                discard_empty(self._path, self._grid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sink; does nothing after ``finish``."""
        if kind is None:
            self.close()
            return
        with suppress(InfgenError):  # report the first error
            self.close()

    def _submit(self, number: int, work: Callable[..., None], *arguments: object) -> None:
        self._pending[self._threads.submit(work, *arguments, version=self._version)] = number

    def _wait(self, limit: int) -> list[int]:
        """Wait until at most ``limit`` calls are pending. Returns the numbers of ended calls; raises the first error."""
        ended: list[int] = []
        while self._pending:
            timeout = None if len(self._pending) > limit else 0
            finished, _ = wait(self._pending, timeout, FIRST_COMPLETED)
            if not finished:
                break
            for future in finished:
                number = self._pending.pop(future)
                future.result()
                ended.append(number)
        return ended

    def _verify_tiles(self) -> frozenset[int]:
        """Verify the tiles of an earlier render. Returns the numbers of the complete ones."""
        numbers = list_tiles(self._path, self._grid, version=self._version)
        check = partial(is_done, self._path, self._grid, version=self._version)
        verdicts = self._threads.map(check, numbers)
        return frozenset(number for number, whole in zip(numbers, verdicts, strict=True) if whole)
