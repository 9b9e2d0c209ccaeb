"""Locks: one owner at a time, named to the others, for as long as it lives and no longer."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infgen.errors import InputError
from infgen.lock import Lock, TakenError, check_free, create_temporary_folder

OWNER = """
import pathlib, sys, time
from infgen.lock import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def owner(path: Path) -> str | None:
    """The owner of the lock, as reported to other processes."""
    try:
        check_free(path)
    except TakenError as error:
        return error.owner
    return None


def test_a_lock_is_refused_to_others_with_the_number_of_its_owner(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    with pytest.raises(TakenError) as caught:
        Lock(tmp_path / "lock")
    assert (caught.value.owner, owner(tmp_path / "lock"), lock.held) == (str(os.getpid()),) * 2 + (True,)


def test_a_lock_that_was_given_up_is_free(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    lock.close()
    lock.close()
    assert (lock.held, owner(tmp_path / "lock")) == (False, None)
    assert Lock(tmp_path / "lock").held


def test_a_lock_that_nothing_refers_to_is_free(tmp_path: Path) -> None:
    Lock(tmp_path / "lock")
    assert owner(tmp_path / "lock") is None


def test_a_refused_lock_leaves_that_of_the_owner(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    for _ in range(3):
        assert owner(tmp_path / "lock") == str(os.getpid())
        with pytest.raises(TakenError):
            Lock(tmp_path / "lock")
    assert lock.held


def test_simultaneous_checks_do_not_report_each_other(tmp_path: Path) -> None:
    Lock(tmp_path / "lock").close()
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(owner, [tmp_path / "lock"] * 40)) == {None}


def test_looking_makes_no_file(tmp_path: Path) -> None:
    assert owner(tmp_path / "lock") is None
    assert list(tmp_path.iterdir()) == []


def test_without_its_folder_there_is_no_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lock(tmp_path / "none" / "lock")


def test_a_file_that_was_removed_before_it_was_locked_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_file, removed = os.open, []

    def open_and_remove(path: str, flags: int, mode: int = 0o777) -> int:
        descriptor = open_file(path, flags, mode)
        if not removed:
            removed.append(path)
            os.unlink(path)
        return descriptor

    monkeypatch.setattr(os, "open", open_and_remove)
    lock = Lock(tmp_path / "lock")
    assert (removed, owner(tmp_path / "lock"), lock.held) == ([str(tmp_path / "lock")], str(os.getpid()), True)


def test_a_lock_may_be_closed_by_another_thread(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lock.close).result()
    assert (lock.held, owner(tmp_path / "lock")) == (False, None)


def test_an_owner_that_left_no_number_is_unknown(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    (tmp_path / "lock").write_bytes(b"")
    assert (owner(tmp_path / "lock"), lock.held) == ("(unknown)", True)


def test_a_temporary_folder_starts_empty_after_a_killed_process(tmp_path: Path) -> None:
    code = "import sys, os; from pathlib import Path; from infgen.lock import create_temporary_folder\n"
    code += "with create_temporary_folder(Path(sys.argv[1])) as folder: (folder / 'half').touch(); os._exit(9)"
    target = tmp_path / "out"
    assert subprocess.run([sys.executable, "-c", code, str(target)], check=False).returncode == 9
    (left,) = tmp_path.glob("*.tmp")
    with create_temporary_folder(target) as folder:
        assert (folder, list(folder.iterdir())) == (left, [])
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_has_one_owner(tmp_path: Path) -> None:
    with create_temporary_folder(tmp_path / "out"), pytest.raises(InputError, match="is being written by process"):
        create_temporary_folder(tmp_path / "out").__enter__()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path / "lock")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert owner(tmp_path / "lock") == str(process.pid)
        process.kill()
        process.wait()
    assert owner(tmp_path / "lock") is None


def test_every_room_can_be_imported_where_python_lacks_modules_of_unix() -> None:
    code = """
import sys
import psutil, warnings
warnings.simplefilter("ignore")
sys.modules.update(dict.fromkeys(("fcntl", "resource", "pwd", "grp", "termios")))
import infgen.bench.child, infgen.cli.main, infgen.engines.kserve, infgen.inversion.continuation
import infgen.rendering.cluster, infgen.sinks.factory, infgen.sinks.zarr
import infgen.export.triton_repository, infgen.serve.app, infgen.train.run
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
