"""Integer algebra of windows, against closed forms and against a chain of real convolutions."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from infgen import geometry
from infgen.geometry import LayerSpans, Span, Window

FAR = 2**40
LEVELS = st.integers(1, 7)
CELLS = st.integers(5, 60)
POSITION = st.one_of(st.integers(-100, 100), st.integers(-FAR - 5, -FAR + 5), st.integers(FAR - 5, FAR + 5))

properties = settings(deadline=None, max_examples=60)


@properties
@given(cell=POSITION, cells=CELLS, levels=LEVELS)
def test_pixels_follow_the_closed_form(cell: int, cells: int, levels: int) -> None:
    s = 2**levels
    pixels = geometry.layer_spans(cell, cells, levels=levels).pixels
    assert (pixels.start, pixels.size) == (s * cell + 2 * (s - 1), s * cells - 5 * (s - 1))


@properties
@given(cell=POSITION, cells=CELLS, levels=LEVELS)
def test_the_last_pixel_is_as_far_inside_as_the_first(cell: int, cells: int, levels: int) -> None:
    s = 2**levels
    pixels = geometry.layer_spans(cell, cells, levels=levels).pixels
    assert pixels.stop - 1 == s * (cell + cells - 1) - 2 * (s - 1)


@properties
@given(cell=POSITION, cells=CELLS, levels=LEVELS)
def test_helpers_agree_with_the_pixels_of_the_layers(cell: int, cells: int, levels: int) -> None:
    pixels = geometry.layer_spans(cell, cells, levels=levels).pixels
    assert pixels == Span(geometry.first_px(cell, levels=levels), geometry.tile_px(cells, levels=levels))


@properties
@given(cell=POSITION, cells=CELLS, levels=LEVELS)
def test_every_level_follows_the_closed_form(cell: int, cells: int, levels: int) -> None:
    noise = geometry.layer_spans(cell, cells, levels=levels).noise
    for level in range(1, levels + 1):
        s = 2**level
        assert noise[2 * level - 1] == Span(s * cell + 2 * (s - 1), s * cells - 5 * (s - 1))


@properties
@given(cell=POSITION, cells=CELLS, levels=LEVELS)
def test_a_plain_convolution_eats_one_position_on_each_side(cell: int, cells: int, levels: int) -> None:
    noise = geometry.layer_spans(cell, cells, levels=levels).noise
    assert all((b.start, b.stop) == (a.start + 1, a.stop - 1) for a, b in zip(noise[::2], noise[1::2], strict=True))


@properties
@given(cell=POSITION, cells=CELLS, levels=LEVELS)
def test_the_structure_synthesizer_reads_twelve_cells_more_on_each_side(cell: int, cells: int, levels: int) -> None:
    spans = geometry.layer_spans(cell, cells, levels=levels)
    assert spans.structure == Span(cell, cells)
    assert (spans.local.start, spans.local.stop) == (cell - 12, cell + cells + 12)


@properties
@given(cell=POSITION, cells=CELLS, levels=LEVELS)
def test_tiles_at_their_stride_overlap_five_pixels(cell: int, cells: int, levels: int) -> None:
    here = geometry.layer_spans(cell, cells, levels=levels).pixels
    there = geometry.layer_spans(cell + cells - 5, cells, levels=levels).pixels
    assert there.start - here.start == 2**levels * (cells - 5)
    assert here.stop - there.start == 5


def _every_span(spans: LayerSpans) -> tuple[Span, ...]:
    return (spans.local, spans.structure, *spans.noise, spans.pixels)


@properties
@given(cell=POSITION, cells=CELLS, before=st.integers(0, 9), after=st.integers(0, 9), levels=LEVELS)
def test_a_tile_inside_another_is_so_at_every_layer(
    cell: int, cells: int, before: int, after: int, levels: int
) -> None:
    inner = geometry.layer_spans(cell, cells, levels=levels)
    outer = geometry.layer_spans(cell - before, cells + before + after, levels=levels)
    assert all(o.contains(i) for o, i in zip(_every_span(outer), _every_span(inner), strict=True))


@properties
@given(px=POSITION, levels=LEVELS)
def test_first_cell_is_the_rightmost_whose_tile_begins_at_or_before_the_pixel(px: int, levels: int) -> None:
    cell = geometry.first_cell(px, levels=levels)
    assert geometry.first_px(cell, levels=levels) <= px < geometry.first_px(cell + 1, levels=levels)


@properties
@given(px=st.one_of(st.integers(1, 3000), st.integers(FAR, FAR + 300)), levels=LEVELS)
def test_cells_covering_is_the_fewest_that_reach(px: int, levels: int) -> None:
    cells = geometry.cells_covering(px, levels=levels)
    assert geometry.tile_px(cells - 1, levels=levels) < px <= geometry.tile_px(cells, levels=levels)


@properties
@given(cells=st.one_of(CELLS, st.integers(FAR, FAR + 300)), levels=LEVELS)
def test_tile_cells_inverts_tile_px(cells: int, levels: int) -> None:
    assert geometry.tile_cells(geometry.tile_px(cells, levels=levels), levels=levels) == cells


@properties
@given(px=st.integers(-50, 5000), levels=LEVELS)
def test_tile_cells_is_none_for_impossible_sizes(px: int, levels: int) -> None:
    sizes = {geometry.tile_px(cells, levels=levels) for cells in range(1, 2600)}
    assert (geometry.tile_cells(px, levels=levels) is not None) == (px > 0 and px in sizes)


@pytest.mark.parametrize(("levels", "patch_px"), [(4, 101), (5, 197), (6, 389), (7, 773)])
def test_eleven_cells_give_the_patch_sizes_of_the_paper(levels: int, patch_px: int) -> None:
    assert geometry.tile_px(11, levels=levels) == patch_px


@pytest.mark.parametrize("levels", range(1, 8))
def test_a_tile_without_pixels_is_refused(levels: int) -> None:
    cells = geometry.cells_covering(1, levels=levels) - 1
    with pytest.raises(ValueError, match=f"{cells} cells give no pixels at {levels} levels"):
        geometry.layer_spans(0, cells, levels=levels)


@properties
@given(cells=st.integers(1, FAR), levels=LEVELS)
def test_the_period_doubles_with_every_level(cells: int, levels: int) -> None:
    periods = [geometry.lattice_period(cells << levels, level, levels=levels) for level in range(levels + 1)]
    assert periods[0] == cells
    assert all(b == 2 * a for a, b in pairwise(periods))


def test_a_window_gives_its_shape_as_height_and_width() -> None:
    assert Window(x=Span(0, 7), y=Span(0, 3)).shape == (3, 7)


def _network(cells: Tensor, *, levels: int) -> list[Tensor]:
    """Outputs of every texture convolution, with kernels of ones, for (1, 1, H, W) cells."""
    kernel = torch.ones(1, 1, 3, 3, dtype=cells.dtype)
    outputs: list[Tensor] = []
    x = cells
    for _ in range(levels):
        up = functional.conv_transpose2d(x, kernel, stride=2)[..., 1:-1, 1:-1]
        up = functional.conv2d(up, kernel)
        x = functional.conv2d(up, kernel)
        outputs += [up, x]
    return outputs


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_a_chain_of_convolutions_has_the_sizes_of_the_spans(levels: int) -> None:
    x, y = geometry.layer_spans(-3, 7, levels=levels), geometry.layer_spans(5, 6, levels=levels)
    sizes = [tuple(out.shape[-2:]) for out in _network(torch.zeros(1, 1, 6, 7), levels=levels)]
    assert sizes == [(b.size, a.size) for a, b in zip(x.noise, y.noise, strict=True)]


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_cell_answers_exactly_around_its_pixel(levels: int) -> None:
    cell_x0, cell_y0, cell_x, cell_y = -8, 3, 1, 11
    cells = torch.zeros(1, 1, 17, 19, dtype=torch.float64)
    cells[..., cell_y - cell_y0, cell_x - cell_x0] = 1
    x, y = geometry.layer_spans(cell_x0, 19, levels=levels), geometry.layer_spans(cell_y0, 17, levels=levels)
    for i, out in enumerate(_network(cells, levels=levels)):
        response = out[0, 0] / out.sum()
        spacing = 2 ** (i // 2 + 1)
        columns = torch.arange(x.noise[i].start, x.noise[i].stop, dtype=torch.float64)
        rows = torch.arange(y.noise[i].start, y.noise[i].stop, dtype=torch.float64)
        centre = (float(response.sum(0) @ columns), float(response.sum(1) @ rows))
        assert centre == pytest.approx((cell_x * spacing, cell_y * spacing), abs=1e-9)
