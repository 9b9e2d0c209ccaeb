import errno
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen.errors import InfgenError
from infgen.sinks.files import journal
from infgen.sinks.files.journal import Journal, line

ENTRIES = {number: (number * 0x9E3779B1) % 2**32 for number in range(12)}
TEXT = b"".join(line(number, 12, checksum) for number, checksum in ENTRIES.items())


def read_entries(path: Path, text: bytes) -> dict[int, int]:
    path.write_bytes(text)
    return journal.read(path, total=12)


def test_entries_are_read_back(tmp_path: Path) -> None:
    with_two = Journal(tmp_path / "journal", total=12)
    with_two.append(list(ENTRIES.items())[:2])
    with_two.append(list(ENTRIES.items())[2:])
    with_two.close()
    assert journal.read(tmp_path / "journal", total=12) == ENTRIES


def test_a_missing_journal_lists_nothing(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "journal", total=12) == {}


def test_a_folder_in_place_of_a_journal_lists_nothing(tmp_path: Path) -> None:
    assert journal.read(tmp_path, total=12) == {}


@given(cut=st.integers(0, len(TEXT)))
def test_a_torn_journal_lists_the_whole_lines(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = read_entries(tmp_path_factory.getbasetemp() / "torn", TEXT[:cut])
    assert found == dict(list(ENTRIES.items())[: TEXT[:cut].count(b"\n")])


@given(place=st.integers(0, len(TEXT) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_at_most_two_entries_and_changes_none(
    place: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(TEXT)
    data[place] ^= 1 << bit
    found = read_entries(tmp_path_factory.getbasetemp() / "flipped", bytes(data))
    assert found.items() <= ENTRIES.items()
    assert len(found) >= len(ENTRIES) - 2  # two, where a line end is lost


@given(garbage=st.binary(max_size=400))
def test_garbage_is_never_fatal(garbage: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert read_entries(tmp_path_factory.getbasetemp() / "garbage", garbage) == {}


def test_entries_of_another_tiling_are_not_listed(tmp_path: Path) -> None:
    assert read_entries(tmp_path / "journal", line(0, 13, 5)) == {}


def test_of_a_tile_written_twice_the_last_entry_counts(tmp_path: Path) -> None:
    assert read_entries(tmp_path / "journal", line(3, 12, 5) + line(3, 12, 6)) == {3: 6}


def test_finished_tiles_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(line(3, 12, 5) + line(3, 12, 6) + line(4, 12, 7))
    assert journal.count(tmp_path / "journal") == (2, 12)


def test_a_journal_without_a_valid_line_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"3/12 00000000 00000000\n")
    assert journal.count(tmp_path / "journal") is None


@pytest.mark.parametrize("tail", [b"4/12 0000", b"x" * 99, b"4"])
def test_a_torn_last_line_is_cut_off_before_more_is_added(tail: bytes, tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(TEXT + tail)
    opened = Journal(tmp_path / "journal", total=12)
    opened.append([(0, 77)])
    opened.close()
    assert (tmp_path / "journal").read_bytes() == TEXT + line(0, 12, 77)


def test_a_full_disk_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    opened = Journal(tmp_path / "journal", total=12)
    opened.close()
    monkeypatch.setattr(opened, "_file", Full())
    with pytest.raises(InfgenError, match=r"\A[^\n]*No space left on device[^\n]*\Z"):
        opened.append([(0, 1)])
