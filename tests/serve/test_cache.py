"""Caches of encoded tiles, in memory and on disk."""

import logging
from pathlib import Path

import pytest

from infgen.serve.tiles.cache import DiskCache, MemoryCache

OVERHEAD = 16  # bytes of a checksum


def test_memory_keeps_the_last_used_entries_within_its_limit() -> None:
    cache = MemoryCache(10)
    cache.put("a", b"1234")
    cache.put("b", b"1234")
    cache.get("a")
    cache.put("c", b"1234")
    assert (cache.get("a"), cache.get("b"), cache.get("c"), cache.size) == (b"1234", None, b"1234", 8)


def test_memory_counts_a_replaced_entry_once() -> None:
    cache = MemoryCache(10)
    cache.put("a", b"1234")
    cache.put("a", b"12")
    assert cache.size == 2


def test_the_folder_outlives_its_cache(tmp_path: Path) -> None:
    DiskCache(tmp_path, 1000).put("a", b"tile")
    again = DiskCache(tmp_path, 1000)
    assert (again.get("a"), again.get("b"), again.size) == (b"tile", None, 4 + OVERHEAD)


def test_the_folder_stays_below_its_limit_and_keeps_recently_used_tiles(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10 * (84 + OVERHEAD))
    for number in range(10):
        cache.put(str(number), bytes(84))
    cache.get("0")
    cache.put("new", bytes(84))
    assert cache.get("0") is not None
    assert cache.get("1") is None
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) == cache.size <= 1000


@pytest.mark.parametrize("damage", [b"", b"short", bytes(40)])
def test_a_damaged_file_is_missing(tmp_path: Path, damage: bytes) -> None:
    cache = DiskCache(tmp_path, 1000)
    cache.put("a", b"tile")
    (path,) = tmp_path.glob("*/*")
    path.write_bytes(damage)
    assert cache.get("a") is None
    assert not path.exists()


def test_half_written_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "00").mkdir()
    (tmp_path / "00" / "0123.new").write_bytes(b"half")
    assert DiskCache(tmp_path, 1000).size == 0
    assert not list(tmp_path.glob("*/*"))


def test_a_folder_that_takes_no_files_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "tiles").write_text("a file where the folder should be")
    cache = DiskCache(tmp_path / "tiles", 1000)
    with caplog.at_level(logging.WARNING):
        cache.put("a", b"tile")
        cache.put("b", b"tile")
    assert (cache.get("a"), len(caplog.records)) == (None, 1)
