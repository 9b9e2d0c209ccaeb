"""Plans of outpainting, inbetweening and panoramas, and the composition of their output."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infgen.errors import InputError, LimitError
from infgen.geometry import Region
from infgen.inversion.arrangement import (
    Arrangement,
    Extension,
    cyclic_period,
    inbetweening,
    outpainting,
    panorama,
    place_row,
)
from infgen.inversion.placing import Placed, place
from infgen.limits import MAX_JOINED_PIXELS
from infgen.model.config import preset, scale_name
from infgen.photo import open_photograph
from tests.train.photos import landscape

CELL_PX = 16
SIZES = st.integers(0, 90)


def place_photo(
    width: int = 120, height: int = 80, *, working: int | None = None, x: int = 0, horizon: float = 0.5
) -> Placed:
    photo = open_photograph(landscape(1, height=height, width=width))
    return place(photo, height=height if working is None else working, horizon=horizon, x=x)


def drawn(arrangement: Arrangement, seed: int = 0) -> np.ndarray:
    shape = (arrangement.region.h, arrangement.region.w, 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


# Outpainting


@given(SIZES, SIZES, SIZES, SIZES)
@settings(max_examples=20)
def test_the_region_contains_the_photograph_and_the_extension(left: int, top: int, right: int, bottom: int) -> None:
    if not left + top + right + bottom:
        return
    found = outpainting(place_photo(x=7), Extension(left=left, top=top, right=right, bottom=bottom))
    assert found.region == Region(7 - left, -40 - top, left + 120 + right, top + 80 + bottom)
    assert found.size == (found.region.w, found.region.h)


@given(SIZES, SIZES, SIZES, SIZES, st.integers(0, 40))
@settings(max_examples=3)
def test_the_photograph_stands_in_the_output_bit_for_bit(
    left: int, top: int, right: int, bottom: int, feather: int
) -> None:
    if not left + top + right + bottom:
        return
    photo = place_photo()
    arrangement = outpainting(photo, Extension(left=left, top=top, right=right, bottom=bottom))
    output = arrangement.compose(drawn(arrangement), feather=feather)
    assert np.array_equal(output[top : top + 80, left : left + 120], photo.pixels)


def test_without_keeping_the_output_is_the_generated_picture() -> None:
    arrangement = outpainting(place_photo(), Extension(right=50))
    assert np.array_equal(arrangement.compose(drawn(arrangement), keep=False), drawn(arrangement))


def test_the_feather_is_1_px_of_working_size_where_none_is_given() -> None:
    arrangement = outpainting(place_photo(), Extension(right=50))
    output = arrangement.compose(drawn(arrangement))
    assert np.array_equal(output, arrangement.compose(drawn(arrangement), feather=1))


@given(st.integers(0, 300), st.integers(0, 300), st.integers(150, 300), st.integers(40, 150), st.integers(0, 60))
@settings(max_examples=3)
def test_at_source_scale_the_files_own_pixels_stand_bit_for_bit(
    left: int, top: int, width: int, height: int, feather: int
) -> None:
    photo = place_photo(width, height, working=40)
    arrangement = outpainting(photo, Extension(left=left, top=top, right=5, bottom=0), scale="source")
    output = arrangement.compose(drawn(arrangement), feather=feather)
    assert output.shape == (top + height, left + width + 5, 3)
    assert np.array_equal(output[top:, left : left + width], np.asarray(photo.photograph.image))


@given(st.integers(0, 300), st.integers(1, 300), st.integers(150, 300), st.integers(40, 150))
@settings(max_examples=12)
def test_at_source_scale_the_window_holds_the_whole_output(left: int, right: int, width: int, height: int) -> None:
    photo = place_photo(width, height, working=40)
    arrangement = outpainting(photo, Extension(left=left, top=0, right=right, bottom=0), scale="source")
    assert arrangement.source is not None
    x0, y0, x1, y1 = arrangement.source.box
    assert 0 <= x0 < x1 <= arrangement.region.w
    assert (y0, y1) == (0, arrangement.region.h)
    across = photo.scale[0]
    assert (x1 - x0) * across == pytest.approx(left + width + right)


def test_generated_pixels_continue_the_photograph_at_source_scale() -> None:
    wide = landscape(3, height=160, width=400)
    whole = place(open_photograph(wide), height=40, horizon=0.5)
    part = place(open_photograph(np.ascontiguousarray(wide[:, :200])), height=40, horizon=0.5)
    arrangement = outpainting(part, Extension(right=200), scale="source")
    output = arrangement.compose(whole.pixels, keep=False)
    assert np.abs(output.astype(int) - wide).mean() < 12


def test_a_masked_photograph_is_completed_without_any_extension() -> None:
    mask = np.full((80, 120), 255, np.uint8)
    mask[30:50, 40:90] = 0
    photo = place(open_photograph(landscape(1, height=80, width=120)).with_mask(mask), height=80, horizon=0.5)
    arrangement = outpainting(photo, Extension())
    generated = np.full((80, 120, 3), 255, np.uint8)
    output = arrangement.compose(generated, feather=0)
    assert np.array_equal(output[mask > 0], photo.pixels[mask > 0])
    assert not np.array_equal(output[35:45, 60:70], photo.pixels[35:45, 60:70])


def test_nothing_to_add_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to add to the photograph; give px for at least one of --left"):
        outpainting(place_photo(), Extension())


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
@pytest.mark.parametrize("size", [-1, 2**40 + 1, 10**400])
def test_an_extension_out_of_range_is_refused(side: str, size: int) -> None:
    with pytest.raises(InputError, match=f"{side} {size} px is not possible; give 0 to 2"):
        Extension(**{side: size})


@pytest.mark.parametrize("scale", ["work", "source"])
def test_an_output_over_the_limit_is_refused(scale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrangement = outpainting(place_photo(working=40), Extension(right=480), scale=scale)  # type: ignore[arg-type]
    monkeypatch.setenv(MAX_JOINED_PIXELS.name, str(600 * 80 if scale == "source" else 540 * 40))
    arrangement.check_size()
    monkeypatch.setenv(MAX_JOINED_PIXELS.name, str(600 * 80 - 1 if scale == "source" else 540 * 40 - 1))
    with pytest.raises(LimitError, match="are over the limit of"):
        arrangement.check_size()


def test_an_extension_past_the_canvas_is_refused() -> None:
    with pytest.raises(LimitError, match="leaves the canvas"):
        outpainting(place_photo(), Extension(right=2**40))


# Inbetweening


def row(*widths: int, gap: int = 600, horizons: tuple[float, ...] = ()) -> Arrangement:
    photos: list[Placed] = []
    for i, width in enumerate(widths):
        x = photos[-1].x + photos[-1].region.w + gap if photos else 0
        photos.append(place_photo(width, x=x, horizon=horizons[i] if horizons else 0.5))
    return inbetweening(photos, config=preset("tiny"))


def test_the_row_reaches_from_the_first_to_the_last_photograph() -> None:
    assert row(120, 50, 80).region == Region(0, -40, 120 + 600 + 50 + 600 + 80, 80)


def test_photographs_at_different_heights_are_all_whole() -> None:
    arrangement = row(120, 120, horizons=(0.25, 0.75))
    assert arrangement.region == Region(0, -60, 840, 120)
    output = arrangement.compose(drawn(arrangement), feather=0)
    assert np.array_equal(output[40:, :120], arrangement.photographs[0].pixels)
    assert np.array_equal(output[:80, 720:], arrangement.photographs[1].pixels)


@pytest.mark.parametrize("gap", [1, 2, 100, 448, 1024, 5000, 100_000])
def test_a_transition_fits_the_gap(gap: int) -> None:
    transition = row(100, 100, gap=gap).transition
    assert transition % 2 == 1
    assert transition <= gap // 2 + 1 or gap - transition >= 447


# Panoramas


@pytest.mark.parametrize(("width", "period"), [(4096, 4096), (4100, 4096), (4105, 4112), (1, 16), (-5, 16)])
def test_the_period_is_the_multiple_of_a_cell_that_is_nearest(width: int, period: int) -> None:
    assert cyclic_period(width, cell_px=CELL_PX) == period


def test_the_photograph_stands_in_the_middle_of_the_circle() -> None:
    arrangement = panorama(place_photo(), width=1024, config=preset("tiny"))
    assert arrangement.region == Region(-452, -40, 1024, 80)
    assert arrangement.period == 1024
    output = arrangement.compose(drawn(arrangement), feather=0)
    assert np.array_equal(output[:, 452:572], place_photo().pixels)


def test_a_circle_shorter_than_the_photograph_is_refused() -> None:
    with pytest.raises(
        InputError, match="width 112 px is too short for a panorama: the photograph alone is 120 px wide"
    ):
        panorama(place_photo(), width=112, config=preset("tiny"))


# Several scales

SCALES = preset("tiny-scales")


@pytest.mark.parametrize(
    ("height", "rendered"), [(100, "1/4"), (240, "1/4"), (300, "1/2"), (490, "1/2"), (500, "1"), (3000, "1")]
)
def test_the_region_is_rendered_at_the_coarsest_scale_that_needs_little_enlargement(height: int, rendered: str) -> None:
    photo = place_photo(height, height, working=197)
    arrangement = outpainting(photo, Extension(right=60), scale="source", config=SCALES)
    assert scale_name(arrangement.rendered_halvings) == rendered


@pytest.mark.parametrize(("left", "top"), [(0, 0), (30, 0), (17, 23)])
def test_finer_pixels_lie_where_the_coarse_ones_are(left: int, top: int) -> None:
    """A ramp over world positions, rendered at both scales, must give the same output."""
    photo = place_photo(800, 600, working=197)
    fine = outpainting(photo, Extension(left=left, top=top, right=40, bottom=0), scale="source", config=SCALES)
    coarse = outpainting(
        photo, Extension(left=left, top=top, right=40, bottom=0), scale="source", config=replace(SCALES, scales=(6,))
    )
    coarse = replace(coarse, halvings=2)
    assert (fine.rendered_halvings, coarse.rendered_halvings) == (0, 2)
    outputs = [a.compose(ramp_over_world(a), keep=False)[20:-20, 20:-20] for a in (fine, coarse)]
    assert np.abs(outputs[0].astype(float) - outputs[1]).max() <= 1


def ramp_over_world(arrangement: Arrangement) -> np.ndarray:
    """Render world column / 8 and row / 8 as colours."""
    region, step = arrangement.rendered_region, 1 << arrangement.rendered_halvings
    x, y = np.meshgrid(*(step * np.arange(a, a + n) for a, n in ((region.x, region.w), (region.y, region.h))))
    return np.stack([x / 8 + 60, y / 8 + 60, x * 0], 2).round().clip(0, 255).astype(np.uint8)


def test_joined_photographs_keep_their_own_pixels_at_source_size() -> None:
    files = [open_photograph(landscape(i, height=300, width=width)) for i, width in enumerate((310, 407))]
    photos = place_row(files, gap=77, scale="source", height=100, horizon=0.5)
    arrangement = inbetweening(photos, config=preset("tiny"), scale="source", gap=77)
    assert arrangement.size == (310 + 77 + 407, 300)
    output = arrangement.compose(drawn(arrangement))
    assert np.array_equal(output[:, :310], np.asarray(files[0].image))
    assert np.array_equal(output[:, 387:], np.asarray(files[1].image))


def test_joined_photographs_get_the_height_of_the_largest() -> None:
    files = [open_photograph(landscape(i, height=height, width=2 * height)) for i, height in enumerate((100, 200))]
    photos = place_row(files, gap=50, scale="source", height=50, horizon=0.5)
    arrangement = inbetweening(photos, config=preset("tiny"), scale="source", gap=50)
    assert arrangement.size == (400 + 50 + 400, 200)


def test_a_panorama_at_source_size_keeps_the_photograph_and_closes() -> None:
    photo = place_photo(300, 200, working=50)
    arrangement = panorama(photo, width=1300, config=preset("tiny"), scale="source")
    assert arrangement.size == (1280, 200)
    period = arrangement.region.w
    columns = np.sin(np.arange(period) * 2 * np.pi / period) * 100 + 120
    waves = np.repeat(np.repeat(columns[None, :, None], 50, 0), 3, 2).round().astype(np.uint8)
    assert np.abs(np.diff(arrangement.compose(waves, keep=False)[:, [-1, 0], 0].astype(int))).max() <= 1
    output = arrangement.compose(waves)
    across = np.abs(np.diff(output[:, [-1, 0], 0].astype(int))).mean()
    assert across < 1.5 * np.abs(np.diff(output[:, :100, 0].astype(int), axis=1)).mean()
    assert arrangement.source is not None
    (place,) = arrangement.source.places
    assert np.array_equal(output[:, place.x : place.x + 300], np.asarray(photo.photograph.image))
