"""Pictures of the ONNX engine: those of eager PyTorch, without seams, in one style and in four."""

from functools import cache

import numpy as np
import pytest

from infgen.engines import EagerEngine
from infgen.engines.tile_file import Precision
from infgen.rendering.plan import Region
from infgen.rendering.render import Pixels
from tests.export.files import onnx_engine, scene_of, tiny_generator
from tests.rendering.scenes import picture
from tests.rendering.test_fused_seams import four_styles
from tests.rendering.test_seams import assert_same_picture

REGION = Region(330, 400, 250, 230)  # the four styles meet in it
STYLES = pytest.mark.parametrize("styles", [1, 4])


def world(styles: int) -> dict[str, object]:
    return {"seed": 5} if styles == 1 else {"seed": 5, "layout": four_styles(transition=255)}


@cache
def whole(styles: int) -> Pixels:
    """The region in one tile, by eager PyTorch."""
    return picture(scene_of(EagerEngine(tiny_generator()), **world(styles)), REGION)


def by_onnx(region: Region, styles: int, *, batch: int = 2, precision: Precision = "fp32") -> Pixels:
    return picture(
        scene_of(onnx_engine(styles=styles, precision=precision), **world(styles)), region, tile=101, batch=batch
    )


def elsewhere(styles: int, *, precision: Precision = "fp32") -> Pixels:
    """The same region, cut from a larger one whose tiles lie elsewhere."""
    larger = Region(REGION.x - 45, REGION.y - 30, REGION.w + 45, REGION.h + 30)
    return by_onnx(larger, styles, precision=precision)[30:, 45:]


def psnr(one: Pixels, other: Pixels) -> float:
    error = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@STYLES
@pytest.mark.parametrize("batch", [1, 4])
def test_tiles_of_the_onnx_engine_make_the_picture_of_eager_pytorch(styles: int, batch: int):
    assert_same_picture(by_onnx(REGION, styles, batch=batch), whole(styles))


@STYLES
def test_tiles_that_lie_elsewhere_make_the_same_picture(styles: int):
    assert_same_picture(elsewhere(styles), by_onnx(REGION, styles))


@STYLES
def test_a_far_window_is_cut_from_a_larger_one_without_a_difference(styles: int):
    x, y = 2**40 - 400, -(2**40) + 50
    small, large = by_onnx(Region(x + 60, y + 70, 90, 70), styles), by_onnx(Region(x, y, 200, 160), styles)
    assert_same_picture(small, large[70:140, 60:150])


@STYLES
def test_the_same_plan_gives_the_same_bits(styles: int):
    assert np.array_equal(by_onnx(REGION, styles), by_onnx(REGION, styles))


@STYLES
def test_half_precision_is_close_to_single_precision(styles: int):
    assert psnr(by_onnx(REGION, styles, precision="fp16"), whole(styles)) > 45


@STYLES
def test_half_precision_shows_no_seams(styles: int):
    one, other = by_onnx(REGION, styles, precision="fp16"), elsewhere(styles, precision="fp16")
    assert np.abs(one.astype(int) - other).max() <= 1
    assert psnr(one, other) > 60


def test_a_cyclic_world_repeats_without_a_seam():
    scene = scene_of(onnx_engine(), seed=3, period=272)
    around, later = (picture(scene, Region(x - 60, -20, 120, 60), tile=101) for x in (0, 272))
    assert_same_picture(around, later)
