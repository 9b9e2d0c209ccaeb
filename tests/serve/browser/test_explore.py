"""Travelling: what is drawn where, near and far, with mouse, keys and links."""

import numpy as np
import pytest

from tests.serve.browser.conftest import Open
from tests.serve.browser.visit import DESKTOP

FAR = 10**12
_COVERED = """[...document.querySelectorAll("img.ground")].map(image => image.getBoundingClientRect())
  .some(box => box.left <= 0 && box.top <= 0 && box.right >= innerWidth && box.bottom >= innerHeight)"""
MIDDLE = (DESKTOP[0] / 2, DESKTOP[1] / 2)


def test_the_page_opens_on_a_world_and_fills_the_window_with_sharp_tiles(visit: Open) -> None:
    page = visit()
    sharp = {key.split("/", 1)[1] for key in page.tiles}
    assert {f"0/{x}/{y}" for x in range(-3, 3) for y in range(-1, 1)} <= sharp


def test_the_address_bar_holds_world_seed_place_and_zoom(visit: Open) -> None:
    page = visit("seed=11&x=300&y=-40&z=-1")
    expected = {"world": page.record["id"], "seed": "11", "x": "300", "y": "-40", "z": "-1"}
    assert page.place == expected


def test_a_coarse_picture_is_asked_for_before_the_sharp_tiles(visit: Open) -> None:
    asked = visit().asked_pictures
    assert asked[0] == ("views", -2)
    assert set(asked[1:]) == {("tiles", 0)}


def test_a_coarse_picture_fills_the_window_while_sharp_tiles_are_drawn(visit: Open) -> None:
    page = visit()
    page.page.route("**/tiles/0/**", lambda route: None)  # never answered
    page.page.evaluate("location.hash = location.hash.replace('x=0', 'x=900000')")
    page.until(_COVERED)
    assert len(np.unique(page.picture()[::16, ::16].reshape(-1, 3), axis=0)) > 100


def test_a_page_of_one_scale_asks_for_no_coarse_picture(visit_one_scale: Open) -> None:
    assert {z for _, z in visit_one_scale().asked_pictures} == {0}


def test_a_page_of_one_scale_shows_every_zoom_level(visit_one_scale: Open) -> None:
    page = visit_one_scale()
    for z in range(0, page.ask("info")["zoom"]["min"] - 1, -1):
        page.go(f"x=0&y=0&z={z}")
        assert any(key.split("/")[1] == str(z) for key in page.tiles), z


def test_a_link_farther_out_than_the_model_goes_shows_its_last_level(visit_one_scale: Open) -> None:
    assert visit_one_scale("seed=7&x=0&y=0&z=-4").place["z"] == "-2"


def test_a_land_from_above_opens_where_a_continent_fits_and_home_returns_there(visit_planet: Open) -> None:
    page = visit_planet("seed=7")
    assert page.place["z"] == "-3"
    assert {z for _, z in page.asked_pictures} == {-3}  # drawn directly: no coarser or finer tile is needed
    page.go("x=900&y=-700&z=0")
    page.page.click("#home")
    page.settle()
    assert (page.place["x"], page.place["y"], page.place["z"]) == ("0", "0", "-3")


def test_tiles_in_the_middle_of_the_view_come_first(visit: Open) -> None:
    sharp = [(x, y) for z, x, y in visit("seed=7&x=128&y=128&z=0").asked_tiles if z == 0]
    assert sharp[0] == (0, 0)


def test_tiles_show_the_served_pixels(visit: Open) -> None:
    page = visit()
    assert np.abs(page.tile(0, -1, -1).astype(int) - page.fetch_tile(0, -1, -1, "webp")).max() <= 1


def test_dragging_far_and_back_shows_the_same_pixels(visit: Open) -> None:
    page = visit()
    before = page.picture()
    for start, end in 5 * [((1000, 60), (300, 400))] + 5 * [((300, 400), (1000, 60))]:
        page.drag(start, end)
    assert page.settle().place["x"] == "0"
    assert np.array_equal(page.picture(), before)


def test_a_drag_moves_the_view_by_its_own_length(visit: Open) -> None:
    page = visit()
    page.drag((700, 200), (590, 237))
    place = page.settle().place
    assert (place["x"], place["y"]) == ("110", "-37")


def test_a_link_to_a_far_place_shows_the_tiles_of_that_place(visit: Open) -> None:
    page = visit(f"seed=7&x={FAR}&y={-FAR}&z=0")
    x, y = FAR // 256, -FAR // 256
    assert np.abs(page.tile(0, x, y).astype(int) - page.fetch_tile(0, x, y, "webp")).max() <= 1


def test_a_far_place_is_drawn_at_its_exact_px(visit: Open) -> None:
    page = visit(f"seed=7&x={FAR}&y=128&z=0")
    left = DESKTOP[0] // 2 - FAR % 256  # where the tile with the centre begins in the window
    shown = page.picture()[DESKTOP[1] // 2 - 128 :][:256, left : left + 256]
    assert np.array_equal(shown, page.tile(0, FAR // 256, 0))


def test_dragging_far_out_and_back_gives_the_same_pixels(visit: Open) -> None:
    page = visit(f"seed=7&x={FAR}&y=0&z=0")
    before = page.picture()
    page.drag((900, 240), (203, 251))
    page.drag((203, 251), (900, 240))
    assert np.array_equal(page.settle().picture(), before)


def test_the_edge_of_the_canvas_is_reached_without_a_complaint(visit: Open) -> None:
    page = visit(f"seed=7&x={2**40}&y={-(2**40)}&z=0")
    page.drag((400, 300), (300, 400))
    assert all(x < 2**32 and y >= -(2**32) for z, x, y in page.settle().asked_tiles if z == 0)


def test_zooming_out_and_in_again_shows_the_same_pixels(visit: Open) -> None:
    page = visit()
    before = page.picture()
    for button in ("#zoom-out", "#zoom-out", "#zoom-in", "#zoom-in"):
        page.page.click(button)
        page.settle()
    assert np.array_equal(page.picture(), before)


def test_every_zoom_level_has_its_tiles(visit: Open) -> None:
    page = visit()
    least = page.ask("info")["zoom"]["min"]
    for z in range(0, least - 1, -1):
        page.go(f"x=0&y=0&z={z}")
        assert any(key.split("/")[1] == str(z) for key in page.tiles), z


def test_the_wheel_zooms(visit: Open) -> None:
    page = visit()
    page.page.mouse.move(*MIDDLE)
    page.page.mouse.wheel(0, 200)
    page.until("!location.hash.includes('z=0')")


def test_arrow_keys_move_the_view(visit: Open) -> None:
    page = visit()
    page.page.focus("#canvas")
    page.page.keyboard.press("ArrowRight")
    assert int(page.settle().place["x"]) > 0


def test_plus_and_minus_zoom(visit: Open) -> None:
    page = visit()
    page.page.focus("#canvas")
    page.page.keyboard.press("-")
    assert page.settle().place["z"] == "-1"


def test_a_changed_address_moves_the_open_page(visit: Open) -> None:
    page = visit()
    place = page.go("x=5000&y=70&z=-2").place
    assert (place["x"], place["y"], place["z"]) == ("5000", "70", "-2")


def test_a_typed_position_is_gone_to(visit: Open) -> None:
    page = visit()
    page.page.click("#position")
    page.page.fill("#go-x", "123456789012")
    page.page.fill("#go-y", "-98")
    page.page.keyboard.press("Enter")
    place = page.settle().place
    assert (place["x"], place["y"]) == ("123456789012", "-98")


def test_a_link_opens_the_same_world_again(visit: Open) -> None:
    first = visit("seed=5&x=900&y=10&z=0")
    again = visit("&".join(f"{name}={value}" for name, value in first.place.items()))
    assert np.array_equal(again.picture(), first.picture())


@pytest.mark.parametrize("seed", [2**64 - 1, -(2**63)])
def test_a_seed_of_64_bits_stays_exact(visit: Open, seed: int) -> None:
    page = visit(f"seed={seed}&x=0&y=0&z=0")
    assert page.record["world"]["seed"] == seed
    assert page.place["seed"] == str(seed)


def test_a_link_to_a_deleted_world_makes_one_with_its_seed(visit: Open) -> None:
    page = visit("seed=21&x=0&y=0&z=0")
    page.open("world=000000000000&seed=22&x=0&y=0&z=0")
    page.complaints.clear()  # the browser reports the 404
    assert page.record["world"]["seed"] == 22


def test_without_a_link_the_world_that_was_changed_last_opens(visit: Open) -> None:
    first = visit("seed=31&x=0&y=0&z=0").record["id"]
    assert visit("").record["id"] == first


def test_another_world_seen_from_afar_asks_for_no_level_that_does_not_exist(visit: Open) -> None:
    page = visit("seed=7&x=0&y=0&z=-3")
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    for seed in (71, 72, 73):
        page.page.evaluate("place => { location.hash = place; }", f"seed={seed}&x=0&y=0&z=-3")
        page.until(f"location.hash.includes('world=') && location.hash.includes('seed={seed}')")
        page.settle()
    levels = {int(url.split("/tiles/")[1].split("/")[0]) for url in asked if "/tiles/" in url}
    assert levels
    assert min(levels) >= page.page.evaluate(
        "fetch('api/v1/info').then((answer) => answer.json()).then((info) => info.zoom.min)"
    )
