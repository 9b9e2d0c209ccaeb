"""Photograph commands when the disk, the folder or the name of the output fails them."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from infgen.cli import photographs as module
from infgen.inversion import outputs as outputs_module
from infgen.lock import lock_output
from tests.cli.conftest import Call
from tests.cli.photographs import QUICK, photograph


@pytest.fixture
def outpaint(call: Call, tiny_model: Path, tmp_path: Path) -> Call:
    photo = photograph(tmp_path)
    (tmp_path / "out").mkdir()
    return lambda *words: call("outpaint", photo, "--right", 60, *QUICK, "--model", tiny_model, "--quiet", *words)


@pytest.fixture
def no_inversion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "invert_photograph", lambda *_, **__: pytest.fail("it was inverted"))


@pytest.mark.usefixtures("no_inversion")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (os.fsdecode(b"a\xff.png"), "characters that a world file cannot name"),
        ("a\n.png", "characters that a world file cannot name"),
        (f"{'a' * 252}.png", "has 256 bytes"),
        (f"{'a' * 235}.png", "has 256 bytes"),  # the file of latents has a longer name
    ],
)
def test_an_impossible_name_is_refused_before_the_inversion(
    outpaint: Call, tmp_path: Path, name: str, message: str
) -> None:
    code, _, err = outpaint("-o", tmp_path / "out" / name)
    assert code == 2
    assert message in err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("no_inversion")
def test_too_little_disk_is_refused_before_the_inversion(
    outpaint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    code, _, err = outpaint("-o", tmp_path / "out" / "a.png")
    assert code == 2
    assert "MiB of disk" in err


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "webp"])
def test_a_full_disk_after_the_inversion_keeps_and_names_the_latents(
    outpaint: Call, tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(outputs_module.Image.Image, "save", full)
    code, _, err = outpaint("-o", tmp_path / "out" / f"a.{extension}")
    assert code == 1
    (latents,) = (tmp_path / "out").glob("a.*.safetensors")
    assert f"--latents {latents}" in err
    assert "No space left" in err


def test_a_folder_that_is_removed_during_the_inversion_loses_no_latents(
    outpaint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invert = module.invert_photograph

    def removing(*arguments: object, **options: object) -> object:
        shutil.rmtree(tmp_path / "out")
        return invert(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "invert_photograph", removing)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code, _, err = outpaint("-o", tmp_path / "out" / "a.png")
    (latents,) = tmp_path.glob("infgen-*/a.*.safetensors")
    assert code == 1
    assert err.count(str(latents)) == 2
    assert not (tmp_path / "out").exists()


def test_two_commands_do_not_write_one_output_at_once(outpaint: Call, tmp_path: Path) -> None:
    with lock_output(tmp_path / "out" / "a.jpg"):  # the world file would have the same name
        code, _, err = outpaint("-o", tmp_path / "out" / "a.png")
    assert (code, f"is being written by process {os.getpid()}" in err) == (2, True)
    assert outpaint("-o", tmp_path / "out" / "a.png")[0] == 0
    assert not list((tmp_path / "out").glob(".infgen-*"))
