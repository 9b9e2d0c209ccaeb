"""The index of a large data set: nothing is decoded twice, and nothing changes by it."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infgen.cache import CACHE_VARIABLE
from infgen.lock import Lock
from infgen.model.scales import Scale
from infgen.train.data import index as index_module
from infgen.train.data import pyramid as pyramid_module
from infgen.train.data.pyramid import PhotoPyramid
from tests.train.photos import landscape, save, tar_of, zip_of

COARSE = Scale(level=1, halvings=1, view_px=40, cells=2, patch_px=30)
FINE = Scale(level=2, halvings=0, view_px=80, cells=2, patch_px=60)


@pytest.fixture(autouse=True)
def _small_sets_have_an_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(index_module, "FROM_PICTURES", 1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photographs for both scales, one for the coarse one, and one damaged file."""
    folder = tmp_path / "photos"
    for number, height in enumerate((90, 50, 90)):
        save(folder, f"{number}.png", landscape(number, height=height, width=100))
    (folder / "x.png").write_bytes(b"no picture")
    return folder


def open_all(data: Path | str, **options: int) -> tuple[PhotoPyramid, list[str]]:
    pyramid, skipped = PhotoPyramid.open(data, (COARSE, FINE), **options)
    return pyramid, [f"{s.name}: {s.reason}" for s in skipped]


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("a photograph was decoded")

    monkeypatch.setattr(pyramid_module, "read_views", read)


def test_a_second_start_decodes_nothing_and_finds_the_same(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, first_skipped = open_all(photos)
    forbid_decoding(monkeypatch)
    second, second_skipped = open_all(photos)
    assert second.fingerprint == first.fingerprint
    assert [[p.name for p in s.photos] for s in second.sets] == [[p.name for p in s.photos] for s in first.sets]
    assert second_skipped == first_skipped


def test_patches_are_those_of_a_start_without_an_index(photos: Path) -> None:
    patches = [[[s.patch(i, seed=3)[0] for i in range(5)] for s in open_all(photos)[0].sets] for _ in range(2)]
    assert all(a.equal(b) for one, other in zip(*patches, strict=True) for a, b in zip(one, other, strict=True))


def test_views_stay_in_memory_once_they_are_decoded(photos: Path) -> None:
    open_all(photos)
    second, _ = open_all(photos)
    view = second.sets[0].view(0)
    assert second.sets[0].view(0) is view


def test_a_changed_photograph_makes_a_new_index(photos: Path) -> None:
    before = open_all(photos)[0].fingerprint
    path = save(photos, "0.png", landscape(9, height=90, width=100))
    os.utime(path, ns=(1, 1))
    assert open_all(photos)[0].fingerprint != before


def test_another_preparation_has_another_index(photos: Path) -> None:
    assert open_all(photos)[0].fingerprint != open_all(photos, pre_resize_px=30)[0].fingerprint


@pytest.mark.parametrize(("pack", "name"), [(zip_of, "packed.zip"), (tar_of, "packed.tar")], ids=["zip", "tar"])
def test_archives_have_an_index_too(
    pack: Callable[[Path, Path], Path], name: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pack(photos, tmp_path / name)
    first, _ = open_all(data)
    forbid_decoding(monkeypatch)
    assert open_all(data)[0].fingerprint == first.fingerprint


NO_INDEX = ["", "{", "[]", '{"skipped": {}}', '{"skipped": {}, "too_small": [[]], "fingerprints": ["a"]}']


@pytest.mark.parametrize("content", NO_INDEX)
def test_a_damaged_index_is_made_again(content: str, photos: Path, tmp_path: Path) -> None:
    first, _ = open_all(photos)
    (file,) = (tmp_path / "cache" / "data").glob("*.json")
    file.write_text(content)
    assert open_all(photos)[0].fingerprint == first.fingerprint
    assert file.read_text() != content


def test_small_sets_have_no_index(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "FROM_PICTURES", 1000)
    open_all(photos)
    assert not (tmp_path / "cache").exists()


def test_an_unusable_cache_folder_only_costs_time(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert len(open_all(photos)[0]) == 3


def test_a_second_process_waits_for_the_first_and_then_decodes_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_WAIT_S", 0.01)
    first, _ = open_all(photos)
    (file,) = (tmp_path / "cache" / "data").glob("*.json")
    content = file.read_text()
    file.unlink()
    lock = Lock(file.with_suffix(".lock"))  # of the process that decodes
    forbid_decoding(monkeypatch)
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.append(open_all(photos)[0].fingerprint))
    waiting.start()
    time.sleep(0.1)
    assert found == []
    file.write_text(content)
    lock.close()
    waiting.join(30)
    assert found == [first.fingerprint]
