"""Several styles in one image: no tile, batch, window or position shows, whichever tiles are folded and which are mixed."""

import numpy as np
import pytest
import torch

from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.rendering.plan import Region, make_plan
from infgen.rendering.render import Pixels, Scene, batch_inputs
from infgen.world.geometry import layer_spans
from infgen.world.layout import ResolvedLayout
from infgen.world.mixing import StyleCounts, covering
from tests.model.networks import random_generator
from tests.rendering.scenes import PLENTY, make_scene, picture
from tests.rendering.test_seams import KINDS, assert_same_picture

CENTRES = [("a", 20, 10), ("b", 1010, 30), ("c", 1000, 990), ("d", 30, 1000)]


def four_styles(offset: tuple[int, int] = (0, 0), transition: int = 127) -> dict[str, object]:
    """A layout document: four styles at four places."""
    centres = [{"style": s, "x": x + offset[0], "y": y + offset[1]} for s, x, y in CENTRES]
    styles = [{"name": s, "seed": 40 + i} for i, (s, _, _) in enumerate(CENTRES)]
    styles[2]["texture"] = {"seed": 77}
    return {"styles": styles, "centres": centres, "transition": transition}


OFFSETS = [(0, 0), (-513, 77)]


@pytest.fixture(scope="module", params=OFFSETS, ids=["origin", "offset"])
def whole(request: pytest.FixtureRequest, tiny: Generator) -> tuple[Scene, Region, Pixels]:
    scene = make_scene(tiny, seed=5, layout=four_styles(request.param))
    region = Region(*request.param, 1024, 1024)
    return scene, region, picture(scene, region)


@pytest.mark.parametrize(("tile", "batch"), [(101, 8), (229, 1), (485, 3), (997, 1)])
def test_no_tile_size_and_no_batch_size_shows(whole: tuple[Scene, Region, Pixels], tile: int, batch: int) -> None:
    scene, region, expected = whole
    assert_same_picture(picture(scene, region, tile=tile, batch=batch), expected)


def test_a_region_holds_tiles_of_one_style_beside_tiles_of_several(whole: tuple[Scene, Region, Pixels]) -> None:
    scene, region, _ = whole
    plan = make_plan(region, scene.engine.config, memory=PLENTY, tile_px=101)
    styles = [batch_inputs(scene, plan, plan.batch_tiles(i)).style.z_g.shape[0] for i in range(plan.batch_count)]
    assert set(styles) == {1, 2, 4}


def test_each_centre_is_drawn_in_its_own_style(tiny: Generator) -> None:
    scene = make_scene(tiny, seed=5, layout=four_styles(transition=1))
    alone = make_scene(tiny, seed=5, style={"seed": 41})
    around = Region(990, 10, 40, 40)
    assert_same_picture(picture(scene, around, tile=37), picture(alone, around))


@pytest.mark.parametrize("centre", [(-(10**6), 3), (2**31, 2**32 - 1), (2**40 - 800, -(2**40) + 800)])
def test_far_places_are_cut_from_larger_windows_without_a_difference(tiny: Generator, centre: tuple[int, int]) -> None:
    x, y = centre
    scene = make_scene(tiny, seed=5, layout=four_styles((x - 510, y - 480)))
    small = picture(scene, Region(x, y, 90, 70))
    large = picture(scene, Region(x - 130, y - 170, 400, 380), tile=229)
    assert_same_picture(small, large[170:240, 130:220])


@pytest.mark.parametrize("transition", [1, 31, 1023])
def test_hard_edges_and_wide_transitions_are_seamless(tiny: Generator, transition: int) -> None:
    scene = make_scene(tiny, seed=5, layout=four_styles(transition=transition))
    region = Region(330, 400, 400, 350)
    assert_same_picture(picture(scene, region, tile=101, batch=3), picture(scene, region))


def test_a_cyclic_world_repeats_its_layout_without_a_seam(tiny: Generator) -> None:
    scene = make_scene(tiny, seed=3, period=1024, layout=four_styles())
    around = picture(scene, Region(-60, 80, 120, 60))
    assert_same_picture(picture(scene, Region(1024 - 60, 80, 120, 60)), around)
    assert_same_picture(picture(scene, Region(-60 - 5 * 1024, 80, 120, 60), tile=101), around)


@pytest.mark.parametrize(("levels", "system", "structure"), KINDS)
def test_every_model_size_coordinate_system_and_structure_is_seamless(levels: int, system: str, structure: str) -> None:
    config = GeneratorConfig((6, 4) * levels, 4, 8, coordinates=system, structure=structure)  # type: ignore[arg-type]
    scene = make_scene(random_generator(config, seed=levels), seed=2, layout=four_styles((-700, -400)))
    region = Region(-333, 41, 260, 190)
    tile = config.cell_px * 4 + 5
    assert_same_picture(picture(scene, region, tile=tile, batch=3), picture(scene, region))


def test_two_names_for_one_style_draw_what_the_style_alone_draws(tiny: Generator) -> None:
    layout = four_styles()
    layout["styles"] = [{"name": s, "seed": 9} for s, _, _ in CENTRES]
    region = Region(400, 400, 300, 250)
    mixed = picture(make_scene(tiny, seed=5, layout=layout), region, tile=229)
    assert_same_picture(mixed, picture(make_scene(tiny, seed=5, style={"seed": 9}), region))


def test_weights_are_shares_of_the_layouts_labels_on_every_lattice(tiny: Generator) -> None:
    document = ResolvedLayout.model_validate(four_styles())
    scene = make_scene(tiny, seed=5, layout=four_styles())
    plan = make_plan(Region(500, 500, 20, 20), scene.engine.config, memory=PLENTY)
    tile = plan.tile(0)
    inputs = batch_inputs(scene, plan, [tile])
    assert inputs.weights is not None
    assert inputs.style.z_g.shape[0] == 4
    (rows, columns), levels = plan.cells, scene.engine.config.levels
    x, y = (
        layer_spans(cell, cells, levels=levels)
        for cell, cells in ((tile.position.cell_x, columns), (tile.position.cell_y, rows))
    )
    read = [(x.local, y.local, 16), (x.structure, y.structure, 16)]
    read += [(x.noise[i], y.noise[i], 16 >> (i // 2 + 1)) for i in range(len(x.noise) - 1)]
    given = [inputs.weights.structure, *inputs.weights.texture]
    for (across, down, spacing), weights in zip(read, given, strict=True):
        window = covering(across, down, spacing=spacing, transition=127)
        counts = StyleCounts.of(document.labels(window), window, styles=(0, 1, 2, 3))
        np.testing.assert_array_equal(weights[0], counts.weights(across, down, spacing=spacing, transition=127))


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
    scene = make_scene(tiny, seed=5, layout={"styles": [{"name": "kept", "latent": latent}], "transition": 1})
    assert torch.equal(scene.palette.styles.w_plus, seeded.w_plus)
    assert torch.equal(scene.palette.styles.z_g, seeded.z_g)
