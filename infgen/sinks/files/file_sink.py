"""The sink of picture files: tiles go to a canvas in a work folder, and an encoder follows them row by row.

Three threads work side by side: the caller's computes, one stores tiles and lists them in the journal, one encodes.
A crash loses the tiles that were not in the journal yet: at most those in the queue and those being computed.
"""

import zlib
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from infgen.errors import InfgenError
from infgen.sinks.base import Format, Pixels, Progress
from infgen.sinks.encoders.encoder import Encoder, MakeEncoder, sync_folder
from infgen.sinks.files import journal
from infgen.sinks.files.background import Group, Task, Writer
from infgen.sinks.files.canvas import Canvas, check_tile
from infgen.sinks.files.feed import Completion, Feed
from infgen.sinks.files.journal import Journal
from infgen.sinks.files.work import CANVAS, JOURNAL, LOCK, RECIPE, Start, Work, remove
from infgen.sinks.grid import Grid
from infgen.sinks.recipe import Recipe, check_recipe

POLL_S = 0.1
_KEPT = frozenset({LOCK, RECIPE, CANVAS, JOURNAL})  # of the work folder; the rest is made again


@dataclass(frozen=True)
class _Store:
    """Puts tiles on the canvas and, when they are durable, into the journal."""

    canvas: Canvas
    journal: Journal
    grid: Grid
    completion: Completion

    def add(self, group: Group) -> None:
        """Store a group of tiles with one flush of the disk."""
        for number, tile in group:
            box = self.grid.box(number)
            self.canvas.write(tile, box.x, box.y)
        self.canvas.sync()
        self.journal.append((number, zlib.crc32(tile.data)) for number, tile in group)
        for number, _ in group:
            self.completion.add(number)


@dataclass(frozen=True)
class _Encoding:
    """One run of an encoder."""

    feed: Feed
    encoder: Encoder
    task: Task


class FileSink:
    """A ``Sink`` of one picture file."""

    def __init__(
        self,
        target: Path,
        grid: Grid,
        recipe: Recipe,
        *,
        start: Start,
        file_format: Format,
        encoder: MakeEncoder,
    ) -> None:
        """Open the work folder of the real file ``target`` and verify the tiles that an earlier start left there.

        Raises InputError (see ``Work``), MissingExtraError where ``encoder`` lacks its library, InfgenError for a bad disk.
        """
        check_recipe(recipe)
        self._target, self._grid, self._recipe, self._format = target, grid, recipe, file_format
        self._make_encoder = encoder
        self._work = Work(target, {"recipe": dict(recipe), "grid": vars(grid)}, start=start)
        with ExitStack() as stack:
            stack.callback(self._work.release)
            self._open(stack)
            self._open_files = stack.pop_all()

    def _open(self, stack: ExitStack) -> None:
        folder, grid = self._work.path, self._grid
        self._remove_encoded()
        self._canvas = stack.enter_context(closing(Canvas(folder / CANVAS, width=grid.width, height=grid.height)))
        listed = journal.read(folder / JOURNAL, total=grid.count)
        self._done = frozenset(number for number, crc in listed.items() if self._is_whole(number, crc))
        entries = stack.enter_context(closing(Journal(folder / JOURNAL, total=grid.count)))
        for one in (folder, folder.parent):
            sync_folder(one)  # so that a power cut does not take the names of files whose contents are safe
        self._taken = set(self._done)
        self._completion = Completion(grid)
        for number in self._done:
            self._completion.add(number)
        # On resume encoding begins again from row 0: it is cheap beside computing, and keeps no state to be damaged.
        self._encoding: _Encoding | None = self._encode()
        self._writer = Writer(_Store(self._canvas, entries, grid, self._completion).add)
        self._closed = False

    def _is_whole(self, number: int, checksum: int) -> bool:
        """Whether the canvas still holds the pixels of a tile; what cannot be read is computed again."""
        with suppress(InfgenError):
            return zlib.crc32(self._canvas.read(self._grid.box(number)).data) == checksum
        return False

    def _encode(self) -> _Encoding:
        feed = Feed(self._canvas, self._completion)
        encoder = self._make_encoder(feed, self._work.path, self._recipe)
        return _Encoding(feed, encoder, Task("infgen-encoder", encoder.encode))

    @property
    def format(self) -> Format:
        """The format that is written."""
        return self._format

    @property
    def done(self) -> frozenset[int]:
        """See ``Sink.done``."""
        return self._done

    def write_tile(self, number: int, tile: Pixels) -> None:
        """See ``Sink.write_tile``. A tile that is there already is not stored again: it has the same pixels."""
        check_tile(tile)
        if self._closed or not 0 <= number < self._grid.count:
            raise ValueError(f"tile {number} is not one of {self._grid.count}, or the sink is closed")
        box = self._grid.box(number)
        if tile.shape[:2] != (box.h, box.w):
            raise ValueError(f"tile {number} has {box.w} x {box.h} px, not {tile.shape[1]} x {tile.shape[0]}")
        self._check()
        if number not in self._taken:
            self._writer.put(number, tile)
            self._taken.add(number)

    def finish(self, *, progress: Progress = lambda done, total: None) -> None:
        """See ``Sink.finish``. After an error it may be called again. Raises ValueError while tiles are missing."""
        missing = self._grid.count - len(self._taken)
        if self._closed or missing:
            raise ValueError(f"the picture lacks {missing} of {self._grid.count} tiles, or the sink is closed")
        encoding = self._encoding = self._encoding or self._encode()
        total = self._grid.width * self._grid.height
        try:
            while not encoding.task.wait(POLL_S):
                self._check()
                progress(min(encoding.feed.rows_read * self._grid.width, total), total)
            self._check()
            encoding.encoder.publish(self._target)
        except BaseException as error:
            self._stop_encoding()
            if isinstance(error, OSError):
                raise self._unwritten(error) from error
            raise
        self._dispose(keep=False)
        progress(total, total)

    def close(self) -> None:
        """See ``Sink.close``. Raises InfgenError where tiles that were taken could not be stored."""
        if self._closed:
            return
        self._stop_encoding()
        try:
            self._writer.close()
        finally:
            self._dispose(keep=True)

    def __enter__(self) -> Self:
        """The sink itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, which does nothing after ``finish``. An error of closing does not replace one that came before."""
        with suppress(*([InfgenError] if error is not None else [])):
            self.close()

    def _check(self) -> None:
        """Raise what went wrong in another thread."""
        self._writer.check()
        if self._encoding is None:
            return
        try:
            self._encoding.task.check()
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: OSError) -> InfgenError:
        return InfgenError(
            f"{self._target} was not written: {error.strerror or error}; free some disk space or choose another folder; "
            "finished tiles are kept"
        )

    def _stop_encoding(self) -> None:
        """End the encoder, whatever it does, and remove what it wrote."""
        if self._encoding is None:
            return
        encoding, self._encoding = self._encoding, None
        encoding.encoder.stop()
        encoding.task.wait()
        self._remove_encoded()

    def _remove_encoded(self) -> None:
        for entry in list(self._work.path.iterdir()):
            if entry.name not in _KEPT:
                with suppress(OSError):  # removed at the next start
                    remove(entry)

    def _dispose(self, *, keep: bool) -> None:
        self._closed = True
        with suppress(InfgenError):  # after finish nothing waits; close() has raised it
            self._writer.close()
        if not keep:
            self._work.remove()
        self._open_files.close()
