"""The coarser networks of a generator: they are its own first layers, and draw the RGB sum of a level."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.model.config import preset
from infgen.model.generator import Generator, Style
from infgen.model.layers import upsample_skip
from infgen.rendering.palette import world_palette
from infgen.world.world import World
from tests.model.networks import random_generator, random_inputs
from tests.model.scaled import SCALES, halvings, six_levels

COARSE = pytest.mark.parametrize("scale", SCALES[1:])
CELLS = 7


def level_pictures(generator: Generator, z_l: Tensor, coordinates: Tensor, style: Style, noises: list[Tensor]) -> list:
    """The RGB sum after every level of the whole network, layer by layer."""
    texture = generator.texture
    x, rgb, pictures = generator.structure(z_l, coordinates, style.z_g), None, []
    for level in range(generator.config.levels):
        for i in (2 * level, 2 * level + 1):
            x = texture.convs[i](x, style.w_plus[:, i], noises[i])
        row = min(2 * level + 3, style.w_plus.shape[1] - 1)
        here = texture.to_rgbs[level](x, style.w_plus[:, row])
        rgb = here if rgb is None else upsample_skip(rgb) + here
        pictures.append(rgb)
    return pictures


@COARSE
def test_a_coarse_picture_is_the_rgb_sum_of_its_level(scale: str) -> None:
    whole, coarse = six_levels(), six_levels().coarser(halvings(scale))
    z_g, z_l, coordinates, noises = random_inputs(whole.config, cells=CELLS, batch=2)
    style = whole.style(z_g)
    different_rows = replace(style, w_plus=style.w_plus + 0.1 * torch.arange(13.0)[:, None])
    expected = level_pictures(whole, z_l, coordinates, different_rows, noises)[coarse.config.levels - 1]
    rows = Style(z_g, different_rows.w_plus[:, : coarse.config.style_layers])
    assert torch.equal(coarse(z_l, coordinates, rows, noises[: 2 * coarse.config.levels]), expected)


def test_the_last_level_is_the_picture_at_full_size() -> None:
    whole = six_levels()
    z_g, z_l, coordinates, noises = random_inputs(whole.config, cells=CELLS)
    pictures = level_pictures(whole, z_l, coordinates, whole.style(z_g), noises)
    assert torch.equal(whole(z_l, coordinates, whole.style(z_g), noises), pictures[-1])


@COARSE
def test_a_coarser_network_shares_the_weights(scale: str) -> None:
    whole, coarse = six_levels(), six_levels().coarser(halvings(scale))
    mine = {id(p) for p in whole.parameters()}
    assert {id(p) for p in coarse.parameters()} < mine
    assert not any(p.is_meta for p in (*coarse.parameters(), *coarse.buffers()))


def test_no_halving_is_the_network_itself() -> None:
    assert six_levels().coarser(0) is six_levels()


def test_two_halvings_one_after_the_other_are_two_halvings() -> None:
    assert six_levels().coarser(1).coarser(1).config == six_levels().coarser(2).config


@pytest.mark.parametrize("training", [True, False])
def test_a_coarser_network_trains_where_the_whole_one_does(training: bool) -> None:
    generator = Generator(preset("tiny-scales")).train(training)
    assert generator.coarser(2).training == training


@pytest.mark.parametrize(("halvings", "name"), [(4, "1/16"), (5, "1/32"), (99, r"2\*\*-99"), (-1, r"2\*\*1")])
def test_a_level_that_is_no_picture_is_refused_with_those_that_are(halvings: int, name: str) -> None:
    with pytest.raises(InputError, match=rf"scale {name} is no picture of this model; it draws 1, 1/2, 1/4, 1/8: "):
        six_levels().coarser(halvings)


def test_a_model_without_scales_draws_the_full_size_only(tiny: Generator) -> None:
    with pytest.raises(InputError, match=r"scale 1/2 is no picture of this model; it draws 1: ") as refusal:
        tiny.coarser(1)
    assert "\n" not in str(refusal.value)


@COARSE
@pytest.mark.parametrize("crossover", range(1, 14))
def test_styles_of_a_world_are_the_first_rows_of_those_at_full_size(scale: str, crossover: int) -> None:
    world = World.create(seed=3, style={"seed": 4, "mix": {"seed": 5, "crossover": crossover}}, truncation=0.7)
    coarse = six_levels().coarser(halvings(scale))
    full, first = (world_palette(world, g).styles.w_plus for g in (six_levels(), coarse))
    assert torch.equal(first, full[:, : coarse.config.style_layers])


@COARSE
def test_a_stored_latent_is_that_of_the_whole_network(scale: str) -> None:
    full = world_palette(World(seed=3, truncation=1), six_levels()).styles
    latent = {"z_g": full.z_g[0].tolist(), "w_plus": full.w_plus[0].tolist()}
    world = World.create(layout={"styles": [{"name": "kept", "latent": latent}], "transition": 1}, truncation=1)
    coarse = six_levels().coarser(halvings(scale))
    found = world_palette(world, coarse).styles.w_plus
    assert torch.equal(found, full.w_plus[:, : coarse.config.style_layers])


def test_a_coarser_network_can_be_a_model_file_of_its_own(tmp_path: Path) -> None:
    coarse = six_levels().coarser(2)
    coarse.save_pretrained(tmp_path / "coarse.safetensors")
    found = Generator.from_pretrained(tmp_path / "coarse.safetensors")
    assert (found.config, found.config.halvings, found.config.scales) == (coarse.config, 2, (3, 4))
    z_g, z_l, coordinates, noises = random_inputs(coarse.config, cells=CELLS)
    assert torch.equal(*(g(z_l, coordinates, g.style(z_g), noises) for g in (coarse, found)))


@pytest.mark.parametrize("halvings", [1, 2])
def test_with_padding_a_coarse_picture_has_the_size_without(halvings: int) -> None:
    config = replace(preset("tiny-scales"), padding=True)
    z_g, z_l, coordinates, noises = random_inputs(config.coarser(halvings), cells=CELLS)
    coarse = random_generator(config, seed=1).coarser(halvings)
    rgb = coarse(z_l, coordinates, coarse.style(z_g), noises)
    s = 2**coarse.config.levels
    assert rgb.shape[-2:] == (s * CELLS - 5 * (s - 1),) * 2
