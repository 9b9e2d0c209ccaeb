"""The generator as a module: input checks, types, styles, truncation, mixing, folding."""

import copy

import pytest
import torch
from torch import Tensor, nn

from infgen.model.config import GeneratorConfig, preset
from infgen.model.folded import fold
from infgen.model.generator import Generator, Style
from infgen.model.layers import EqualizedLinear, ModulatedConv, blur, upsample_skip
from infgen.model.texture import mix_styles
from tests.model.networks import psnr, random_generator, random_inputs

CELLS = 7
CONFIG = preset("tiny")


@pytest.fixture(scope="module")
def style(tiny: Generator) -> Style:
    """One style whose W+ rows all differ."""
    rng = torch.Generator().manual_seed(3)
    z_g = torch.randn(1, CONFIG.global_channels, generator=rng)
    rows = torch.randn(CONFIG.style_layers, CONFIG.global_channels, generator=rng)
    return Style(z_g, tiny.mapping(rows).unsqueeze(0))


def render(generator: Generator, style: Style, dtype: torch.dtype = torch.float32) -> Tensor:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    image: Tensor = generator(z_l.to(dtype), coordinates.to(dtype), style, [n.to(dtype) for n in noises])
    return image


def test_no_parameter_of_the_fixture_is_zero(tiny: Generator) -> None:
    assert all(bool((p != 0).all()) for p in tiny.parameters())


def test_random_parameters_do_not_touch_the_global_random_state() -> None:
    before = torch.random.get_rng_state()
    random_generator(CONFIG, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("levels", range(1, 8))
def test_image_size_is_the_closed_form_for_every_number_of_levels(levels: int) -> None:
    config = GeneratorConfig((4, 4) * levels, local_channels=4, global_channels=4)
    z_g, z_l, coordinates, noises = random_inputs(config, cells=6)
    generator = random_generator(config, seed=0)
    s = 2**levels
    assert generator(z_l, coordinates, generator.style(z_g), noises).shape == (1, 3, s + 5, s + 5)


@pytest.mark.parametrize("coordinates", ["texture", "object"])
def test_other_coordinate_systems_run(coordinates: str) -> None:
    config = preset("tiny", coordinates=coordinates)  # type: ignore[arg-type]
    z_g, z_l, planes, noises = random_inputs(config, cells=6)
    generator = random_generator(config, seed=0)
    assert bool(generator(z_l, planes, generator.style(z_g), noises).isfinite().all())


def test_samples_of_a_batch_do_not_influence_each_other(tiny: Generator) -> None:
    z_g, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS, batch=3)
    together = tiny(z_l, coordinates, tiny.style(z_g), noises)
    alone = tiny(z_l[1:2], coordinates[1:2], tiny.style(z_g[1:2]), [n[1:2] for n in noises])
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-5)


def test_folded_equals_unfolded(tiny: Generator, style: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    folded = fold(tiny, style, dtype=torch.float32)(z_l, coordinates, noises)
    torch.testing.assert_close(folded, render(tiny, style), rtol=0, atol=1e-4)


def test_folding_leaves_the_generator_as_it_was(tiny: Generator, style: Style) -> None:
    before = copy.deepcopy(tiny.state_dict())
    fold(tiny, style, noise_strength=0.5, dtype=torch.bfloat16)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())


def test_folded_in_bfloat16_is_close_to_float32(tiny: Generator, style: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    folded = fold(tiny, style, dtype=torch.bfloat16)(z_l, coordinates, noises)
    assert psnr(folded, render(tiny, style)) > 30


def test_folded_in_bfloat16_returns_float32(tiny: Generator, style: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    assert fold(tiny, style, dtype=torch.bfloat16)(z_l, coordinates, noises).dtype == torch.float32


def test_a_batch_of_styles_cannot_be_folded(tiny: Generator) -> None:
    with pytest.raises(ValueError, match="one style can be folded, not 2"):
        fold(tiny, tiny.style(torch.randn(2, CONFIG.global_channels)), dtype=torch.float32)


def test_folding_accepts_a_batch_of_windows(tiny: Generator, style: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS, batch=2)
    folded = fold(tiny, style, dtype=torch.float32)
    alone = folded(z_l[1:], coordinates[1:], [n[1:] for n in noises])
    torch.testing.assert_close(folded(z_l, coordinates, noises)[1:], alone, rtol=0, atol=1e-5)


def test_noise_strength_zero_removes_the_influence_of_noise(tiny: Generator, style: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    folded = fold(tiny, style, noise_strength=0.0, dtype=torch.float32)
    assert torch.equal(folded(z_l, coordinates, noises), folded(z_l, coordinates, [5 * n for n in noises]))


def test_noise_changes_the_image_at_full_strength(tiny: Generator, style: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    folded = fold(tiny, style, dtype=torch.float32)
    assert not torch.allclose(
        folded(z_l, coordinates, noises), folded(z_l, coordinates, [-n for n in noises]), atol=0.01
    )


def test_noise_strength_scales_noise(tiny: Generator, style: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    half = fold(tiny, style, noise_strength=0.5, dtype=torch.float32)(z_l, coordinates, noises)
    scaled = fold(tiny, style, dtype=torch.float32)(z_l, coordinates, [0.5 * n for n in noises])
    torch.testing.assert_close(half, scaled, rtol=0, atol=1e-5)


def test_a_noise_of_another_size_is_refused(tiny: Generator, style: Style) -> None:
    _, z_l, coordinates, noises = random_inputs(CONFIG, cells=CELLS)
    with pytest.raises(ValueError, match="noise"):
        tiny(z_l, coordinates, style, [noises[0][..., :1], *noises[1:]])


def test_every_layer_of_a_bfloat16_forward_computes_in_bfloat16(tiny: Generator, style: Style) -> None:
    types: set[torch.dtype] = set()

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        types.add(output.dtype)

    hooks = [m.register_forward_hook(note) for m in tiny.modules() if isinstance(m, ModulatedConv)]
    render(tiny, style, torch.bfloat16)
    for hook in hooks:
        hook.remove()
    assert types == {torch.bfloat16}


def test_a_bfloat16_forward_returns_float32(tiny: Generator, style: Style) -> None:
    assert render(tiny, style, torch.bfloat16).dtype == torch.float32


def test_a_bfloat16_forward_is_close_to_float32(tiny: Generator, style: Style) -> None:
    assert psnr(render(tiny, style, torch.bfloat16), render(tiny, style)) > 30


def test_truncation_one_changes_nothing(tiny: Generator) -> None:
    z_g = torch.randn(2, CONFIG.global_channels, generator=torch.Generator().manual_seed(0))
    plain = tiny.style(z_g)
    truncated = tiny.style(z_g, truncation=1.0)
    assert torch.equal(truncated.w_plus, plain.w_plus)
    assert torch.equal(truncated.z_g, plain.z_g)


def test_truncation_zero_gives_the_mean_style(tiny: Generator) -> None:
    style = tiny.style(torch.ones(2, CONFIG.global_channels), truncation=0.0)
    torch.testing.assert_close(style.w_plus, tiny.mean_style.expand(2, CONFIG.style_layers, -1))


def test_truncation_zero_gives_the_mean_latent(tiny: Generator) -> None:
    assert not tiny.style(torch.ones(2, CONFIG.global_channels), truncation=0.0).z_g.any()


def test_truncation_a_half_lies_midway(tiny: Generator) -> None:
    z_g = torch.randn(1, CONFIG.global_channels, generator=torch.Generator().manual_seed(0))
    full, half = tiny.style(z_g).w_plus, tiny.style(z_g, truncation=0.5).w_plus
    torch.testing.assert_close(half, (full + tiny.mean_style) / 2)


def test_the_mean_style_is_the_same_every_time(tiny: Generator) -> None:
    again = copy.deepcopy(tiny)
    torch.manual_seed(99)
    again.update_mean_style()
    assert torch.equal(again.mean_style, tiny.mean_style)


def test_the_mean_style_is_near_the_mean_of_other_draws(tiny: Generator) -> None:
    draws = torch.randn(20_000, CONFIG.global_channels, generator=torch.Generator().manual_seed(5))
    mapped = tiny.mapping(draws)
    assert bool(((mapped.mean(0) - tiny.mean_style).abs() < 0.05 * mapped.std(0) + 1e-6).all())


@pytest.mark.parametrize("crossover", [0, 1, 4, 8, 9, 20])
def test_rows_from_the_crossover_on_come_from_the_second_style(crossover: int) -> None:
    mixed = mix_styles(torch.zeros(2, 3), rows=9, other=torch.ones(2, 3), crossover=crossover)
    expected = (torch.arange(9) >= crossover).float()[None, :, None].expand(2, 9, 3)
    assert torch.equal(mixed, expected)


@pytest.mark.parametrize(("other", "crossover"), [(None, None), (None, 3), (torch.ones(1, 3), None)])
def test_without_a_second_style_or_a_crossover_all_rows_are_the_first(
    other: Tensor | None, crossover: int | None
) -> None:
    assert not mix_styles(torch.zeros(1, 3), rows=9, other=other, crossover=crossover).any()


def test_mixing_leaves_the_structure_latent_alone(tiny: Generator) -> None:
    first, second = torch.zeros(1, CONFIG.global_channels) + 1, torch.zeros(1, CONFIG.global_channels) - 1
    assert tiny.style(first, mix=second, crossover=0).z_g is first


def test_rgb_of_each_level_takes_the_row_of_the_next_levels_last_convolution(tiny: Generator) -> None:
    assert [tiny.texture.rgb_row(level) for level in range(4)] == [3, 5, 7, 8]


def test_the_blur_keeps_a_constant_that_zeros_have_thinned_out() -> None:
    thin = torch.zeros(1, 2, 11, 11)
    thin[:, :, ::2, ::2] = 1
    torch.testing.assert_close(blur(thin), torch.ones(1, 2, 9, 9))


def test_the_skip_keeps_a_linear_ramp_at_its_place() -> None:
    ramp = torch.arange(9.0)[None, None, :, None].expand(1, 3, 9, 9)
    expected = (torch.arange(13.0) / 2 + 1)[None, None, :, None].expand(1, 3, 13, 13)
    torch.testing.assert_close(upsample_skip(ramp), expected)


def test_an_equalised_layer_keeps_unit_variance_at_any_learning_rate() -> None:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        layer = EqualizedLinear(256, 256, learning_rate_factor=0.01)
        out = layer(torch.randn(512, 256))
    assert out.std().item() == pytest.approx(1.0, rel=0.05)


def test_a_demodulated_convolution_has_unit_variance_for_any_style() -> None:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        conv = ModulatedConv(32, 64, 3, style_dim=8)
        out = conv(torch.randn(2, 32, 40, 40), 20 * torch.randn(2, 8))
    assert out.std().item() == pytest.approx(1.0, rel=0.05)
