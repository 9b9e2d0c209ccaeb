import errno
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infgen.errors import InfgenError, InputError, LimitError, MissingExtraError
from infgen.sinks import FORMATS, Sink, check_picture, open_sink, raster, read_recipe
from infgen.sinks.canvas import Pixels

RECIPE = {"infgen": "1.2.3"}
WIDTH, HEIGHT = 300, 200


def smooth_picture(*, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1).astype(np.uint8)


def noise(*, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_tiles(sink: Sink, picture: Pixels, *, side: int = 64) -> None:
    height, width, _ = picture.shape
    corners = [(x, y) for y in range(0, height, side) for x in range(0, width, side)]
    for index in np.random.default_rng(1).permutation(len(corners)):
        x, y = corners[index]
        sink.write_tile(picture[y : y + side + 9, x : x + side + 9], x, y)  # overlapping, partial at the edges


def saved(path: Path, picture: Pixels) -> Pixels:
    with open_sink(path, width=picture.shape[1], height=picture.shape[0]) as sink:
        write_tiles(sink, picture)
        sink.finish(RECIPE)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("extension", ["png", "PNG", "webp"])
def test_a_lossless_file_holds_the_pixels_bit_for_bit(extension: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(saved(tmp_path / f"a.{extension}", noise()), noise())


@pytest.mark.parametrize("extension", ["jpg", "jpeg"])
def test_a_jpeg_holds_the_pixels_closely(extension: str, tmp_path: Path) -> None:
    difference = np.abs(saved(tmp_path / f"a.{extension}", smooth_picture()).astype(int) - smooth_picture())
    assert difference.max() <= 6


def test_a_jpeg_keeps_the_full_colour_resolution(tmp_path: Path) -> None:
    saved(tmp_path / "a.jpg", smooth_picture())
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 50), (50, 1)])
def test_the_smallest_pictures_are_written(extension: str, width: int, height: int, tmp_path: Path) -> None:
    assert saved(tmp_path / f"a.{extension}", noise(width=width, height=height)).shape == (height, width, 3)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_only_the_finished_file_is_left(extension: str, tmp_path: Path) -> None:
    saved(tmp_path / f"a.{extension}", noise())
    assert [p.name for p in tmp_path.iterdir()] == [f"a.{extension}"]


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_the_canvas_is_not_held_after_the_end(extension: str, tmp_path: Path) -> None:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("needs Linux's /proc")
    saved(tmp_path / f"a.{extension}", noise())
    assert ".canvas" not in maps.read_text()


def test_an_existing_file_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("old")
    with open_sink(tmp_path / "a.png", width=WIDTH, height=HEIGHT) as sink:
        write_tiles(sink, noise())
        assert (tmp_path / "a.png").read_text() == "old"
        sink.finish(RECIPE)
    assert read_recipe(tmp_path / "a.png") == RECIPE


def test_progress_counts_pixels_up_to_all_of_them(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    with open_sink(tmp_path / "a.png", width=WIDTH, height=HEIGHT) as sink:
        sink.finish(RECIPE, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (WIDTH * HEIGHT, WIDTH * HEIGHT)
    assert calls == sorted(calls)


def test_progress_is_reported_in_the_thread_of_the_caller(tmp_path: Path) -> None:
    threads: set[threading.Thread] = set()
    with open_sink(tmp_path / "a.png", width=WIDTH, height=HEIGHT) as sink:
        sink.finish(RECIPE, progress=lambda done, total: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}


def fail_between_tiles(path: Path, error: BaseException) -> None:
    with open_sink(path, width=WIDTH, height=HEIGHT) as sink:
        sink.write_tile(noise(), 0, 0)
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_or_interrupt_between_tiles_leaves_nothing_behind(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error):
        fail_between_tiles(tmp_path / "a.png", error())
    assert list(tmp_path.iterdir()) == []


def interrupted(done: int, total: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_an_interrupt_while_encoding_leaves_nothing_behind(extension: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_sink(tmp_path / f"a.{extension}", width=WIDTH, height=HEIGHT) as sink:
        sink.finish(RECIPE, progress=interrupted)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_stops_the_encoder_before_it_is_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    put = raster._Output._put

    def record(self: raster._Output, data: bytes) -> None:
        put(self, data)
        written.append(len(data))

    monkeypatch.setattr(raster, "POLL_S", 0.01)
    monkeypatch.setattr(raster._Output, "_put", record)
    with open_sink(tmp_path / "a.png", width=2048, height=2048) as sink:
        sink.write_tile(noise(width=2048, height=2048), 0, 0)
        with pytest.raises(KeyboardInterrupt):
            sink.finish(RECIPE, progress=interrupted)
    assert sum(written) < 2048 * 2048 * 3 // 2


def test_a_picture_that_could_not_be_encoded_can_be_finished_later(tmp_path: Path) -> None:
    with open_sink(tmp_path / "a.png", width=WIDTH, height=HEIGHT) as sink:
        sink.write_tile(noise(), 0, 0)
        with pytest.raises(KeyboardInterrupt):
            sink.finish(RECIPE, progress=interrupted)
        sink.finish(RECIPE)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), noise())


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_a_disk_that_fills_up_while_encoding_is_reported_in_one_line(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: raster._Output, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(raster._Output, "_put", refuse)
    line = r"\A[^\n]*not written: No space left on device[^\n]*\Z"
    with (
        open_sink(tmp_path / f"a.{extension}", width=WIDTH, height=HEIGHT) as sink,
        pytest.raises(InfgenError, match=line),
    ):
        sink.finish(RECIPE)


def test_aborting_twice_does_nothing_more(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "a.png", width=WIDTH, height=HEIGHT)
    sink.abort()
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def refusal(path: Path, *, width: int = WIDTH, height: int = HEIGHT) -> str:
    with pytest.raises(InputError) as caught:
        open_sink(path, width=width, height=height)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("a.gif", (8, 8), "extension '.gif'; allowed are .png, .jpg, .jpeg, .webp"),
        ("a", (8, 8), "extension '(none)'"),
        ("a.jpg", (65_501, 8), "JPEG holds at most 65,500 px per side, not 65,501 x 8 px; write PNG (.png) instead"),
        ("a.webp", (8, 16_384), "write PNG (.png) or JPEG (.jpg) instead"),
        ("a.webp", (8, 65_536), "write PNG (.png) instead"),
        ("a.png", (1, 100_000_001), "no format here holds it"),
        ("a.png", (0, 8), "is empty"),
        ("a.png", (8, -8), "is empty"),
        ("a.png", (10**6, 10**5 + 1), "raise INFGEN_MAX_PIXELS"),
        ("missing/a.png", (8, 8), "does not exist"),
        ("folder.png", (8, 8), "is a folder"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line_with_nothing_left(
    name: str, size: tuple[int, int], message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    text = refusal(tmp_path / name, width=size[0], height=size[1])
    assert message in text
    assert "\n" not in text
    assert [p.name for p in tmp_path.rglob("*")] == ["folder.png"]


def test_a_disk_without_room_for_canvas_and_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = check_picture(tmp_path / "a.png", width=WIDTH, height=HEIGHT).disk_bytes(WIDTH, HEIGHT)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=needed - 1))
    assert "of disk" in refusal(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_image_library_is_refused_before_a_canvas_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)
    raster._vips.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'pyvips\[binary\]'"):
        open_sink(tmp_path / "a.png", width=WIDTH, height=HEIGHT)
    assert list(tmp_path.iterdir()) == []


def test_opening_no_sink_loads_no_image_library() -> None:
    code = "import sys, infgen.sinks; raise SystemExit('pyvips' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_limit_of_pixels_can_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_PIXELS", "100")
    with pytest.raises(LimitError, match="more than 100 px"):
        check_picture(tmp_path / "a.png", width=11, height=10)


@pytest.mark.parametrize("chosen", FORMATS, ids=lambda f: f.name)
def test_the_estimate_of_the_disk_covers_canvas_and_file_of_noise(chosen: Any, tmp_path: Path) -> None:
    path = tmp_path / f"a{chosen.extensions[0]}"
    saved(path, noise(width=700, height=600))
    overhead = chosen.disk_bytes(1, 1)
    assert path.stat().st_size + 700 * 600 * 3 <= chosen.disk_bytes(700, 600) - overhead


def test_the_longest_side_of_a_format_is_written(tmp_path: Path) -> None:
    for name, side in (("a.jpg", 65_500), ("a.webp", 16_383)):
        with open_sink(tmp_path / name, width=side, height=1) as sink:
            sink.finish(RECIPE)
        with Image.open(tmp_path / name) as image:
            assert image.size == (side, 1)


MEMORY_SCRIPT = """
import sys, numpy as np
from infgen.sinks import open_sink
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) // 1024
side, path, tile = int(sys.argv[1]), sys.argv[2], np.full((512, 512, 3), 99, np.uint8)
with open_sink(path, width=side, height=side) as sink:
    for y in range(0, side, 512):
        for x in range(0, side, 512):
            sink.write_tile(tile, x, y)
    canvas = peak()
    sink.finish({})
print(canvas, peak())
"""


def peak_mib(side: int, path: Path) -> list[int]:
    command = [sys.executable, "-c", MEMORY_SCRIPT, str(side), str(path)]
    return [int(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_picture(tmp_path: Path) -> None:
    small, large = peak_mib(512, tmp_path / "a.jpg"), peak_mib(8192, tmp_path / "b.jpg")  # 0.8 and 201 MB
    assert large[0] - small[0] < 20
    assert large[1] - small[1] < 60
