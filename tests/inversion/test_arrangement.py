"""Plans of outpainting, inbetweening and panoramas, and the composition of their output."""

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
)
from infgen.inversion.placing import Placed, place
from infgen.limits import MAX_JOINED_PIXELS
from infgen.model.config import preset
from infgen.photo import open_photograph
from tests.train.photos import landscape

CELL_PX = 16
SIZES = st.integers(0, 90)


def placed(
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
def test_the_region_is_the_photograph_and_what_is_added(left: int, top: int, right: int, bottom: int) -> None:
    if not left + top + right + bottom:
        return
    found = outpainting(placed(x=7), Extension(left, top, right, bottom))
    assert found.region == Region(7 - left, -40 - top, left + 120 + right, top + 80 + bottom)
    assert found.size == (found.region.w, found.region.h)


@given(SIZES, SIZES, SIZES, SIZES, st.integers(0, 40))
@settings(max_examples=8)
def test_the_photograph_stands_in_the_output_bit_for_bit(
    left: int, top: int, right: int, bottom: int, feather: int
) -> None:
    if not left + top + right + bottom:
        return
    photo = placed()
    arrangement = outpainting(photo, Extension(left, top, right, bottom))
    output = arrangement.compose(drawn(arrangement), feather=feather)
    inside = [0 if side == 0 else feather for side in (left, top, right, bottom)]
    rows, columns = slice(inside[1], 80 - inside[3]), slice(inside[0], 120 - inside[2])
    kept = output[top : top + 80, left : left + 120][rows, columns]
    assert np.array_equal(kept, photo.pixels[rows, columns])


def test_without_keeping_the_output_is_what_was_drawn() -> None:
    arrangement = outpainting(placed(), Extension(right=50))
    assert np.array_equal(arrangement.compose(drawn(arrangement), keep=False), drawn(arrangement))


def test_the_feather_is_32_px_of_working_size_where_none_is_given() -> None:
    arrangement = outpainting(placed(), Extension(right=50))
    output = arrangement.compose(drawn(arrangement))
    assert np.array_equal(output, arrangement.compose(drawn(arrangement), feather=32))


@given(st.integers(0, 300), st.integers(0, 300), st.integers(150, 300), st.integers(40, 150), st.integers(0, 60))
@settings(max_examples=8)
def test_at_source_scale_the_files_own_pixels_stand_bit_for_bit(
    left: int, top: int, width: int, height: int, feather: int
) -> None:
    photo = placed(width, height, working=40)
    arrangement = outpainting(photo, Extension(left, top, 5, 0), scale="source")
    output = arrangement.compose(drawn(arrangement), feather=feather)
    assert output.shape == (top + height, left + width + 5, 3)
    first = (feather if top else 0, feather if left else 0)
    rows, columns = slice(first[0], None), slice(first[1], max(first[1], width - feather))
    kept = output[top:, left : left + width]
    assert np.array_equal(kept[rows, columns], np.asarray(photo.photograph.image)[rows, columns])


@given(st.integers(0, 300), st.integers(1, 300), st.integers(150, 300), st.integers(40, 150))
@settings(max_examples=12)
def test_at_source_scale_the_window_holds_the_whole_output(left: int, right: int, width: int, height: int) -> None:
    photo = placed(width, height, working=40)
    arrangement = outpainting(photo, Extension(left, 0, right, 0), scale="source")
    assert arrangement.source is not None
    x0, y0, x1, y1 = arrangement.source.box
    assert 0 <= x0 < x1 <= arrangement.region.w
    assert (y0, y1) == (0, arrangement.region.h)
    across = photo.scale[0]
    assert (x1 - x0) * across == pytest.approx(left + width + right)


def test_at_source_scale_what_is_drawn_continues_the_photograph_at_its_scale() -> None:
    wide = landscape(3, height=160, width=400)
    whole = place(open_photograph(wide), height=40, horizon=0.5)
    part = place(open_photograph(np.ascontiguousarray(wide[:, :200])), height=40, horizon=0.5)
    arrangement = outpainting(part, Extension(right=200), scale="source")
    output = arrangement.compose(whole.pixels, keep=False)
    assert np.abs(output.astype(int) - wide).mean() < 12


def test_a_masked_photograph_is_completed_without_any_extension() -> None:
    mask = np.full((80, 120), 255, np.uint8)
    mask[30:50, 40:90] = 0
    photo = place(open_photograph(landscape(1, height=80, width=120)).masked(mask), height=80, horizon=0.5)
    arrangement = outpainting(photo, Extension())
    generated = np.full((80, 120, 3), 255, np.uint8)
    output = arrangement.compose(generated, feather=0)
    assert np.array_equal(output[mask > 0], photo.pixels[mask > 0])
    assert not np.array_equal(output[35:45, 60:70], photo.pixels[35:45, 60:70])


def test_nothing_to_add_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to add to the photograph; give px for at least one of --left"):
        outpainting(placed(), Extension())


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
@pytest.mark.parametrize("size", [-1, 2**40 + 1, 10**400])
def test_an_extension_out_of_range_is_refused(side: str, size: int) -> None:
    with pytest.raises(InputError, match=f"{side} {size} px is not possible; give 0 to 2"):
        Extension(**{side: size})


@pytest.mark.parametrize("scale", ["work", "source"])
def test_an_output_over_the_limit_is_refused(scale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrangement = outpainting(placed(working=40), Extension(right=480), scale=scale)  # type: ignore[arg-type]
    monkeypatch.setenv(MAX_JOINED_PIXELS.name, str(600 * 80 if scale == "source" else 540 * 40))
    arrangement.check_size()
    monkeypatch.setenv(MAX_JOINED_PIXELS.name, str(600 * 80 - 1 if scale == "source" else 540 * 40 - 1))
    with pytest.raises(LimitError, match="are over the limit of"):
        arrangement.check_size()


def test_an_extension_past_the_canvas_is_refused() -> None:
    with pytest.raises(LimitError, match="leaves the canvas"):
        outpainting(placed(), Extension(right=2**40))


# Inbetweening


def row(*widths: int, gap: int = 600, horizons: tuple[float, ...] = ()) -> Arrangement:
    photos: list[Placed] = []
    for i, width in enumerate(widths):
        x = photos[-1].x + photos[-1].region.w + gap if photos else 0
        photos.append(placed(width, x=x, horizon=horizons[i] if horizons else 0.5))
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
    arrangement = panorama(placed(), period=1024)
    assert arrangement.region == Region(-452, -40, 1024, 80)
    assert arrangement.period == 1024
    output = arrangement.compose(drawn(arrangement), feather=0)
    assert np.array_equal(output[:, 452:572], placed().pixels)


def test_a_circle_shorter_than_the_photograph_is_refused() -> None:
    with pytest.raises(
        InputError, match="width 112 px is too short for a panorama: the photograph alone is 120 px wide"
    ):
        panorama(placed(), period=112)
