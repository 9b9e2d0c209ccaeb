import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.geometry import Region
from infgen.rendering import cluster
from infgen.rendering.cluster import ClusterTask, WorkerEnvironment, draw, render_on_cluster
from infgen.rendering.plan import Plan
from infgen.rendering.remote import StudioSpec
from infgen.rendering.render import render_array
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.sinks import pyramid
from infgen.sinks.grid import Box
from infgen.sinks.zarr import store
from infgen.world.world import World
from tests.patience import until

distributed: Any = pytest.importorskip("distributed")
zarr: Any = pytest.importorskip("zarr")

ROOT = Path(__file__).parents[2]
REGION = Region(x=-70, y=-130, w=700, h=300)
OPTIONS = Options(tile_px=133, batch=2, threads=1, device="cpu")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def dask(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dask", *words]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_workers(scheduler: str, count: int) -> None:
    with distributed.Client(scheduler, set_as_default=False, timeout=60) as client:
        client.wait_for_workers(count, timeout=60)


Worker = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a scheduler in its own process; gives its address."""
    file = tmp_path_factory.mktemp("dask") / "scheduler.json"
    process = dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    try:
        until(lambda: file.exists() and file.stat().st_size > 0, alive=[process])
        yield json.loads(file.read_text())["address"]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def start_worker(scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Start another worker process; it is killed at the end at the latest."""
    workers: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        folder = str(tmp_path_factory.mktemp("worker"))
        words = ["--no-nanny", "--nthreads", "2", "--no-dashboard", "--memory-limit", "0", "--local-directory", folder]
        workers.append(dask("worker", scheduler, *words))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


@pytest.fixture(scope="module")
def two_workers(scheduler: str, start_worker: Worker) -> None:
    """Two workers that are connected."""
    start_worker()
    start_worker()
    wait_for_workers(scheduler, 2)


@pytest.fixture(scope="module")
def studio(tiny_model: Path) -> Studio:
    return open_studio(World(seed=3), model=tiny_model, options=OPTIONS)


@pytest.fixture(scope="module")
def plan(studio: Studio) -> Plan:
    return studio.plan(REGION)


@pytest.fixture(scope="module")
def expected_pixels(studio: Studio, plan: Plan) -> Any:
    return render_array(studio.scene, plan)


@pytest.fixture
def render(scheduler: str, studio: Studio, plan: Plan) -> Callable[..., None]:
    """Draw the plan on the cluster."""

    def run(path: Path, **options: Any) -> None:
        values = {"scheduler": scheduler, "provenance": studio.provenance(plan)} | options
        render_on_cluster(values.pop("spec", StudioSpec.of(studio)), plan, str(path), **values)

    return run


def pixels(path: Path) -> Any:
    return store.read_region(str(path), Box(0, 0, REGION.w, REGION.h))


def task(studio: Studio, plan: Plan, path: Path, **changes: Any) -> ClusterTask:
    provenance = json.loads(json.dumps(studio.provenance(plan)))
    whole = ClusterTask(
        StudioSpec.of(studio),
        plan,
        path=str(path),
        environment=WorkerEnvironment.here("cpu"),
        model_hash=studio.model_hash,
        provenance_json=json.dumps(provenance),
        resumed=False,
    )
    return replace(whole, **changes)


def test_a_scheduler_without_workers_is_named(
    render: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "WORKERS_S", 0.5)
    with pytest.raises(InputError, match=r"\A[^\n]*has no workers; start some with: dask worker tcp://[^\n]*\Z"):
        render(tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("two_workers")
def test_two_workers_draw_the_bits_of_one_process_and_the_smaller_copies(
    render: Callable[..., None], tmp_path: Path, expected_pixels: Any, studio: Studio, plan: Plan
) -> None:
    calls: list[tuple[int, int]] = []
    render(tmp_path / "a.zarr", progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(pixels(tmp_path / "a.zarr"), expected_pixels)
    half = zarr.open_group(tmp_path / "a.zarr", mode="r")["1"][:]
    np.testing.assert_array_equal(half, pyramid.halve(expected_pixels.transpose(2, 0, 1)))
    assert store.read_provenance(str(tmp_path / "a.zarr")) == studio.provenance(plan)
    assert calls[-1] == (REGION.pixels, REGION.pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.usefixtures("two_workers")
def test_an_interrupt_keeps_finished_tiles_and_the_others_are_rendered_later(
    render: Callable[..., None], tmp_path: Path, expected_pixels: Any, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cluster, "OUTSTANDING", 2)
        with pytest.raises(KeyboardInterrupt):
            render(tmp_path / "a.zarr", progress=interrupt)
    finished = store.find_unfinished(str(tmp_path / "a.zarr"))
    assert finished is not None
    assert 2 <= finished[0] < finished[1] == plan.tile_count
    render(tmp_path / "a.zarr", start="resume")
    np.testing.assert_array_equal(pixels(tmp_path / "a.zarr"), expected_pixels)


@pytest.mark.usefixtures("two_workers")
def test_a_killed_worker_costs_only_time(
    render: Callable[..., None], tmp_path: Path, expected_pixels: Any, start_worker: Worker, scheduler: str
) -> None:
    victim = start_worker()
    wait_for_workers(scheduler, 3)
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        if not killed:
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)

    render(tmp_path / "a.zarr", progress=kill)
    assert killed
    np.testing.assert_array_equal(pixels(tmp_path / "a.zarr"), expected_pixels)


@pytest.mark.usefixtures("two_workers")
def test_a_worker_with_another_model_is_refused(
    render: Callable[..., None], tmp_path: Path, studio: Studio, plan: Plan
) -> None:
    provenance = studio.provenance(plan) | {"model": {"name": "tiny.safetensors", "sha256": "0" * 64}}
    with pytest.raises(InputError, match=r"\A[^\n]*another model under the name [^\n]*tiny\.safetensors[^\n]*\Z"):
        render(tmp_path / "a.zarr", provenance=provenance)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("two_workers")
def test_workers_of_another_version_are_refused(
    render: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "__version__", "99.0")
    with pytest.raises(InputError, match=r"\Aworker tcp://[^\n]* has infgen [^\n]* infgen 99\.0, [^\n]*is needed"):
        render(tmp_path / "a.zarr")


@pytest.mark.usefixtures("two_workers")
def test_a_batch_that_always_fails_is_named_and_the_rest_is_kept(
    render: Callable[..., None], tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / ".a.zarr.infgen/0/c/0/0"
    create = store.create

    def create_blocked(path: str, *values: Any) -> None:
        create(path, *values)
        blocked.parent.mkdir(parents=True)
        blocked.write_text("a file where a folder of chunks should be")

    monkeypatch.setattr(cluster, "create", create_blocked)
    with pytest.raises(InfgenError, match=r"failed 3 times: batch 0 \(tiles 0 to 1\)"):
        render(tmp_path / "a.zarr")
    batches = [[tile.number for tile in plan.batch_tiles(index)] for index in range(plan.batch_count)]
    untouched = [number for numbers in batches if min(numbers) >= plan.grid.columns for number in numbers]
    assert store.list_tiles(str(tmp_path / "a.zarr"), plan.grid) == untouched


def test_an_unreachable_scheduler_is_one_line(
    render: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with pytest.raises(InputError, match=r"\Ano dask scheduler answers at tcp://127\.0\.0\.1:9[^\n]*\Z"):
        render(tmp_path / "a.zarr", scheduler="tcp://127.0.0.1:9")
    assert list(tmp_path.iterdir()) == []


def test_an_illegal_address_is_refused(render: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tcp://host:8786"):
        render(tmp_path / "a.zarr", scheduler="somewhere")


def test_without_dask_the_extra_is_named(
    render: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'infgen\[cluster\]'"):
        render(tmp_path / "a.zarr")


def test_a_worker_renders_only_missing_tiles(studio: Studio, plan: Plan, tmp_path: Path) -> None:
    store.create(str(tmp_path / "a.zarr"), plan.grid, studio.provenance(plan), "new")
    job = task(studio, plan, tmp_path / "a.zarr")
    numbers = [tile.number for tile in plan.batch_tiles(1)]
    assert draw(job, 1) == numbers
    assert draw(replace(job, resumed=True), 1) == []


def test_a_worker_draws_a_damaged_tile_again(studio: Studio, plan: Plan, tmp_path: Path) -> None:
    store.create(str(tmp_path / "a.zarr"), plan.grid, studio.provenance(plan), "new")
    job = task(studio, plan, tmp_path / "a.zarr", resumed=True)
    draw(job, 0)
    (tmp_path / ".a.zarr.infgen/0/c/0/0/0").write_bytes(b"damaged")
    assert draw(job, 0) == [0, 1]
    assert store.is_done(str(tmp_path / "a.zarr"), plan.grid, 0)


def test_a_worker_that_is_late_does_not_write_into_another_picture(studio: Studio, plan: Plan, tmp_path: Path) -> None:
    store.create(str(tmp_path / "a.zarr"), plan.grid, {**studio.provenance(plan), "batch": 3}, "new")
    with pytest.raises(InputError, match="no longer the picture"):
        draw(task(studio, plan, tmp_path / "a.zarr"), 0)
    assert store.list_tiles(str(tmp_path / "a.zarr"), plan.grid) == []


def test_importing_the_module_loads_no_dask() -> None:
    code = "import sys, infgen.rendering.cluster; raise SystemExit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=False).returncode == 0
