"""Growing a model: more channels keep its picture, and with more levels it becomes a coarser scale."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.model.config import GeneratorConfig, preset
from infgen.model.generator import Generator
from infgen.train import start
from infgen.train.growing import check_growth, grow
from infgen.train.loop import Schedule
from tests.model.networks import random_generator
from tests.train.photos import save_landscapes
from tests.train.runs import SMALL, train

OLD = preset("tiny")
WIDER = replace(OLD, texture_channels=(12, 8, 8, 10, 8, 6, 4, 6), local_channels=9)
DEEPER = preset("tiny-scales")
CELLS = (7, 8)


def picture(generator: Generator, config: GeneratorConfig) -> Tensor:
    """Draw with ``generator`` from latents of ``config``, and from additional ones if it has more channels."""
    rng = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    size = (CELLS[0] + 24, CELLS[1] + 24)
    z_l, coordinates = normal(1, config.local_channels, *size), normal(1, 3, *size)
    z_g, noises = normal(1, config.global_channels), [normal(1, 1, *shape) for shape in config.noise_shapes(CELLS)]
    more = normal(1, generator.config.local_channels, *size)[:, config.local_channels :]
    return generator(torch.cat([z_l, more], 1), coordinates, generator.style(z_g), noises)


def make_grown(old: Generator, config: GeneratorConfig) -> Generator:
    new = random_generator(config, seed=9)
    grow(old, new)
    return new


def test_a_wider_network_draws_the_same() -> None:
    old = random_generator(OLD, seed=1)
    torch.testing.assert_close(picture(make_grown(old, WIDER), OLD), picture(old, OLD), rtol=1e-4, atol=1e-4)


def test_added_levels_leave_the_picture_as_a_coarser_scale() -> None:
    old = random_generator(OLD, seed=1)
    torch.testing.assert_close(
        picture(make_grown(old, DEEPER).coarser(2), OLD), picture(old, OLD), rtol=1e-4, atol=1e-4
    )


def test_another_coordinate_system_keeps_only_mapping_and_texture() -> None:
    old, config = random_generator(OLD, seed=1), replace(OLD, coordinates="texture")
    new, fresh = make_grown(old, config), random_generator(config, seed=9)
    for name, values in new.state_dict().items():
        source = fresh if name.startswith("structure.") else old
        assert torch.equal(values, source.state_dict()[name]), name


def test_every_new_channel_gets_a_gradient() -> None:
    new = make_grown(random_generator(OLD, seed=1), WIDER).requires_grad_(True)
    picture(new, OLD).square().mean().backward()
    weight = new.texture.convs[1].conv.weight
    assert weight.grad is not None
    assert bool((weight.grad[:, OLD.texture_channels[0] :].abs().amax((0, 2, 3)) > 0).all())


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (replace(OLD, global_channels=8), "has global_channels 16 and this recipe 8"),
        (replace(OLD, local_channels=4), "has 6 local_channels and this recipe 4"),
        (replace(OLD, texture_channels=OLD.texture_channels[:6]), "has 4 levels and this recipe 3"),
        (replace(OLD, texture_channels=(8, 8, 8, 8, 6, 6, 4, 3)), "has 4 texture_channels and this recipe 3"),
    ],
)
def test_impossible_growth_is_refused_in_one_line(new: GeneratorConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_growth(OLD, new, source="model.safetensors")


def test_a_run_starts_from_a_smaller_model_or_run(tmp_path: Path) -> None:
    photos = save_landscapes(tmp_path / "photos")
    small = train(photos, tmp_path / "small", steps=1)
    for name, init in (("model", small.model), ("run", small.path)):
        wide = SMALL.with_values(width=2.0, generator="tiny")
        with pytest.raises(InputError, match="has global_channels"):
            start(photos, wide, Schedule(steps=1, device="cpu"), out=tmp_path / name, init=init)
