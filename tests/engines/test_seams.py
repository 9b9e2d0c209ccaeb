"""No tile, batch, window or position shows, whichever engine draws, in one style and in four mixed ones, at every scale.

Every engine that runs exported files goes through the tests that eager PyTorch passes in tests/rendering.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from infgen.engines import EagerEngine
from infgen.engines.exported import ExportedEngine
from infgen.engines.tile_file import Precision
from infgen.geometry import Region
from infgen.pixels import Pixels
from tests.export.files import onnx_engine, scaled_engine, scene_of
from tests.export.kserve import scaled_triton_engine, triton_engine
from tests.model.scaled import FOUR_LEVELS, SCALES, halvings, network
from tests.rendering.scenes import picture
from tests.rendering.test_fused_seams import four_styles
from tests.rendering.test_seams import CENTRES, assert_same_picture

OFFSETS = [(0, 0), (-513, 77)]
STYLES = pytest.mark.parametrize("styles", [1, 4])
TILES = {101: 11, 229: 19, 485: 35}  # px: cells
# An export takes longer than all that is drawn with it: files of one style for some tiles, of four for others.
FILES = {101: 4, 229: 1, 485: 4}  # px: styles
PLANS = [(101, 8, 1), (101, 8, 4), (229, 1, 1), (485, 3, 1), (485, 3, 4)]  # tile, batch, styles


@dataclass(frozen=True)
class Runtime:
    """An engine for exported files, at a precision. Files of scales are for tiles of one size."""

    precision: Precision
    served: bool = False  # by a Triton server in place of a session here; it has files for tiles of 101 px only
    network: str = FOUR_LEVELS

    def region(self, x: int, y: int, w: int, h: int) -> Region:
        """``w`` x ``h`` of the network's own pixels, of scales at most 140 x 120, which begin at px (x, y) of the world."""
        if self.network != FOUR_LEVELS:
            w, h = min(w, 140), min(h, 120)
        return Region(x >> halvings(self.network), y >> halvings(self.network), w, h)

    def engine(self, tile: int) -> ExportedEngine:
        """An engine for tiles of ``tile`` px."""
        if self.network != FOUR_LEVELS:
            return scaled_triton_engine(self.network) if self.served else scaled_engine(self.network, self.precision)
        if self.served:
            return triton_engine(FILES[tile])
        return onnx_engine(styles=FILES[tile], precision=self.precision, cells=TILES[tile])

    def draw(self, region: Region, world: dict[str, object], *, tile: int = 101, batch: int = 2) -> Pixels:
        """Pixels of ``region``, in tiles of ``tile`` px."""
        return picture(scene_of(self.engine(tile), of=self.network, **world), region, batch=batch)

    def assert_same(self, one: Pixels, other: Pixels) -> None:
        """Check that pixels differ by at most one step; half precision has a wider limit, too small for a visible edge."""
        if self.precision == "fp32":
            assert_same_picture(one, other)
            return
        assert np.abs(one.astype(int) - other).max() <= 2
        assert psnr(one, other) > 60


WHOLE = {
    "onnx-fp32": Runtime("fp32"),
    "onnx-fp16": Runtime("fp16"),
    "triton-fp32": Runtime("fp32", served=True),
}
SCALED = {f"onnx-fp32-{scale}": Runtime("fp32", network=scale) for scale in SCALES}
SCALED |= {
    "onnx-fp16-1/4": Runtime("fp16", network="1/4"),
    "triton-fp32-1/8": Runtime("fp32", served=True, network="1/8"),
}
RUNTIMES = WHOLE | SCALED
FAR = {
    **{name: [c for c in CENTRES if max(map(abs, c)) < 2**40 - 1000] for name in WHOLE},
    **{name: [(2**40 - 2000, -(2**40) + 2000), (-(2**31) - 1, -(2**32))] for name in SCALED},
}


@pytest.fixture(params=list(RUNTIMES))
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return RUNTIMES[request.param]


def world(styles: int, offset: tuple[int, int] = (0, 0), transition: int = 127) -> dict[str, object]:
    return {"seed": 5} if styles == 1 else {"seed": 5, "layout": four_styles(offset, transition)}


@cache
def by_eager(region: Region, styles: int, offset: tuple[int, int], of: str = FOUR_LEVELS) -> Pixels:
    """The region by eager PyTorch in single precision, in as few tiles as memory allows."""
    return picture(scene_of(EagerEngine(network(of)), of=of, **world(styles, offset)), region)


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
@pytest.mark.parametrize("name", SCALED)
def test_a_scale_is_drawn_as_by_eager(name: str, styles: int):
    runtime, offset = SCALED[name], (-513, 77)
    region = runtime.region(-513, 77, 250, 210)
    drawn = runtime.draw(region, world(styles, offset), batch=3)
    expected = by_eager(region, styles, offset, runtime.network)
    if runtime.precision == "fp32":
        assert_same_picture(drawn, expected)
    assert psnr(drawn, expected) > 45


@STYLES
def test_half_precision_is_close_to_single_precision(styles: int):
    region = Region(330, 400, 500, 450)
    drawn = RUNTIMES["onnx-fp16"].draw(region, world(styles), batch=8)
    assert psnr(drawn, by_eager(region, styles, (0, 0))) > 45


@STYLES
def test_tiles_that_lie_elsewhere_make_the_same_picture(runtime: Runtime, styles: int):
    region = runtime.region(330, 400, 250, 230)
    larger = Region(region.x - 45, region.y - 30, region.w + 45, region.h + 30)
    here, elsewhere = (runtime.draw(r, world(styles)) for r in (region, larger))
    runtime.assert_same(here, elsewhere[30:, 45:])


@STYLES
@pytest.mark.parametrize(("name", "centre"), [(name, centre) for name, centres in FAR.items() for centre in centres])
def test_far_places_are_cut_from_larger_windows_without_a_difference(name: str, centre: tuple[int, int], styles: int):
    (x, y), runtime = centre, RUNTIMES[name]
    described = world(styles, (x - 510, y - 480))
    large = runtime.region(x - (60 << halvings(runtime.network)), y - (40 << halvings(runtime.network)), 200, 160)
    small = Region(large.x + 60, large.y + 40, large.w - 70, large.h - 60)
    runtime.assert_same(runtime.draw(small, described), runtime.draw(large, described)[40:-20, 60:-10])


@pytest.mark.parametrize(
    ("name", "transition"), [(name, px) for name in RUNTIMES for px in (1, 31, 1023) if name in WHOLE or px < 1023]
)
def test_hard_edges_and_wide_transitions_are_seamless(name: str, transition: int):
    runtime, described = RUNTIMES[name], world(4, transition=transition)
    region = runtime.region(400, 420, 200, 180)
    larger = Region(region.x - 39, region.y - 30, region.w + 39, region.h + 30)
    here, elsewhere = (runtime.draw(r, described) for r in (region, larger))
    runtime.assert_same(here, elsewhere[30:, 39:])


@STYLES
def test_a_cyclic_world_repeats_without_a_seam(runtime: Runtime, styles: int):
    described, period = world(styles) | {"period": 1024}, 1024 >> halvings(runtime.network)
    around = runtime.draw(Region(-60, 80, 120, 60), described)
    runtime.assert_same(runtime.draw(Region(period - 60, 80, 120, 60), described), around)
    runtime.assert_same(runtime.draw(Region(-60 - 5 * period, 80, 120, 60), described), around)


@STYLES
@pytest.mark.parametrize("name", [name for name in RUNTIMES if not RUNTIMES[name].served])
def test_the_same_plan_gives_the_same_bits(name: str, styles: int):
    """Not by a server, which decides by itself which tiles share a batch."""
    runtime = RUNTIMES[name]
    region = runtime.region(330, 400, 250, 230)
    assert np.array_equal(runtime.draw(region, world(styles)), runtime.draw(region, world(styles)))
