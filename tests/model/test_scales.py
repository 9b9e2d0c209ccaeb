"""Scales of a model: views, windows and patches."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen import geometry
from infgen.errors import InputError
from infgen.model.config import PRESETS, GeneratorConfig, preset
from infgen.model.scales import PATCH_PX, Scale, judged_scales, nearest_scale

FOUR = judged_scales(preset("tiny-scales"))


def config_of(levels: int, scales: tuple[int, ...], view_px: int) -> GeneratorConfig:
    return GeneratorConfig((4,) * 2 * levels, local_channels=3, global_channels=5, scales=scales, view_px=view_px)


def test_scales_come_from_coarse_to_fine() -> None:
    assert [(s.level, s.halvings, s.name) for s in FOUR] == [(3, 3, "1/8"), (4, 2, "1/4"), (5, 1, "1/2"), (6, 0, "1")]


def test_the_view_halves_with_the_scale() -> None:
    assert [s.view_px for s in FOUR] == [98, 197, 394, 788]


def test_windows_are_the_smallest_that_hold_a_patch_or_the_largest_that_the_view_holds() -> None:
    assert [(s.cells, s.window_px) for s in FOUR] == [(16, 93), (11, 101), (8, 101), (7, 133)]


def test_a_label_names_scale_patch_and_view() -> None:
    assert [s.label for s in FOUR] == [
        "1/8: 93 px of 98",
        "1/4: 101 px of 197",
        "1/2: 101 px of 394",
        "1: 101 px of 788",
    ]


@pytest.mark.parametrize("name", [name for name, config in PRESETS.items() if not config.scales and not config.view_px])
def test_a_model_without_scales_has_the_papers_patch_and_view(name: str) -> None:
    config = PRESETS[name]
    (scale,) = judged_scales(config)
    assert (scale.level, scale.halvings, scale.cells) == (config.levels, 0, 11)
    assert (scale.patch_px, scale.view_px) == (config.patch_px, geometry.tile_px(17, levels=config.levels))


def test_a_model_without_scales_keeps_the_view_that_its_file_states() -> None:
    (scale,) = judged_scales(replace(PRESETS["tiny"], view_px=250))
    assert (scale.view_px, scale.patch_px) == (250, 101)


def test_a_model_with_scales_that_states_no_view_has_the_papers() -> None:
    scales = judged_scales(replace(preset("tiny-scales"), view_px=None))
    assert [s.view_px for s in scales] == [96, 193, 386, 773]


def test_the_scales_of_a_coarser_model_are_its_own() -> None:
    coarser = judged_scales(preset("tiny-scales").coarser(1))
    assert [(s.level, s.view_px, s.patch_px) for s in coarser] == [(s.level, s.view_px, s.patch_px) for s in FOUR[:3]]


def test_a_view_too_small_for_any_window_is_refused() -> None:
    with pytest.raises(InputError, match="leaves scale 1/8 a view of 4 px, too small for any window; give 40 or more"):
        judged_scales(config_of(6, (3, 6), 39))


@pytest.mark.parametrize(("view_px", "name"), [(98, "1/8"), (100, "1/8"), (400, "1/2"), (3000, "1")])
def test_the_nearest_scale_is_that_of_the_most_similar_view(view_px: int, name: str) -> None:
    assert nearest_scale(FOUR, view_px).name == name


def test_of_two_equally_near_scales_the_larger_is_shrunk() -> None:
    two = [Scale(4, 1, 100, 11, 90), Scale(5, 0, 400, 11, 90)]
    assert nearest_scale(two, 200).view_px == 400


@given(st.data())
def test_patches_fit_the_window_and_windows_fit_the_view(data: st.DataObject) -> None:
    levels = data.draw(st.integers(1, 8))
    scales = (*sorted(data.draw(st.sets(st.integers(1, levels), max_size=3)) - {levels}), levels)
    for scale in judged_scales(config_of(levels, scales, data.draw(st.integers(5 << levels, 4000)))):
        larger = geometry.tile_px(scale.cells + 1, levels=scale.level)
        assert scale.patch_px <= scale.window_px <= scale.view_px
        assert scale.patch_px == PATCH_PX or larger > scale.view_px


@given(st.integers(100, 4000))
def test_the_view_lies_around_the_horizon(view_px: int) -> None:
    for scale in judged_scales(config_of(6, (3, 4, 5, 6), view_px)):
        bottom = scale.view_top + scale.view_px - 1
        assert abs(scale.view_top + bottom) <= 1
        assert scale.view_top + scale.room_px + scale.patch_px - 1 == bottom
