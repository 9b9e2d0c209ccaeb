"""LMDB sets of the released code as training data."""

import io
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.errors import InputError, MissingExtraError
from infgen.train.data import open_source
from infgen.train.data.photo_set import PhotoSet
from tests.train.photos import landscape

lmdb = pytest.importorskip("lmdb")


def encode(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def write_set(folder: Path, values: Mapping[str, bytes]) -> Path:
    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key.encode(), value)
    return folder


PICTURES = {f"60-{i:08d}": encode(landscape(i, height=60, width=60)) for i in range(3)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_set(tmp_path / "train", {**PICTURES, "length": b"3"})


def test_pictures_come_in_the_order_of_their_numbers(data: Path) -> None:
    assert list(open_source(data)) == list(PICTURES.items())


def test_training_views_are_those_of_the_stored_pictures(data: Path) -> None:
    photos, skipped = PhotoSet.open(data, view_px=60, patch_px=40)
    assert skipped == []
    assert np.array_equal(photos.view(1).numpy(), landscape(1, height=60, width=60))


def test_the_short_numbers_of_other_released_sets_are_read(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "a", {"128-00007": PICTURES["60-00000000"], "length": b"1"})
    assert [p.name for p in open_source(folder).pictures] == ["128-00007"]


def test_the_largest_of_several_sizes_is_used(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "a", {f"{size}-00000000": PICTURES["60-00000000"] for size in (32, 128, 64)})
    assert [p.name for p in open_source(folder).pictures] == ["128-00000000"]


def test_a_value_that_is_no_picture_is_skipped_with_its_key(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "a", {**PICTURES, "60-00000009": b"\x80\x04pickle"})
    photos, skipped = PhotoSet.open(folder, view_px=60, patch_px=40)
    assert (len(photos), [s.name for s in skipped]) == (3, [f"{folder}:60-00000009"])


@pytest.mark.parametrize("key", ["__keys__", "0", "60-123", "60-00000000.png", "x-00000000"])
def test_foreign_keys_are_refused_in_one_line(key: str, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "a", {**PICTURES, key: b"x"})
    with pytest.raises(
        InputError, match=r"has key b'.*', and the released code writes <size>-<number> and length"
    ) as e:
        open_source(folder)
    assert "\n" not in str(e.value)


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match=r"LMDB set .* cannot be read \(.*\); copy it again"):
        open_source(tmp_path)


def test_an_empty_set_has_no_photograph(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no usable photograph"):
        PhotoSet.open(write_set(tmp_path / "a", {"length": b"0"}), view_px=60, patch_px=40)


def test_a_missing_package_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'infgen\[lmdb\]'"):
        open_source(data)
