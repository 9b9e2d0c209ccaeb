import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile

from infgen.errors import InputError
from infgen.limits import DATA_CACHE_MB, MAX_PHOTO_PIXELS
from infgen.train import data
from infgen.train.data import PhotoSet, find_photos, read_view
from tests.train.photos import coordinates_image, landscape, save

VIEW, PATCH = 40, 24
CPU = torch.device("cpu")


def open_set(folder: Path, *, view_px: int = VIEW, patch_px: int = PATCH) -> PhotoSet:
    return PhotoSet.open(folder, view_px=view_px, patch_px=patch_px)[0]


def plain(value: tuple[int, int, int], *, height: int = 50, width: int = 60) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def refusal(path: Path, view_px: int = VIEW) -> str:
    with pytest.raises(InputError) as caught:
        read_view(path, view_px)
    return str(caught.value)


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, body: bytes = b"") -> bytes:
    """A PNG file by hand: Pillow writes neither 16-bit colour nor headers without pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# Which files are found, and in which order


def test_photographs_are_found_in_all_subfolders_in_the_order_of_their_relative_paths(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.png", "a/b/c.PNG", "Z.png"):
        save(tmp_path, name, plain((0, 0, 0)))
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.jpg").mkdir()
    found = [p.relative_to(tmp_path).as_posix() for p in find_photos(tmp_path)]
    assert found == ["Z.png", "a/b/c.PNG", "a/z.png", "b.png"]


def test_the_order_does_not_depend_on_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("c.png", "a.png", "b.png"):
        save(tmp_path, name, plain((0, 0, 0)))
    listed = sorted(tmp_path.iterdir(), reverse=True)
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: iter(listed))
    assert [p.name for p in find_photos(tmp_path)] == ["a.png", "b.png", "c.png"]


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_a_name_that_is_not_utf_8_is_no_obstacle(tmp_path: Path) -> None:
    save(tmp_path, os.fsdecode(b"caf\xe9.png"), plain((0, 0, 0)))
    assert len(open_set(tmp_path)) == 1


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="does not exist or is not a folder"):
        find_photos(tmp_path / name)


# What is skipped, and why


def test_a_photograph_that_is_too_small_is_refused_with_its_size(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", plain((0, 0, 0), height=VIEW - 1))
    assert "60 x 39 px is too small; the short side must be at least 40 px" in refusal(path)


def test_a_photograph_of_exactly_the_view_is_used(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", plain((0, 0, 0), height=VIEW, width=VIEW))
    assert read_view(path, VIEW).shape == (VIEW, VIEW, 3)


def test_a_photograph_over_the_limit_is_refused_from_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, "a.png", plain((0, 0, 0), height=100, width=101))
    monkeypatch.setenv(MAX_PHOTO_PIXELS.name, "10099")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    assert "101 x 100 px is over the limit of 10099 pixels (INFGEN_MAX_PHOTO_PIXELS)" in refusal(path)


def test_a_photograph_at_the_limit_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, "a.png", plain((0, 0, 0), height=100, width=101))
    monkeypatch.setenv(MAX_PHOTO_PIXELS.name, "10100")
    assert read_view(path, 100).shape == (100, 101, 3)


@pytest.mark.parametrize("side", [14_200, 100_000])
def test_a_bomb_is_refused_from_its_header(side: int, tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(side, side, body=bytes(1000)))
    assert "limit" in refusal(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jpg", b""),
        ("text.jpg", b"not a picture"),
        ("short.png", png(50, 50, body=bytes(100))),
        ("bitmap.png", b"BM" + bytes(200)),
        ("postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n"),
    ],
)
def test_a_file_that_is_no_readable_photograph_is_refused_in_one_line(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    assert message.startswith("it cannot be read (")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "I;16"), ("a.tif", "I;16"), ("b.tif", "I"), ("c.tif", "F"), ("d.tif", "LAB")]
)
def test_a_colour_mode_that_is_not_8_bit_rgb_or_grey_is_refused_by_name(name: str, mode: str, tmp_path: Path) -> None:
    Image.new(mode, (60, 50)).save(tmp_path / name)
    assert f"colour mode {mode} is not supported; save it as RGB or grey" in refusal(tmp_path / name)


def test_every_unusable_file_is_listed_with_its_reason_and_the_others_are_used(tmp_path: Path) -> None:
    save(tmp_path, "good.png", plain((0, 0, 0)))
    save(tmp_path, "sub/tiny.png", plain((0, 0, 0), height=10))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (tmp_path / "bomb.png").write_bytes(png(100_000, 100_000))
    photos, skipped = PhotoSet.open(tmp_path, view_px=VIEW, patch_px=PATCH)
    assert [p.name for p in photos.photos] == ["good.png"]
    assert [s.path.name for s in skipped] == ["bomb.png", "broken.jpg", "tiny.png"]


@pytest.mark.parametrize(("files", "found"), [((), "0 pictures found"), (("a.png",), "1 pictures found; a.png: ")])
def test_a_folder_without_a_usable_photograph_is_refused(files: tuple[str, ...], found: str, tmp_path: Path) -> None:
    for name in files:
        save(tmp_path, name, plain((0, 0, 0), height=10))
    with pytest.raises(InputError, match="holds no usable photograph") as caught:
        open_set(tmp_path)
    assert found in str(caught.value)


def test_progress_counts_every_file(tmp_path: Path) -> None:
    save(tmp_path, "a.png", plain((0, 0, 0)))
    save(tmp_path, "b.png", plain((0, 0, 0), height=10))
    seen: list[tuple[int, int]] = []
    PhotoSet.open(tmp_path, view_px=VIEW, patch_px=PATCH, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def exif_jpeg(tag: int, kind: int) -> bytes:
    """A JPEG to be turned by 90 degrees, with one more EXIF entry whose type is not the standard's."""
    entries = [struct.pack("<HHI4s", tag, kind, 1, b"abcd"), struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)]
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"".join(sorted(entries)) + bytes(4)
    buffer = io.BytesIO()
    Image.new("RGB", (60, 50), "red").save(buffer, "JPEG", exif=block)
    return buffer.getvalue()


@pytest.mark.parametrize(("tag", "kind"), [(0x0100, 2), (0x0103, 4), (0x010E, 11), (0x011A, 1)])
def test_odd_metadata_do_not_make_a_photograph_unusable(tag: int, kind: int, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(exif_jpeg(tag, kind))
    assert read_view(tmp_path / "a.jpg", VIEW).shape == (48, 40, 3)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(landscape(0, height=50, width=60))
    image.save(buffer, kind, exif=Image.Exif())
    return buffer.getvalue()


SOURCES = [encoded(kind) for kind in data.FORMATS]


@given(
    source=st.sampled_from(SOURCES),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=8),
    length=st.integers(0, 2**14),
)
def test_a_damaged_file_is_either_read_or_refused(
    source: bytes, changes: list[tuple[int, int]], length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(source[: max(length, 1)])
    for position, value in changes:
        damaged[position % len(damaged)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.jpg"
    path.write_bytes(damaged)
    try:
        view = read_view(path, VIEW)
    except InputError:
        return
    assert min(view.shape[:2]) == VIEW


# What a photograph becomes

WHITE, RED = (255, 255, 255), (200, 30, 40)


def with_alpha(image: Image.Image, alpha: int) -> Image.Image:
    image.putalpha(alpha)
    return image


def palette(image: Image.Image) -> Image.Image:
    return image.convert("P", palette=Image.Palette.ADAPTIVE)


KINDS: dict[str, tuple[Callable[[Image.Image], Image.Image], str, dict[str, Any], tuple[int, int, int]]] = {
    "RGB": (lambda i: i, "a.png", {}, RED),
    "RGB as JPEG": (lambda i: i, "a.jpg", {"quality": 95}, RED),
    "RGB as WebP": (lambda i: i, "a.webp", {"lossless": True}, RED),
    "grey": (lambda i: i.convert("L"), "a.png", {}, (82, 82, 82)),
    "grey as JPEG": (lambda i: i.convert("L"), "a.jpg", {}, (82, 82, 82)),
    "black and white": (lambda i: Image.new("1", i.size, 1), "a.png", {}, WHITE),
    "palette": (palette, "a.png", {}, RED),
    "palette with a transparent colour": (palette, "a.png", {"transparency": 0}, WHITE),
    "palette with transparencies": (palette, "a.png", {"transparency": bytes([128]) * 256}, (227, 142, 147)),
    "RGB with a transparent colour": (lambda i: i, "a.png", {"transparency": RED}, WHITE),
    "grey with a transparent value": (lambda i: i.convert("L"), "a.png", {"transparency": 82}, WHITE),
    "opaque": (lambda i: with_alpha(i, 255), "a.png", {}, RED),
    "half transparent": (lambda i: with_alpha(i, 128), "a.png", {}, (227, 142, 147)),
    "half transparent as WebP": (lambda i: with_alpha(i, 128), "a.webp", {"lossless": True}, (227, 142, 147)),
    "transparent": (lambda i: with_alpha(i, 0), "a.png", {}, WHITE),
    "transparent grey": (lambda i: with_alpha(i.convert("L"), 0), "a.png", {}, WHITE),
    "CMYK as JPEG": (lambda i: i.convert("CMYK"), "a.jpg", {"quality": 95}, RED),
    "CMYK as TIFF": (lambda i: i.convert("CMYK"), "a.tif", {}, RED),
    "YCbCr as TIFF": (lambda i: i.convert("YCbCr"), "a.tif", {}, RED),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_common_kind_of_photograph_becomes_rgb(kind: str, tmp_path: Path) -> None:
    make, name, options, colour = KINDS[kind]
    make(Image.new("RGB", (60, 50), RED)).save(tmp_path / name, **options)
    view = read_view(tmp_path / name, VIEW)
    assert view.dtype == torch.uint8
    assert int((view.int() - torch.tensor(colour)).abs().max()) <= 3


def test_16_bit_colour_is_read_by_its_high_bytes(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">HHH", 0xC8FF, 0x1E00, 0x2880) * 50
    (tmp_path / "a.png").write_bytes(png(50, 50, depth=16, body=row * 50))
    assert bool((read_view(tmp_path / "a.png", 50) == torch.tensor([0xC8, 0x1E, 0x28])).all())


STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda u: u,
    2: lambda u: u[:, ::-1],
    3: lambda u: u[::-1, ::-1],
    4: lambda u: u[::-1],
    5: lambda u: u.swapaxes(0, 1),
    6: lambda u: np.rot90(u, 1),
    7: lambda u: np.rot90(u, 2).swapaxes(0, 1),
    8: lambda u: np.rot90(u, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_the_orientation_in_the_metadata_is_applied(orientation: int, name: str, tmp_path: Path) -> None:
    upright = coordinates_image(40, 50)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    lossless: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(np.ascontiguousarray(STORED[orientation](upright))).save(tmp_path / name, exif=exif, **lossless)
    assert read_view(tmp_path / name, 40).equal(torch.from_numpy(upright))


@pytest.mark.parametrize(
    ("size", "view"), [((300, 220), (55, 40)), ((220, 300), (40, 55)), ((41, 40), (41, 40)), ((1000, 41), (976, 40))]
)
def test_the_short_side_becomes_the_view_and_the_shape_is_kept(
    size: tuple[int, int], view: tuple[int, int], tmp_path: Path
) -> None:
    path = save(tmp_path, "a.jpg", landscape(0, height=size[1], width=size[0]))
    assert read_view(path, VIEW).shape == (view[1], view[0], 3)


def test_scaling_down_averages_what_it_covers(tmp_path: Path) -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[::2] = 255
    view = read_view(save(tmp_path, "a.png", stripes), VIEW)
    assert float((view[1:-1].float() - 127.5).abs().max()) < 5


# Patches

SIDE = 197  # views and patches of the real recipes, from photographs that need no scaling
REAL_PATCH = 101
ROOM = SIDE - REAL_PATCH


@pytest.fixture(scope="module", params=["landscape", "portrait", "square"])
def located(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    """One photograph that says where its pixels are, and has the view's short side."""
    height, width = {"landscape": (SIDE, 400), "portrait": (250, SIDE), "square": (SIDE, SIDE)}[request.param]
    folder = tmp_path_factory.mktemp("located")
    save(folder, "a.png", coordinates_image(height, width))
    return open_set(folder, view_px=SIDE, patch_px=REAL_PATCH)


def place(patch: torch.Tensor) -> tuple[int, int, bool]:
    """Row and column in the photograph of the patch's left upper corner before mirroring, and whether it is mirrored."""
    red, green, blue = (c.int() for c in patch)
    columns = green + 256 * blue
    mirrored = bool(columns[0, 0] > columns[0, -1])
    return int(red[0, 0]), int(columns.min()), mirrored


def test_a_patch_is_a_piece_of_the_photograph_or_its_mirror_image(located: PhotoSet) -> None:
    photo = located.view(0).permute(2, 0, 1)
    for sample in range(40):
        patch, _ = located.patch(sample, seed=1)
        y, x, mirrored = place(patch)
        piece = photo[:, y : y + REAL_PATCH, x : x + REAL_PATCH]
        assert patch.equal(piece.flip(2) if mirrored else piece)


def test_half_of_all_patches_are_mirrored(located: PhotoSet) -> None:
    mirrored = sum(place(located.patch(sample, seed=1)[0])[2] for sample in range(200))
    assert 70 < mirrored < 130


def test_the_position_is_that_of_the_patch_in_its_view(located: PhotoSet) -> None:
    slack = located.view(0).shape[0] - SIDE  # rows by which the view itself may have moved down
    for sample in range(100):
        patch, position = located.patch(sample, seed=2)
        row = (position + 1) / 2 * ROOM
        assert position == 2 * round(row) / ROOM - 1
        assert 0 <= place(patch)[0] - round(row) <= slack


def test_every_row_column_and_position_occurs(tmp_path: Path) -> None:
    save(tmp_path, "a.png", coordinates_image(VIEW, 60))
    photos = open_set(tmp_path)
    drawn = [photos.patch(sample, seed=3) for sample in range(1500)]
    places = [place(patch) for patch, _ in drawn]
    room = VIEW - PATCH
    assert {y for y, _, _ in places} == set(range(room + 1))
    assert {x for _, x, _ in places} == set(range(60 - PATCH + 1))
    assert {position for _, position in drawn} == {2 * row / room - 1 for row in range(room + 1)}


@pytest.fixture
def seven(tmp_path: Path) -> PhotoSet:
    """Seven photographs, each of one grey."""
    for i in range(7):
        save(tmp_path, f"{i}.png", plain((i, i, i)))
    return open_set(tmp_path)


def used(photos: PhotoSet, samples: range, *, seed: int = 0) -> list[int]:
    return [int(photos.patch(sample, seed=seed)[0][0, 0, 0]) for sample in samples]


def test_every_photograph_is_used_once_in_every_epoch(seven: PhotoSet) -> None:
    for epoch in range(4):
        assert sorted(used(seven, range(7 * epoch, 7 * epoch + 7))) == list(range(7))


def test_every_epoch_has_its_own_order(seven: PhotoSet) -> None:
    assert len({tuple(used(seven, range(7 * epoch, 7 * epoch + 7))) for epoch in range(6)}) > 1


def test_another_seed_gives_another_order(seven: PhotoSet) -> None:
    assert used(seven, range(14), seed=0) != used(seven, range(14), seed=1)


def test_a_sample_does_not_depend_on_those_before_it(located: PhotoSet) -> None:
    forward = [located.patch(sample, seed=5) for sample in range(6)]
    backward = [located.patch(sample, seed=5) for sample in reversed(range(6))][::-1]
    assert all(a.equal(b) and p == q for (a, p), (b, q) in zip(forward, backward, strict=True))


def test_drawing_patches_leaves_the_global_random_numbers_alone(seven: PhotoSet) -> None:
    before = torch.random.get_rng_state()
    seven.batch(0, 4, seed=0, device=CPU)
    assert torch.random.get_rng_state().equal(before)


def test_a_batch_holds_the_samples_of_its_step_scaled_to_the_unit_range(located: PhotoSet) -> None:
    batch = located.batch(3, 4, seed=5, device=CPU)
    patches, positions = zip(*(located.patch(sample, seed=5) for sample in range(12, 16)), strict=True)
    assert batch.images.shape == (4, 3, REAL_PATCH, REAL_PATCH)
    torch.testing.assert_close(batch.images, torch.stack(patches) / 127.5 - 1)
    torch.testing.assert_close(batch.position, torch.tensor(positions))


def test_black_is_minus_one_and_white_is_one(tmp_path: Path) -> None:
    save(tmp_path, "a.png", plain((0, 127, 255)))
    images = open_set(tmp_path).batch(0, 2, seed=0, device=CPU).images
    assert (float(images[:, 0].max()), float(images[:, 2].min())) == (-1, 1)


# The cache


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Four photographs whose views need 352 KiB each: two of them fit in one MiB."""
    for i in range(4):
        save(tmp_path, f"{i}.png", landscape(i, height=200, width=600))
    return tmp_path


def test_views_that_do_not_fit_in_memory_are_decoded_again(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_CACHE_MB.name, "1")
    photos = open_set(wide, view_px=200, patch_px=101)
    decoded: list[str] = []
    read = data.read_view

    def noted(path: Path, view_px: int) -> torch.Tensor:
        decoded.append(path.name)
        return read(path, view_px)

    monkeypatch.setattr(data, "read_view", noted)
    for index in range(4):
        photos.view(index)
    assert decoded == ["2.png", "3.png"]


def test_batches_do_not_depend_on_the_cache(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = open_set(wide, view_px=200, patch_px=101)
    monkeypatch.setenv(DATA_CACHE_MB.name, "1")
    small = open_set(wide, view_px=200, patch_px=101)
    assert small.fingerprint == large.fingerprint
    for step in range(4):
        assert small.batch(step, 2, seed=0, device=CPU).images.equal(large.batch(step, 2, seed=0, device=CPU).images)


def test_a_photograph_that_went_away_is_named(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_CACHE_MB.name, "1")
    photos = open_set(wide, view_px=200, patch_px=101)
    (wide / "3.png").unlink()
    with pytest.raises(InputError, match=r"photograph .*3\.png was usable before: it cannot be read"):
        photos.view(3)


# The fingerprint


@pytest.mark.parametrize("change", ["pixels", "name", "more", "fewer"])
def test_the_fingerprint_tells_other_photographs_apart(change: str, tmp_path: Path) -> None:
    save(tmp_path, "a.png", plain((0, 0, 0)))
    save(tmp_path, "b.png", plain((1, 1, 1)))
    before = open_set(tmp_path).fingerprint
    if change == "pixels":
        save(tmp_path, "b.png", plain((2, 1, 1)))
    elif change == "name":
        (tmp_path / "b.png").rename(tmp_path / "c.png")
    elif change == "more":
        save(tmp_path, "c.png", plain((1, 1, 1)))
    else:
        (tmp_path / "b.png").unlink()
    assert open_set(tmp_path).fingerprint != before


def test_the_fingerprint_does_not_depend_on_where_the_folder_stands(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(tmp_path / name, "sub/a.png", plain((1, 2, 3)))
    assert open_set(tmp_path / "one").fingerprint == open_set(tmp_path / "two").fingerprint
