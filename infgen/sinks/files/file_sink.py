"""The sink of picture files: tiles go to a work file in a work folder, and an encoder follows row by row.

Three threads run in parallel: the caller's thread computes, one stores tiles and lists them in the journal, one
encodes. A crash loses the tiles that are not in the journal yet: at most the queued tiles and those being computed.
"""

import zlib
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from infgen.errors import InfgenError
from infgen.pixels import Pixels
from infgen.progress import Progress, silent
from infgen.sinks.encoders.encoder import Encoder, MakeEncoder, sync_folder
from infgen.sinks.files import journal
from infgen.sinks.files.background import Group, Task, Writer
from infgen.sinks.files.journal import Journal
from infgen.sinks.files.row_reader import Completion, RowReader
from infgen.sinks.files.work_file import WorkFile, check_tile
from infgen.sinks.files.work_folder import JOURNAL, LOCK, PROVENANCE, WORK_FILE, Start, WorkFolder, remove
from infgen.sinks.formats import Format
from infgen.sinks.grid import Grid
from infgen.sinks.provenance import Provenance, check_provenance

POLL_S = 0.1
_KEPT = frozenset({LOCK, PROVENANCE, WORK_FILE, JOURNAL})  # files of the work folder; everything else is made again


@dataclass(frozen=True)
class _Store:
    """Writes tiles to the work file and, after a flush, to the journal."""

    work_file: WorkFile
    journal: Journal
    grid: Grid
    completion: Completion

    def add(self, group: Group) -> None:
        """Store a group of tiles with one flush of the disk. Raises InfgenError if the work file was removed."""
        self.work_file.check_present()
        for number, tile in group:
            box = self.grid.box(number)
            self.work_file.write(tile, box.x, box.y)
        self.work_file.sync()
        self.journal.append((number, zlib.crc32(tile.data)) for number, tile in group)
        for number, _ in group:
            self.completion.add(number)


@dataclass(frozen=True)
class _Encoding:
    """One run of an encoder."""

    reader: RowReader
    encoder: Encoder
    task: Task


class FileSink:
    """``Sink`` of one picture file."""

    def __init__(
        self,
        target: Path,
        grid: Grid,
        provenance: Provenance,
        *,
        start: Start,
        file_format: Format,
        encoder: MakeEncoder,
    ) -> None:
        """Open the work folder of the real file ``target``, and verify the tiles that an earlier render left.

        Raises InputError (see ``WorkFolder``), MissingExtraError if the encoder's library is missing, InfgenError for a
        faulty disk.
        """
        check_provenance(provenance)
        self._target, self._grid, self._provenance, self._format = target, grid, provenance, file_format
        self._make_encoder = encoder
        self._work_folder = WorkFolder(target, {"recipe": dict(provenance), "grid": vars(grid)}, start=start)
        with ExitStack() as stack:
            stack.callback(self._work_folder.release)
            self._open(stack)
            self._open_files = stack.pop_all()

    def _open(self, stack: ExitStack) -> None:
        folder, grid = self._work_folder.path, self._grid
        self._remove_encoded()
        self._work_file = stack.enter_context(
            closing(WorkFile(folder / WORK_FILE, width=grid.width, height=grid.height))
        )
        listed = journal.read(folder / JOURNAL, total=grid.count)
        self._done = frozenset(number for number, crc in listed.items() if self._is_whole(number, crc))
        entries = stack.enter_context(closing(Journal(folder / JOURNAL, total=grid.count)))
        for one in (folder, folder.parent):
            sync_folder(one)  # a power cut must not lose the names of files with flushed content
        self._taken = set(self._done)
        self._completion = Completion(grid)
        for number in self._done:
            self._completion.add(number)
        # A resumed render encodes from row 0 again: encoding is cheap compared with computing, and keeps no state.
        self._encoding: _Encoding | None = self._encode()
        self._writer = Writer(_Store(self._work_file, entries, grid, self._completion).add)
        self._closed = False

    def _is_whole(self, number: int, checksum: int) -> bool:
        """Whether the work file still holds the pixels of a tile. Unreadable tiles are computed again."""
        with suppress(InfgenError):
            return zlib.crc32(self._work_file.read(self._grid.box(number)).data) == checksum
        return False

    def _encode(self) -> _Encoding:
        reader = RowReader(self._work_file, self._completion)
        encoder = self._make_encoder(reader, self._work_folder.path, self._provenance)
        return _Encoding(reader, encoder, Task("infgen-encoder", encoder.encode))

    @property
    def format(self) -> Format:
        return self._format

    @property
    def done(self) -> frozenset[int]:
        return self._done

    def write_tile(self, number: int, tile: Pixels) -> None:
        """See ``Sink.write_tile``. Ignores a tile that is already stored, because it has the same pixels."""
        check_tile(tile)
        if self._closed or not 0 <= number < self._grid.count:
            raise ValueError(f"tile {number} is not one of {self._grid.count}, or the sink is closed")
        box = self._grid.box(number)
        if tile.shape[:2] != (box.h, box.w):
            raise ValueError(f"tile {number} is {tile.shape[1]} x {tile.shape[0]} px; {box.w} x {box.h} px are needed")
        self._check()
        if number not in self._taken:
            self._writer.put(number, tile)
            self._taken.add(number)

    def finish(self, *, progress: Progress = silent) -> None:
        """See ``Sink.finish``. May be called again after an error. Raises ValueError if tiles are missing."""
        missing = self._grid.count - len(self._taken)
        if self._closed or missing:
            raise ValueError(f"{missing} of {self._grid.count} tiles are missing, or the sink is closed")
        encoding = self._encoding = self._encoding or self._encode()
        total = self._grid.width * self._grid.height
        try:
            while not encoding.task.wait(POLL_S):
                self._check()
                progress(min(encoding.reader.rows_read * self._grid.width, total), total)
            self._check()
            encoding.encoder.publish(self._target)
        except BaseException as error:
            self._stop_encoding()
            if isinstance(error, OSError):
                raise self._write_error(error) from error
            raise
        self._dispose(keep=False)
        progress(total, total)

    def close(self) -> None:
        """See ``Sink.close``. Raises InfgenError if queued tiles could not be stored."""
        if self._closed:
            return
        self._stop_encoding()
        try:
            self._writer.close()
        finally:
            self._dispose(keep=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sink; does nothing after ``finish``. An earlier error takes precedence over an error of closing."""
        with suppress(*([InfgenError] if error is not None else [])):
            self.close()

    def _check(self) -> None:
        """Raise the error of another thread, if one failed."""
        self._writer.check()
        if self._encoding is None:
            return
        try:
            self._encoding.task.check()
        except OSError as error:
            raise self._write_error(error) from error

    def _write_error(self, error: OSError) -> InfgenError:
        self._work_file.check_present()
        return InfgenError(
            f"{self._target} was not written: {error.strerror or error}; free some disk space or choose another folder; "
            "finished tiles are kept"
        )

    def _stop_encoding(self) -> None:
        """Stop the encoder and remove its files."""
        if self._encoding is None:
            return
        encoding, self._encoding = self._encoding, None
        encoding.encoder.stop()
        encoding.task.wait()
        self._remove_encoded()

    def _remove_encoded(self) -> None:
        with suppress(OSError):  # the folder was removed, or the next start removes its files
            for entry in list(self._work_folder.path.iterdir()):
                if entry.name not in _KEPT:
                    remove(entry)

    def _dispose(self, *, keep: bool) -> None:
        self._closed = True
        with suppress(InfgenError):  # the queue is empty after finish(); close() has raised the error
            self._writer.close()
        if not keep:
            self._work_folder.remove()
        self._open_files.close()
