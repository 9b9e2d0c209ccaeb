"""Seconds for one image against batch and devices."""

from pathlib import Path

import pytest

from infgen.bench import batches
from infgen.bench.batches import ONE_PIECE, PADDED, TILES, TOO_LARGE, BatchRequest, measure_batches
from infgen.errors import InputError
from infgen.limits import TILE_MEMORY_MB
from infgen.model.config import preset
from infgen.rendering.cost import tile_flops


def rows(model: Path, **options: object) -> list[batches.BatchRow]:
    request = BatchRequest(**{"model": model, "side": 150, "batches": (1, 2), "repeats": 1, **options})  # type: ignore[arg-type]
    return measure_batches(request)


def test_there_is_a_row_for_every_batch_and_both_baselines(tiny_model: Path) -> None:
    found = [(row.kind, row.batch, row.tiles) for row in rows(tiny_model)]
    assert found == [(TILES, 1, 4), (TILES, 2, 4), (ONE_PIECE, 1, 1), (PADDED, 1, 1)]


def test_a_batch_with_more_places_than_tiles_is_measured_with_all_tiles_once(tiny_model: Path) -> None:
    found = rows(tiny_model, batches=(3, 4, 64))
    assert [row.batch for row in found if row.kind == TILES] == [3, 4]


def test_operations_are_those_of_all_places_of_the_batches(tiny_model: Path) -> None:
    row = rows(tiny_model, batches=(3,))[0]
    assert row.flops == 6 * tile_flops(preset("tiny"), (11, 11))


def test_several_devices_share_the_batches(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(batches, "render_batch", lambda scene, plan, index: drawn.append(index))
    found = rows(tiny_model, batches=(1,), devices=("cpu", "cpu:0"))
    assert [row.devices for row in found if row.kind == TILES] == [1, 2]
    assert sorted(drawn[5:11]) == [0, 0, 0, 1, 2, 3]  # the first batch warms up each device


def test_all_devices_are_measured_and_powers_of_two_before() -> None:
    counts = BatchRequest(Path("a"), devices=tuple(f"cuda:{i}" for i in range(6))).device_counts
    assert counts == [1, 2, 4, 6]


def test_configurations_that_need_too_much_memory_are_not_measured(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TILE_MEMORY_MB.name, "2")
    found = {(row.kind, row.batch): (row.seconds is None, row.reason) for row in rows(tiny_model, batches=(1, 4))}
    assert found[TILES, 1] == (False, "")
    assert found[TILES, 4] == (True, TOO_LARGE)


def test_a_device_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="name one device twice"):
        BatchRequest(Path("a"), devices=("cpu", "cpu"))
