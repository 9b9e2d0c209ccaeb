"""Styles: dropped, moved, deleted, and how one fades into the next."""

from pathlib import Path

import numpy as np
from PIL import Image

from infgen import World
from tests.patience import until
from tests.serve.browser.conftest import Open
from tests.serve.browser.visit import Visit


def carry(page: Visit, seed: int, x: float, y: float) -> None:
    """Drag a style from the palette to a point of the window."""
    box = page.page.locator(f".swatch[data-seed='{seed}']").bounding_box()
    assert box is not None
    page.drag((box["x"] + 20, box["y"] + 20), (x, y))
    page.settle()


def centres(page: Visit) -> list[tuple[str, int, int]]:
    layout = page.record["world"].get("layout", {"centres": []})
    return [(c["style"], c["x"], c["y"]) for c in layout["centres"]]


def test_a_dropped_style_lies_where_it_was_dropped(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    carry(page, 3, 900, 140)
    assert ("style 3", 260, -100) in centres(page)


def test_the_first_style_leaves_the_worlds_own_look_on_the_other_side(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    carry(page, 3, 1100, 240)
    (own, x, _), _ = centres(page)
    assert own == "own"
    assert x < 200


def test_two_styles_fade_into_each_other_as_the_document_says(visit: Open, scaled_model: object) -> None:
    page = visit("seed=7&x=0&y=0&z=0")
    page.panel("styles")
    carry(page, 3, 700, 140)
    carry(page, 5, 1100, 340)
    shown = page.tile(0, 1, -1).astype(int)
    assert np.abs(shown - page.fetch_tile(0, 1, -1, "webp")).max() <= 1
    world = World.create(**page.record["world"])
    expected = world.render(256, -256, 256, 256, model=str(scaled_model)).astype(int)
    different = np.abs(page.fetch_tile(0, 1, -1, "png") - expected) > 1
    assert different.mean() < 0.001


def test_a_wider_transition_changes_the_document(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    carry(page, 3, 900, 140)
    page.page.focus("#transition")
    page.page.keyboard.press("ArrowRight")
    page.settle()
    assert page.record["world"]["layout"]["transition"] == 145


def test_a_dragged_pin_moves_its_centre(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    carry(page, 3, 900, 140)
    page.drag((900, 140), (1000, 190))
    page.settle()
    assert ("style 3", 360, -50) in centres(page)


def test_without_pins_the_world_has_its_own_look_again(visit: Open) -> None:
    page = visit()
    before = page.picture()
    page.panel("styles")
    carry(page, 3, 900, 140)
    for _ in range(2):
        page.page.locator("#centres li button.icon").first.click()
        page.settle()
    assert "layout" not in page.record["world"]
    assert np.array_equal(page.picture(), before)


def test_undo_takes_a_dropped_style_back(visit: Open) -> None:
    page = visit()
    before = page.picture()
    page.panel("styles")
    carry(page, 3, 900, 140)
    page.page.click("#undo")
    assert np.array_equal(page.settle().picture(), before)


def test_a_style_is_placed_and_moved_and_removed_with_keys_alone(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    page.page.focus(".swatch[data-seed='3']")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".pin-face")
    ((_, x, y),) = [c for c in centres(page) if c[0] == "style 3"]
    page.page.locator(".pin-face").nth(1).focus()
    page.page.keyboard.press("ArrowRight")
    until(lambda: ("style 3", x + 16, y) in centres(page))
    page.settle()
    page.page.keyboard.press("Delete")
    page.until("document.querySelectorAll('.pin-face').length === 1")
    assert [name for name, _, _ in centres(page.settle())] == ["own"]


def test_a_style_of_any_seed_can_be_added(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    page.page.fill("#style-seed", str(2**63 + 1))
    page.page.keyboard.press("Enter")
    page.page.keyboard.press("Enter")  # the new thumbnail has the focus
    page.page.wait_for_selector(".pin-face")
    assert page.record["world"]["layout"]["styles"][1]["seed"] == 2**63 + 1


def test_more_styles_are_offered_on_request(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    page.page.click("#more-styles")
    assert page.page.locator(".swatch").count() == 48


def test_a_finger_drops_a_style_on_a_phone(visit: Open) -> None:
    page = visit(size=(390, 844), has_touch=True)
    page.panel("styles")
    page.settle()
    box = page.page.locator(".swatch[data-seed='1']").bounding_box()
    assert box is not None
    devtools = page.page.context.new_cdp_session(page.page)
    x, y = box["x"] + 30, box["y"] + 30
    for kind, down in (
        ("touchStart", 0),
        ("touchMove", -20),
        ("touchMove", -150),
        ("touchMove", -300),
        ("touchEnd", None),
    ):
        points = [] if down is None else [{"x": x, "y": y + down}]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.page.wait_for_selector(".pin-face")
    assert "style 1" in [name for name, _, _ in centres(page.settle())]


def test_a_kept_style_has_a_name_and_is_chosen_again(visit: Open) -> None:
    page = visit("seed=992")
    page.panel("styles")
    page.page.click("label:has(#tool-paint)")
    page.page.click(".swatch[data-seed='3']")
    page.page.click("#favourite")
    page.page.fill("#favourites input", "Fog")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#favourites [aria-label='Use the favourite Fog']")
    assert page.record["favourites"] == [{"seed": 3, "name": "Fog"}]
    page.page.click(".swatch[data-seed='5']")
    page.page.click("#favourites [aria-label='Use the favourite Fog']")
    assert page.page.get_attribute(".swatch[data-seed='3']", "aria-pressed") == "true"


def test_styles_are_mixed_by_a_slider_and_calm_by_another(visit: Open) -> None:
    page = visit("seed=993")
    page.panel("styles")
    page.page.fill("#mix-seed", "5")
    page.page.fill("#mix-share", "2")
    page.page.click(".swatch[data-seed='3']")
    page.settle()
    page.page.fill("#truncation", "0.3")
    page.settle()
    world = page.record["world"]
    rows = int(page.page.get_attribute("#mix-share", "max") or 0)
    assert world["layout"]["styles"][1]["mix"] == {"seed": 5, "crossover": rows - 1}
    assert world["truncation"] == 0.3


def test_garish_pictures_move_to_the_end_on_request(visit: Open) -> None:
    page = visit("seed=994")
    page.panel("styles")
    page.until("[...document.querySelectorAll('.swatch img')].slice(0, 4).every(i => i.complete && i.naturalWidth)")
    seeds = "[...document.querySelectorAll('.swatch')].map(b => b.dataset.seed)"
    before = page.page.evaluate(seeds)
    page.page.check("#garish-last")
    assert sorted(page.page.evaluate(seeds)) == sorted(before)
    page.page.uncheck("#garish-last")
    assert page.page.evaluate(seeds) == before


def test_styles_like_a_photograph_come_first(visit: Open, tmp_path: Path) -> None:
    page = visit("seed=995")
    page.panel("styles")
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((140, 160, 3), (40, 120, 60), np.uint8)).save(photo)
    with page.page.expect_response("**/styles/like") as answer:
        page.page.set_input_files("#like-photo", photo)
    nearest = [str(style["seed"]) for style in answer.value.json()]
    page.says("The first styles are those most like the photograph")
    seeds = page.page.evaluate("[...document.querySelectorAll('.swatch')].map(button => button.dataset.seed)")
    assert (len(nearest), seeds[: len(nearest)]) == (12, nearest)


def test_a_painted_map_is_saved_changed_and_opened_again(visit: Open, tmp_path: Path) -> None:
    page = visit("seed=996")
    page.panel("styles")
    carry(page, 3, 900, 140)
    with page.page.expect_download() as started:
        page.page.click("#map-save")
    path = tmp_path / started.value.suggested_filename  # holds the region
    started.value.save_as(path)
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    page.page.set_input_files("#map-file", path)
    page.until("document.getElementById('placed').hidden")  # a map instead of pins
    painting = page.settle().record["world"]["layout"]["painting"]
    assert path.name == f"map {painting['x']},{painting['y']},{painting['w']},{painting['h']}.png"
    page.page.click("#undo")
    assert ("style 3", 260, -100) in centres(page.settle())


def test_a_bad_map_is_refused_in_one_line(visit: Open, tmp_path: Path) -> None:
    page = visit("seed=997")
    page.panel("styles")
    carry(page, 3, 900, 140)
    path = tmp_path / "map.png"
    Image.new("RGB", (8, 8)).save(path)
    page.page.set_input_files("#map-file", path)
    page.says("the map has colours without a style")
    page.complaints.clear()  # the browser reports the status


def test_pictures_of_styles_load_one_at_a_time_and_leave_connections_to_tiles(visit: Open) -> None:
    page = visit()
    running: set[str] = set()
    most: list[int] = []

    def count(address: str, *, begins: bool) -> None:
        if "/styles/" in address:
            (running.add if begins else running.discard)(address)
            most.append(len(running))

    page.page.on("request", lambda request: count(request.url, begins=True))
    for event in ("requestfinished", "requestfailed"):
        page.page.on(event, lambda request: count(request.url, begins=False))
    page.panel("styles")
    loaded = page.page.locator(".swatch img:not(.waiting)")
    until(lambda: loaded.count() > 4)
    page.page.locator(".swatch").last.scroll_into_view_if_needed()
    last = page.page.locator(".swatch").last.locator("img:not(.waiting)")
    until(lambda: last.count() == 1)
    assert max(most) == 1


def test_a_changed_tile_fades_in_and_ends_with_the_served_pixels(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    page.page.emulate_media(reduced_motion="no-preference")
    page.page.evaluate(_NOTE_OPACITY)
    carry(page, 5, 1100, 340)
    page.until(f"[...document.querySelectorAll('canvas')].some(tile => tile.dataset.shown === '{_shown(page)}')")
    assert page.page.evaluate("opacities.some(value => value < 1)")
    assert np.abs(page.tile(0, 1, 0).astype(int) - page.fetch_tile(0, 1, 0, "webp")).max() <= 1


_NOTE_OPACITY = """() => {
  window.opacities = [];
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...values) {
    window.opacities.push(this.globalAlpha);
    draw.apply(this, values);
  };
}"""


def _shown(page: Visit) -> str:
    return f"{page.settle().record['revision']}/0/1/0"
