"""Targets, and the windows of cells that cover them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infgen.errors import InputError, LimitError
from infgen.geometry import tile_px
from infgen.inversion.network import draw
from infgen.inversion.window import Cover, Latents, Target
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.rendering.palette import world_palette
from infgen.world.world import World

CONFIG = preset("tiny")


def target(w: int = 40, h: int = 36, x: int = 0, y: int = 0) -> Target:
    return Target(torch.zeros(3, h, w), None, x, y)


@given(st.integers(-(2**39), 2**39), st.integers(32, 200))
def test_the_window_is_the_smallest_that_covers_the_target(x: int, w: int) -> None:
    cover = Cover.of(target(w=w, x=x), CONFIG, period=None)
    span = cover.x.pixels
    assert span.start + cover.left == x
    assert 0 <= cover.left < CONFIG.cell_px
    assert x + w <= span.stop < x + w + CONFIG.cell_px
    assert tile_px(cover.cells[1], levels=CONFIG.levels) == span.size


@pytest.mark.parametrize(
    ("x", "y", "period"), [(0, -20, None), (-1234567, 53, None), (2**38 + 7, 0, None), (5, 3, 1600)]
)
def test_the_latents_of_a_world_draw_its_own_pixels(
    tiny: Generator, x: int, y: int, period: int | None, tiny_model: str
) -> None:
    world, wanted = World(seed=3, local_truncation=1.0, period=period), target(x=x, y=y)
    cover, device = Cover.of(wanted, tiny.config, period=period), torch.device("cpu")
    style = world_palette(world, tiny).styles
    latents = Latents(cover.local_latent(3, tiny.config, device), style.z_g, style.w_plus, cover.noises(3, device))
    image = cover.cut(draw(tiny, latents, cover.coordinates(tiny.config, device)), wanted)[0]
    shown = world.render(x, y, 40, 36, model=tiny_model)
    found = image.clamp(-1, 1).add(1).mul(127.5).permute(1, 2, 0).detach().numpy()
    assert np.abs(found - shown).max() < 1


def test_a_period_that_the_window_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="period 320 px does not fit"):
        Cover.of(target(), CONFIG, period=320)


def test_a_period_that_is_no_multiple_of_a_cell_is_refused() -> None:
    with pytest.raises(InputError, match="period 1601 px"):
        Cover.of(target(), CONFIG, period=1601)


@pytest.mark.parametrize(
    ("picture", "mask", "complaint"),
    [
        (torch.zeros(36, 40), None, r"shape \(36, 40\)"),
        (torch.zeros(4, 36, 40), None, r"shape \(4, 36, 40\)"),
        (torch.zeros(3, 31, 40), None, "40 x 31 px; allowed are sides from 32 px"),
        (torch.full((3, 36, 40), 1.5), None, "outside -1 to 1"),
        (torch.full((3, 36, 40), float("nan")), None, "outside -1 to 1"),
        (torch.zeros(3, 36, 40), torch.ones(36, 41, dtype=torch.bool), r"mask is torch.bool \(36, 41\)"),
        (torch.zeros(3, 36, 40), torch.ones(36, 40), "mask is torch.float32"),
        (torch.zeros(3, 36, 40), torch.zeros(36, 40, dtype=torch.bool), "false everywhere"),
    ],
)
def test_a_target_that_cannot_be_inverted_is_refused(
    picture: torch.Tensor, mask: torch.Tensor | None, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        Target(picture, mask, 0, 0)


def test_a_target_beyond_the_canvas_is_refused() -> None:
    with pytest.raises(LimitError, match="leaves the canvas"):
        target(x=2**40)
