"""Features of photographs and their cache."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from infgen.cache import cache_folder
from infgen.train.evaluation.real import real_features
from tests.train.evaluation.stand_ins import Colours, Landscapes


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.safetensors"))


def test_features_are_those_of_the_patches(photos: Landscapes, colours: Colours) -> None:
    found = real_features(photos, [colours], n=3, seed=5)["vgg"]
    torch.testing.assert_close(found[2], Colours()(photos.patch(2, seed=5)[0][None])[0])


def test_the_second_time_nothing_is_computed(photos: Landscapes, colours: Colours) -> None:
    first = real_features(photos, [colours], n=3, seed=0)["vgg"]
    calls = len(colours.calls)
    assert torch.equal(real_features(photos, [colours], n=3, seed=0)["vgg"], first)
    assert len(colours.calls) == calls


@pytest.mark.parametrize("change", ["n", "seed", "fingerprint", "view_px", "weights"])
def test_the_cache_key_contains_everything_that_features_depend_on(
    change: str, photos: Landscapes, colours: Colours, cache: Path
) -> None:
    real_features(photos, [colours], n=3, seed=0)
    other = {"fingerprint": replace(photos, fingerprint="x"), "view_px": replace(photos, view_px=400)}
    network = replace(colours, key="other") if change == "weights" else colours
    real_features(other.get(change, photos), [network], n=4 if change == "n" else 3, seed=1 if change == "seed" else 0)
    assert len(files(cache)) == 2


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_file_is_computed_again(content: bytes, photos: Landscapes, colours: Colours, cache: Path) -> None:
    first = real_features(photos, [colours], n=3, seed=0)["vgg"]
    files(cache)[0].write_bytes(content)
    assert torch.equal(real_features(photos, [colours], n=3, seed=0)["vgg"], first)


def test_a_cache_that_cannot_be_written_is_done_without(
    photos: Landscapes, colours: Colours, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").touch()
    with caplog.at_level(logging.WARNING):
        assert len(real_features(photos, [colours], n=3, seed=0)["vgg"]) == 3
    assert "not kept for next time" in caplog.text


def test_without_the_variable_the_cache_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFGEN_CACHE_DIR")
    assert cache_folder() == Path.home() / ".cache" / "infgen"
