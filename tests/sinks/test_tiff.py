import itertools
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen.errors import InputError
from infgen.sinks import Box, read_provenance, read_region
from infgen.sinks.encoders import tiff
from infgen.sinks.encoders.cascade import TILE, half, levels
from infgen.sinks.encoders.tiff_layout import header
from tests.sinks.pictures import PROVENANCE, Pixels, noise, save

tifffile: Any = pytest.importorskip("tifffile")

WIDTH, HEIGHT = 1301, 1030
KINDS = ("tiff", "cog", "big tiff", "big cog")
PICTURE = noise(width=WIDTH, height=HEIGHT)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, made = tmp_path_factory.mktemp("tiff"), {}
    for kind in KINDS:
        with pytest.MonkeyPatch.context() as patch:
            if kind.startswith("big"):
                patch.setattr(tiff, "CLASSIC_BYTES", 0)
            path = folder / f"{kind}.tif"
            made[kind] = save(path, PICTURE, file_format=kind.removeprefix("big "), step=400)
    return made


def pages(path: Path) -> list[Any]:
    with tifffile.TiffFile(path) as file:
        return list(file.pages)


def expected_levels() -> list[Pixels]:
    found = [PICTURE]
    while max(found[-1].shape) > TILE:
        found.append(half(found[-1]))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_another_reader_finds_every_level_as_the_mean_of_the_one_before(kind: str, files: dict[str, Path]) -> None:
    with tifffile.TiffFile(files[kind]) as file:
        for page, pixels in zip(file.pages, expected_levels(), strict=True):
            np.testing.assert_array_equal(page.asarray(), pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_smaller_copies_are_marked_as_reduced(kind: str, files: dict[str, Path]) -> None:
    assert [int(page.subfiletype) for page in pages(files[kind])] == [0, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_file_is_as_decided(kind: str, files: dict[str, Path]) -> None:
    with tifffile.TiffFile(files[kind]) as file:
        assert file.is_bigtiff == kind.startswith("big")


def test_a_file_that_may_exceed_the_limit_of_classic_tiff_is_bigtiff(tmp_path: Path) -> None:
    from infgen.sinks.files.row_reader import Completion, RowReader
    from infgen.sinks.grid import Grid

    class Huge:
        width, height = 22_000, 24_000  # 1.6 GB raw, 2.2 GB with copies

    reader = RowReader(Huge(), Completion(Grid(8, 8, 8, 8)))  # type: ignore[arg-type]
    assert tiff.TiffEncoder(reader, tmp_path, PROVENANCE, cog=False)._big


@pytest.mark.parametrize("kind", KINDS)
def test_tags_contain_the_values_that_other_programs_read(kind: str, files: dict[str, Path]) -> None:
    first = pages(files[kind])[0]
    values = {
        name: first.tags[name].value for name in ("Software", "TileWidth", "TileLength", "Predictor", "Compression")
    }
    assert values == {"Software": "infgen 1.2.3", "TileWidth": 512, "TileLength": 512, "Predictor": 2, "Compression": 8}


def offsets(page: Any) -> list[int]:
    return [int(offset) for offset in page.dataoffsets]


@pytest.mark.parametrize("kind", ["cog", "big cog"])
def test_a_cog_has_its_directories_first_and_the_picture_last(kind: str, files: dict[str, Path]) -> None:
    found = pages(files[kind])
    directories = [page.offset for page in found]
    assert directories == sorted(directories)
    assert directories[0] < 300  # the bound that validators use
    starts = [offsets(page) for page in found]
    assert max(directories) < min(starts[-1])
    for larger, smaller in itertools.pairwise(starts):
        assert max(smaller) < min(larger)
    assert all(level == sorted(level) for level in starts)


@pytest.mark.parametrize("kind", ["cog", "big cog"])
def test_a_cog_writes_the_size_after_each_tile(kind: str, files: dict[str, Path]) -> None:
    data = files[kind].read_bytes()
    assert data[len(header(0, big=kind == "big cog")) :].startswith(
        b"GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\nLAYOUT="
    )
    for page in pages(files[kind]):
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            assert struct.unpack_from("<I", data, start - 4) == (count,)
            assert data[start + count : start + count + 4] == data[start + count - 4 : start + count]


def test_a_cog_holds_the_same_compressed_tiles_as_a_tiff(files: dict[str, Path]) -> None:
    tiles = []
    for kind in ("tiff", "cog"):
        data = files[kind].read_bytes()
        tiles.append(
            [data[o : o + c] for p in pages(files[kind]) for o, c in zip(p.dataoffsets, p.databytecounts, strict=True)]
        )
    assert tiles[0] == tiles[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_any_box_is_read_back(kind: str, seed: int, files: dict[str, Path]) -> None:
    x, y = (int(np.random.default_rng(seed).integers(0, side - 1)) for side in (WIDTH, HEIGHT))
    box = Box(x, y, min(700, WIDTH - x), min(600, HEIGHT - y))
    np.testing.assert_array_equal(read_region(files[kind], box), PICTURE[y : y + box.h, x : x + box.w])


def test_a_tile_with_a_flipped_byte_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(files["tiff"].read_bytes())
    data[int(pages(files["tiff"])[0].dataoffsets[0]) + 1000] ^= 255
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(InputError, match=r"\A[^\n]*a\.tif is damaged: [^\n]*\Z"):
        read_region(tmp_path / "a.tif", Box(0, 0, 8, 8))


@given(width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_levels_halve_upwards_until_one_tile_holds_them(width: int, height: int) -> None:
    found = levels(width, height, smallest=TILE)
    for above, below in itertools.pairwise(found):
        assert (below.width, below.height) == ((above.width + 1) // 2, (above.height + 1) // 2)
    assert max(found[-1].width, found[-1].height) <= TILE
    assert all(max(level.width, level.height) > TILE for level in found[:-1])


@pytest.mark.parametrize(("width", "height"), [(3, 1200), (1200, 3), (513, 513), (1024, 512)])
def test_narrow_and_even_pictures_are_read_back(width: int, height: int, tmp_path: Path) -> None:
    picture = noise(width=width, height=height)
    save(tmp_path / "a.tif", picture, step=500)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.pages[0].asarray(), picture)


def big_endian(tag: bytes, *, big: bool) -> bytes:
    """A file of another program with one XMP tag, in the other byte order."""
    if big:
        entry = struct.pack(">QHHQQ", 1, 700, 1, len(tag), 60)
        return (struct.pack(">2sHHHQ", b"MM", 43, 8, 0, 16) + entry).ljust(60, b"\0") + tag
    return (struct.pack(">2sHI", b"MM", 42, 8) + struct.pack(">HHHII", 1, 700, 1, len(tag), 60)).ljust(60, b"\0") + tag


@pytest.mark.parametrize("big", [False, True])
def test_provenance_in_the_other_byte_order_is_read(big: bool, tmp_path: Path) -> None:
    from infgen.sinks import xmp
    from infgen.sinks.provenance import pack

    (tmp_path / "a.tif").write_bytes(big_endian(xmp.packet(pack(PROVENANCE)), big=big))
    assert read_provenance(tmp_path / "a.tif") == PROVENANCE


def test_a_directory_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(struct.pack("<2sHHHQQHHQQ", b"II", 43, 8, 0, 16, 1, 700, 1, 2**63, 2**63))
    with pytest.raises(InputError, match="is damaged"):
        read_provenance(tmp_path / "a.tif")


@given(kind=st.sampled_from(KINDS), data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    kind: str, data: st.DataObject, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    original = bytearray(files[kind].read_bytes())
    directory = pages(files[kind])[0].offset
    place = data.draw(st.one_of(st.integers(0, 16), st.integers(directory, directory + 600)))
    original[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path = tmp_path_factory.getbasetemp() / "fuzzed.tif"
    path.write_bytes(original)
    with suppress(InputError):
        read_provenance(path)


@given(kind=st.sampled_from(KINDS), place=st.integers(0, 900), value=st.integers(0, 255))
def test_pixels_of_a_damaged_file_are_read_or_refused_but_never_crash(
    kind: str, place: int, value: int, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    original = bytearray(files[kind].read_bytes())
    original[place] = value
    path = tmp_path_factory.getbasetemp() / "fuzzed_pixels.tif"
    path.write_bytes(original)
    with suppress(InputError):
        read_region(path, Box(0, 0, 8, 8))
