"""Renders in new processes, and the memory that a process measures of itself."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infgen.bench import child
from infgen.bench.cold_start import ColdStart, measure_cold_start
from infgen.bench.machine import machine
from infgen.errors import InfgenError
from infgen.geometry import Region
from infgen.rendering.studio import Options
from infgen.world.world import World

REGION = Region(0, 0, 160, 160)
OPTIONS = Options(tile_px=101)
MIB = 2**20


@pytest.fixture(scope="module")
def cold_start(tiny_model: Path) -> ColdStart:
    """A process that renders four tiles."""
    return measure_cold_start(World(), REGION, model=tiny_model, options=Options(tile_px=101, threads=1))


@pytest.fixture
def order(tiny_model: Path, tmp_path: Path) -> dict:
    """The order for a process: four tiles of a world."""
    World().save(tmp_path / "world.json")
    return {
        "model": str(tiny_model),
        "world": str(tmp_path / "world.json"),
        "region": [0, 0, 160, 160],
        "options": {"tile_px": 101},
        "output": str(tmp_path / "picture.png"),
        "only_first_tile": False,
        "processor": False,
    }


def test_every_part_of_a_process_takes_time(cold_start: ColdStart):
    assert min(cold_start.imports, cold_start.model, cold_start.preflight, cold_start.tile, cold_start.rest) > 0


def test_the_first_tile_comes_after_all_parts_before_it(cold_start: ColdStart):
    parts = cold_start.imports, cold_start.model, cold_start.preflight, cold_start.tile
    assert cold_start.until_first_tile == pytest.approx(sum(parts))


def test_processor_times_start_at_the_process_and_grow(order: dict):
    found = child.run(order | {"processor": True})
    moments = [found[name] for name in ("imported", "loaded", "prepared", "first_tile", "finished")]
    assert moments == sorted(moments)
    assert moments[-1] <= time.process_time()


def test_the_peak_is_that_of_a_process_with_pytorch(cold_start: ColdStart):
    assert 50 * MIB < cold_start.peak_bytes < 4096 * MIB


def test_a_child_writes_the_whole_picture(order: dict, capsys: pytest.CaptureFixture[str]):
    child.main(json.dumps(order))
    assert Path(order["output"]).exists()
    found = json.loads(capsys.readouterr().out)
    assert found["imported"] <= found["loaded"] <= found["prepared"] <= found["first_tile"] <= found["finished"]


def test_a_child_that_is_asked_for_the_first_tile_stops_there(order: dict, capsys: pytest.CaptureFixture[str]):
    child.main(json.dumps(order | {"only_first_tile": True}))
    assert not Path(order["output"]).exists()
    assert "first_tile" in json.loads(capsys.readouterr().out)


def test_a_child_that_cannot_render_gives_the_reason_in_one_line(order: dict):
    with pytest.raises(SystemExit, match=r"^model file nowhere does not exist[^\n]*$"):
        child.main(json.dumps(order | {"model": "nowhere"}))


def test_a_failed_process_is_reported_with_its_last_line(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="a warning\nthe reason\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(InfgenError, match=r"failed to render: the reason$"):
        measure_cold_start(World(), REGION, model=tiny_model, options=OPTIONS)


def peak_of_a_small_process(code: str = "") -> int:
    words = f"{code}\nfrom infgen.bench.memory import peak_resident_bytes\nprint(peak_resident_bytes())"
    return int(subprocess.run([sys.executable, "-c", words], capture_output=True, check=True).stdout)


def test_the_peak_contains_memory_that_was_freed_again():
    assert peak_of_a_small_process(f"held = b'x' * {100 * MIB}\ndel held") > 100 * MIB


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux says how much memory a process itself held"
)
def test_the_peak_of_a_child_does_not_contain_its_parent():
    ballast = b"x" * (200 * MIB)
    assert peak_of_a_small_process() < len(ballast)


def test_the_machine_is_one_line():
    assert "PyTorch" in machine()
    assert "\n" not in machine()
