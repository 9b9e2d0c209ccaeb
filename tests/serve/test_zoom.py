"""Zoomed-out tiles: rendered at scales of the model, averaged at all other levels."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infgen.engines import EagerEngine
from infgen.errors import InputError
from infgen.geometry import Region
from infgen.model.config import preset
from infgen.pixels import Pixels
from infgen.rendering.studio import Options, open_studio
from infgen.serve import create_app
from infgen.serve.tiles.artist import Address, TileArtist, mean_of_blocks
from infgen.serve.tiles.zoom import zoom_levels
from infgen.world.world import World
from tests.model.networks import random_generator
from tests.serve.client import Client, client_of
from tests.serve.test_tiles import close, pixels_of, world_pixels

TILE = 256
SCALES = [-1, -2, -3]  # zoom levels of the coarser pictures
MEETING = {
    "schema": 1,
    "styles": [{"name": "a", "seed": 1}, {"name": "b", "seed": 2}],
    "centres": [{"style": "a", "x": -100, "y": 0}, {"style": "b", "x": 1100, "y": 0}],
    "transition": 129,
}
EDIT = {"x": 200, "y": 100, "w": 300, "h": 200, "fields": ["local", "noise"], "seed": 11}
WORLDS: dict[str, dict[str, Any]] = {
    "one style": {"seed": 7},
    "two styles": {"seed": 7, "layout": MEETING},
    "an edit": {"seed": 7, "edits": [EDIT]},
    "a circle": {"seed": 7, "period": 4096, "layout": MEETING},
}


def render_tile(model: Path, z: int, x: int, y: int, *, tiles: tuple[int, int] = (1, 1), **world: Any) -> Pixels:
    """Render the area of ``tiles`` (columns, rows) from (``x``, ``y``) of level ``z`` with ``infgen render --scale``."""
    side = TILE << -z
    scale = "1" if z == 0 else f"1/{1 << -z}"
    window = x * side, y * side, tiles[0] * side, tiles[1] * side
    return World.create(**world).render(*window, model=model, scale=scale)


def tile(client: Client, record: dict[str, Any], z: int, x: int, y: int) -> Pixels:
    return pixels_of(client.tile(record, z, x, y).content)


@pytest.mark.parametrize("z", [0, *SCALES])
@pytest.mark.parametrize("name", WORLDS)
def test_a_tile_is_the_picture_that_render_draws_at_that_scale(
    scaled_client: Client, scaled_model: Path, name: str, z: int
) -> None:
    record = scaled_client.new_world(**WORLDS[name])
    found = tile(scaled_client, record, z, 0, -1)
    np.testing.assert_array_equal(found, render_tile(scaled_model, z, 0, -1, **WORLDS[name]))


@pytest.mark.parametrize("z", SCALES)
def test_neighbours_join(scaled_client: Client, scaled_model: Path, z: int) -> None:
    record = scaled_client.new_world(seed=9)
    joined = np.concatenate([tile(scaled_client, record, z, x, 0) for x in (1, 2)], 1)
    assert close(joined, render_tile(scaled_model, z, 1, 0, tiles=(2, 1), seed=9))


@pytest.mark.parametrize("z", [0, -1])
def test_four_neighbours_are_parts_of_one_picture(scaled_client: Client, scaled_model: Path, z: int) -> None:
    artist = scaled_client.canvas.painter.artist
    drawn = artist.draw(artist.scene(World.create(seed=8), z), [Address(z, 0, 0), Address(z, 1, 1)])
    rows = [np.concatenate([drawn[Address(z, x, y)] for x in (0, 1)], 1) for y in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(rows), render_tile(scaled_model, z, 0, 0, tiles=(2, 2), seed=8))


@pytest.mark.parametrize("z", SCALES)
def test_where_styles_meet_both_are_seen(scaled_client: Client, z: int) -> None:
    both = tile(scaled_client, scaled_client.new_world(**WORLDS["two styles"]), z, 0, 0)
    alone = [tile(scaled_client, scaled_client.new_world(seed=7, style={"seed": seed}), z, 0, 0) for seed in (1, 2)]
    meeting = 500 >> -z  # column half-way between the centres
    left, right = np.s_[:, : max(1, meeting // 4)], np.s_[:, min(2 * meeting, TILE - 4) :]
    assert difference(both[left], alone[0][left]) < difference(both[left], alone[1][left])
    assert difference(both[right], alone[1][right]) < difference(both[right], alone[0][right])


def difference(first: Pixels, second: Pixels) -> float:
    return float(np.abs(first.astype(int) - second).mean())


@pytest.mark.parametrize("z", SCALES)
def test_an_edit_changes_the_tile_that_shows_it_and_no_far_one(scaled_client: Client, z: int) -> None:
    before, after = (scaled_client.new_world(**WORLDS[name]) for name in ("one style", "an edit"))
    assert difference(tile(scaled_client, before, z, 0, 0), tile(scaled_client, after, z, 0, 0)) > 0
    np.testing.assert_array_equal(tile(scaled_client, before, z, 8, 0), tile(scaled_client, after, z, 8, 0))


@pytest.mark.parametrize("z", SCALES)
def test_a_cyclic_world_repeats(scaled_client: Client, z: int) -> None:
    record = scaled_client.new_world(**WORLDS["a circle"])
    turn = 4096 // (TILE << -z)
    np.testing.assert_array_equal(tile(scaled_client, record, z, -1, 0), tile(scaled_client, record, z, turn - 1, 0))


def test_beyond_the_coarsest_scale_a_tile_is_the_mean_of_four(scaled_client: Client) -> None:
    record = scaled_client.new_world(seed=10)
    quarters = {(x, y): mean_of_blocks(tile(scaled_client, record, -3, x, y), 2) for y in (0, 1) for x in (-2, -1)}
    rows = [np.concatenate([quarters[x, y] for x in (-2, -1)], 1) for y in (0, 1)]
    np.testing.assert_array_equal(tile(scaled_client, record, -4, -1, 0), np.concatenate(rows))


def test_the_page_reads_which_levels_are_rendered_by_the_model(scaled_client: Client) -> None:
    assert scaled_client.get("/info").json()["zoom"] == {"min": -4, "max": 0, "first": 0, "pictures": [0, -1, -2, -3]}


def test_a_coarser_picture_costs_less_than_the_full_size_of_its_place(scaled_client: Client) -> None:
    artist = scaled_client.canvas.painter.artist
    costs = [artist.cost(z) for z in range(0, -5, -1)]
    assert costs[0] == 1
    assert all(cost < 4**k for k, cost in enumerate(costs[1:], start=1))
    assert costs[4] == 4 * costs[3]


@pytest.mark.parametrize(("size", "scale"), [(98, "1/8"), (197, "1/4")])
def test_a_style_shows_a_whole_view_at_the_coarsest_scale_that_suffices(
    scaled_client: Client, scaled_model: Path, size: int, scale: str
) -> None:
    factor = int(scale[2:])
    corner, side = -(size // 2) * factor, size * factor
    expected = World().replace(style_seed=3).render(corner, corner, side, side, model=scaled_model, scale=scale)
    np.testing.assert_array_equal(scaled_client.canvas.painter.artist.style_picture(3, size), expected)


def test_a_style_of_a_whole_view_costs_less_than_a_tile(scaled_client: Client) -> None:
    assert scaled_client.canvas.painter.artist.style_cost(96) < 1


def test_a_style_of_a_model_of_one_scale_is_a_window_of_full_size(client: Client) -> None:
    picture = client.canvas.painter.artist.style_picture(3, TILE)
    expected = world_pixels(client, Region(-128, -128, TILE, TILE), style={"seed": 3})
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("z", [-1, -2])
def test_with_one_scale_zoomed_out_tiles_are_full_size_averaged(client: Client, z: int) -> None:
    side = TILE << -z
    expected = mean_of_blocks(world_pixels(client, Region(0, -side, side, side), seed=7), 1 << -z)
    assert close(tile(client, client.new_world(seed=7), z, 0, -1), expected)


def test_a_land_seen_from_above_opens_at_its_coarsest_picture(tmp_path: Path) -> None:
    random_generator(preset("tiny-scales", coordinates="texture"), seed=7).save_pretrained(
        tmp_path / "above.safetensors"
    )
    artist = TileArtist(open_studio(World(), model=tmp_path / "above.safetensors"))
    assert artist.first == -3


def test_with_one_scale_every_announced_level_is_served(client: Client) -> None:
    zoom = client.get("/info").json()["zoom"]
    record = client.new_world(seed=12)
    assert (zoom["min"], zoom["pictures"]) == (-2, [0])
    answers = [client.tile(record, z, 0, 0) for z in range(zoom["min"], 1)]
    assert [answer.status_code for answer in answers] == [200] * 3


def test_with_one_scale_a_level_costs_four_times_the_one_before(client: Client) -> None:
    artist = client.canvas.painter.artist
    assert artist.cost(-1) == pytest.approx(4, rel=0.25)
    assert artist.cost(-2) == pytest.approx(4 * artist.cost(-1), rel=0.25)


def warnings_at_start(model: Path, data: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING), client_of(create_app(data, model=model)):
        return [record.getMessage() for record in caplog.records]


def test_a_server_logs_a_warning_at_the_start_if_its_model_has_one_scale(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (line,) = warnings_at_start(tiny_model, tmp_path, caplog)
    assert "tiny.safetensors has one scale" in line


def test_a_server_of_a_model_with_scales_logs_no_warning(
    scaled_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert warnings_at_start(scaled_model, tmp_path, caplog) == []


def test_a_level_between_two_scales_is_the_mean_of_the_finer_one(tmp_path: Path) -> None:
    path = tmp_path / "gap.safetensors"
    random_generator(replace(preset("tiny-scales"), scales=(4, 6)), seed=7).save_pretrained(path)
    levels = zoom_levels(open_studio(World(), model=path))
    found = {z: (level.studio.options.halvings, level.block) for z, level in levels.items()}
    assert found == {0: (0, 1), -1: (0, 2), -2: (2, 1), -3: (2, 2)}


def test_coarser_pictures_have_the_precision_of_the_server(scaled_model: Path) -> None:
    studio = open_studio(World(), model=scaled_model, options=Options(precision="bf16"))
    assert {level.studio.scene.engine.precision for level in zoom_levels(studio).values()} == {"bf16"}


class OneWindow(EagerEngine):
    """An engine with windows of one size, like exported files."""

    fixed_cells = (11, 11)  # type: ignore[assignment]


def test_coarser_pictures_are_not_bound_to_the_window_of_an_exported_engine(scaled_model: Path) -> None:
    studio = open_studio(World(), model=scaled_model)
    scene = replace(studio.scene, engine=OneWindow(studio.generator))
    artist = TileArtist(replace(studio, scene=scene))
    assert [artist.scene(World(), z).engine.fixed_cells for z in artist.pictures] == [(11, 11), None, None, None]


def test_a_studio_that_draws_a_coarser_scale_itself_is_refused(scaled_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave it at 0"):
        create_app(tmp_path, model=scaled_model, options=Options(halvings=1))
