"""Test the paper's ablations as networks: receptive field, sizes, folding, files, and refusals with zero padding."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from infgen.engines import EagerEngine
from infgen.errors import InputError, ModelFileError
from infgen.geometry import tile_px
from infgen.model.config import GeneratorConfig, Structure, preset
from infgen.model.folded import fold
from infgen.model.generator import Generator
from infgen.model.layers import ModulatedConv, centre_crop, padded_upsample_skip
from infgen.model.structure import DirectInput, build_structure
from tests.model.networks import random_generator, random_inputs

STRUCTURES: tuple[Structure, ...] = ("implicit", "pointwise", "none")
ABLATED = [(s, p) for s in STRUCTURES for p in (False, True) if (s, p) != ("implicit", False)]
CELLS = 7


def small(structure: Structure, *, levels: int = 1, padding: bool = False) -> GeneratorConfig:
    return GeneratorConfig((4, 4) * levels, local_channels=3, global_channels=4, structure=structure, padding=padding)


@pytest.fixture(scope="module")
def generators() -> dict[tuple[Structure, bool], Generator]:
    return {(s, p): random_generator(preset("tiny", structure=s, padding=p), seed=4) for s, p in ABLATED}


def image(generator: Generator, cells: int = CELLS) -> Tensor:
    z_g, z_l, coordinates, noises = random_inputs(generator.config, cells=cells)
    result: Tensor = generator(z_l, coordinates, generator.style(z_g), noises)
    return result


def structure_of(structure: Structure, z_l: Tensor, coordinates: Tensor, z_g: Tensor) -> Tensor:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        z_s: Tensor = build_structure(small(structure))(z_l, coordinates, z_g)
    return z_s


def cells_changed_by_the_middle(structure: Structure) -> int:
    """How many cells of a 31x31 z_S differ after the middle cell of z_l has been changed."""
    z_g, z_l, coordinates, _ = random_inputs(small(structure), cells=31)
    moved = z_l.clone()
    moved[:, :, 27, 27] += 3
    before, after = (structure_of(structure, z, coordinates, z_g) for z in (z_l, moved))
    return int((before != after).any(1).sum())


@pytest.mark.parametrize(("structure", "seen"), [("implicit", 25 * 25), ("pointwise", 1), ("none", 1)])
def test_without_unfolding_a_cell_sees_only_itself(structure: Structure, seen: int) -> None:
    assert cells_changed_by_the_middle(structure) == seen


@pytest.mark.parametrize(("structure", "matters"), [("implicit", True), ("pointwise", True), ("none", False)])
def test_the_global_latent_reaches_the_structure_where_there_is_one(structure: Structure, matters: bool) -> None:
    z_g, z_l, coordinates, _ = random_inputs(small(structure), cells=CELLS)
    one, other = (structure_of(structure, z_l, coordinates, z) for z in (z_g, -z_g))
    assert torch.equal(one, other) != matters


@pytest.mark.parametrize("structure", STRUCTURES)
def test_coordinates_matter_to_every_structure(structure: Structure) -> None:
    z_g, z_l, coordinates, _ = random_inputs(small(structure), cells=CELLS)
    one, other = (structure_of(structure, z_l, c, z_g) for c in (coordinates, -coordinates))
    assert not torch.equal(one, other)


@settings(max_examples=12)
@given(st.sampled_from(STRUCTURES), st.integers(0, 4), st.integers(0, 4))
def test_a_window_of_the_structure_is_cut_from_any_larger_one(structure: Structure, top: int, left: int) -> None:
    z_g, z_l, coordinates, _ = random_inputs(small(structure), cells=8)

    def window(x: Tensor) -> Tensor:
        return x[..., top : top + 28, left : left + 28]

    cut = structure_of(structure, z_l, coordinates, z_g)[..., top : top + 4, left : left + 4]
    torch.testing.assert_close(structure_of(structure, window(z_l), window(coordinates), z_g), cut, rtol=0, atol=1e-5)


def test_without_structure_latents_and_coordinates_are_mixed_linearly() -> None:
    config = small("none")
    _, z_l, coordinates, _ = random_inputs(config, cells=CELLS)
    network = random_generator(config, seed=2).structure
    assert isinstance(network, DirectInput)
    inputs = torch.cat([z_l, coordinates], dim=1)[..., 12:-12, 12:-12]
    weight = network.weight[:, :, 0, 0] / 6**0.5
    expected = torch.einsum("oi,bihw->bohw", weight, inputs) + network.bias[:, None, None]
    torch.testing.assert_close(network(z_l, coordinates, torch.zeros(1, 4)), expected)


@pytest.mark.parametrize("levels", range(1, 5))
@pytest.mark.parametrize(("structure", "padding"), ABLATED)
def test_every_ablation_gives_images_of_the_same_size(structure: Structure, padding: bool, levels: int) -> None:
    generator = random_generator(small(structure, levels=levels, padding=padding), seed=0)
    assert image(generator).shape[-2:] == (tile_px(CELLS, levels=levels),) * 2


@pytest.mark.parametrize(("structure", "padding"), ABLATED)
def test_every_parameter_of_an_ablation_is_trained(structure: Structure, padding: bool) -> None:
    generator = random_generator(small(structure, padding=padding), seed=0).requires_grad_(True)
    image(generator).square().sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in generator.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("structure", ["pointwise", "none"])
def test_folded_equals_unfolded_for_every_structure(
    structure: Structure, generators: dict[tuple[Structure, bool], Generator]
) -> None:
    generator = generators[structure, False]
    z_g, z_l, coordinates, noises = random_inputs(generator.config, cells=CELLS)
    folded = fold(generator, generator.style(z_g), dtype=torch.float32)(z_l, coordinates, noises)
    torch.testing.assert_close(folded, image(generator), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("structure", "padding"), ABLATED)
def test_an_ablated_model_survives_its_file(
    structure: Structure, padding: bool, generators: dict[tuple[Structure, bool], Generator], tmp_path: Path
) -> None:
    generators[structure, padding].save_pretrained(tmp_path / "model.safetensors")
    again = Generator.from_pretrained(tmp_path / "model.safetensors")
    assert torch.equal(image(again), image(generators[structure, padding]))


def rewritten(model: Path, path: Path, **entries: object) -> Path:
    """A copy of the model file ``model`` whose configuration has other ``entries``."""
    with safe_open(model, framework="pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"]) | entries
    save_file(load_file(model), path, metadata=metadata | {"config": json.dumps(config)})
    return path


def test_a_file_that_names_an_unknown_structure_is_refused_by_name(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="structure 'spiral' is unknown"):
        Generator.from_pretrained(rewritten(tiny_model, tmp_path / "model.safetensors", structure="spiral"))


def test_a_file_whose_tensors_are_of_another_structure_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="tensors differ from its configuration"):
        Generator.from_pretrained(rewritten(tiny_model, tmp_path / "model.safetensors", structure="none"))


def test_a_file_whose_kernels_are_of_another_structure_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"structure\.layers\.0\.conv\.weight has shape"):
        Generator.from_pretrained(rewritten(tiny_model, tmp_path / "model.safetensors", structure="pointwise"))


@pytest.mark.parametrize("up", [False, True])
def test_padded_convolutions_keep_or_double_sizes(up: bool) -> None:
    conv = ModulatedConv(2, 3, 3, style_dim=4, up=up, padding=True)
    out = conv(torch.randn(1, 2, 5, 8), torch.zeros(1, 4))
    assert out.shape == ((1, 3, 10, 16) if up else (1, 3, 5, 8))


def test_a_padded_upsampling_is_stylegan2s() -> None:
    conv = ModulatedConv(2, 3, 3, style_dim=4, up=True, padding=True, demodulate=False)
    x, style = torch.randn(1, 2, 5, 6), torch.zeros(1, 4)
    stuffed = torch.zeros(1, 2, 9, 11)
    stuffed[:, :, ::2, ::2] = x
    wide = F.conv2d(F.pad(stuffed, (2, 2, 2, 2)), conv.weight.flip(2, 3) * conv.scale)  # the modulation begins as 1
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = (torch.outer(taps, taps) / 16).expand(3, 1, 4, 4)
    torch.testing.assert_close(conv(x, style), F.conv2d(F.pad(wide, (1, 1, 1, 1)), kernel, groups=3))


def test_a_padded_skip_is_bilinear_inside() -> None:
    rgb = torch.randn(1, 3, 6, 7)
    bilinear = F.interpolate(rgb, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(padded_upsample_skip(rgb)[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])


def test_a_padded_skip_fades_to_zero_at_the_border() -> None:
    assert padded_upsample_skip(torch.ones(1, 3, 4, 4))[0, 0, 0, 4:6].tolist() == [0.75, 0.75]


def test_a_crop_with_an_odd_rest_leaves_more_at_the_bottom_and_right() -> None:
    assert centre_crop(torch.arange(16).view(1, 1, 4, 4), 1, 1).item() == 5


def middle_of(larger: Generator, cells: int) -> float:
    """Largest difference between an image and the middle of one from a window larger by 2 cells on each side."""
    config = larger.config
    z_g, z_l, coordinates, _ = random_inputs(config, cells=cells + 4)
    style = larger.style(z_g)

    def quiet(n: int) -> list[Tensor]:
        return [torch.zeros(1, 1, *shape) for shape in config.noise_shapes((n, n))]

    whole = larger(z_l, coordinates, style, quiet(cells + 4))
    part = larger(z_l[..., 2:-2, 2:-2], coordinates[..., 2:-2, 2:-2], style, quiet(cells))
    edge = 2 * config.cell_px
    return float((whole[..., edge:-edge, edge:-edge] - part).abs().max())


@pytest.mark.parametrize("structure", STRUCTURES)
def test_zero_padding_lets_a_pixel_depend_on_where_its_window_ends(structure: Structure) -> None:
    assert middle_of(random_generator(small(structure, levels=2, padding=True), seed=0), 6) > 0.1


@pytest.mark.parametrize("structure", STRUCTURES)
def test_without_padding_a_pixel_does_not(structure: Structure) -> None:
    assert middle_of(random_generator(small(structure, levels=2), seed=0), 6) < 1e-4


def test_a_padded_model_cannot_be_folded(generators: dict[tuple[Structure, bool], Generator]) -> None:
    generator = generators["none", True]
    with pytest.raises(InputError, match="padding"):
        fold(generator, generator.style(torch.zeros(1, 16)), dtype=torch.float32)


def test_an_engine_refuses_a_padded_model_in_one_line(generators: dict[tuple[Structure, bool], Generator]) -> None:
    with pytest.raises(
        InputError, match=r"\Athis model has padding true [^\n]*; rendering needs padding false[^\n]*\Z"
    ):
        EagerEngine(generators["implicit", True])
