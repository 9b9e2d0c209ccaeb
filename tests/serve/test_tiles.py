"""Tiles over HTTP: pixels, levels and caching."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.serve.tiles import queue
from infgen.serve.tiles.artist import TileArtist, mean_of_blocks
from infgen.world.world import World
from tests.serve.client import Client, tile_path

TILE = 256
FAR = 2**40 // TILE


def pixels_of(content: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(content)))


def world_pixels(client: Client, region: Region, **world: Any) -> Pixels:
    return client.canvas.studio.with_world(World.create(**world)).array(region)


def close(found: Pixels, expected: Pixels) -> bool:
    """Tolerance of the engines' contract: 1 of 255 in one value of a thousand."""
    difference = np.abs(found.astype(int) - expected)
    return bool(difference.max() <= 1 and (difference == 0).mean() >= 0.999)


@pytest.fixture(scope="module")
def record(client: Client) -> dict[str, Any]:
    return client.new_world(seed=7)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (-3, -1), (FAR - 1, -FAR), (2**31 // TILE, 5)])
def test_a_tile_has_the_pixels_of_its_region(client: Client, record: dict[str, Any], x: int, y: int) -> None:
    expected = world_pixels(client, Region(x * TILE, y * TILE, TILE, TILE), seed=7)
    assert close(pixels_of(client.tile(record, 0, x, y).content), expected)


def test_webp_shows_the_same_tile(client: Client, record: dict[str, Any]) -> None:
    sharp, other = (pixels_of(client.tile(record, -2, x, 0).content).astype(int) for x in (0, 1))
    soft = pixels_of(client.tile(record, -2, 0, 0, "webp").content)
    # The tiny model renders coloured noise; WebP drops part of it.
    assert np.abs(sharp - soft).mean() < np.abs(other - soft).mean() / 2


def test_neighbours_asked_together_are_drawn_together_and_agree_with_single_ones(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "GATHER_SECONDS", 1.0)  # a slow machine must not separate the requests
    record = client.new_world(seed=8)
    calls = int(metric(client, "infgen_draw_seconds_count"))
    places = [(0, 0), (1, 0), (0, 1), (1, 1)]
    answers = client.together([tile_path(record, 0, x, y) for x, y in places])
    assert metric(client, "infgen_draw_seconds_count") - calls == 1
    for (x, y), answer in zip(places, answers, strict=True):
        expected = world_pixels(client, Region(x * TILE, y * TILE, TILE, TILE), seed=8)
        assert close(pixels_of(answer.content), expected)


def test_means_are_rounded_to_the_nearest() -> None:
    pixels = np.array([[0, 1], [1, 0], [255, 255], [255, 254]], np.uint8)[:, :, None].repeat(3, 2)
    assert mean_of_blocks(pixels, 2)[:, 0, 0].tolist() == [1, 255]


def test_asked_again_a_tile_comes_from_memory(client: Client, record: dict[str, Any]) -> None:
    first = client.tile(record, 0, 40, 0)
    kept = metric(client, 'infgen_tiles_total{source="memory"}')
    assert client.tile(record, 0, 40, 0).content == first.content
    assert metric(client, 'infgen_tiles_total{source="memory"}') == kept + 1


def test_asked_by_many_at_once_a_tile_is_drawn_once(client: Client, record: dict[str, Any]) -> None:
    calls = metric(client, "infgen_draw_seconds_count")
    answers = client.together([tile_path(record, 0, 50, 0)] * 8)
    assert len({answer.content for answer in answers}) == 1
    assert metric(client, "infgen_draw_seconds_count") == calls + 1


def test_a_client_that_has_the_tile_gets_status_304_without_rendering(client: Client, record: dict[str, Any]) -> None:
    tag = client.tile(record, 0, 0, 0).headers["ETag"]
    answer = client.get(tile_path(record, 0, 0, 0), headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")


def test_tiles_may_be_kept_for_ever(client: Client, record: dict[str, Any]) -> None:
    assert "immutable" in client.tile(record, 0, 0, 0).headers["Cache-Control"]


def test_after_undo_the_same_tiles_come_again(client: Client) -> None:
    record = client.new_world(seed=21)
    before = client.tile(record, 0, 0, 0).content
    body = {"x": 0, "y": 0, "w": 128, "h": 128, "seed": 5}
    headers = {"If-Match": f'"{record["revision"]}"'}
    edited = client.post(f"/worlds/{record['id']}/resample", json=body, headers=headers).json()
    assert client.tile(edited, 0, 0, 0).content != before
    headers = {"If-Match": f'"{edited["revision"]}"'}
    undone = client.post(f"/worlds/{record['id']}/undo", headers=headers).json()
    assert client.tile(undone, 0, 0, 0).content == before


@pytest.mark.parametrize("address", [(1, 0, 0), (-3, 0, 0), (0, FAR, 0), (0, 0, -FAR - 1), (-2, FAR // 4, 0)])
def test_a_tile_beyond_levels_or_canvas_is_not_found(
    client: Client, record: dict[str, Any], address: tuple[int, int, int]
) -> None:
    assert client.tile(record, *address).status_code == 404


def test_an_unknown_revision_is_not_found(client: Client, record: dict[str, Any]) -> None:
    answer = client.tile({**record, "revision": "0" * 20}, 0, 0, 0)
    assert (answer.status_code, "no revision" in answer.json()["error"]) == (404, True)


def test_styles_have_pictures_of_the_size_asked_for(client: Client) -> None:
    shown = [pixels_of(client.get(f"/styles/{seed}.webp?size=32").content) for seed in (1, -2)]
    assert [picture.shape for picture in shown] == [(32, 32, 3)] * 2
    assert not np.array_equal(*shown)


def test_a_world_that_its_tiles_cannot_show_fails_in_one_line(
    client: Client, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr(TileArtist, "draw", fail)
    answer = client.tile(record, 0, 99, 99)
    assert (answer.status_code, "secret" in answer.text, list(answer.json())) == (500, False, ["error"])


def metric(client: Client, name: str) -> float:
    lines = client.get("//metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + " ")), 0.0)


def stroked(*strokes: dict[str, Any]) -> dict[str, Any]:
    styles = [{"name": "a", "seed": 1}, {"name": "b", "seed": 2}]
    return {"seed": 11, "layout": {"styles": styles, "transition": 1, "strokes": list(strokes)}}


def test_a_stroke_or_an_edit_draws_only_the_tiles_that_it_reaches(client: Client) -> None:
    stroke = {"points": "100 100 200 160", "radius": 40, "style": "b"}
    record = client.new_world(**stroked(stroke))
    far, near = (client.tile(record, 0, x, 0).headers["etag"] for x in (20, 0))
    changes = [
        stroked(stroke, {"points": "150 100", "radius": 30}),
        stroked(stroke) | {"edits": [{"x": 64, "y": 64, "w": 64, "h": 64, "seed": 3}]},
    ]
    for world in changes:
        changed = client.new_world(**world)
        assert client.tile(changed, 0, 20, 0).headers["etag"] == far
        assert client.tile(changed, 0, 0, 0).headers["etag"] != near
        expected = world_pixels(client, Region(0, 0, TILE, TILE), **world)
        assert close(pixels_of(client.tile(changed, 0, 0, 0).content), expected)
