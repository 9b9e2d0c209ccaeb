"""The time of a tile, estimated from two smaller ones."""

import pytest

from infgen.rendering.preflight import extrapolate, probe_seconds


def test_the_cost_of_a_tile_besides_its_operations_is_not_multiplied() -> None:
    overhead, rate = 0.5, 0.25
    small, large = ((flops, overhead + rate * flops) for flops in (4, 12))
    assert extrapolate(small, large, 100) == pytest.approx(overhead + rate * 100)


@pytest.mark.parametrize("small", [(12, 3.0), (4, 3.5), (4, 0.5)])
def test_measurements_that_no_line_with_an_overhead_fits_give_the_rate_of_the_larger(small: tuple[int, float]) -> None:
    assert extrapolate(small, (12, 3.0), 48) == pytest.approx(12.0)


@pytest.mark.parametrize(("render", "probe"), [(0.2, 0.01), (20.0, 0.06), (3000.0, 6.0)])
def test_a_measurement_takes_a_small_share_of_the_render_and_little_before_short_ones(
    render: float, probe: float
) -> None:
    assert probe_seconds(render) == pytest.approx(probe)
