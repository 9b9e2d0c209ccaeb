"""Several styles in one image: no tile, batch, window or position shows, whichever tiles are folded and which are mixed."""

from functools import cache

import numpy as np
import pytest
import torch

from infgen.geometry import Region, layer_spans
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.pixels import Pixels
from infgen.rendering.plan import make_plan
from infgen.rendering.render import Scene, batch_inputs
from infgen.world.layout import ResolvedLayout
from infgen.world.mixing import StyleCounts, covering
from tests.model.networks import random_generator
from tests.model.scaled import FOUR_LEVELS, NETWORKS, SCALES, halvings, network
from tests.rendering.scenes import PLENTY, make_scene, picture
from tests.rendering.test_seams import KINDS, TILE, assert_same_picture

CENTRES = [("a", 20, 10), ("b", 1010, 30), ("c", 1000, 990), ("d", 30, 1000)]


def four_styles(offset: tuple[int, int] = (0, 0), transition: int = 127) -> dict[str, object]:
    """A layout document: four styles at four places."""
    centres = [{"style": s, "x": x + offset[0], "y": y + offset[1]} for s, x, y in CENTRES]
    styles = [{"name": s, "seed": 40 + i} for i, (s, _, _) in enumerate(CENTRES)]
    styles[2]["texture"] = {"seed": 77}
    return {"styles": styles, "centres": centres, "transition": transition}


OFFSETS = [(0, 0), (-513, 77)]
SCALED_OFFSET = (-213, 77)
# Network, px of the world where layout and region begin, side in px of tiles, batch.
TILINGS = [(FOUR_LEVELS, o, *plan) for o in OFFSETS for plan in ((101, 8), (229, 1), (485, 3), (997, 1))]
TILINGS += [(scale, SCALED_OFFSET, *plan) for scale in SCALES for plan in ((TILE[scale], 3), (TILE[scale] + 64, 1))]


def region_at(name: str, offset: tuple[int, int]) -> Region:
    """Return the region that one piece shows, in the network's own pixels. At coarser scales it lies where four styles meet."""
    if name == FOUR_LEVELS:
        return Region(*offset, 1024, 1024)
    return Region((offset[0] + 500 >> halvings(name)) - 110, (offset[1] + 500 >> halvings(name)) - 90, 220, 180)


@cache
def scene_at(name: str, offset: tuple[int, int]) -> Scene:
    return make_scene(network(name), seed=5, layout=four_styles(offset))


@cache
def whole(name: str, offset: tuple[int, int]) -> Pixels:
    """The region in as few tiles as memory allows."""
    return picture(scene_at(name, offset), region_at(name, offset))


@pytest.mark.parametrize(("name", "offset", "tile", "batch"), TILINGS)
def test_no_tile_size_and_no_batch_size_shows(name: str, offset: tuple[int, int], tile: int, batch: int) -> None:
    drawn = picture(scene_at(name, offset), region_at(name, offset), tile=tile, batch=batch)
    assert_same_picture(drawn, whole(name, offset))


@pytest.mark.parametrize("offset", OFFSETS, ids=["origin", "offset"])
def test_a_region_has_tiles_of_one_style_and_tiles_of_several(offset: tuple[int, int]) -> None:
    scene = scene_at(FOUR_LEVELS, offset)
    plan = make_plan(region_at(FOUR_LEVELS, offset), scene.engine.config, memory=PLENTY, tile_px=101)
    styles = [batch_inputs(scene, plan, plan.batch_tiles(i)).style.z_g.shape[0] for i in range(plan.batch_count)]
    assert set(styles) == {1, 2, 4}


@pytest.mark.parametrize("name", NETWORKS)
def test_each_centre_is_drawn_in_its_own_style(name: str) -> None:
    far_apart = four_styles(transition=1) | {"centres": [{"style": s, "x": 9 * x, "y": 9 * y} for s, x, y in CENTRES]}
    scene, alone = (
        make_scene(network(name), seed=5, layout=far_apart),
        make_scene(network(name), seed=5, style={"seed": 41}),
    )
    around = Region(9 * 1010 - 20 >> halvings(name), 250 >> halvings(name), 40, 40)
    assert_same_picture(picture(scene, around), picture(alone, around))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("centre", [(-(10**6), 3), (2**31, 2**32 - 1), (2**40 - 800, -(2**40) + 800)])
def test_far_places_are_cut_from_larger_windows_without_a_difference(name: str, centre: tuple[int, int]) -> None:
    scene = scene_at(name, (centre[0] - 510, centre[1] - 480))
    x, y = (place >> halvings(name) for place in centre)
    left, top = (130, 170) if name == FOUR_LEVELS else (30, 20)
    small = picture(scene, Region(x, y, 90, 70))
    large = picture(scene, Region(x - left, y - top, 90 + 2 * left, 70 + 2 * top), tile=TILE[name])
    assert_same_picture(small, large[top : top + 70, left : left + 90])


@pytest.mark.parametrize(
    ("name", "transition"),
    [
        (FOUR_LEVELS, 1),
        (FOUR_LEVELS, 31),
        (FOUR_LEVELS, 1023),
        ("1", 1),
        ("1/2", 1),
        ("1/2", 3),
        ("1/4", 1023),
        ("1/8", 7),
    ],
)
def test_hard_edges_and_wide_transitions_are_seamless(name: str, transition: int) -> None:
    scene = make_scene(network(name), seed=5, layout=four_styles(transition=transition))
    region = Region(400 >> halvings(name), 420 >> halvings(name), *((400, 350) if name == FOUR_LEVELS else (170, 150)))
    assert_same_picture(picture(scene, region, tile=TILE[name], batch=3), picture(scene, region))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_cyclic_world_repeats_its_layout_without_a_seam(name: str) -> None:
    scene, period = make_scene(network(name), seed=3, period=1024, layout=four_styles()), 1024 >> halvings(name)
    around = picture(scene, Region(-60, 80, 120, 60))
    assert_same_picture(picture(scene, Region(period - 60, 80, 120, 60)), around)
    assert_same_picture(picture(scene, Region(-60 - 5 * period, 80, 120, 60), tile=TILE[name]), around)


WALLPAPER = GeneratorConfig((6, 4) * 3, 4, 8, coordinates="texture", scales=(2, 3))


@pytest.mark.parametrize("halvings", [0, 1])
@pytest.mark.parametrize("layout", [None, four_styles((-900, -500))])
def test_a_wallpaper_repeats_both_ways_without_a_seam(halvings: int, layout: dict[str, object] | None) -> None:
    generator = random_generator(WALLPAPER, seed=4).coarser(halvings)
    scene = make_scene(generator, seed=3, period=8 * 140, period_y=8 * 90, layout=layout)
    width, height = 1120 >> halvings, 720 >> halvings
    around = picture(scene, Region(-30, -20, 90, 60))
    assert around.std() > 1
    assert_same_picture(picture(scene, Region(width - 30, height - 20, 90, 60), tile=45), around)
    assert_same_picture(picture(scene, Region(-30 - 5 * width, -20 + 7 * height, 90, 60)), around)


@pytest.mark.parametrize(("levels", "system", "structure"), KINDS)
def test_every_model_size_coordinate_system_and_structure_is_seamless(levels: int, system: str, structure: str) -> None:
    config = GeneratorConfig((6, 4) * levels, 4, 8, coordinates=system, structure=structure)  # type: ignore[arg-type]
    scene = make_scene(random_generator(config, seed=levels), seed=2, layout=four_styles((-700, -400)))
    region = Region(-333, 41, 260, 190)
    tile = config.cell_px * 4 + 5
    assert_same_picture(picture(scene, region, tile=tile, batch=3), picture(scene, region))


def test_two_names_for_one_style_render_the_same_as_one(tiny: Generator) -> None:
    layout = four_styles()
    layout["styles"] = [{"name": s, "seed": 9} for s, _, _ in CENTRES]
    region = Region(400, 400, 300, 250)
    mixed = picture(make_scene(tiny, seed=5, layout=layout), region, tile=229)
    assert_same_picture(mixed, picture(make_scene(tiny, seed=5, style={"seed": 9}), region))


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_shares_of_the_layouts_labels_on_every_lattice(name: str) -> None:
    document, step = ResolvedLayout.model_validate(four_styles()), 1 << halvings(name)
    scene, spacing = scene_at(name, (0, 0)), 1 << network(name).config.levels
    plan = make_plan(Region(500 // step, 500 // step, 20, 20), scene.engine.config, memory=PLENTY)
    tile = plan.tile(0)
    inputs = batch_inputs(scene, plan, [tile])
    assert inputs.weights is not None
    assert inputs.style.z_g.shape[0] == 4
    (rows, columns), levels = plan.cells, scene.engine.config.levels
    x, y = (
        layer_spans(cell, cells, levels=levels)
        for cell, cells in ((tile.position.cell_x, columns), (tile.position.cell_y, rows))
    )
    read = [(x.local, y.local, spacing), (x.structure, y.structure, spacing)]
    read += [(x.noise[i], y.noise[i], spacing >> (i // 2 + 1)) for i in range(len(x.noise) - 1)]
    given = [inputs.weights.structure, *inputs.weights.texture]
    transition = 127 // step  # in the network's own pixels, odd
    for (across, down, apart), weights in zip(read, given, strict=True):
        window = covering(across, down, spacing=apart, transition=transition)
        counts = StyleCounts.of(document.labels(window, step=step), window, styles=(0, 1, 2, 3))
        np.testing.assert_array_equal(weights[0], counts.weights(across, down, spacing=apart, transition=transition))


def test_bf16_is_close_to_fp32(tiny: Generator) -> None:
    region = Region(400, 400, 300, 300)
    exact, rough = (
        picture(make_scene(tiny, seed=1, layout=four_styles(), precision=p), region)  # type: ignore[arg-type]
        for p in ("fp32", "bf16")
    )
    error = exact.astype(np.float64) - rough
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 30


def test_the_mean_style_is_that_of_truncation_zero(tiny: Generator) -> None:
    layout = {"styles": [{"name": "mean", "mean": True}], "transition": 1}
    region = Region(0, 0, 60, 50)
    one = picture(make_scene(tiny, seed=5, layout=layout), region)
    np.testing.assert_array_equal(one, picture(make_scene(tiny, seed=5, truncation=0.0), region))


def test_a_stored_latent_draws_the_style_that_it_was_taken_from(tiny: Generator) -> None:
    seeded = make_scene(tiny, seed=5, style={"seed": 9}).palette.styles
    latent = {"z_g": seeded.z_g[0].tolist(), "w_plus": seeded.w_plus[0].tolist()}
    scene = make_scene(
        tiny, seed=5, layout={"styles": [{"name": "kept", "latent": latent, "truncation": 1.0}], "transition": 1}
    )
    assert torch.equal(scene.palette.styles.w_plus, seeded.w_plus)
    assert torch.equal(scene.palette.styles.z_g, seeded.z_g)
