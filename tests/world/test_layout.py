"""Test layouts: reading and refusals, positions in px, and equal styles in every window."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file

from infgen.errors import WorldError
from infgen.geometry import Region, Span, Window
from infgen.limits import MAX_PHOTO_PIXELS
from infgen.world import layout_files
from infgen.world.layout import CentreSpec, Layout, ResolvedLayout
from infgen.world.layout_files import resolve

AB = {"a": {"seed": 1}, "b": {"seed": 2}}
REGION = Region(-40, 10, 90, 60)
FAR = st.sampled_from([0, 2**31, -(2**32) - 3, 2**40 - 400, -(2**40) + 300])
NEAR = st.integers(-100, 100)
PERIODS = st.none() | st.integers(1, 90) | st.sampled_from([2**31 + 1, 2**40])


def layout(**values: Any) -> Layout:
    return Layout.from_json(json.dumps({"styles": AB, **values}))


def painted(folder: Path, pixels: np.ndarray | Image.Image, *, region: Region = REGION) -> ResolvedLayout:
    """A layout of black (a) and white (b) paint."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(folder / "paint.png")
    return resolve(painted_layout(), region, folder=folder)


def painted_layout() -> Layout:
    return layout(painting={"image": "paint.png", "colours": {"#000000": "a", "#FFFFFF": "b"}})


@st.composite
def centred_layouts(draw: st.DrawFn) -> tuple[ResolvedLayout, Window]:
    """Centres somewhere, and a window near them."""
    far_x, far_y = draw(FAR), draw(FAR)
    places = draw(st.lists(st.tuples(st.sampled_from("ab"), NEAR, NEAR), min_size=1, max_size=5))
    centres = [{"style": s, "x": x + far_x, "y": y + far_y} for s, x, y in places]
    window = Window(
        Span(far_x + draw(NEAR), draw(st.integers(1, 70))), Span(far_y + draw(NEAR), draw(st.integers(1, 9)))
    )
    return resolve(layout(centres=centres), REGION, folder=Path()), window


def of_centres(found: ResolvedLayout, window: Window, period: int | None) -> list[list[int]]:
    """Pixel by pixel, in Python's integers."""

    def across(x: int, centre: int) -> int:
        if period is None:
            return x - centre
        return min((x - centre) % period, (centre - x) % period)

    def style(x: int, y: int) -> int:
        return "ab".index(min(found.centres, key=lambda c: across(x, c.x) ** 2 + (y - c.y) ** 2).style)

    return [[style(x, y) for x in range(window.x.start, window.x.stop)] for y in range(window.y.start, window.y.stop)]


@given(centred_layouts(), PERIODS)
def test_a_pixel_has_the_style_of_its_nearest_centre(case: tuple[ResolvedLayout, Window], period: int | None):
    found, window = case
    assert found.labels(window, period=period).tolist() == of_centres(found, window, period)


@given(centred_layouts(), PERIODS, st.lists(NEAR, min_size=1, max_size=70), st.lists(NEAR, min_size=1, max_size=3))
def test_single_pixels_have_the_styles_that_they_have_in_a_window(
    case: tuple[ResolvedLayout, Window], period: int | None, across: list[int], down: list[int]
):
    found, window = case
    xs, ys = [window.x.start + x for x in across], [window.y.start + y for y in down]
    expected = [[int(found.labels(Window(Span(x, 1), Span(y, 1)), period=period)[0, 0]) for x in xs] for y in ys]
    assert found.labels_at(xs, ys, period=period).tolist() == expected


@given(centred_layouts(), st.none() | st.integers(1, 30), st.integers(1, 12))
def test_positions_apart_have_the_styles_of_their_pixels(
    case: tuple[ResolvedLayout, Window], turns: int | None, step: int
):
    assert_apart(*case, period=None if turns is None else turns * step, step=step)


def assert_apart(found: ResolvedLayout, window: Window, *, period: int | None, step: int) -> None:
    apart = Window(Span(window.x.start // step, window.x.size), Span(window.y.start // step, window.y.size))
    xs, ys = (range(step * span.start, step * span.stop, step) for span in (apart.x, apart.y))
    expected = found.labels_at(xs, ys, period=period)
    assert np.array_equal(found.labels(apart, period=period, step=step), expected)


def test_a_coarse_map_of_a_giant_region_is_exact_on_the_line_between_two_centres():
    far = 2**40 - 1
    found = resolve(
        layout(centres=[{"style": "a", "x": -far, "y": 0}, {"style": "b", "x": far, "y": 1}]), REGION, folder=Path()
    )
    assert found.labels_at([-1, 0, 1], [0, 1, -far, far]).tolist() == [[0, 0, 1], [0, 1, 1]] * 2


@given(centred_layouts(), PERIODS, st.data())
def test_a_smaller_window_is_a_cut_of_a_larger_one(
    case: tuple[ResolvedLayout, Window], period: int | None, data: st.DataObject
):
    found, window = case
    assert_cut(found, window, period, data)


def assert_cut(found: ResolvedLayout, window: Window, period: int | None, data: st.DataObject) -> None:
    left, top = data.draw(st.integers(0, window.x.size - 1)), data.draw(st.integers(0, window.y.size - 1))
    inner = Window(
        Span(window.x.start + left, data.draw(st.integers(1, window.x.size - left))),
        Span(window.y.start + top, data.draw(st.integers(1, window.y.size - top))),
    )
    cut = found.labels(window, period=period)[top : top + inner.y.size, left : left + inner.x.size]
    assert np.array_equal(cut, found.labels(inner, period=period))


@st.composite
def paintings(draw: st.DrawFn) -> tuple[np.ndarray, Region, Window]:
    """Paint, the region that it covers and a window near it."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    paint = np.array(
        draw(st.lists(st.sampled_from([0, 255]), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    )
    far_x, far_y = draw(FAR), draw(FAR)
    width = draw(st.integers(1, 60) | st.just(2**40)) if far_x == 0 else draw(st.integers(1, 60))
    region = Region(far_x + draw(NEAR) - 100, far_y + draw(NEAR), width, draw(st.integers(1, 60)))
    corner = region.x + draw(st.integers(-30, 80)), region.y + draw(st.integers(-30, 80))
    window = Window(Span(corner[0], draw(st.integers(1, 40))), Span(corner[1], draw(st.integers(1, 9))))
    return paint.reshape(shape).astype(np.uint8), region, window


in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


@in_one_folder
@given(paintings())
def test_a_pixel_has_the_style_of_the_nearest_sample_of_a_painting(
    tmp_path: Path, case: tuple[np.ndarray, Region, Window]
):
    paint, region, window = case
    (rows, columns), found = paint.shape, painted(tmp_path, paint, region=region)

    def style(x: int, y: int) -> int:
        column = min(max(x - region.x, 0), region.w - 1) * columns // region.w
        row = min(max(y - region.y, 0), region.h - 1) * rows // region.h
        return int(paint[row, column] == 255)

    ranges = [range(s.start, s.stop) for s in (window.y, window.x)]
    assert found.labels(window).tolist() == [[style(x, y) for x in ranges[1]] for y in ranges[0]]


@in_one_folder
@given(paintings(), PERIODS, st.data())
def test_a_smaller_window_of_a_painting_is_a_cut_of_a_larger_one(
    tmp_path: Path, case: tuple[np.ndarray, Region, Window], period: int | None, data: st.DataObject
):
    paint, region, window = case
    assert_cut(painted(tmp_path, paint, region=region), window, period, data)


@in_one_folder
@given(paintings(), PERIODS)
def test_single_pixels_of_a_painting_have_the_styles_that_they_have_in_a_window(
    tmp_path: Path, case: tuple[np.ndarray, Region, Window], period: int | None
):
    paint, region, window = case
    found = painted(tmp_path, paint, region=region)
    xs, ys = range(window.x.start, window.x.stop, 7), range(window.y.start, window.y.stop, 3)
    assert np.array_equal(found.labels_at(xs, ys, period=period), found.labels(window, period=period)[::3, ::7])


@in_one_folder
@given(paintings(), st.none() | st.integers(1, 30), st.integers(1, 12))
def test_positions_apart_have_the_samples_of_their_pixels(
    tmp_path: Path, case: tuple[np.ndarray, Region, Window], turns: int | None, step: int
):
    paint, region, window = case
    period = None if turns is None else turns * step
    assert_apart(painted(tmp_path, paint, region=region), window, period=period, step=step)


def test_a_painting_shorter_than_the_period_goes_on_to_its_nearest_edge(tmp_path: Path):
    found = painted(tmp_path, np.array([[0, 255]], np.uint8), region=Region(0, 0, 4, 1))
    assert found.labels(Window(Span(0, 12), Span(5, 1)), period=10)[0].tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_one_style_rules_everywhere_without_centres():
    found = resolve(layout(styles={"only": {"mean": True}}), REGION, folder=Path())
    assert found.labels_at([3, 9], [5]).tolist() == [[0, 0]]
    assert found.labels(Window(Span(-3, 4), Span(7, 2))).tolist() == [[0] * 4] * 2


def place(text: str | int) -> int:
    found = layout(centres=[{"style": "a", "x": text, "y": 0}])
    return resolve(found, REGION, folder=Path()).centres[0].x


@pytest.mark.parametrize(
    ("written", "px"), [(7, 7), ("0%", -40), ("100%", 50), ("33.3%", -11), ("-10%", -49), ("33.333333%", -11)]
)
def test_percentages_count_from_the_regions_left_edge_and_are_rounded_down(written: str | int, px: int):
    assert place(written) == px


def test_a_percentage_of_a_huge_region_is_exact():
    found = layout(centres=[{"style": "a", "x": "50.000001%", "y": 0}])
    region = Region(-(2**40), 0, 2**41, 1)
    assert resolve(found, region, folder=Path()).centres[0].x == 2**41 * 50_000_001 // 100_000_000 - 2**40


def test_a_percentage_that_leaves_the_canvas_is_refused():
    found = layout(centres=[{"style": "a", "x": "200%", "y": 0}])
    with pytest.raises(WorldError, match=r"is px .*, out of range"):
        resolve(found, Region(0, 0, 2**40, 1), folder=Path())


@pytest.mark.parametrize(("given", "side"), [(0, 1), (1, 1), (2, 3), (127, 127), (4096, 4097)])
def test_an_even_transition_is_rounded_up_to_an_odd_one(given: int, side: int):
    one = layout(styles={"a": {"seed": 1}}, transition=given)
    assert resolve(one, REGION, folder=Path()).transition == side


def latent_file(folder: Path, **changes: np.ndarray | None) -> None:
    numbers = np.random.default_rng(0)
    tensors = {"z_g": numbers.normal(size=4), "w_plus": numbers.normal(size=(3, 4))}
    tensors = {name: value.astype(np.float32) for name, value in tensors.items()}
    save_file({k: v for k, v in (tensors | changes).items() if v is not None}, folder / "x.safetensors")


LATENT = {"a": {"latent": "x.safetensors"}}


@in_one_folder
@given(paintings())
def test_a_resolved_layout_survives_writing_and_reading(tmp_path: Path, case: tuple[np.ndarray, Region, Window]):
    found = painted(tmp_path, case[0], region=case[1])
    assert ResolvedLayout.from_json(found.to_json()) == found


def test_a_layout_survives_writing_and_reading():
    mix = {"seed": 3, "crossover": 2}
    styles = {"a": {"seed": 1, "mix": mix}, "b": {"mean": True, "truncation": 0.1, "texture": LATENT["a"]}}
    found = layout(styles=styles, centres=[{"style": "b", "x": "25%", "y": -3}])
    assert Layout.from_json(found.to_json()) == found


def test_a_latent_is_stored_to_the_last_bit(tmp_path: Path):
    latent_file(tmp_path, z_g=np.array([0.1, 1e-45, -3.4e38, 1 / 3], np.float32))
    found = resolve(layout(styles={"a": {"mean": True, "texture": LATENT["a"]}}), REGION, folder=tmp_path)
    again = ResolvedLayout.from_json(found.to_json())
    source = again.styles[0].texture
    assert source is not None
    assert source.latent is not None
    assert np.array_equal(np.array(source.latent.z_g, np.float32), np.array([0.1, 1e-45, -3.4e38, 1 / 3], np.float32))


def test_structure_and_texture_are_chosen_apart():
    found = layout(styles={"a": {"seed": 1, "texture": {"seed": 2}}})
    style = resolve(found, REGION, folder=Path()).styles[0]
    assert (style.seed, style.texture and style.texture.seed) == (1, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"w_plus": None}, "float32 z_g"),
        ({"more": np.zeros(1, np.float32)}, "holds .*more"),
        ({"z_g": np.zeros(4)}, "float32"),
        ({"z_g": np.zeros(3, np.float32)}, "equally many"),
        ({"z_g": np.full(4, np.nan, np.float32)}, "z_g.0 is nan"),
    ],
)
def test_a_file_without_latents_is_refused(tmp_path: Path, changes: dict[str, Any], words: str):
    latent_file(tmp_path, **changes)
    with pytest.raises(WorldError, match=words):
        resolve(layout(styles=LATENT), REGION, folder=tmp_path)


def test_more_latents_than_a_document_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    latent_file(tmp_path)
    monkeypatch.setattr(layout_files, "MAX_RESOLVED_BYTES", 300)
    with pytest.raises(WorldError, match="over 300; name fewer latent files"):
        resolve(layout(styles=LATENT), REGION, folder=tmp_path)


def test_a_damaged_latent_file_is_refused(tmp_path: Path):
    (tmp_path / "x.safetensors").write_bytes(b"\x80\x04 pickled")
    with pytest.raises(WorldError, match="not a safetensors file"):
        resolve(layout(styles=LATENT), REGION, folder=tmp_path)


@pytest.mark.parametrize("broken", [layout(styles=LATENT), painted_layout()], ids=["latent", "painting"])
def test_a_missing_file_is_named(tmp_path: Path, broken: Layout):
    with pytest.raises(WorldError, match="does not exist; give an existing file"):
        resolve(broken, REGION, folder=tmp_path)


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", width, height, 8, 2, 0, 0, 0, 0)


@pytest.mark.parametrize("size", [(40_000, 25_000), (2**31, 2**31), (8193, 8192)])
def test_a_painting_that_is_too_large_is_refused_from_its_header(tmp_path: Path, size: tuple[int, int]):
    (tmp_path / "paint.png").write_bytes(png_header(*size))
    with pytest.raises(WorldError, match=f"{size[0]} x {size[1]} px, over the limit of 67108864"):
        resolve(painted_layout(), REGION, folder=tmp_path)


def test_the_limit_for_photographs_holds_for_paintings_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(MAX_PHOTO_PIXELS.name, "99")
    with pytest.raises(WorldError, match="10 x 10 px, over the limit of 99"):
        painted(tmp_path, np.zeros((10, 10), np.uint8))


def test_smoothed_edges_take_the_nearest_colour_and_are_counted(tmp_path: Path):
    picture = Image.new("RGB", (40, 20), "black")
    picture.paste("white", (20, 0, 40, 20))
    picture.paste((120, 120, 120), (19, 0, 20, 20))
    picture.paste((130, 130, 130), (20, 0, 21, 20))
    picture.save(tmp_path / "paint.png")
    lines: list[str] = []
    found = resolve(painted_layout(), REGION, folder=tmp_path, report=lines.append)
    assert found.painting is not None
    assert found.painting.numbers.tolist() == [[0] * 20 + [1] * 20] * 20
    assert [line.split(": ", 1)[1] for line in lines] == [
        "40 px (5 %) have colours without a style, and take the nearest colour that has one"
    ]
    with pytest.raises(WorldError, match="has colours without a style: #787878"):
        resolve(painted_layout(), REGION, folder=tmp_path, snap=False)


def test_a_painting_of_other_colours_is_refused(tmp_path: Path):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "paint.png")
    with pytest.raises(WorldError, match="on more than 25 % of its pixels: #ff0000"):
        resolve(painted_layout(), REGION, folder=tmp_path)


def test_colours_that_mean_no_style_are_listed_most_frequent_first(tmp_path: Path):
    paint = np.repeat(np.array([1, 2, 3, 4, 5, 6, 0], np.uint8), [1, 9, 2, 3, 4, 5, 30])[None]
    words = r"#020202 \(9 px\), #060606 \(5 px\), #050505 \(4 px\), #040404 \(3 px\), #030303 \(2 px\) and 1 more"
    with pytest.raises(WorldError, match=words):
        painted(tmp_path, paint)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_painting_with_an_alpha_channel_is_refused(tmp_path: Path, mode: str):
    with pytest.raises(WorldError, match="transparency"):
        painted(tmp_path, Image.new(mode, (3, 3)))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_every_kind_of_opaque_painting_is_read(tmp_path: Path, mode: str):
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("RGB").convert(mode)
    assert painted(tmp_path, image).labels(Window(Span(-40, 90), Span(0, 1)))[0].tolist() == [0] * 45 + [1] * 45


@pytest.mark.parametrize("content", [b"", b"GIF89a" * 9, png_header(3, 3), png_header(0, 3)])
def test_a_painting_that_is_damaged_or_of_another_kind_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "paint.png").write_bytes(content)
    with pytest.raises(WorldError, match="PNG"):
        resolve(painted_layout(), REGION, folder=tmp_path)


def test_a_painting_that_ends_too_early_is_refused(tmp_path: Path):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8) * 255).save(file, "PNG")
    (tmp_path / "paint.png").write_bytes(file.getvalue()[:300])
    with pytest.raises(WorldError, match="cannot be decoded"):
        resolve(painted_layout(), REGION, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "styles"),
        ('{"styles": {}}', "styles"),
        ('{"styles": {"a": {}}}', "styles.a: nothing given; give one of seed, mean and latent"),
        ('{"styles": {"a": {"seed": 1, "mean": true}}}', "seed and mean given"),
        ('{"styles": {"a": {"mean": false}}}', "styles.a.mean is False"),
        ('{"styles": {"a": {"seed": 1}, "a": {"seed": 2}}}', "'a' is given twice"),
        ('{"styles": {"a": {"sed": 1}}}', "styles.a: unknown entry 'sed'; allowed are .*seed.*texture"),
        ('{"styles": {"a": {"seed": 1}}, "centers": []}', "unknown entry 'centers'"),
        ('{"styles": {"a": {"seed": 1, "truncation": NaN}}}', "styles.a.truncation is nan"),
        ('{"styles": {"a": {"seed": 1, "texture": {"seed": 1, "texture": {"seed": 1}}}}}', "unknown entry 'texture'"),
        (
            '{"styles": {"a": {"seed": 1, "mix": {"seed": 1, "crossover": 1}, "texture": {"seed": 1}}}}',
            "move it into texture",
        ),
        ('{"schema": 2}', "update infgen"),
        ('{"schema": true}', "update infgen"),
        ('{"schema_version": 1}', "unknown entry 'schema_version'"),
        ("[1]", "not a mapping"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (json.dumps({"styles": {"a\nb": {"seed": "x"}}}), r"styles.'a\\nb'.seed is 'x'"),
        ('{"styles": {"\\ud800": {"seed": "x"}}}', "styles"),
    ],
)
def test_a_document_that_is_not_a_layout_is_refused_in_one_line(text: str, words: str):
    with pytest.raises(WorldError, match=words) as refusal:
        Layout.from_json(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "2 styles and no place"),
        ({"centres": []}, "2 styles and no place"),
        ({"centres": [{"style": "c", "x": 0, "y": 0}]}, "centre 0 has style 'c', which is not given; styles are a, b"),
        ({"centres": [{"style": "a", "x": 1.5, "y": 0}]}, "centres.0.x is 1.5: give a whole number of px"),
        ({"centres": [{"style": "a", "x": "half", "y": 0}]}, "percentage like '25%'"),
        ({"centres": [{"style": "a", "x": True, "y": 0}]}, "x is True"),
        ({"centres": [{"style": "a", "x": 2**40 + 1, "y": 0}]}, "2\\^40"),
        ({"centres": [{"style": "a", "x": float("nan"), "y": 0}]}, "x is nan"),
        ({"centres": [{"style": "a", "x": 0}]}, "centres.0.y"),
        ({"transition": -1}, "transition is -1"),
        ({"transition": 4097}, "transition is 4097"),
        ({"transition": 1.0}, "transition is 1.0"),
        ({"painting": {"image": "p.png", "colours": {}}}, "painting.colours"),
        ({"painting": {"image": "p.png", "colours": {"red": "a"}}}, "red"),
        ({"painting": {"image": "p.png", "colours": {"#ff0000": "c"}}}, "colour #ff0000 has style 'c'"),
        ({"painting": {"image": "p.png", "colours": {"#ff0000": "a", "#FF0000": "b"}}}, "a colour occurs twice"),
        (
            {
                "centres": [{"style": "a", "x": 0, "y": 0}],
                "painting": {"image": "p.png", "colours": {"#ff0000": "a"}},
            },
            "both centres and painting",
        ),
    ],
)
def test_an_illegal_value_is_refused_by_name(values: dict[str, Any], words: str):
    with pytest.raises(WorldError, match=words):
        layout(**values)


def test_a_stored_painting_with_a_number_that_no_style_has_is_refused(tmp_path: Path):
    document = json.loads(painted(tmp_path, np.array([[0, 255]], np.uint8)).to_json())
    del document["styles"][1]
    with pytest.raises(WorldError, match="holds style number 1; allowed are 0 to 0"):
        ResolvedLayout.from_json(json.dumps(document))


@pytest.mark.parametrize("png", ["", "!", "é", "AAAA"])
def test_a_stored_painting_that_is_damaged_is_refused(png: str):
    painting = {"x": 0, "y": 0, "w": 1, "h": 1, "png": png}
    text = json.dumps({"styles": [{"name": "a", "seed": 1}], "painting": painting, "transition": 1})
    with pytest.raises(WorldError):
        ResolvedLayout.from_json(text)


KEYS = ["schema", "styles", "centres", "painting", "transition", "seed", "mean", "latent", "mix", "texture", "style"]
KEYS += ["x", "y", "w", "h", "png", "name", "image", "colours", "#ffffff", "a"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["a", "5%", 1]),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), x, max_size=5),
)
DOCUMENT = st.dictionaries(st.sampled_from(KEYS[:5]), JSON) | JSON


@pytest.mark.parametrize("kind", [Layout, ResolvedLayout])
@given(DOCUMENT)
def test_no_json_document_gives_anything_but_a_layout_or_a_refusal(kind: type[Layout | ResolvedLayout], data: object):
    assert "\n" not in refusal_of(kind, json.dumps(data))


@given(st.binary(max_size=200))
def test_no_bytes_give_anything_but_a_layout_or_a_refusal(data: bytes):
    assert "\n" not in refusal_of(Layout, data)


def refusal_of(kind: type[Layout | ResolvedLayout], text: str | bytes) -> str:
    """The message with which a document is refused, nothing for a layout; any other exception is a failure."""
    try:
        kind.from_json(text)
    except WorldError as refusal:
        return str(refusal)
    return ""


def test_a_layout_file_is_read(tmp_path: Path):
    centre = {"style": "a", "x": 1, "y": "2%"}
    (tmp_path / "layout.json").write_text(layout(centres=[centre]).to_json())
    assert Layout.load(tmp_path / "layout.json").centres == (CentreSpec(style="a", x=1, y="2%"),)


def test_a_missing_layout_file_is_refused(tmp_path: Path):
    with pytest.raises(WorldError, match="does not exist"):
        Layout.load(tmp_path / "none.json")


def test_the_published_schema_names_every_entry():
    names = ["schema", "styles", "centres", "painting", "transition", "strokes"]
    assert list(Layout.model_json_schema()["properties"]) == names
