"""Hostile files: each is refused before it costs more memory than it is allowed."""

import random
import tracemalloc
from pathlib import Path

import pytest

from benchmarks import fuzz, hostile
from infgen.errors import InfgenError, InputError

MIB = 2**20
# Case of the benchmark -> part of the message.
REFUSED = {
    "released-checkpoint": "holds compressed data",
    "training-state": "holds compressed data",
    "model-header": "its header has",
    "anchor-header": "its header has",
    "provenance-tile": "INFGEN_TILE_MEMORY_MB",
    "provenance-batch": "INFGEN_TILE_MEMORY_MB",
    "text-png": "cannot be read",
}


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller files than those of the benchmark, of the same kind."""
    monkeypatch.setattr(hostile, "PACKED_MIB", 20)
    monkeypatch.setattr(hostile, "TENSORS", 30_000)


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_file_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InfgenError) as caught:
            hostile.CASES[case](tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert REFUSED[case] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 300 * MIB


def test_a_zip_member_that_is_larger_than_it_claims_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it cannot be read"):
        hostile.crafted_zip(tmp_path)


def test_failed_photographs_leave_no_pixels_behind(tmp_path: Path) -> None:
    import gc

    from PIL import Image

    from infgen.photo import open_photograph

    def count() -> int:
        return sum(issubclass(type(one), Image.Image) for one in gc.get_objects())  # asks no lazy module for its class

    content = hostile.png(600, 600)
    (tmp_path / "photo").write_bytes(content[: len(content) // 2])
    gc.collect()
    gc.disable()
    try:
        before = count()
        for _ in range(3):
            with pytest.raises(InputError):
                open_photograph(tmp_path / "photo")
        after = count()
    finally:
        gc.enable()
    assert after == before


@pytest.mark.parametrize("kind", [*fuzz.PICTURES, "zip", "tar", "model", "world", "layout"])
def test_damaged_files_are_read_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    extension, make, read = fuzz.KINDS[kind]
    file, content, rng = tmp_path / f"file{extension}", make(), random.Random(1)
    for number in range(12):
        file.write_bytes(fuzz.damage(content, rng) if number else content)
        assert fuzz.try_file(file, read) in (("accepted", "refused") if number else ("accepted",))
