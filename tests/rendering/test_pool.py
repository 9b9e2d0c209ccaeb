import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infgen.errors import InfgenError, InputError
from infgen.geometry import Region
from infgen.rendering.plan import Plan
from infgen.rendering.pool import _Pool, render_with_pool
from infgen.rendering.remote import StudioSpec
from infgen.rendering.render import render_array
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.world import World
from tests.export.files import scaled_file, scaled_model
from tests.model.scaled import network
from tests.rendering import pool_lives
from tests.rendering.test_fused_seams import four_styles

OPTIONS = Options(tile_px=133, batch=2, threads=1, device="cpu")


class ListSink:
    """Keeps tiles in memory."""

    def __init__(self, done: frozenset[int] = frozenset()) -> None:
        self.done = done
        self.tiles: dict[int, Any] = {}

    def write_tile(self, number: int, tile: Any) -> None:
        assert number not in self.tiles
        self.tiles[number] = tile

    def picture(self, plan: Plan) -> Any:
        whole = np.zeros((plan.region.h, plan.region.w, 3), np.uint8)
        for number, tile in self.tiles.items():
            box = plan.grid.box(number)
            whole[box.y : box.y + box.h, box.x : box.x + box.w] = tile
        return whole


def run(life: Any, *, spec: str = "", devices: int = 2, done: frozenset[int] = frozenset()) -> ListSink:
    """Nine batches drawn by processes with the given life."""
    sink = ListSink(done)
    pool = _Pool(spec, pool_lives.Plan(), sink, lambda done, total: None, life)  # type: ignore[arg-type]
    try:
        pool.run(["cpu"] * devices)
    except InfgenError as error:
        error.sink = sink  # type: ignore[attr-defined]
        raise
    return sink


@pytest.fixture(scope="module")
def studio(tiny_model: Path) -> Studio:
    return open_studio(World(seed=3), model=tiny_model, options=OPTIONS)


@pytest.fixture(scope="module")
def plan(studio: Studio) -> Plan:
    plan = studio.plan(Region(x=-70, y=-130, w=460, h=300))
    assert plan.batch_count >= 6
    assert plan.tile_count % plan.batch == 0 or plan.batch == 2
    return plan


@pytest.fixture(scope="module")
def expected_pixels(studio: Studio, plan: Plan) -> Any:
    return render_array(studio.scene, plan)


def test_a_spec_opens_the_same_studio(studio: Studio, plan: Plan) -> None:
    assert StudioSpec.of(studio).open().provenance(plan) == studio.provenance(plan)


@pytest.mark.parametrize("engine_file", [None, "1/4"], ids=["eager", "onnx"])
def test_a_spec_of_a_scale_draws_the_same_bits_in_another_process(engine_file: str | None) -> None:
    file = None if engine_file is None else str(scaled_file(engine_file))
    options = Options(threads=1, device="cpu", halvings=2, engine_file=file)
    world = World.create(seed=3, layout=four_styles((-500, -480)))
    studio = open_studio(world, model=scaled_model(), options=options)
    plan = studio.plan(Region(-20, -30, 120, 90))
    spec = pickle.loads(pickle.dumps(StudioSpec.of(studio)))
    opened = spec.open(device="cpu")
    assert opened.provenance(plan) == studio.provenance(plan)
    assert opened.generator.config == network("1/4").config
    assert np.array_equal(render_array(opened.scene, plan), render_array(studio.scene, plan))


def test_two_processes_draw_the_bits_of_one_although_one_is_killed(
    studio: Studio, plan: Plan, expected_pixels: Any
) -> None:
    sink, killed = ListSink(), list[int]()

    def kill_one(done: int, total: int) -> None:
        if done and not killed:
            victim = multiprocessing.active_children()[0].pid
            assert victim is not None
            killed.append(victim)
            os.kill(victim, signal.SIGKILL)

    render_with_pool(StudioSpec.of(studio), plan, sink, devices=["cpu", "cpu"], progress=kill_one)  # type: ignore[arg-type]
    assert killed
    np.testing.assert_array_equal(sink.picture(plan), expected_pixels)


def test_a_missing_model_is_refused_in_one_line(studio: Studio, plan: Plan, tmp_path: Path) -> None:
    spec = StudioSpec(World().to_json(), str(tmp_path / "none.safetensors"), options=OPTIONS)
    with pytest.raises(InputError, match=r"\A[^\n]*none\.safetensors[^\n]*\Z"):
        render_with_pool(spec, plan, ListSink(), devices=["cpu"])  # type: ignore[arg-type]


def test_every_batch_is_drawn_once() -> None:
    assert sorted(run(pool_lives.healthy).tiles) == list(range(9))


def test_tiles_arrive_under_their_numbers() -> None:
    assert {number: int(tile[0, 0, 0]) for number, tile in run(pool_lives.healthy).tiles.items()} == {
        number: number for number in range(9)
    }


def test_batches_that_are_done_are_not_drawn_again() -> None:
    assert sorted(run(pool_lives.healthy, done=frozenset({0, 5})).tiles) == [1, 2, 3, 4, 6, 7, 8]


def test_no_process_is_started_when_all_is_done() -> None:
    assert run(pool_lives.stillborn, done=frozenset(range(9))).tiles == {}


def test_progress_counts_pixels_to_the_end() -> None:
    calls: list[tuple[int, int]] = []
    pool = _Pool("", pool_lives.Plan(), ListSink(frozenset({8})), lambda *c: calls.append(c), pool_lives.healthy)  # type: ignore[arg-type]
    pool.run(["cpu"])
    assert [done for done, _ in calls] == [4 * n for n in range(1, 10)]
    assert calls[-1] == (36, 36)


def test_a_batch_whose_process_dies_is_drawn_by_another(tmp_path: Path) -> None:
    assert sorted(run(pool_lives.dying_once, spec=str(tmp_path / "died")).tiles) == list(range(9))


@pytest.mark.parametrize(
    ("life", "reason"), [(pool_lives.failing, "out of memory"), (pool_lives.dying, "ended with code -9")]
)
def test_a_batch_that_fails_three_times_is_named_and_the_rest_goes_on(life: Any, reason: str) -> None:
    with pytest.raises(InfgenError, match=rf"\A1 of 9 batches[^\n]*batch 4 \(tile 4\)[^\n]*{reason}[^\n]*\Z") as caught:
        run(life)
    assert sorted(caught.value.sink.tiles) == [0, 1, 2, 3, 5, 6, 7, 8]  # type: ignore[attr-defined]


def test_processes_that_never_draw_anything_end_the_work() -> None:
    with pytest.raises(InfgenError, match="ended with code 7, 9 times without drawing anything"):
        run(pool_lives.stillborn)


def test_a_device_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match="device 'cpu' cannot be used here"):
        run(pool_lives.unusable)


def test_no_device_is_refused(studio: Studio, plan: Plan) -> None:
    with pytest.raises(InputError, match="no device"):
        render_with_pool(StudioSpec.of(studio), plan, ListSink(), devices=[])  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [KeyboardInterrupt, InfgenError])
def test_an_interrupt_or_a_full_disk_ends_all_processes_at_once(error: type[BaseException]) -> None:
    def fail(done: int, total: int) -> None:
        if done:
            raise error

    before = time.monotonic()
    pool = _Pool("", pool_lives.Plan(), ListSink(), fail, pool_lives.healthy)  # type: ignore[arg-type]
    with pytest.raises(error):
        pool.run(["cpu", "cpu"])
    assert multiprocessing.active_children() == []
    assert time.monotonic() - before < 45


def test_an_interrupt_does_not_wait_for_a_process_that_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(connections: object) -> list[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr("infgen.rendering.pool.wait", interrupt)
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(pool_lives.slow)
    assert multiprocessing.active_children() == []
    assert time.monotonic() - before < 45  # a slow life lasts for 60
