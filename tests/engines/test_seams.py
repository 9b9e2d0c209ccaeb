"""No tile, batch, window or position shows, whichever engine draws, in one style and in four mixed ones.

Every engine that runs exported files goes through the tests that eager PyTorch passes in tests/rendering.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from infgen.engines import EagerEngine
from infgen.engines.tile_file import Precision
from infgen.rendering.plan import Region
from infgen.rendering.render import Pixels
from tests.export.files import onnx_engine, scene_of, tiny_generator
from tests.export.kserve import triton_engine
from tests.rendering.scenes import picture
from tests.rendering.test_fused_seams import four_styles
from tests.rendering.test_seams import CENTRES, assert_same_picture

OFFSETS = [(0, 0), (-513, 77)]
STYLES = pytest.mark.parametrize("styles", [1, 4])
TILES = {101: 11, 229: 19, 485: 35, 997: 67}  # px: cells
# An export takes longer than all that is drawn with it: files of one style for some tiles, of four for others.
FILES = {101: 4, 229: 1, 485: 4, 997: 1}  # px: styles
PLANS = [(101, 8, 1), (101, 8, 4), (229, 1, 1), (485, 3, 1), (485, 3, 4), (997, 1, 1)]  # tile, batch, styles


@dataclass(frozen=True)
class Runtime:
    """An engine for exported files, at a precision."""

    precision: Precision
    served: bool = False  # by a Triton server in place of a session here; it has files for tiles of 101 px only

    def draw(self, region: Region, world: dict[str, object], *, tile: int = 101, batch: int = 2) -> Pixels:
        """Pixels of ``region``, in tiles of ``tile`` px."""
        engine = (
            triton_engine(FILES[tile])
            if self.served
            else onnx_engine(styles=FILES[tile], precision=self.precision, cells=TILES[tile])
        )
        return picture(scene_of(engine, **world), region, batch=batch)

    def assert_same(self, one: Pixels, other: Pixels) -> None:
        """Within one step; in half precision, where tiles round apart, so close that nobody sees an edge."""
        if self.precision == "fp32":
            assert_same_picture(one, other)
            return
        assert np.abs(one.astype(int) - other).max() <= 2
        assert psnr(one, other) > 60


RUNTIMES = {
    "onnx-fp32": Runtime("fp32"),
    "onnx-fp16": Runtime("fp16"),
    "triton-fp32": Runtime("fp32", served=True),
}


@pytest.fixture(params=list(RUNTIMES))
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return RUNTIMES[request.param]


def world(styles: int, offset: tuple[int, int] = (0, 0), transition: int = 127) -> dict[str, object]:
    return {"seed": 5} if styles == 1 else {"seed": 5, "layout": four_styles(offset, transition)}


@cache
def by_eager(region: Region, styles: int, offset: tuple[int, int]) -> Pixels:
    """The region by eager PyTorch in single precision, in as few tiles as memory allows."""
    return picture(scene_of(EagerEngine(tiny_generator()), **world(styles, offset)), region)


def psnr(one: Pixels, other: Pixels) -> float:
    error = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize(("tile", "batch", "styles"), PLANS)
@pytest.mark.parametrize("offset", OFFSETS, ids=["origin", "offset"])
def test_no_tile_size_and_no_batch_size_shows(offset: tuple[int, int], tile: int, batch: int, styles: int):
    region = Region(*offset, 1024, 1024)
    drawn = RUNTIMES["onnx-fp32"].draw(region, world(styles, offset), tile=tile, batch=batch)
    assert_same_picture(drawn, by_eager(region, styles, offset))


@STYLES
def test_half_precision_is_close_to_single_precision(styles: int):
    region = Region(330, 400, 500, 450)
    drawn = RUNTIMES["onnx-fp16"].draw(region, world(styles), batch=8)
    assert psnr(drawn, by_eager(region, styles, (0, 0))) > 45


@STYLES
def test_tiles_that_lie_elsewhere_make_the_same_picture(runtime: Runtime, styles: int):
    region = Region(330, 400, 250, 230)
    larger = Region(region.x - 45, region.y - 30, region.w + 45, region.h + 30)
    here, elsewhere = (runtime.draw(r, world(styles)) for r in (region, larger))
    runtime.assert_same(here, elsewhere[30:, 45:])


@STYLES
@pytest.mark.parametrize("centre", [c for c in CENTRES if max(map(abs, c)) < 2**40 - 1000])
def test_far_places_are_cut_from_larger_windows_without_a_difference(
    runtime: Runtime, centre: tuple[int, int], styles: int
):
    x, y = centre
    described = world(styles, (x - 510, y - 480))
    small = runtime.draw(Region(x, y, 90, 70), described)
    large = runtime.draw(Region(x - 60, y - 70, 200, 160), described)
    runtime.assert_same(small, large[70:140, 60:150])


@pytest.mark.parametrize("transition", [1, 31, 1023])
def test_hard_edges_and_wide_transitions_are_seamless(runtime: Runtime, transition: int):
    described = world(4, transition=transition)
    here, elsewhere = (
        runtime.draw(region, described) for region in (Region(400, 420, 200, 180), Region(361, 390, 239, 210))
    )
    runtime.assert_same(here, elsewhere[30:, 39:])


@STYLES
def test_a_cyclic_world_repeats_without_a_seam(runtime: Runtime, styles: int):
    described = world(styles) | {"period": 1024}
    around = runtime.draw(Region(-60, 80, 120, 60), described)
    runtime.assert_same(runtime.draw(Region(1024 - 60, 80, 120, 60), described), around)
    runtime.assert_same(runtime.draw(Region(-60 - 5 * 1024, 80, 120, 60), described), around)


@STYLES
@pytest.mark.parametrize("name", ["onnx-fp32", "onnx-fp16"])  # a server decides by itself which tiles share a batch
def test_the_same_plan_gives_the_same_bits(name: str, styles: int):
    runtime = RUNTIMES[name]
    region = Region(330, 400, 250, 230)
    assert np.array_equal(runtime.draw(region, world(styles)), runtime.draw(region, world(styles)))
