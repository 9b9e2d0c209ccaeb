"""Packing photographs into shards."""

import errno
import io
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.train.data import pack as module
from infgen.train.data.pack import Format, member_key, pack
from infgen.train.data.photo_set import PhotoSet
from tests.train.photos import landscape, save, save_landscapes

webdataset = pytest.importorskip("webdataset")

SIZE = 40


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return save_landscapes(tmp_path / "photos", count=5)


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read_members(shard: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(shard) as archive:
        for info in archive:
            stream = archive.extractfile(info)
            assert stream is not None
            found[info.name] = stream.read()
    return found


@pytest.fixture
def tiny_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A "MiB" of 1,500 bytes: one or two small photographs in a shard."""
    monkeypatch.setattr(module, "MIB", 1500)


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_training_reads_packed_photographs(image_format: Format, photos: Path, tmp_path: Path) -> None:
    packed = pack(photos, tmp_path / "shards", size_px=SIZE, image_format=image_format)
    photo_set, skipped = PhotoSet.open(packed.pattern, view_px=SIZE, patch_px=24)
    assert (packed.photos, len(photo_set), skipped) == (5, 5, [])


@pytest.mark.usefixtures("tiny_shards")
def test_the_pattern_expands_to_every_shard(photos: Path, tmp_path: Path) -> None:
    packed = pack(photos, tmp_path / "shards", size_px=SIZE, shard_mb=1)
    assert packed.shards > 1
    assert packed.pattern == str(tmp_path / "shards" / f"{{000000..{packed.shards - 1:06d}}}.tar")
    assert list(read_files(tmp_path / "shards")) == [f"{i:06d}.tar" for i in range(packed.shards)]
    by_pattern, _ = PhotoSet.open(packed.pattern, view_px=SIZE, patch_px=24)
    by_folder, _ = PhotoSet.open(tmp_path / "shards", view_px=SIZE, patch_px=24)
    assert len(by_pattern) == 5
    assert by_pattern.fingerprint == by_folder.fingerprint


@pytest.mark.usefixtures("tiny_shards")
def test_no_shard_holds_more_than_its_size_except_for_a_single_photograph(photos: Path, tmp_path: Path) -> None:
    pack(photos, tmp_path / "shards", size_px=SIZE, shard_mb=2)
    for shard in (tmp_path / "shards").iterdir():
        inside = read_members(shard)
        assert len(inside) == 1 or sum(map(len, inside.values())) <= 3000


def test_the_same_photographs_give_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack(photos, tmp_path / name, size_px=SIZE)
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


def test_webdataset_reads_packed_photographs(photos: Path, tmp_path: Path) -> None:
    packed = pack(photos, tmp_path / "shards", size_px=SIZE)
    with Path(packed.pattern).open("rb") as stream:
        files = webdataset.tariterators.tar_file_expander([{"url": "s.tar", "stream": stream}])
        samples = list(webdataset.tariterators.group_by_keys(files))
    assert [sample["__key__"] for sample in samples] == [f"{i}_png" for i in range(5)]
    assert all(Image.open(io.BytesIO(sample["jpg"])).size == (55, SIZE) for sample in samples)


def test_photographs_are_packed_upright_and_smaller_ones_are_skipped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    save(tmp_path / "photos", "small.png", landscape(0, height=SIZE - 1))
    Image.fromarray(landscape(1, height=80, width=120)).save(tmp_path / "photos" / "turned.jpg", exif=exif)
    packed = pack(tmp_path / "photos", tmp_path / "shards", size_px=SIZE)
    (content,) = read_members(tmp_path / "shards" / "000000.tar").values()
    image = Image.open(io.BytesIO(content))
    assert (image.size, dict(image.getexif())) == ((SIZE, 60), {})
    assert [skip.name for skip in packed.skipped] == [str(tmp_path / "photos" / "small.png")]


def test_a_panorama_that_the_format_cannot_hold_is_skipped(tmp_path: Path) -> None:
    save(tmp_path / "photos", "a.png", landscape(0))
    save(tmp_path / "photos", "long.png", landscape(0, height=16, width=16_400))
    packed = pack(tmp_path / "photos", tmp_path / "shards", size_px=16, image_format="webp")
    assert packed.photos == 1
    assert "16400 x 16 px cannot be written as webp" in packed.skipped[0].reason


# Keys


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.png", "a_png"),
        ("sub/a.b.png", "sub/a_b_png"),
        ("../../etc/a.png", "etc/a_png"),
        ("/a.png", "a_png"),
        ("__a__.png", "a___png"),
        ("a\n.png", "a__png"),
    ],
)
def test_keys_hold_no_dots_and_stay_inside_the_folder(name: str, key: str) -> None:
    assert member_key(name, set()) == key


@given(names=st.lists(st.sampled_from(["a.png", "a_png", "a.png_2", "b", "..", ""]), max_size=12))
def test_keys_are_unique(names: list[str]) -> None:
    taken: set[str] = set()
    assert len({member_key(name, taken) for name in names}) == len(names)


# Refusals and remaining files


def list_names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(photos: Path, tmp_path: Path) -> None:
    save(tmp_path / "shards", "precious.png", landscape(0))
    with pytest.raises(InputError, match="exists and is not empty"):
        pack(photos, tmp_path / "shards", size_px=SIZE)
    assert list_names(tmp_path / "shards") == ["precious.png"]


def test_an_empty_folder_is_filled(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    pack(photos, tmp_path / "shards", size_px=SIZE)
    assert list_names(tmp_path / "shards") == ["000000.tar"]


@pytest.mark.parametrize(("out", "message"), [("photos/shards", "inside data folder"), ("no/shards", "does not exist")])
def test_an_unsuitable_output_folder_is_refused(out: str, message: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        pack(photos, tmp_path / out, size_px=SIZE)


def test_without_a_usable_photograph_no_file_remains(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no usable photograph"):
        pack(photos, tmp_path / "shards", size_px=1000)
    assert list_names(tmp_path) == ["photos"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_after_a_failure_no_file_remains(
    error: BaseException, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, sample: object) -> None:
        raise error

    monkeypatch.setattr(webdataset.TarWriter, "write", fail)
    with pytest.raises((KeyboardInterrupt, InfgenError)) as caught:
        pack(photos, tmp_path / "shards", size_px=SIZE)
    assert isinstance(caught.value, KeyboardInterrupt) or "was not written: No space left" in str(caught.value)
    assert list_names(tmp_path) == ["photos"]


def test_without_webdataset_the_error_names_the_extra(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(MissingExtraError, match=r"run: pip install 'infgen\[train\]'"):
        pack(photos, tmp_path / "shards", size_px=SIZE)
