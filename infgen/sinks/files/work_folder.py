"""The work folder next to an unfinished picture: lock, provenance, work file, journal, and files of the encoder."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from infgen.atomic import write_atomically
from infgen.errors import InfgenError, InputError
from infgen.limits import MAX_PROVENANCE_MB, MIB
from infgen.lock import Lock, TakenError, check_free
from infgen.sinks.files import journal

Start = Literal["new", "resume", "restart"]
# Names on disk, and entries of recipe.json, are part of the format: renders that older versions began can be resumed.
LOCK, PROVENANCE, WORK_FILE, JOURNAL = "lock", "recipe.json", "canvas", "journal"
_LONGEST_NAME = 240  # bytes; file systems take 255
_SHOWN = 5  # most differences in a message
_ABSENT = "(absent)"


def folder_of(target: Path) -> Path:
    """Return the work folder of the picture file ``target``."""
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_NAME:  # replace a long name by its hash
        name = sha256(os.fsencode(name)).hexdigest()[:32]
    return target.parent / f".{name}.infgen"


def find_unfinished(target: Path) -> tuple[int, int] | None:
    """Return (finished tiles, total) of the unfinished picture ``target``, or None if there is none. Takes no lock."""
    return journal.count(folder_of(target) / JOURNAL)


def held_bytes(target: Path) -> int:
    """Return the bytes on disk of the work folder of ``target``. A resumed or restarted render uses them again."""
    held = 0
    with suppress(OSError):  # the folder changes, or does not exist
        held = sum(entry.stat().st_blocks * 512 for entry in folder_of(target).iterdir())
    return held


def check_start(target: Path, start: Start) -> None:
    """Check that no other process writes ``target``, and that ``start`` allows an unfinished picture. Creates nothing.

    Raises InputError otherwise.
    """
    folder = folder_of(target)
    try:
        check_free(folder / LOCK)
    except TakenError as error:
        raise _taken_error(target, error) from None
    except OSError as error:
        raise InputError(f"the work folder {folder} cannot be used: {error.strerror}; remove it") from None
    if start == "new":
        _refuse_unfinished(target)


def _refuse_unfinished(target: Path) -> None:
    found = find_unfinished(target)
    if found is not None:
        raise InputError(
            f"an unfinished render of {target} exists ({found[0]} of {found[1]} tiles); "
            "add --resume to continue it or --restart to start from scratch"
        )


class WorkFolder:
    """The locked work folder of one picture. The lock ends with the process at the latest."""

    def __init__(self, target: Path, document: Mapping[str, Any], *, start: Start) -> None:
        """Lock the folder, and continue or start the render that ``document`` describes (JSON: "recipe", "grid").

        Raises InputError if another process writes ``target``, if ``start`` does not allow the unfinished picture, or
        if the folder takes no files.
        """
        self.path = folder_of(target)
        try:
            self._lock = _lock(self.path, target)
        except OSError as error:
            raise InputError(
                f"output folder {target.parent} does not take new files: {error.strerror}; choose another"
            ) from None
        try:
            self._begin(target, json.loads(json.dumps(document)), start)
        except BaseException:
            self.release()
            raise

    def _begin(self, target: Path, document: Mapping[str, Any], start: Start) -> None:
        if start == "new":
            _refuse_unfinished(target)
        if start == "resume" and find_unfinished(target) is not None:
            _compare(self.path / PROVENANCE, document, target)
            return
        self._clear()
        with write_atomically(self.path / PROVENANCE) as temporary:
            temporary.write_text(json.dumps(document), encoding="utf-8")

    def _clear(self) -> None:
        """Remove everything except the lock; the journal first, so that every entry always has its pixels."""
        try:
            for entry in sorted(self.path.iterdir(), key=lambda entry: entry.name != JOURNAL):
                if entry.name != LOCK:
                    remove(entry)
        except OSError as error:
            raise InfgenError(f"the work folder {self.path} cannot be emptied: {error.strerror}; remove it") from error

    def release(self) -> None:
        """Release the lock, and remove the folder if no tile is finished. May be called more than once."""
        if not self._lock.held:
            return
        if journal.count(self.path / JOURNAL) is None:
            self.remove()
        else:
            self._lock.close()

    def remove(self) -> None:
        """Remove the folder and release the lock."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(folder: Path, target: Path) -> Lock:
    """Create and lock ``folder``."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            return Lock(folder / LOCK)
        except FileNotFoundError:  # the last owner has just removed the folder
            continue
        except TakenError as error:
            raise _taken_error(target, error) from None


def _taken_error(target: Path, error: TakenError) -> InputError:
    return InputError(f"{target} is being written by process {error.owner}; wait for it, or stop it and add --resume")


def _compare(path: Path, document: Mapping[str, Any], target: Path) -> None:
    """Raise InputError if the file ``path`` describes another render than ``document``."""
    try:
        if path.stat().st_size > MAX_PROVENANCE_MB.value() * MIB:
            raise ValueError("too large")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or set(found) != set(document):
            raise ValueError("other entries")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot resume {target}: {path} is damaged ({error}); add --restart to start from scratch"
        ) from None
    differing = list(differences(found["recipe"], document["recipe"]))
    if not differing:
        differing = list(differences(found["grid"], document["grid"], "grid"))
    if differing:
        rest = f"; and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise InputError(
            f"cannot resume {target}: {'; '.join(differing[:_SHOWN])}{rest}; give the same options, or --restart"
        )


def differences(was: Any, now: Any, name: str = "") -> Iterator[str]:
    """Yield one phrase for each difference of two JSON values, such as ``world.seed was 1 and is 2``."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*was, *now]):
            inner = f"{name}.{key}" if name else str(key)
            yield from differences(was.get(key, _ABSENT), now.get(key, _ABSENT), inner)
    elif was != now:
        yield f"{name or 'the provenance'} was {_shorten(was)} and is {_shorten(now)}"


def _shorten(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:20]}...{text[-16:]}"
