"""A large field of the official test-time path: in one pass, in its patches, in our own tiles (full oracle, case B)."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from infgen.geometry import LayerSpans, Span, layer_spans
from infgen.model.folded import FoldedGenerator, fold
from infgen.model.generator import Style
from tests import oracle
from tests.model.networks import official_generator, tensor

LEVELS = 4
PATCH_SIZES = (19, 17, 31, 29, 55, 53, 103, 101)


@dataclass(frozen=True)
class Field:
    z_l: Tensor
    coordinates: Tensor
    noises: list[Tensor]
    image: Tensor
    data: dict[str, oracle.Array]


@pytest.fixture(scope="module")
def field() -> Field:
    data = oracle.full("generator_small")
    noises = [tensor(data, f"B_noise_{i}") for i in range(2 * LEVELS)]
    return Field(tensor(data, "B_local_latent"), tensor(data, "B_coords"), noises, tensor(data, "B_meta_image"), data)


@pytest.fixture(scope="module")
def network(field: Field) -> FoldedGenerator:
    generator = official_generator()
    return fold(generator, generator.style(tensor(field.data, "B_global_latent")[:, 0]), dtype=torch.float32)


def assert_same(image: Tensor, field: Field) -> None:
    torch.testing.assert_close(image, field.image, rtol=0, atol=1e-4)


def cut(x: Tensor, rows: slice, columns: slice) -> Tensor:
    return x[:, :, rows, columns]


def test_one_pass_over_the_field_gives_the_official_image(field: Field, network: FoldedGenerator) -> None:
    assert_same(network(field.z_l, field.coordinates, field.noises), field)


def test_the_official_patches_give_the_official_image(field: Field, network: FoldedGenerator) -> None:
    image = torch.full_like(field.image, torch.nan)
    for r, c in (divmod(k, 5) for k in range(15)):

        def window(key: str, size: int, r: int = r, c: int = c) -> tuple[slice, slice]:
            y, x = (int(v) for v in field.data[key][r, c])
            return slice(y, y + size), slice(x, x + size)

        cells = window("B_patch_z_start", 35)
        noises = [
            cut(n, *window(f"B_patch_noise_start_{i}", size))
            for i, (n, size) in enumerate(zip(field.noises, PATCH_SIZES, strict=True))
        ]
        patch = network(cut(field.z_l, *cells), cut(field.coordinates, *cells), noises)
        image[:, :, *window("B_patch_img_start", 101)] = patch
    assert_same(image, field)


def within(part: Span, whole: Span) -> slice:
    """Position of ``part`` in an array of the range of ``whole``."""
    assert whole.contains(part)
    return slice(part.start - whole.start, part.stop - whole.start)


def starts(cells: int, step: int, total: int) -> list[int]:
    """First cells of tiles that cover ``total`` cells; the last one is pushed back inside."""
    return sorted({min(a, total - cells) for a in range(0, total - cells + step, step)})


def render_tiles(field: Field, network: FoldedGenerator, cells: int, step: int, origin: tuple[int, int]) -> Tensor:
    """The field's image from square tiles cut by ``layer_spans``; the field's z_S begins at cell ``origin`` (y, x)."""
    height, width = (size - 24 for size in field.z_l.shape[-2:])
    whole_y = layer_spans(origin[0], height, levels=LEVELS)
    whole_x = layer_spans(origin[1], width, levels=LEVELS)
    image = torch.full_like(field.image, torch.nan)
    for row in starts(cells, step, height):
        for column in starts(cells, step, width):
            y = layer_spans(origin[0] + row, cells, levels=LEVELS)
            x = layer_spans(origin[1] + column, cells, levels=LEVELS)
            tile = network(*windows(field, (y, x), (whole_y, whole_x)))
            image[:, :, within(y.pixels, whole_y.pixels), within(x.pixels, whole_x.pixels)] = tile
    return image


def windows(
    field: Field, tile: tuple[LayerSpans, LayerSpans], whole: tuple[LayerSpans, LayerSpans]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    (y, x), (whole_y, whole_x) = tile, whole
    cells = within(y.local, whole_y.local), within(x.local, whole_x.local)
    noises = [
        cut(noise, within(y.noise[i], whole_y.noise[i]), within(x.noise[i], whole_x.noise[i]))
        for i, noise in enumerate(field.noises)
    ]
    return cut(field.z_l, *cells), cut(field.coordinates, *cells), noises


@pytest.mark.parametrize(("cells", "step"), [(11, 6), (17, 12), (23, 12)])
def test_tiles_of_any_size_give_the_official_image(
    field: Field, network: FoldedGenerator, cells: int, step: int
) -> None:
    assert_same(render_tiles(field, network, cells, step, (0, 0)), field)


def test_tiles_far_from_the_origin_give_the_official_image(field: Field, network: FoldedGenerator) -> None:
    assert_same(render_tiles(field, network, 17, 12, (-(2**40) - 7, 2**31 + 5)), field)


def test_the_unfolded_network_gives_the_official_image(field: Field) -> None:
    generator = official_generator()
    z_g = tensor(field.data, "B_global_latent")
    style: Style = generator.style(z_g[:, 0])
    assert_same(generator(field.z_l, field.coordinates, style, field.noises), field)
