"""Measure everything that needs a GPU, for a card that is lent for minutes: one step after the other, most valuable first.

    python -m benchmarks.gpu_day --out out/gpu                     # ten minutes
    python -m benchmarks.gpu_day --out out/gpu --photos photos/    # also trains from the shipped model
    python -m benchmarks.gpu_day --out out/gpu --rehearse          # the same steps, small, on the CPU

Each step is a process with its own time limit. Its output goes to a file, and its result is written at once. A second run
with the same folder repeats only the steps that did not pass.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from rich.table import Table

from benchmarks.gpu_steps import save_photos
from benchmarks.render import console
from infgen.atomic import write_atomically
from infgen.model.checkpoint import SHIPPED

TAIL_CHARACTERS = 6000  # of a step's output that its result keeps
PASSED, FAILED, TIMED_OUT, NOT_RUN = "passed", "failed", "timed out", "not run"

Words = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One measurement. ``command`` and ``rehearsal``: arguments of Python, on a GPU and for the small run on the CPU.

    ``{photos}`` and ``{out}`` in them are replaced. ``needs``: "photos" or "2 GPUs", if the step needs them.
    """

    name: str
    limit_s: int
    command: Words
    rehearsal: Words
    needs: str = ""


@dataclass(frozen=True)
class Result:
    """What a step gave. ``tail``: the end of its output."""

    name: str
    status: str
    seconds: float
    limit_s: float
    command: str
    tail: str


def _words(text: str) -> Words:
    return tuple(text.split())


_STEP = "-m benchmarks.gpu_steps"
_TRAIN = "-m infgen train {photos} --quiet --checkpoint-every 100000 --sample-every 100000"
_PAIR = f"-m torch.distributed.run --standalone --nproc-per-node 2 {_TRAIN}"

STEPS = (
    Step("environment", 60, _words(f"{_STEP} environment --device cuda"), _words(f"{_STEP} environment --device cpu")),
    Step("paper model", 30, _words(f"{_STEP} paper"), _words(f"{_STEP} paper --side 1024")),
    Step(
        "tests",
        150,
        _words("-m pytest -m gpu -q -rfE --durations 5 tests"),
        _words("-m pytest -m gpu -q --collect-only tests/train/test_gpu.py"),
    ),
    Step(
        "precisions",
        40,
        _words(f"{_STEP} precisions --device cuda"),
        _words(f"{_STEP} precisions --device cpu --preset tiny --tile 101 --rounds 1"),
    ),
    Step("kernels", 60, _words("-m benchmarks.epilogues --rounds 10"), _words("-m benchmarks.epilogues --help")),
    Step(
        "render",
        80,
        _words(
            "-m infgen bench render --side 8192 --style-counts 1,4 --repeats 1 --device cuda --write png --no-memory "
            "-o {out}/render.json"
        ),
        _words(
            "-m infgen bench render --random-weights tiny --side 96 --tile 101 --style-counts 1,4 --precisions fp32 --repeats 1 "
            "--device cpu --no-memory -o {out}/render.json"
        ),
    ),
    Step(
        "ONNX Runtime",
        60,
        _words("-m benchmarks.engines --tiles 485,997 --batches 1,4 --precision fp16"),
        _words("-m benchmarks.engines --preset tiny --tiles 101 --batches 1 --threads 1 --seconds 0"),
    ),
    Step(
        "TensorRT",
        120,
        _words("-m benchmarks.tensorrt --tiles 485 --precisions fp16 --styles 1,4"),
        _words("-m benchmarks.tensorrt --help"),
    ),
    Step(
        "training step",
        90,
        _words(f"{_STEP} training --device cuda"),
        _words(f"{_STEP} training --device cpu --preset tiny-scales --steps 2 --precision fp32"),
    ),
    Step(
        "two processes",
        60,
        _words(f"{_PAIR} --preset scenery-small --micro-batch 8 --precision bf16 --steps 40 --output {{out}}/two"),
        _words(
            f"{_PAIR} --preset tiny --batch 4 --micro-batch 2 --steps 1 --device cpu --threads 1 --output {{out}}/two"
        ),
        needs="2 GPUs",
    ),
    Step(
        "long training",
        600,
        _words(f"{_TRAIN} --preset scenery-small --precision bf16 --hours 0.15 --init {{model}} --output {{out}}/run"),
        _words(f"{_TRAIN} --preset tiny --batch 4 --steps 1 --device cpu --threads 1 --output {{out}}/run"),
        needs="photos",
    ),
)


class Day:
    """The results of one folder, and the steps that are still to run."""

    def __init__(self, out: Path, *, rehearse: bool, photos: Path | None) -> None:
        self.out, self.rehearse, self.photos = out, rehearse, photos
        self._file = out / "results.json"
        self.results: dict[str, Result] = self._read()

    def _read(self) -> dict[str, Result]:
        if not self._file.is_file():
            return {}
        return {name: Result(**values) for name, values in json.loads(self._file.read_text()).items()}

    def _record(self, result: Result) -> None:
        self.results[result.name] = result
        with write_atomically(self._file) as temporary:
            temporary.write_text(json.dumps({name: asdict(r) for name, r in self.results.items()}, indent=2) + "\n")

    def run(self, steps: Sequence[Step], *, seconds: float, report: Callable[[Result], None]) -> bool:
        """Run the steps that have not passed, for at most ``seconds``. Returns whether none failed."""
        self.out.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + seconds
        for step in steps:
            done = self.results.get(step.name)
            if done is None or done.status != PASSED:
                self._record(self._run(step, end - time.monotonic()))
            report(self.results[step.name])
        return all(self.results[step.name].status in (PASSED, NOT_RUN) for step in steps)

    def _run(self, step: Step, seconds_left: float) -> Result:
        values = {"out": str(self.out), "photos": str(self.photos or self.out / "photos"), "model": str(SHIPPED)}
        words = [word.format_map(values) for word in (step.rehearsal if self.rehearse else step.command)]
        command, limit = " ".join(["python", *words]), min(step.limit_s, seconds_left)
        reason = self._reason_against(step) or ("the time is over" if seconds_left < 1 else "")
        if reason:
            return Result(step.name, NOT_RUN, 0.0, step.limit_s, command, reason)
        log = self.out / f"{step.name.replace(' ', '-')}.log"
        start = time.monotonic()
        status = run_limited([sys.executable, *words], log, limit_s=limit)
        tail = log.read_text(errors="replace")[-TAIL_CHARACTERS:]
        return Result(step.name, status, round(time.monotonic() - start, 1), limit, command, tail)

    def _reason_against(self, step: Step) -> str:
        if self.rehearse:
            return ""
        if step.needs == "2 GPUs" and torch.cuda.device_count() < 2:
            return "needs two GPUs"
        return "needs --photos" if step.needs == "photos" and self.photos is None else ""


def run_limited(command: Sequence[str], log: Path, *, limit_s: float) -> str:
    """Run ``command`` with its output in ``log``, and end it and its children after ``limit_s``. Returns the status."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return PASSED if process.wait(timeout=limit_s) == 0 else FAILED
        except subprocess.TimeoutExpired:
            return TIMED_OUT
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def results_table(results: Mapping[str, Result], steps: Sequence[Step]) -> Table:
    """One line per step; steps without a result are not run."""
    table = Table("step", "result", "seconds", "limit, s")
    for step in steps:
        result = results.get(step.name)
        if result is None:
            table.add_row(step.name, NOT_RUN, "", str(step.limit_s))
        else:
            table.add_row(step.name, result.status, f"{result.seconds:.0f}", f"{result.limit_s:.0f}")
    return table


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the results.")
@click.option("--photos", type=click.Path(path_type=Path, exists=True), help="Photographs, for the long training.")
@click.option("--minutes", default=10.0, show_default=True, help="Length of the whole run.")
@click.option("--step", "names", multiple=True, type=click.Choice([s.name for s in STEPS]), help="Run only these.")
@click.option("--rehearse", is_flag=True, help="Run every step on the CPU with the smallest inputs.")
def main(out: Path, photos: Path | None, minutes: float, names: tuple[str, ...], rehearse: bool) -> None:
    """Measure; see the module's docstring."""
    if not rehearse and not torch.cuda.is_available():
        raise click.ClickException("PyTorch finds no GPU here; --rehearse runs the same steps on the CPU")
    steps = [step for step in STEPS if not names or step.name in names]
    day = Day(out, rehearse=rehearse, photos=photos)
    if photos is None:
        save_photos(out / "photos")
    ok = day.run(steps, seconds=60 * minutes, report=lambda r: console.print(f"{r.name}: {r.status}, {r.seconds} s"))
    console.print(results_table(day.results, steps))
    console.print(f"Send back the folder {out}.")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
