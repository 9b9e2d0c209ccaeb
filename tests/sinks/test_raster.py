import errno
from pathlib import Path

import pytest
from PIL import Image

from infgen import vips
from infgen.errors import InfgenError
from infgen.sinks import Grid, open_sink
from infgen.sinks.encoders import raster
from tests.sinks.pictures import GRID, PROVENANCE, names, noise, save, smooth, write

EXTENSIONS = ("png", "jpg", "webp")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_other_programs_decode_the_picture(extension: str, tmp_path: Path) -> None:
    save(tmp_path / f"a.{extension}", smooth())
    with Image.open(tmp_path / f"a.{extension}") as image:
        image.load()
        assert (image.mode, image.size) == ("RGB", (300, 200))


def test_a_jpeg_keeps_the_full_colour_resolution(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", smooth())
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_disk_that_fills_up_while_encoding_is_reported_in_one_line(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: raster._Output, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(raster._Output, "_put", refuse)
    line = r"\A[^\n]*not written: No space left on device[^\n]*\Z"
    with open_sink(tmp_path / f"a.{extension}", GRID, PROVENANCE) as sink:
        write(sink, noise())
        with pytest.raises(InfgenError, match=line):
            sink.finish()
    assert names(tmp_path) == [f".a.{extension}.infgen"]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_canvas_that_cannot_be_read_is_reported_in_one_line(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, box: object) -> None:
        raise InfgenError("the work file cannot be read")

    monkeypatch.setattr("infgen.sinks.files.work_file.WorkFile.read", refuse)
    with open_sink(tmp_path / f"a.{extension}", GRID, PROVENANCE) as sink:
        write(sink, noise())
        with pytest.raises(InfgenError, match=r"\Athe work file cannot be read\Z"):
            sink.finish()


def test_libvips_uses_one_thread_for_it_keeps_rows_for_each() -> None:
    assert vips.load().concurrency_get() == 1


def interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_stops_the_encoder_before_it_is_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    put = raster._Output._put

    def record(self: raster._Output, data: bytes) -> None:
        put(self, data)
        written.append(len(data))

    monkeypatch.setattr("infgen.sinks.files.file_sink.POLL_S", 0.01)
    monkeypatch.setattr(raster._Output, "_put", record)
    with open_sink(tmp_path / "a.png", Grid(4096, 2048, 4096, 2048), PROVENANCE) as sink:
        sink.write_tile(0, noise(width=4096, height=2048))
        with pytest.raises(KeyboardInterrupt):
            sink.finish(progress=interrupt)
    assert sum(written) < 4096 * 2048 * 3 // 2
