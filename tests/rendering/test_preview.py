"""Previews: sizes, the map of styles, samples of giant regions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.geometry import Region, Span, Window
from infgen.rendering import preview as module
from infgen.rendering.preview import GAP_PX, colours, preview, style_colours, style_map
from infgen.rendering.sheet import LABEL_PX
from infgen.rendering.studio import Studio, open_studio
from infgen.world.layout import Layout, ResolvedLayout
from infgen.world.layout_files import resolve
from infgen.world.world import World

REGION = Region(-30, -20, 96, 60)
GIANT = Region(-(2**39), -100, 2**40, 300)


@pytest.fixture(scope="module")
def studio(tiny_model: Path) -> Studio:
    return open_studio(World(seed=3), model=tiny_model)


def halves(region: Region, *, left: str = "a", right: str = "b") -> ResolvedLayout:
    centres = [{"style": left, "x": "25%", "y": 0}, {"style": right, "x": "75%", "y": 0}]
    styles = {left: {"seed": 1}, right: {"seed": 2}}
    return resolve(
        Layout.from_json(json.dumps({"styles": styles, "centres": centres, "transition": 0})), region, folder=Path()
    )


def with_halves(studio: Studio, region: Region) -> Studio:
    return studio.with_world(World(seed=3).replace(layout=halves(region)))


def test_a_small_region_without_a_layout_is_its_own_preview(studio: Studio):
    assert np.array_equal(preview(studio, REGION), studio.array(REGION))


def test_a_larger_region_is_scaled_down_to_the_asked_side(studio: Studio):
    small = Image.fromarray(studio.array(REGION)).resize((48, 30), Image.Resampling.LANCZOS)
    assert np.array_equal(preview(studio, REGION, side=48), np.asarray(small))


def test_wide_panels_stand_one_above_the_other_with_names_below(studio: Studio):
    found = preview(with_halves(studio, REGION), REGION)
    assert found.shape == (2 * 60 + 2 * GAP_PX + 2 * LABEL_PX, 128, 3)


def test_tall_panels_stand_side_by_side(studio: Studio):
    tall = Region(0, 0, 62, 90)
    found = preview(with_halves(studio, tall), tall)
    assert found.shape == (90 + GAP_PX + 2 * LABEL_PX, 128, 3)


def test_the_map_shows_each_style_in_its_colour(studio: Studio):
    found = preview(with_halves(studio, REGION), REGION)[:60, :96]
    columns = np.repeat(colours(2), (49, 47), axis=0)  # the middle column is as near to both: the first one's
    assert np.array_equal(found, np.broadcast_to(columns, (60, 96, 3)))


def test_the_image_is_that_of_the_layout(studio: Studio):
    drawn = with_halves(studio, REGION)
    assert np.array_equal(preview(drawn, REGION)[60 + GAP_PX : 120 + GAP_PX, :96], drawn.array(REGION))


def test_a_giant_region_is_shown_by_windows_at_true_scale(studio: Studio):
    found = preview(studio, GIANT, side=256)
    assert found.shape == (64, 4 * 64, 3)
    third = Region(GIANT.x + 5 * GIANT.w // 8 - 32, 18, 64, 64)
    assert np.array_equal(found[:, 2 * 64 + 1 : 3 * 64], studio.array(third)[:, 1:])


@pytest.mark.parametrize(
    ("w", "h", "shape"),
    [(40_000, 40_000, (32, 32)), (40_000, 20_000, (16, 32)), (1, 2**30, (32, 1)), (2**23, 5, (5, 32))],
)
def test_windows_of_a_giant_region_keep_its_proportions(
    studio: Studio, w: int, h: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    def blank(self: Studio, region: Region) -> np.ndarray:
        assert -7 <= region.x <= w - 7 - region.w
        assert 9 <= region.y <= h + 9 - region.h
        return np.zeros((region.h, region.w, 3), np.uint8)

    monkeypatch.setattr(Studio, "array", blank)
    assert preview(studio, Region(-7, 9, w, h), side=32).shape[:2] == shape


def test_a_narrow_preview_still_names_its_styles(studio: Studio):
    narrow = Region(0, 0, 3, 8)
    assert preview(with_halves(studio, narrow), narrow).shape == (8 + GAP_PX + 2 * LABEL_PX, 128, 3)


def test_the_map_of_a_giant_region_is_exact():
    layout = halves(GIANT)
    assert style_map(layout, GIANT, size=(6, 2)).tolist() == [[0, 0, 0, 1, 1, 1]] * 2


@pytest.mark.parametrize("step", [2, 8])
def test_the_map_of_a_coarse_region_lies_where_the_styles_do(step: int):
    layout = halves(Region(0, 0, 96 * step, 60 * step))
    assert style_map(layout, Region(0, 0, 96, 60), size=(6, 1), step=step).tolist() == [[0, 0, 0, 1, 1, 1]]


def test_the_map_repeats_with_the_world():
    region = Region(0, 0, 100, 1)
    window = Window(Span(0, 100), Span(0, 1))
    layout = halves(Region(0, 0, 20, 1))
    assert np.array_equal(style_map(layout, region, size=(100, 1), period=20), layout.labels(window, period=20))


def test_the_legend_names_at_most_so_many_styles(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_LEGEND", 1)
    labels: list[str] = []
    strip = module.text_strip
    monkeypatch.setattr(module, "text_strip", lambda text, width: labels.append(text) or strip(text, width))
    preview(with_halves(studio, REGION), REGION)
    assert labels == ["a", "and 1 more"]


@pytest.mark.parametrize("name", ["a\nb", "日本", "é", "x" * 100])
def test_any_name_can_stand_in_the_legend(studio: Studio, name: str):
    drawn = studio.with_world(World().replace(layout=halves(REGION, right=name)))
    assert preview(drawn, REGION).shape[0] == 2 * 60 + 2 * GAP_PX + 2 * LABEL_PX


def test_colours_of_styles_differ():
    found = colours(256)
    assert len(np.unique(found, axis=0)) == 256


def test_colours_of_few_styles_are_far_apart():
    found = colours(12).astype(int)
    apart = np.abs(found[:, None] - found[None]).sum(axis=-1) + 10**6 * np.eye(12, dtype=int)
    assert apart.min() >= 100


def test_the_colour_of_a_style_does_not_depend_on_how_many_there_are():
    assert np.array_equal(colours(5), colours(9)[:5])


def test_a_painted_style_has_its_own_colour() -> None:
    spec = {"styles": [{"name": name, "seed": 1} for name in "ab"], "centres": [{"style": "a", "x": 0, "y": 0}]}
    layout = ResolvedLayout.from_json(json.dumps({**spec, "transition": 1}))
    found = style_colours(layout, {"b": "#0A141e"})
    assert found[1].tolist() == [10, 20, 30]
    assert found[0].tolist() == colours(2)[0].tolist()
