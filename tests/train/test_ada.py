"""Adaptive augmentation: targets, geometry, colour, and the adjustment of the probability."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from infgen.errors import InputError
from infgen.train import ada as module
from infgen.train.ada import (
    augment_adaptively,
    chroma_matrix,
    colour_matrix,
    next_probability,
    recolour,
    rotation_matrix,
    scale_matrix,
    translation_matrix,
    view_matrix,
    warp,
)

SIDE = 101
CENTRE = SIDE // 2
PROBABILITIES = st.floats(0.05, 1)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(middle: Tensor, *, width: int = SIDE) -> Tensor:
    """Pictures (B, 3, 101, width) whose values are row numbers of a tall picture, ``middle`` (B,) in the middle row."""
    rows = middle[:, None] + torch.arange(SIDE) - CENTRE
    return rows[:, None, :, None].expand(-1, 3, -1, width).float()


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=rng(99)) * 2 - 1


@pytest.fixture
def only_geometry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch colour and cutout off."""
    monkeypatch.setattr(module, "recolour", lambda images, matrix: images)
    monkeypatch.setattr(module, "cutout", lambda images, rng: images)


@pytest.mark.usefixtures("only_geometry")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_the_new_target_is_that_of_the_centre_of_the_picture(seed: int, p: float) -> None:
    middle = torch.linspace(-40, 40, 16)
    images, target = augment_adaptively(ramp(middle), middle / 48, p=p, px_per_unit=48, rng=rng(seed))
    torch.testing.assert_close(
        images[:, 0, CENTRE, CENTRE], target * 48, rtol=0, atol=0.1
    )  # bicubic: 0.05 px off a ramp


@pytest.mark.usefixtures("only_geometry")
def test_targets_move_by_many_pixels() -> None:
    """Otherwise the test above could pass on pictures that barely move."""
    target = augment_adaptively(ramp(torch.zeros(64)), torch.zeros(64), p=1, px_per_unit=1, rng=rng())[1]
    assert float(target.std()) > 8


def test_content_moved_down_lowers_the_target_by_source_pixels() -> None:
    """Enlarged by two, then moved 10 px down: the centre shows content from 5 px higher."""
    two = torch.tensor([2.0])
    view = scale_matrix(1 / two, 1 / two) @ translation_matrix(torch.tensor([[0.0, -10.0]]))
    assert float(view[0, 1, 2]) == -5
    assert float(warp(ramp(torch.zeros(1)), view)[0, 0, CENTRE, CENTRE]) == pytest.approx(-5, abs=1e-3)


@given(seed=st.integers(0, 2**32), p=PROBABILITIES)
def test_the_centre_stays_inside_the_image(seed: int, p: float) -> None:
    offset = view_matrix(32, height=60, width=100, p=p, rng=rng(seed))[:, :2, 2].abs().amax(0)
    assert offset[0] <= 37.5
    assert offset[1] <= 22.5


@given(seed=st.integers(0, 2**32), p=PROBABILITIES)
def test_the_vertical_direction_is_kept(seed: int, p: float) -> None:
    """One px down in the view is down in the image, by more than twice its sideways shift."""
    down = view_matrix(32, height=SIDE, width=SIDE, p=p, rng=rng(seed))[:, :2, 1]
    assert bool((down[:, 1] > 2 * down[:, 0].abs()).all())


def test_half_of_the_samples_are_mirrored_at_probability_one() -> None:
    view = view_matrix(4000, height=SIDE, width=SIDE, p=1, rng=rng())
    assert float((view[:, 0, 0] < 0).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_each_transformation_is_independent_of_the_others() -> None:
    """At p = 0.5 each transformation is the identity half of the time; all at once is rare."""
    view = view_matrix(8000, height=SIDE, width=SIDE, p=0.5, rng=rng())
    identity = (view == torch.eye(3)).all(2).all(1).float().mean()
    assert float(identity) == pytest.approx(0.75 * 0.5**5, abs=0.008)  # a flip is the identity in 3 of 4 samples


def test_an_identity_view_changes_nothing() -> None:
    images = noise(2, 3, 24, 31)
    torch.testing.assert_close(warp(images, torch.eye(3).repeat(2, 1, 1)), images, rtol=0, atol=1e-5)


def test_a_flip_mirrors_the_columns() -> None:
    images = noise(1, 3, 24, 31)
    flipped = warp(images, scale_matrix(torch.tensor([-1.0]), torch.tensor([1.0])))
    torch.testing.assert_close(flipped, images.flip(3), rtol=0, atol=1e-5)


def test_an_integer_shift_copies_pixels_and_mirrors_at_the_edge() -> None:
    images = noise(1, 3, 24, 31)
    shifted = warp(images, translation_matrix(torch.tensor([[-3.0, -5.0]])))
    expected = images.roll((5, 3), (2, 3))
    expected[:, :, :5] = expected[:, :, 5:10].flip(2)
    expected[:, :, :, :3] = expected[:, :, :, 3:6].flip(3)
    torch.testing.assert_close(shifted, expected, rtol=0, atol=1e-4)


def test_a_rotation_turns_about_the_centre() -> None:
    quarter = rotation_matrix(torch.tensor([math.pi / 2]))
    images = noise(1, 3, 25, 25)
    torch.testing.assert_close(warp(images, quarter), images.rot90(1, (2, 3)), rtol=0, atol=1e-4)


def test_shrinking_by_two_does_not_alias() -> None:
    """Alternating rows of -1 and 1 become grey, not stripes."""
    stripes = (torch.arange(64) % 2 * 2.0 - 1).view(1, 1, -1, 1).expand(1, 3, -1, 64)
    half = torch.tensor([2.0])
    assert (
        float(warp(stripes, scale_matrix(half, half))[:, :, 18:46].abs().max()) < 1e-5
    )  # inner rows: edges are mirrored


def test_enlarging_does_not_blur() -> None:
    """The middle pixel of a picture with odd sides keeps its value when it is enlarged."""
    images, half = noise(1, 3, 25, 25), torch.tensor([0.5])
    torch.testing.assert_close(
        warp(images, scale_matrix(half, half))[..., 12, 12], images[..., 12, 12], rtol=0, atol=1e-5
    )


def test_colours_follow_the_matrix() -> None:
    matrix = torch.eye(4)[None].clone()
    matrix[0, :3] = torch.tensor([[0.0, 1, 0, 0.5], [0, 0, 2, 0], [1, 0, 0, 0]])
    red, green, blue = (images := noise(1, 3, 2, 2))[0]
    torch.testing.assert_close(recolour(images, matrix)[0], torch.stack([green + 0.5, 2 * blue, red]))


def test_a_hue_of_120_degrees_turns_red_into_green() -> None:
    matrix = chroma_matrix(torch.tensor([2 * math.pi / 3]), torch.ones(1))
    torch.testing.assert_close(matrix[0] @ torch.tensor([1.0, 0, 0, 1]), torch.tensor([0.0, 1, 0, 1]))


def test_without_saturation_the_channels_have_their_mean() -> None:
    matrix = chroma_matrix(torch.tensor([1.0]), torch.zeros(1))
    torch.testing.assert_close(matrix[0] @ torch.tensor([0.9, 0.3, -0.6, 1]), torch.tensor([0.2, 0.2, 0.2, 1]))


@given(seed=st.integers(0, 2**32), p=PROBABILITIES)
def test_grey_stays_grey_and_the_order_of_brightness_is_kept(seed: int, p: float) -> None:
    matrix = colour_matrix(8, p=p, rng=rng(seed))
    dark, light = ((matrix @ torch.tensor([v, v, v, 1.0]))[:, :3] for v in (-0.5, 0.5))
    torch.testing.assert_close(dark, dark.mean(1, keepdim=True).expand(-1, 3), rtol=1e-4, atol=1e-4)
    assert bool((light > dark).all())


def test_a_share_p_of_the_samples_gets_a_cutout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "recolour", lambda images, matrix: images)
    images, _ = augment_adaptively(torch.ones(1000, 3, 16, 16), torch.zeros(1000), p=0.3, px_per_unit=8, rng=rng())
    assert float((images == 0).flatten(1).any(1).float().mean()) == pytest.approx(0.3, abs=0.05)


def test_probability_zero_returns_images_and_targets_bit_for_bit() -> None:
    images, target = noise(2, 3, 16, 16), torch.tensor([0.1, -0.3])
    same, kept = augment_adaptively(images, target, p=0, px_per_unit=8, rng=rng())
    assert torch.equal(same, images)
    assert torch.equal(kept, target)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_a_probability_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(InputError, match=r"allowed is 0 to 1"):
        augment_adaptively(noise(1, 3, 8, 8), torch.zeros(1), p=p, px_per_unit=8, rng=rng())


def test_gradients_reach_every_sample() -> None:
    images = noise(16, 3, 32, 32).requires_grad_()
    (augment_adaptively(images, torch.zeros(16), p=0.8, px_per_unit=8, rng=rng())[0] ** 2).sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    assert bool(images.grad.isfinite().all())
    assert bool(images.grad.flatten(1).any(1).all())


def test_gradients_are_those_of_finite_differences() -> None:
    images = noise(2, 3, 6, 5).double().requires_grad_()
    view = view_matrix(2, height=6, width=5, p=1, rng=rng(3)).double()
    assert torch.autograd.gradcheck(lambda x: warp(x, view), (images,))


def test_bfloat16_gives_the_rounded_result_of_float32() -> None:
    images = noise(4, 3, 32, 24).bfloat16()
    low, high = (
        augment_adaptively(x, torch.zeros(4), p=0.8, px_per_unit=8, rng=rng(5))[0] for x in (images, images.float())
    )
    assert torch.equal(low, high.bfloat16())


def test_the_same_generator_state_gives_the_same_result() -> None:
    first, second = (
        augment_adaptively(noise(4, 3, 16, 16), torch.zeros(4), p=0.7, px_per_unit=8, rng=rng(3)) for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_the_global_random_state_is_not_touched() -> None:
    before = torch.random.get_rng_state()
    augment_adaptively(noise(4, 3, 16, 16), torch.zeros(4), p=0.7, px_per_unit=8, rng=rng())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_given_images_are_not_changed() -> None:
    images = noise(4, 3, 16, 16)
    before = images.clone()
    augment_adaptively(images, torch.zeros(4), p=1, px_per_unit=8, rng=rng())
    assert torch.equal(images, before)


@pytest.mark.gpu
def test_a_gpu_gives_the_result_of_the_cpu() -> None:
    images, target = noise(8, 3, 64, 64), torch.zeros(8)
    cpu, cuda = (
        augment_adaptively(images.to(d), target.to(d), p=0.8, px_per_unit=32, rng=rng(2)) for d in ("cpu", "cuda")
    )
    torch.testing.assert_close(cuda[0].cpu(), cpu[0], rtol=0, atol=1e-3)
    torch.testing.assert_close(cuda[1].cpu(), cpu[1])


@pytest.mark.parametrize(("sign", "expected"), [(0.7, 0.3002), (0.5, 0.2998), (0.6, 0.3)])
def test_the_probability_moves_towards_the_target_by_images_over_ramp(sign: float, expected: float) -> None:
    assert next_probability(0.3, sign, images=100) == pytest.approx(expected)


def test_half_a_million_images_can_raise_p_from_zero_to_one() -> None:
    p = 0.0
    for _ in range(500):
        p = next_probability(p, 1.0, images=500)
    assert p == pytest.approx(0.5)


@given(st.floats(0, 1), st.floats(-1, 1), st.integers(0, 10**6))
def test_the_probability_stays_between_zero_and_four_fifths(p: float, sign: float, images: int) -> None:
    assert 0 <= next_probability(p, sign, images=images) <= 0.8
