from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infgen import geometry
from infgen.errors import InputError
from infgen.model.config import PATCH_CELLS
from infgen.model.generator import Generator
from infgen.train import sample_sheet

PATCH = 101
WIDE = (293, 789)  # px of 23 x 54 cells


@pytest.fixture(scope="module")
def sheet(tiny: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sheets") / "a.png"
    sample_sheet.save_png(sample_sheet.draw_sheet(tiny, dtype=torch.float32), path)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_a_sheet_has_room_for_four_rows_of_eight_patches_and_a_wide_window(sheet: Path) -> None:
    assert pixels(sheet).shape == (4 * PATCH + WIDE[0], 8 * PATCH, 3)


def test_the_patches_are_placed_in_rows_in_the_order_of_their_latents(sheet: Path, tiny: Generator) -> None:
    patches = sample_sheet.to_uint8(sample_sheet.draw_window(tiny, 32, (PATCH_CELLS, PATCH_CELLS), dtype=torch.float32))
    found = pixels(sheet)
    for i, patch in enumerate(patches):
        y, x = divmod(i, 8)
        assert np.array_equal(found[y * PATCH : (y + 1) * PATCH, x * PATCH : (x + 1) * PATCH], patch)


def test_the_patches_are_all_different(tiny: Generator) -> None:
    patches = sample_sheet.draw_window(tiny, 32, (PATCH_CELLS, PATCH_CELLS), dtype=torch.float32)
    assert len({patch.numpy().tobytes() for patch in patches}) == 32


def test_the_wide_window_is_below_the_patches_and_padded_with_black(sheet: Path, tiny: Generator) -> None:
    wide = sample_sheet.to_uint8(
        sample_sheet.draw_window(tiny, 1, sample_sheet.WIDE_CELLS, dtype=torch.float32, seed=sample_sheet.SEED + 1)
    )
    below = pixels(sheet)[4 * PATCH :]
    assert wide.shape == (1, *WIDE, 3)
    assert np.array_equal(below[:, : WIDE[1]], wide[0])
    assert not below[:, WIDE[1] :].any()


def test_the_same_generator_gives_the_same_sheet(sheet: Path, tiny: Generator, tmp_path: Path) -> None:
    torch.manual_seed(99)
    sample_sheet.save_png(sample_sheet.draw_sheet(tiny, dtype=torch.float32), tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == sheet.read_bytes()


def test_drawing_a_window_does_not_change_the_global_random_state(tiny: Generator) -> None:
    before = torch.random.get_rng_state()
    sample_sheet.draw_window(tiny, 1, (PATCH_CELLS, PATCH_CELLS), dtype=torch.float32)
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.parametrize("cells", [(6, 6), (11, 11), (6, 9)])
def test_a_window_has_the_size_of_its_cells(cells: tuple[int, int], tiny: Generator) -> None:
    image = sample_sheet.draw_window(tiny, 2, cells, dtype=torch.float32)
    rows, columns = (geometry.tile_px(n, levels=4) for n in cells)
    assert image.shape == (2, 3, rows, columns)


def test_half_precision_gives_nearly_the_same_window(tiny: Generator) -> None:
    full = sample_sheet.draw_window(tiny, 2, (PATCH_CELLS, PATCH_CELLS), dtype=torch.float32)
    half = sample_sheet.draw_window(tiny, 2, (PATCH_CELLS, PATCH_CELLS), dtype=torch.bfloat16)
    assert float((full - half.float()).square().mean().sqrt()) < 0.05 * float(full.std())


def test_pixels_are_rounded_and_clipped() -> None:
    values = torch.tensor([-5.0, -1.0, -0.5, 0.0, 0.5, 1.0, 5.0])
    images = values[None, None, None].expand(1, 3, 1, 7)
    assert sample_sheet.to_uint8(images)[0, 0, :, 0].tolist() == [0, 0, 64, 128, 191, 255, 255]


def test_a_sheet_without_a_folder_is_refused(tiny: Generator, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        sample_sheet.save_png(sample_sheet.draw_sheet(tiny, dtype=torch.float32), tmp_path / "missing" / "a.png")
