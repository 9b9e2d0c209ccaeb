import errno
import os
from pathlib import Path

import pytest

from infgen.atomic import check_output, write_atomically
from infgen.errors import InfgenError, InputError


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def fail_halfway(path: Path, error: BaseException) -> None:
    with write_atomically(path) as temporary:
        temporary.write_bytes(b"half")
        raise error


def test_the_file_is_there_after_the_block(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "a.bin").read_bytes() == b"new"


def test_the_file_is_not_there_during_the_block(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"new")
        assert not (tmp_path / "a.bin").exists()


def test_no_other_file_remains_after_success(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "a.bin"):
        pass
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_or_interrupt_keeps_the_old_file_and_leaves_nothing_behind(
    error: type[BaseException], tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(error):
        fail_halfway(tmp_path / "a.bin", error())
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == {"a.bin": b"old"}


def test_the_permissions_follow_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with write_atomically(tmp_path / "a.bin"):
        pass
    assert (tmp_path / "a.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_symbolic_link_keeps_pointing_at_the_file_that_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with write_atomically(tmp_path / "link") as temporary:
        temporary.write_bytes(b"new")
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "real").read_bytes()) == (True, b"new")


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path: Path) -> None:
    with write_atomically(tmp_path / ("n" * 255)):
        pass
    assert names(tmp_path) == ["n" * 255]


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\Aoutput folder .*nowhere does not exist; create it[^\n]*\Z"):
        check_output(tmp_path / "nowhere" / "a.bin")


@pytest.mark.parametrize("below", ["file/a.bin", "file/nowhere/a.bin"])
def test_a_file_in_the_place_of_a_folder_is_refused_as_a_file(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"\Aoutput folder .*: \S*/file is a file; choose another\Z"):
        check_output(tmp_path / below)


def test_a_folder_as_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path)


def test_a_device_as_output_is_refused() -> None:
    with pytest.raises(InputError, match="regular file"):
        check_output(os.devnull)


def test_a_folder_without_write_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="is not writable"):
        check_output(tmp_path / "a.bin")


def test_a_folder_that_takes_no_new_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match="Read-only file system"), write_atomically(tmp_path / "a.bin"):
        pass


def test_a_full_disk_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InfgenError, match=r"\A[^\n]*a\.bin was not written: No space left[^\n]*\Z"):
        fail_halfway(tmp_path / "a.bin", OSError(errno.ENOSPC, "No space left on device"))


def test_another_system_error_of_the_block_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), write_atomically(tmp_path / "a.bin"):
        (tmp_path / "missing").read_bytes()
