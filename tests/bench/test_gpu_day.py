"""The script for a lent GPU: every step in small on the CPU, its time limits, and what a second run repeats."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu_day import FAILED, NOT_RUN, PASSED, STEPS, TIMED_OUT, Day, Result, Step
from benchmarks.gpu_steps import layer_times, save_photos
from infgen.model.config import preset

COUNT = ("-c", "open('{out}/count', 'a').write('x')")
EXTRAS = {"ONNX Runtime": "onnxruntime", "training step": "efficientnet_lite_pytorch", "two processes": "accelerate"}


def run(out: Path, *steps: Step, seconds: float = 100.0, rehearse: bool = True) -> dict[str, Result]:
    day = Day(out, rehearse=rehearse, photos=None)
    day.run(steps, seconds=seconds, report=lambda result: None)
    return day.results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gpu-day")
    save_photos(out / "photos")
    return out


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_every_step_passes_in_small_on_the_cpu(step: Step, folder: Path) -> None:
    if step.name in EXTRAS:
        pytest.importorskip(EXTRAS[step.name])
    result = run(folder, replace(step, limit_s=300), seconds=300.0)[step.name]
    assert result.status == PASSED, result.tail


def test_a_step_beyond_its_limit_is_ended(tmp_path: Path) -> None:
    slow = Step("slow", 1, (), ("-c", "import time; time.sleep(60)"))
    assert run(tmp_path, slow)["slow"].status == TIMED_OUT


def test_the_result_of_a_step_is_written_before_the_next_one_runs(tmp_path: Path) -> None:
    first = Step("first", 60, (), ("-c", "print('seen')"))
    second = Step("second", 60, (), ("-c", "print(open('{out}/results.json').read())"))
    assert json.loads(run(tmp_path, first, second)["second"].tail)["first"]["tail"] == "seen\n"


def test_a_second_run_repeats_only_what_did_not_pass(tmp_path: Path) -> None:
    passes = Step("passes", 60, (), COUNT)
    fails = Step("fails", 60, (), (COUNT[0], COUNT[1] + "; raise SystemExit(3)"))
    for _ in range(2):
        assert run(tmp_path, passes, fails)["fails"].status == FAILED
    assert (tmp_path / "count").read_text() == "xxx"


def test_steps_after_the_end_are_not_run(tmp_path: Path) -> None:
    assert run(tmp_path, Step("late", 60, (), COUNT), seconds=0.0)["late"].status == NOT_RUN


def test_the_long_training_needs_photographs(tmp_path: Path) -> None:
    step = replace(STEPS[-1], command=COUNT)
    result = run(tmp_path, step, rehearse=False)[step.name]
    assert (result.status, result.tail) == (NOT_RUN, "needs --photos")


def test_the_paper_model_counts_what_a_layer_reads_and_writes() -> None:
    times = {t.name: t for t in layer_times(preset("scenery-small"), side=1024, tflops=1.0, tb_per_s=1.0)}
    assert times["texture.11"].flops == pytest.approx(2 * 24 * 24 * 9 * 1024**2, rel=0.2)
    assert times["texture.11"].bytes_moved == pytest.approx(4 * 24 * 2 * 1024**2, rel=0.2)
    assert times["texture.11"].seconds == max(times["texture.11"].flops, times["texture.11"].bytes_moved) / 1e12
