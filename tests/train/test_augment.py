"""DiffAugment: shifts, targets, colour, cutout and gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from infgen.train import augment as module
from infgen.train.augment import augment, cutout, jitter_colour, translate
from infgen.train.presets import find_recipe
from infgen.train.sampling import vertical_target

SIDE = 101
REACH = 13  # an eighth of 101 px, rounded


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(tops: Tensor) -> Tensor:
    """Patches (B, 3, 101, 101) of a tall picture whose rows have the values 1000, 1001, ..., starting at row ``tops[b]``."""
    rows = 1000 + tops[:, None] + torch.arange(SIDE)
    return rows[:, None, :, None].expand(-1, 3, -1, SIDE).float()


@pytest.fixture
def only_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch colour and cutout off."""
    monkeypatch.setattr(module, "jitter_colour", lambda images, rng, strength: images)
    monkeypatch.setattr(module, "cutout", lambda images, rng: images)


def test_translation_returns_the_shift_that_it_applies() -> None:
    images, down = translate(ramp(torch.zeros(64)), rng())
    for image, shift in zip(images, down.int().tolist(), strict=True):
        inside = slice(max(0, shift), min(SIDE, SIDE + shift))
        columns = image[0].any(0)
        expected = (1000 + torch.arange(SIDE) - shift)[inside].float()
        assert torch.equal(image[0, inside][:, columns], expected[:, None].expand(-1, int(columns.sum())))


def test_translation_leaves_zeros_outside() -> None:
    images, down = translate(ramp(torch.zeros(64)), rng())
    empty_rows = (~images[:, 0].any(2)).sum(1)
    assert torch.equal(empty_rows, down.abs().long())


def test_translation_shifts_by_at_most_an_eighth() -> None:
    _, down = translate(torch.zeros(2000, 3, SIDE, 1), rng())
    assert (int(down.min()), int(down.max())) == (-REACH, REACH)


def test_columns_move_as_far_as_rows() -> None:
    images, _ = translate(torch.ones(2000, 1, 1, SIDE), rng())
    assert int((images[:, 0, 0] == 0).sum(1).max()) == REACH


@pytest.mark.usefixtures("only_translation")
def test_a_shifted_photograph_has_the_target_of_the_crop_with_the_same_rows() -> None:
    tops = torch.randint(20, 77, (32,), generator=rng(1))
    images, targets = augment(ramp(tops), 2 * tops / 96 - 1, px_per_unit=48, rng=rng())
    middle = images[:, 0].amax(2)[:, SIDE // 2]  # the middle row is always visible
    shown_top = middle - 1000 - SIDE // 2
    torch.testing.assert_close(targets, 2 * shown_top / 96 - 1)


@pytest.mark.usefixtures("only_translation")
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("px_per_unit", [48, 72])
def test_the_new_target_is_that_of_the_centre_of_the_picture(seed: int, px_per_unit: int) -> None:
    tops = torch.arange(32)
    middle = (1000 + tops + SIDE // 2).float()
    images, targets = augment(ramp(tops), middle / px_per_unit, px_per_unit=px_per_unit, rng=rng(seed))
    torch.testing.assert_close(images[:, 0, SIDE // 2, SIDE // 2], targets * px_per_unit, rtol=0, atol=1e-2)


@pytest.mark.usefixtures("only_translation")
def test_content_moved_down_lowers_the_target() -> None:
    images, targets = augment(ramp(torch.full((32,), 50)), torch.zeros(32), px_per_unit=48, rng=rng())
    moved_down = images[:, 0].amax(2)[:, SIDE // 2] < 1000 + 50 + SIDE // 2
    assert torch.equal(moved_down, targets < 0)


@pytest.mark.usefixtures("only_translation")
def test_fewer_pixels_per_unit_change_targets_more() -> None:
    near, far = (augment(ramp(torch.zeros(8)), torch.zeros(8), px_per_unit=px, rng=rng())[1] for px in (72.0, 36.0))
    torch.testing.assert_close(2 * near, far)


@pytest.mark.parametrize(
    ("name", "real", "fake"), [("scenery-101", 48, 72), ("scenery-197", 96, 144), ("scenery-389", 192, 288)]
)
def test_pixels_per_unit_follow_from_the_patch(name: str, real: int, fake: int) -> None:
    (scale,) = find_recipe(name).trained_scales
    assert (find_recipe(name).real_px_per_unit(scale), find_recipe(name).fake_px_per_unit(scale)) == (real, fake)


def test_a_generated_patch_one_cell_lower_has_the_target_of_16_px() -> None:
    step = vertical_target(torch.tensor(4.0)) - vertical_target(torch.tensor(3.0))
    (scale,) = find_recipe("scenery-101").trained_scales
    assert float(step) == pytest.approx(16 / find_recipe("scenery-101").fake_px_per_unit(scale))


def test_colour_and_cutout_keep_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "translate", lambda images, rng: (images, torch.zeros(len(images))))
    target = torch.linspace(-1, 1, 4)
    assert torch.equal(augment(ramp(torch.zeros(4)), target, px_per_unit=48, rng=rng())[1], target)


def test_colour_moves_no_pixel() -> None:
    image = torch.zeros(1, 3, 5, 5)
    image[:, :, 2, 3] = 1
    changed = jitter_colour(image, rng())[0, 0]
    other = changed[torch.arange(25).view(5, 5) != 13]
    assert float(other.max()) == float(other.min()) != float(changed[2, 3])


def test_colour_shifts_brightness_by_at_most_a_half() -> None:
    means = jitter_colour(torch.zeros(2000, 3, 2, 2), rng()).mean((1, 2, 3))
    assert [v.item() for v in means.aminmax()] == pytest.approx([-0.5, 0.5], abs=0.01)


def test_colour_scales_contrast_by_a_half_to_one_and_a_half() -> None:
    grey = torch.tensor([-1.0, 1.0]).view(1, 1, 1, 2).expand(2000, 3, 1, 2)
    contrast = jitter_colour(grey, rng())[:, 0, 0].diff(dim=1) / 2
    assert [v.item() for v in contrast.aminmax()] == pytest.approx([0.5, 1.5], abs=0.01)


def test_cutout_clears_one_square_and_nothing_else() -> None:
    cleared = cutout(torch.ones(64, 3, SIDE, SIDE), rng())[:, 0] == 0
    rows, columns = cleared.any(2).sum(1), cleared.any(1).sum(1)
    assert torch.equal(cleared.sum((1, 2)), rows * columns)


def test_a_cutout_square_has_half_the_side() -> None:
    cleared = cutout(torch.ones(64, 3, SIDE, SIDE), rng())[:, 0] == 0
    assert int(cleared.any(2).sum(1).max()) == SIDE // 2 + 1


@pytest.mark.parametrize(
    "change", [lambda x, r: jitter_colour(x, r), lambda x, r: translate(x, r)[0], lambda x, r: cutout(x, r)]
)
def test_gradients_pass(change: Callable[[Tensor, torch.Generator], Tensor]) -> None:
    images = torch.randn(4, 3, 32, 32, generator=rng()).requires_grad_()
    (change(images, rng()) ** 2).sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    assert bool(images.grad.flatten(1).any(1).all())


def test_cleared_pixels_get_no_gradient() -> None:
    images = torch.ones(4, 3, 32, 32, requires_grad=True)
    out = cutout(images, rng())
    out.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(images.grad == 0, out == 0)  # type: ignore[arg-type]


def test_the_same_generator_state_gives_the_same_result() -> None:
    first, second = (augment(ramp(torch.zeros(4)), torch.zeros(4), px_per_unit=48, rng=rng(3)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_another_generator_state_gives_another_result() -> None:
    first, second = (augment(ramp(torch.zeros(4)), torch.zeros(4), px_per_unit=48, rng=rng(s))[0] for s in (3, 4))
    assert not torch.equal(first, second)


def test_the_global_random_state_is_not_touched() -> None:
    before = torch.random.get_rng_state()
    augment(ramp(torch.zeros(4)), torch.zeros(4), px_per_unit=48, rng=rng())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_samples_are_augmented_differently() -> None:
    _, targets = augment(ramp(torch.zeros(16)), torch.zeros(16), px_per_unit=48, rng=rng())
    assert len(set(targets.tolist())) > 4


def test_shape_and_dtype_are_kept(only_translation: None) -> None:
    images, _ = augment(torch.zeros(2, 3, 16, 24, dtype=torch.bfloat16), torch.zeros(2), px_per_unit=8, rng=rng())
    assert (images.shape, images.dtype) == ((2, 3, 16, 24), torch.bfloat16)
