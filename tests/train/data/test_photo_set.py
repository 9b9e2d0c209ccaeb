"""PhotoSet: selection of photographs, random patches, cache and prefetching."""

import hashlib
from pathlib import Path

import pytest
import torch

from infgen.errors import InputError
from infgen.limits import DATA_CACHE_MB
from infgen.train.data import photo_set
from infgen.train.data.archives import Picture
from infgen.train.data.photo_set import PhotoSet
from tests.train.photos import coordinates_image, landscape, plain, save

VIEW, PATCH = 40, 24
CPU = torch.device("cpu")


def open_set(folder: Path | str, *, view_px: int = VIEW, patch_px: int = PATCH) -> PhotoSet:
    return PhotoSet.open(folder, view_px=view_px, patch_px=patch_px)[0]


BOMB = bytes.fromhex(  # the header of a PNG of 100,000 x 100,000 px
    "89504e470d0a1a0a0000000d49484452000186a0000186a00802000000"
)

# Skipped files


def test_unusable_files_are_listed_with_their_reasons_and_the_others_are_used(tmp_path: Path) -> None:
    save(tmp_path, "good.png", plain((0, 0, 0)))
    save(tmp_path, "sub/tiny.png", plain((0, 0, 0), height=10))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (tmp_path / "bomb.png").write_bytes(BOMB)
    photos, skipped = PhotoSet.open(tmp_path, view_px=VIEW, patch_px=PATCH)
    assert [p.name for p in photos.photos] == ["good.png"]
    assert [Path(s.name).relative_to(tmp_path).as_posix() for s in skipped] == [
        "bomb.png",
        "broken.jpg",
        "sub/tiny.png",
    ]


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


# Patches

SIDE = 197  # views and patches of the real recipes, from photographs that need no scaling
REAL_PATCH = 101
ROOM = SIDE - REAL_PATCH


@pytest.fixture(scope="module", params=["landscape", "portrait", "square"])
def located_photo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    """One photograph of the view's short side whose colours encode the positions of its pixels."""
    height, width = {"landscape": (SIDE, 400), "portrait": (250, SIDE), "square": (SIDE, SIDE)}[request.param]
    folder = tmp_path_factory.mktemp("located_photo")
    save(folder, "a.png", coordinates_image(height, width))
    return open_set(folder, view_px=SIDE, patch_px=REAL_PATCH)


def place(patch: torch.Tensor) -> tuple[int, int, bool]:
    """Row and column of the patch's upper left corner before mirroring, and whether it is mirrored."""
    red, green, blue = (c.int() for c in patch)
    columns = green + 256 * blue
    mirrored = bool(columns[0, 0] > columns[0, -1])
    return int(red[0, 0]), int(columns.min()), mirrored


def test_a_patch_is_a_piece_of_the_photograph_or_its_mirror_image(located_photo: PhotoSet) -> None:
    photo = located_photo.view(0).permute(2, 0, 1)
    for sample in range(40):
        patch, _ = located_photo.patch(sample, seed=1)
        y, x, mirrored = place(patch)
        piece = photo[:, y : y + REAL_PATCH, x : x + REAL_PATCH]
        assert patch.equal(piece.flip(2) if mirrored else piece)


def test_patches_without_an_up_have_all_eight_orientations(located_photo: PhotoSet) -> None:
    upright = {located_photo.patch(sample, seed=1)[0].shape for sample in range(4)}
    corners = set()
    for sample in range(100):
        rows, green, blue = located_photo.patch(sample, seed=1, turns=True)[0].int()
        columns = green + 256 * blue
        across, down = (values[0, -1] - values[0, 0] for values in (columns, rows))
        along = (columns[-1, 0] - columns[0, 0], rows[-1, 0] - rows[0, 0])
        corners.add(tuple(int(torch.sign(v)) for v in (across, down, *along)))
    assert (len(upright), len(corners)) == (1, 8)


def test_half_of_all_patches_are_mirrored(located_photo: PhotoSet) -> None:
    mirrored = sum(place(located_photo.patch(sample, seed=1)[0])[2] for sample in range(200))
    assert 70 < mirrored < 130


def test_the_position_is_that_of_the_patch_in_its_view(located_photo: PhotoSet) -> None:
    slack = located_photo.view(0).shape[0] - SIDE  # rows by which the view may be lower
    for sample in range(100):
        patch, position = located_photo.patch(sample, seed=2)
        row = (position + 1) / 2 * ROOM
        assert position == 2 * round(row) / ROOM - 1
        assert 0 <= place(patch)[0] - round(row) <= slack


def test_every_row_column_and_position_occurs(tmp_path: Path) -> None:
    save(tmp_path, "a.png", coordinates_image(VIEW, 60))
    photos = open_set(tmp_path)
    patches = [photos.patch(sample, seed=3) for sample in range(1500)]
    places = [place(patch) for patch, _ in patches]
    room = VIEW - PATCH
    assert {y for y, _, _ in places} == set(range(room + 1))
    assert {x for _, x, _ in places} == set(range(60 - PATCH + 1))
    assert {position for _, position in patches} == {2 * row / room - 1 for row in range(room + 1)}


@pytest.fixture
def seven_photos(tmp_path: Path) -> PhotoSet:
    """Seven photographs, each of one grey."""
    for i in range(7):
        save(tmp_path, f"{i}.png", plain((i, i, i)))
    return open_set(tmp_path)


def list_photos(photos: PhotoSet, samples: range, *, seed: int = 0) -> list[int]:
    return [int(photos.patch(sample, seed=seed)[0][0, 0, 0]) for sample in samples]


def test_every_photograph_is_used_once_in_every_epoch(seven_photos: PhotoSet) -> None:
    for epoch in range(4):
        assert sorted(list_photos(seven_photos, range(7 * epoch, 7 * epoch + 7))) == list(range(7))


def test_every_epoch_has_its_own_order(seven_photos: PhotoSet) -> None:
    assert len({tuple(list_photos(seven_photos, range(7 * epoch, 7 * epoch + 7))) for epoch in range(6)}) > 1


def test_another_seed_gives_another_order(seven_photos: PhotoSet) -> None:
    assert list_photos(seven_photos, range(14), seed=0) != list_photos(seven_photos, range(14), seed=1)


def test_a_sample_does_not_depend_on_earlier_samples(located_photo: PhotoSet) -> None:
    forward = [located_photo.patch(sample, seed=5) for sample in range(6)]
    backward = [located_photo.patch(sample, seed=5) for sample in reversed(range(6))][::-1]
    assert all(a.equal(b) and p == q for (a, p), (b, q) in zip(forward, backward, strict=True))


def test_drawing_patches_leaves_the_global_random_numbers_alone(seven_photos: PhotoSet) -> None:
    before = torch.random.get_rng_state()
    seven_photos.batch(range(4), seed=0, device=CPU)
    assert torch.random.get_rng_state().equal(before)


def test_a_batch_holds_its_samples_scaled_to_the_unit_range(located_photo: PhotoSet) -> None:
    batch = located_photo.batch(range(12, 16), seed=5, device=CPU)
    patches, positions = zip(*(located_photo.patch(sample, seed=5) for sample in range(12, 16)), strict=True)
    assert batch.images.shape == (4, 3, REAL_PATCH, REAL_PATCH)
    torch.testing.assert_close(batch.images, torch.stack(patches) / 127.5 - 1)
    torch.testing.assert_close(batch.position, torch.tensor(positions))


def test_black_is_minus_one_and_white_is_one(tmp_path: Path) -> None:
    save(tmp_path, "a.png", plain((0, 127, 255)))
    images = open_set(tmp_path).batch(range(2), seed=0, device=CPU).images
    assert (float(images[:, 0].max()), float(images[:, 2].min())) == (-1, 1)


# The cache


@pytest.fixture
def wide_photos(tmp_path: Path) -> Path:
    """Four photographs whose views need 352 KiB each: two of them fit in one MiB."""
    for i in range(4):
        save(tmp_path, f"{i}.png", coordinates_image(200 + i, 600 + i))
    return tmp_path


@pytest.fixture
def decoded_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photographs decoded from now on, in order."""
    names: list[str] = []
    read = photo_set.read_picture

    def record(picture: Picture) -> bytes:
        names.append(picture.name)
        return read(picture)

    monkeypatch.setattr(photo_set, "read_picture", record)
    return names


@pytest.fixture
def half_cached(wide_photos: Path, monkeypatch: pytest.MonkeyPatch) -> PhotoSet:
    """The four photographs; views of the first two are cached."""
    monkeypatch.setenv(DATA_CACHE_MB.name, "1")
    return open_set(wide_photos, view_px=200, patch_px=101)


def test_views_that_do_not_fit_in_memory_are_decoded_again(half_cached: PhotoSet, decoded_names: list[str]) -> None:
    for index in range(4):
        half_cached.view(index)
    assert decoded_names == ["2.png", "3.png"]


def test_batches_do_not_depend_on_the_cache(
    wide_photos: Path, half_cached: PhotoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DATA_CACHE_MB.name)
    large = open_set(wide_photos, view_px=200, patch_px=101)
    assert half_cached.fingerprint == large.fingerprint
    for samples in (range(0, 2), range(2, 9), range(40, 43)):
        assert half_cached.batch(samples, seed=0, device=CPU).images.equal(
            large.batch(samples, seed=0, device=CPU).images
        )


def test_batches_do_not_depend_on_prefetching(wide_photos: Path, half_cached: PhotoSet) -> None:
    other = open_set(wide_photos, view_px=200, patch_px=101)
    for samples in (range(4, 8), range(0, 4), range(100, 200)):
        other.prefetch(samples, seed=0)
    for samples in (range(0, 4), range(4, 8)):
        assert half_cached.batch(samples, seed=0, device=CPU).images.equal(
            other.batch(samples, seed=0, device=CPU).images
        )


def test_prefetched_views_are_decoded_once_and_before_the_batch(
    half_cached: PhotoSet, decoded_names: list[str]
) -> None:
    half_cached.prefetch(range(4), seed=0)
    half_cached._pool.shutdown(wait=True)  # every prefetched view is decoded, and no other can follow
    assert sorted(decoded_names) == ["2.png", "3.png"]
    for index in (2, 3):
        half_cached.view(index)
    assert len(decoded_names) == 2


def test_prefetched_views_that_no_batch_uses_are_dropped(
    half_cached: PhotoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_set, "PREFETCH_BYTES", 1)
    half_cached._views.clear()  # all four have to be decoded
    for sample in range(8):
        half_cached.prefetch(range(sample, sample + 1), seed=0)
    assert len(half_cached._prefetched) == 2


def test_the_prefetched_views_of_one_step_are_all_kept(half_cached: PhotoSet, decoded_names: list[str]) -> None:
    for sample in range(4):  # every photograph once, one by one
        half_cached.prefetch(range(sample, sample + 1), seed=0)
    for sample in range(4):
        half_cached.batch(range(sample, sample + 1), seed=0, device=CPU)
    assert sorted(decoded_names) == ["2.png", "3.png"]


def test_the_error_names_a_photograph_that_was_deleted(wide_photos: Path, half_cached: PhotoSet) -> None:
    (wide_photos / "3.png").unlink()
    with pytest.raises(InputError, match=r"photograph .*3\.png is no longer usable: it cannot be read"):
        half_cached.view(3)


def test_an_error_while_prefetching_is_raised_by_the_batch(wide_photos: Path, half_cached: PhotoSet) -> None:
    (wide_photos / "3.png").unlink()
    half_cached.prefetch(range(4), seed=0)
    with pytest.raises(InputError, match=r"3\.png is no longer usable"):
        half_cached.batch(range(4), seed=0, device=CPU)


def test_the_permutation_of_an_epoch_is_drawn_once(seven_photos: PhotoSet, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    randperm = torch.randperm

    def count(n: int, *, generator: torch.Generator) -> torch.Tensor:
        lengths.append(n)
        return randperm(n, generator=generator)

    monkeypatch.setattr(torch, "randperm", count)
    for start in range(0, 21, 3):
        seven_photos.batch(range(start, start + 3), seed=0, device=CPU)
    assert lengths == [7, 7, 7]


# The fingerprint


@pytest.mark.parametrize("change", ["pixels", "name", "more", "fewer"])
def test_other_photographs_have_another_fingerprint(change: str, tmp_path: Path) -> None:
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


def test_the_fingerprint_does_not_depend_on_the_location_of_the_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(tmp_path / name, "sub/a.png", plain((1, 2, 3)))
    assert open_set(tmp_path / "one").fingerprint == open_set(tmp_path / "two").fingerprint


def test_the_fingerprint_hashes_names_and_pixels_in_turn(tmp_path: Path) -> None:
    digest = hashlib.sha256()
    for name in ("a/z.png", "b.png"):
        pixels = landscape(len(name), height=VIEW, width=50)
        save(tmp_path, name, pixels)
        digest.update(name.encode())
        digest.update(pixels.tobytes())
    assert open_set(tmp_path).fingerprint == digest.hexdigest()


def test_a_pre_resize_changes_the_fingerprint_and_not_the_size_of_views(tmp_path: Path) -> None:
    save(tmp_path, "a.png", landscape(0))
    direct = open_set(tmp_path)
    pre_resized, _ = PhotoSet.open(tmp_path, view_px=VIEW, patch_px=PATCH, pre_resize_px=30)
    assert pre_resized.fingerprint != direct.fingerprint
    assert min(pre_resized.view(0).shape[:2]) == VIEW


def test_with_a_pre_resize_photographs_smaller_than_the_view_are_used(tmp_path: Path) -> None:
    save(tmp_path, "a.png", landscape(0, height=35, width=60))
    photos, skipped = PhotoSet.open(tmp_path, view_px=VIEW, patch_px=PATCH, pre_resize_px=30)
    assert (len(photos), skipped) == (1, [])
