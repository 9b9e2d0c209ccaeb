"""Zoomed-out tiles from the first levels: at the right place, in the right colours, with the right styles."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infgen.model.checkpoint import SHIPPED, load
from infgen.model.folded import fold
from infgen.model.generator import Generator
from infgen.model.skips import Readout, pixel_grid, shallow
from infgen.rendering.plan import Region
from infgen.rendering.render import Pixels, Scene
from infgen.serve.coarse import CoarseArtist
from infgen.serve.coarse_inputs import Square, coarse_batch, inside
from infgen.serve.tiles import mean_of_blocks
from infgen.world.geometry import layer_spans
from infgen.world.tile_inputs import tile_batch
from tests.rendering.scenes import make_scene, picture

SIDE = 64  # of the squares that are drawn here
LAYOUT = {
    "schema": 1,
    "styles": [{"name": "a", "seed": 1}, {"name": "b", "seed": 2}, {"name": "c", "seed": 3}],
    "centres": [{"style": "a", "x": 0, "y": 0}, {"style": "b", "x": 256, "y": 0}, {"style": "c", "x": 128, "y": 2000}],
    "transition": 65,
}


REGION = Region(3072, -256, 512, 512)


@pytest.fixture(scope="module")
def shipped() -> Generator:
    """The model of the package: a random one draws grain, which no first levels foretell."""
    return load(SHIPPED)


@pytest.fixture(scope="module")
def artist(shipped: Generator) -> CoarseArtist:
    return CoarseArtist(shipped)


def shown(scene: Scene, artist: CoarseArtist, halvings: int) -> Pixels:
    """``REGION``, coarse."""
    factor = 1 << halvings
    return artist.draw(scene, REGION.x // factor, REGION.y // factor, halvings=halvings, side=REGION.w // factor)


def shift_between(first: Pixels, second: Pixels) -> tuple[float, float]:
    """By how many pixels (down, across) ``second`` lies beyond ``first``: Lucas and Kanade's least squares (IJCAI 1981)."""
    a, b = first.astype(float), second.astype(float)
    down, across = np.gradient(a, axis=0), np.gradient(a, axis=1)
    slopes = np.stack([down.ravel(), across.ravel()], axis=1)
    found, *_ = np.linalg.lstsq(slopes, (a - b).ravel(), rcond=None)
    return float(found[0]), float(found[1])


@pytest.fixture(scope="module")
def scenes(shipped: Generator) -> list[tuple[Scene, Pixels]]:
    """Eight worlds and their pictures: what first levels do not foretell moves the measure by 0.1 to 0.15 px in one of them."""
    worlds = [make_scene(shipped, seed=seed) for seed in range(5, 13)]
    return [(scene, picture(scene, REGION)) for scene in worlds]


@pytest.fixture(scope="module")
def full(scenes: list[tuple[Scene, Pixels]]) -> Pixels:
    """The first of them."""
    return scenes[0][1]


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_coarse_squares_are_not_shifted_against_the_averaged_ones(
    scenes: list[tuple[Scene, Pixels]], artist: CoarseArtist, halvings: int
) -> None:
    shifts = [shift_between(shown(s, artist, halvings), mean_of_blocks(full, 1 << halvings)) for s, full in scenes]
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.15


def test_the_measure_of_shifts_sees_half_a_pixel(full: Pixels) -> None:
    here, there = (mean_of_blocks(full[:256, i : i + 256], 2) for i in (1, 0))
    assert shift_between(here, there) == pytest.approx((0, 0.5), abs=0.15)


def difference(first: Pixels, second: Pixels) -> float:
    return float(np.abs(first.astype(int) - second).mean())


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_a_readout_comes_nearer_to_the_picture_than_the_sum_of_skips(
    shipped: Generator, artist: CoarseArtist, full: Pixels, halvings: int
) -> None:
    scene, exact = make_scene(shipped, seed=5), mean_of_blocks(full, 1 << halvings)
    raw = sum_of_skips(scene, shipped, halvings)
    assert difference(shown(scene, artist, halvings), exact) < 0.6 * difference(raw, exact)


def sum_of_skips(scene: Scene, generator: Generator, halvings: int) -> Pixels:
    depth = generator.config.levels - halvings
    factor = 1 << halvings
    square = Square(REGION.x // factor, REGION.y // factor, REGION.w // factor + 1, depth=depth)
    batch = coarse_batch(scene, square, config=generator.config, device=torch.device("cpu"))
    whole = fold(generator, batch.style, dtype=torch.float32)
    partial = type(whole)(whole.structure, whole.texture[: 2 * depth], whole.to_rgbs[:depth])
    rgb = inside(partial(batch.z_l, batch.coordinates, batch.noises)[0], square)
    pixels = pixel_grid(rgb, factor).clamp(-1, 1).add(1).mul(127.5).round()
    return pixels.permute(1, 2, 0).numpy().astype(np.uint8)


def test_inputs_are_those_of_the_whole_network(tiny: Generator) -> None:
    scene = make_scene(tiny, seed=5, layout=LAYOUT | {"transition": 1})
    square = Square(-10, 7, 40, depth=4)
    coarse = coarse_batch(scene, square, config=tiny.config, device=torch.device("cpu"))
    whole = tile_batch(
        scene.world,
        [square.position],
        cells=square.cells,
        config=tiny.config,
        palette=scene.palette,
        device=torch.device("cpu"),
    )
    pairs = [(coarse.z_l, whole.z_l), (coarse.coordinates, whole.coordinates)]
    pairs += list(zip(coarse.noises, whole.noises, strict=True))
    assert coarse.weights is not None
    assert whole.weights is not None
    pairs += [(coarse.weights.structure, whole.weights.structure)]
    pairs += list(zip(coarse.weights.texture, whole.weights.texture, strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)


@given(
    x=st.integers(-(2**40), 2**40), y=st.integers(-(2**20), 2**20), side=st.integers(1, 300), depth=st.integers(1, 7)
)
def test_the_window_of_a_square_holds_it(x: int, y: int, side: int, depth: int) -> None:
    square = Square(x, y, side, depth=depth)
    for span, start in zip(square.spans, (x, y), strict=True):
        assert span.pixels.start <= start
        assert start + side <= span.pixels.stop


def test_where_styles_meet_both_are_seen(tiny: Generator) -> None:
    scene = make_scene(tiny, seed=5, layout=LAYOUT)
    artist = CoarseArtist(tiny)
    mixed = artist.draw(scene, -SIDE // 2, -SIDE // 2, halvings=3, side=SIDE)
    alone = {
        seed: artist.draw(make_scene(tiny, seed=5, style={"seed": seed}), -SIDE // 2, -SIDE // 2, halvings=3, side=SIDE)
        for seed in (1, 2)
    }
    left, right = np.s_[:, :24], np.s_[:, -8:]  # the styles meet at 128 px: column 48
    assert difference(mixed[left], alone[1][left]) < 1
    assert difference(mixed[right], alone[2][right]) < difference(mixed[right], alone[1][right])


def test_a_square_far_from_other_styles_is_drawn_with_one(tiny: Generator) -> None:
    scene = make_scene(tiny, seed=5, layout=LAYOUT)
    batch = coarse_batch(scene, Square(0, 2000, 9, depth=1), config=tiny.config, device=torch.device("cpu"))
    assert batch.weights is None


def test_a_cyclic_world_repeats(tiny: Generator) -> None:
    scene = make_scene(tiny, seed=5, period=1024, layout=LAYOUT)
    artist = CoarseArtist(tiny)
    here, there = (artist.draw(scene, x, 0, halvings=3, side=32) for x in (5, 5 + 128))
    np.testing.assert_array_equal(here, there)


def test_readouts_are_fitted_once_for_each_style(tiny: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    from infgen.serve import coarse

    fitted: list[float] = []
    real = coarse.fit_readouts

    def counted(*arguments: Any, **options: Any) -> Any:
        fitted.append(1)
        return real(*arguments, **options)

    monkeypatch.setattr(coarse, "fit_readouts", counted)
    artist = CoarseArtist(tiny)
    for world, halvings in ((5, 3), (6, 3), (5, 2)):
        artist.draw(make_scene(tiny, seed=world, style={"seed": 1}), 0, 0, halvings=halvings, side=8)
    assert len(fitted) == 1


def test_the_best_readout_is_found() -> None:
    numbers = torch.Generator().manual_seed(0)
    features = torch.randn(5, 100, generator=numbers)
    weight, bias = torch.randn(3, 5, generator=numbers), torch.randn(3, generator=numbers)
    found = Readout.fitted(features, weight @ features + bias[:, None])
    torch.testing.assert_close(found.weight, weight, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.bias, bias, atol=1e-3, rtol=0)


def test_features_without_any_change_are_left_out_of_a_readout() -> None:
    features = torch.cat([torch.ones(1, 50), torch.linspace(0, 1, 50)[None]])
    found = Readout.fitted(features, features[1:].expand(3, -1))
    assert bool(found.weight.isfinite().all())


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_slope_keeps_its_place_on_the_grid_of_pixels(factor: int) -> None:
    lattice = torch.arange(9.0)[None, None] * factor  # a value is its own position, px
    middles = (torch.arange(8.0) * factor) + (factor - 1) / 2
    torch.testing.assert_close(pixel_grid(lattice.expand(1, 2, 9), factor)[0, 0], middles)


def test_features_are_read_from_the_last_level_that_is_left(tiny: Generator) -> None:
    scene = make_scene(tiny, seed=5)
    square = Square(0, 0, 9, depth=2)
    batch = coarse_batch(scene, square, config=tiny.config, device=torch.device("cpu"))
    network = shallow(
        fold(tiny, batch.style, dtype=torch.float32),
        depth=2,
        readout=Readout.of_features(8, torch.device("cpu")),
    )
    features = network(batch.z_l, batch.coordinates, batch.noises)
    x, y = (layer_spans(c, n, levels=2).pixels.size for c, n in zip((0, 0), square.cells, strict=True))
    assert tuple(features.shape) == (1, 8, y, x)
