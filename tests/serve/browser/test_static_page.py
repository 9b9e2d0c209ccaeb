"""The page without a server (``infgen export --web``): the same numbers and pixels as Python, from plain files."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from infgen.export.web import RUNTIME_FILES, export_web
from infgen.world.world import World
from tests.fixtures.make_vectors import FILE
from tests.serve.browser.conftest import new_context
from tests.serve.browser.static_host import hosting, runtime
from tests.serve.browser.test_quality import _FAINT, _NAMELESS, _SMALL, AA, LEAST_TARGET_PX
from tests.serve.browser.visit import DESKTOP, PHONE, Picture, Visit, decode

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

FAR = 2**40
# One worker and no GPU: starting more takes longer than these small windows.
ONE_CPU = """Object.defineProperty(navigator, 'gpu', { value: undefined });
Object.defineProperty(navigator, 'hardwareConcurrency', { value: 1 });"""
LAYOUT = {
    "schema": 1,
    "styles": [{"name": f"s{i}", "seed": i} for i in range(4)],
    "transition": 129,
}
# Normals of 24-bit uniforms agree to a few units of the last place; weights are shares of integers.
CLOSE = {"rtol": 2e-5, "atol": 2e-6}

# Runs the modules on one set of vectors. Seeds are text there.
_COMPUTE = """async ([address, vectors]) => {
  const load = name => import(`${address}static/js/local/${name}.js`);
  const [philox, fields, coordinates, artist, geometry] =
    await Promise.all(["philox", "fields", "coordinates", "artist", "geometry"].map(load));
  const seeded = ({ edits, ...world }) => ({ ...world, seed: BigInt(world.seed),
    edits: edits.map(edit => ({ ...edit, seed: BigInt(edit.seed) })) });
  const mixed = async ({ layout, periods, cells: [[x, columns], [y, rows]] }) => {
    const spans = (cell, cells) => geometry.layerSpans(cell, cells, 4);
    const prepared = await artist.PreparedLayout.of({ layout, ...periods });
    return prepared.mix({ x: spans(x, columns), y: spans(y, rows), levels: 4, halvings: 0 });
  };
  return {
    philox: vectors.philox.map(({ counter, key }) => {
      const out = new Uint32Array(4);
      philox.philox(out, ...counter, ...key);
      return [...out];
    }),
    fields: vectors.fields.map(({ seed, window }) => [fields.localLatent(BigInt(seed), window, 6),
      fields.noise(BigInt(seed), window, 3), fields.globalLatent(BigInt(seed), 6)].map(values => [...values])),
    worlds: vectors.worlds.map(({ document, cells, noise_window }) => [
      fields.worldLocal(seeded(document), cells, { channels: 3, cellPx: 16 }),
      fields.worldNoise(seeded(document), noise_window, { conv: 5, spacing: 2 })].map(values => [...values])),
    coordinates: vectors.coordinates.map(({ system, period, window }) =>
      [...coordinates.encode(window, system, { x: period, y: period })]),
    mixes: await Promise.all(vectors.mixes.map(async mix => {
      const { numbers, maps } = await mixed(mix);
      return { numbers, maps: maps.map(map => [...map]) };
    })),
  };
}"""
# Exports a rectangle of a world, as the panel does, and returns the file in base64.
_EXPORT = """async ([document, rect]) => {
  const api = await import(new URL("static/js/api.js", location.href).href);
  const record = await api.createWorld({ world: document });
  const job = await api.startExport(record, { ...rect, format: "png" });
  let ended = job;
  while (ended.state === "running") {
    await new Promise(resolve => setTimeout(resolve, 50));
    ended = (await api.jobs()).find(({ id }) => id === job.id);
  }
  if (ended.error) throw new Error(ended.error);
  const blob = await (await fetch(api.fileUrl(ended.result))).blob();
  return new Promise(resolve => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.readAsDataURL(blob);
  });
}"""

Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def bare_page(tiny_model: Path, browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator["Page"]:
    """A blank page at the address of an exported page without its runtime, whose modules can be imported."""
    folder = tmp_path_factory.mktemp("page")
    for name in RUNTIME_FILES.values():
        (folder / name).touch()
    export_web(tiny_model, folder / "site", runtime=folder)
    with hosting(folder / "site") as address:
        page = browser.new_page()
        page.goto(f"{address}model/model.json")
        yield page
        page.close()


@pytest.fixture(scope="module")
def computed(bare_page: "Page") -> dict[str, Any]:
    """What JavaScript computes for the vectors."""
    address = bare_page.url.removesuffix("model/model.json")
    found: dict[str, Any] = bare_page.evaluate(_COMPUTE, [address, vectors()])
    return found


def vectors() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def test_philox_has_the_same_bits_as_in_python(computed: dict[str, Any]) -> None:
    assert computed["philox"] == [each["words"] for each in vectors()["philox"]]


@pytest.mark.parametrize("field", ["local", "noise", "global"])
def test_fields_are_those_of_python(field: str, computed: dict[str, Any]) -> None:
    index = ["local", "noise", "global"].index(field)
    for found, expected in zip(computed["fields"], vectors()["fields"], strict=True):
        np.testing.assert_allclose(found[index], expected[field], **CLOSE)


def test_edits_periods_and_statistics_are_those_of_python(computed: dict[str, Any]) -> None:
    for (local, noise), expected in zip(computed["worlds"], vectors()["worlds"], strict=True):
        np.testing.assert_allclose(local, expected["local"], **CLOSE)
        np.testing.assert_allclose(noise, expected["noise"], **CLOSE)


def test_coordinates_are_those_of_python(computed: dict[str, Any]) -> None:
    for found, expected in zip(computed["coordinates"], vectors()["coordinates"], strict=True):
        np.testing.assert_allclose(found, expected["values"], **CLOSE)


def test_weights_of_styles_and_strokes_are_those_of_python(computed: dict[str, Any]) -> None:
    for found, expected in zip(computed["mixes"], vectors()["mixes"], strict=True):
        structure, texture = thin(found, expected["cells"], expected["numbers"])
        np.testing.assert_allclose(structure, expected["structure"], **CLOSE)
        for plane, wanted in zip(texture, expected["texture"], strict=True):
            np.testing.assert_allclose(plane, wanted, **CLOSE)


def thin(found: dict[str, Any], cells: list[list[int]], numbers: list[int]) -> tuple[Any, list[Any]]:
    """The positions of the maps that the vectors hold, for the styles ``numbers``: JavaScript keeps styles without weight."""
    (_, columns), (_, rows) = cells
    kept = [found["numbers"].index(number) for number in numbers]
    shapes = [(rows + 24, columns + 24), (rows, columns)]
    height, width = rows, columns
    for conv in range(1, 8):
        height, width = (2 * height - 3, 2 * width - 3) if conv % 2 else (height - 2, width - 2)
        shapes.append((height, width))
    maps = [np.reshape(values, (-1, *shape))[kept] for values, shape in zip(found["maps"], shapes, strict=True)]
    return maps[0][:, ::3, ::3].ravel(), [plane[:, ::5, ::5].ravel() for plane in maps[1:]]


@pytest.fixture(scope="module")
def site(scaled_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the exported page of the tiny model of four scales, on a plain host."""
    folder = tmp_path_factory.mktemp("page") / "site"
    export_web(scaled_model, folder, runtime=runtime())
    with hosting(folder) as address:
        yield address


@pytest.fixture(scope="module")
def context(browser: "Browser") -> Iterator["BrowserContext"]:
    """Desktop windows of one person."""
    context = new_context(browser, DESKTOP, permissions=["clipboard-read", "clipboard-write"])
    context.add_init_script(ONE_CPU)
    yield context
    context.close()


@pytest.fixture(scope="module")
def opened(site: str, context: "BrowserContext") -> Visit:
    """The page, opened once: its runtime takes a second to start."""
    return Visit(context.new_page(), site).open("seed=7&x=0&y=0&z=0")


@pytest.fixture
def visit(site: str, opened: Visit) -> Iterator[Open]:
    """Go to a new world on the open page. Afterwards the console must be empty, and no request may have left the folder."""

    def start(place: str = "seed=7&x=0&y=0&z=0") -> Visit:
        for close in opened.page.locator("[data-close]:visible").all():
            close.click()
        opened.page.evaluate("place => { location.hash = place; }", place)
        opened.until("location.hash.includes('world=')")  # the page completes what it has understood
        return opened.settle()

    yield start
    outside = [url for url in opened.requests if not url.startswith((site, "about:", "blob:", "data:"))]
    found = (opened.complaints[:], outside)
    opened.complaints.clear()
    opened.requests.clear()
    assert found == ([], [])


def export_picture(page: Visit, document: dict[str, Any], rect: dict[str, int]) -> Picture:
    """The pixels of a rectangle of a world as the page exports it."""
    return decode(base64.b64decode(page.page.evaluate(_EXPORT, [document, rect])))


def document_of(x: int, y: int, *, styles: int) -> dict[str, Any]:
    """A world with one style, or with four that meet at (``x``, ``y``)."""
    if styles == 1:
        return {"schema": 2, "seed": 7}
    places = [(x + dx, y + dy) for dy in (-150, 150) for dx in (-150, 150)]
    centres = [{"style": f"s{i}", "x": px, "y": py} for i, (px, py) in enumerate(places)]
    return {"schema": 2, "seed": 7, "layout": LAYOUT | {"centres": centres}}


@pytest.mark.parametrize("styles", [1, 4])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (FAR - 512, 512 - FAR)])
def test_a_window_has_the_pixels_of_infgen_render(x: int, y: int, styles: int, visit: Open, scaled_model: Path) -> None:
    document = document_of(x + 256, y + 256, styles=styles)
    found = export_picture(visit(), document, {"x": x, "y": y, "w": 512, "h": 512})
    expected = World.from_json(json.dumps(document)).render(x, y, 512, 512, model=scaled_model)
    difference = np.abs(found.astype(int) - expected)
    assert np.quantile(difference, 0.999) <= 2
    assert found.std() > 5


def test_an_exported_rectangle_is_cut_from_the_same_picture_over_bands(visit: Open) -> None:
    page = visit()
    document = {"schema": 2, "seed": 7}
    whole = export_picture(page, document, {"x": -700, "y": -600, "w": 1100, "h": 1200})
    part = export_picture(page, document, {"x": -200, "y": -130, "w": 96, "h": 80})
    difference = np.abs(whole[470:550, 500:596].astype(int) - part)
    assert np.quantile(difference, 0.999) <= 1


def test_the_page_shows_a_coarse_view_and_sharp_tiles(visit: Open) -> None:
    page = visit()
    coarse = page.page.locator("img.ground")
    assert coarse.evaluate("image => image.naturalWidth < image.width / 7")  # of level -3
    assert {key.split("/")[1] for key in page.tiles} == {"0"}


def test_tiles_show_the_pixels_of_infgen_render(visit: Open, scaled_model: Path) -> None:
    page = visit()
    shown = next(key for key in page.tiles if key.endswith("/0/-1/-1"))
    script = 'shown => document.querySelector(`canvas[data-shown="${shown}"]`).toDataURL()'
    tile = decode(base64.b64decode(page.page.evaluate(script, shown).partition(",")[2]))
    expected = World(seed=7).render(-256, -256, 256, 256, model=scaled_model)
    assert np.quantile(np.abs(tile.astype(int) - expected), 0.999) <= 2


def test_panning_away_and_back_takes_tiles_from_the_cache(visit: Open) -> None:
    page = visit()
    before = page.picture()
    page.drag((900, 240), (300, 240))
    page.settle()
    page.drag((300, 240), (900, 240))
    assert np.array_equal(page.settle().picture(), before)


def test_a_style_is_placed_and_undone(visit: Open) -> None:
    page = visit()
    before = page.picture()
    page.panel("styles")
    page.page.locator(".swatch").nth(3).click()
    page.until("document.querySelectorAll('.pin').length === 2")
    page.page.click("[data-close]:visible")
    assert not np.array_equal(page.settle().picture(), before)
    page.page.click("#undo")
    page.until("document.querySelectorAll('.pin').length === 0")
    page.page.mouse.move(1, 1)
    assert np.array_equal(page.settle().picture(), before)


def test_a_redrawn_rectangle_is_that_of_infgen_render(visit: Open, scaled_model: Path) -> None:
    page = visit()
    page.panel("resample")
    page.page.click("#panel-resample [data-action=view]")
    page.page.click("#resample-another")
    page.page.wait_for_selector("#resample-seeds .chip")
    page.settle()
    document = page.page.evaluate(
        "async () => { const api = await import(new URL('static/js/api.js', location.href).href);"
        "const id = new URLSearchParams(location.hash.slice(1)).get('world'); return (await api.world(id)).world; }"
    )
    rect = {"x": -64, "y": -64, "w": 128, "h": 128}
    expected = World.from_json(json.dumps(document)).render(-64, -64, 128, 128, model=scaled_model)
    assert len(document["edits"]) == 1
    assert np.quantile(np.abs(export_picture(page, document, rect).astype(int) - expected), 0.999) <= 2


def test_worlds_outlive_the_page(visit: Open) -> None:
    page = visit("seed=31&x=0&y=0&z=0")
    assert page.open(f"world={page.place['world']}&x=0&y=0&z=0").place["seed"] == "31"


def test_a_copied_link_opens_the_same_world_on_a_server(visit: Open, address: str, context: "BrowserContext") -> None:
    page = visit()
    page.panel("styles")
    page.page.locator(".swatch").nth(3).click()
    page.until("document.querySelectorAll('.pin').length === 2")
    page.settle()
    page.page.click("#share")
    page.says("The link to this place is copied.")
    link = page.page.evaluate("navigator.clipboard.readText()").partition("#")[2]
    served = Visit(context.new_page(), address).open(link)
    layout = served.record["world"]["layout"]
    assert [centre["style"] for centre in layout["centres"]] == ["own", "style 3"]
    served.page.click("#share")
    served.says("The link to this place is copied.")
    back = served.page.evaluate("navigator.clipboard.readText()").partition("#")[2]
    served.page.close()
    assert "doc=" in back
    assert visit(back).page.evaluate("document.querySelector('#seed').textContent") == "seed 7"


def test_a_world_file_is_saved_and_opened_again(visit: Open, tmp_path: Path) -> None:
    page = visit("seed=18446744073709551615&x=0&y=0&z=0")
    page.panel("worlds")
    with page.page.expect_download() as saving:
        page.page.click("#world-save")
    saving.value.save_as(tmp_path / "mine.json")
    assert World.load(tmp_path / "mine.json").seed == 2**64 - 1
    page.page.set_input_files("#world-file", tmp_path / "mine.json")
    page.page.wait_for_selector("#world-title:has-text('mine')")
    assert page.settle().place["seed"] == str(2**64 - 1)


def test_what_needs_a_server_says_so(visit: Open) -> None:
    page = visit()
    page.panel("photo")
    assert "no server" in page.page.inner_text("#panel-photo")
    assert not page.page.is_visible("#photo-form")
    page.panel("export")
    assert page.page.eval_on_selector_all("#export-format option", "all => all.map(each => each.value)") == ["png"]


def test_a_world_with_photographs_is_refused_in_one_line(visit: Open, tmp_path: Path) -> None:
    anchor = {"file": "photo.latents.safetensors", "sha256": "0" * 64, "cell_x": 0, "cell_y": 0}
    (tmp_path / "photos.json").write_text(json.dumps({"schema": 2, "seed": 1, "anchors": [anchor]}))
    page = visit()
    page.panel("worlds")
    page.page.set_input_files("#world-file", tmp_path / "photos.json")
    page.says("This world has photographs, which need a server")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_can_be_read_and_used(size: tuple[int, int], visit: Open) -> None:
    page = visit()
    page.page.set_viewport_size({"width": size[0], "height": size[1]})
    for panel in ("worlds", "styles", "photo", "export"):
        page.panel(panel)
        page.settle()
        assert page.page.evaluate(_FAINT, AA) == []
        assert page.page.evaluate(_NAMELESS) == []
        assert page.page.evaluate(_SMALL, LEAST_TARGET_PX) == []
        page.page.click("[data-close]:visible")
    page.page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
