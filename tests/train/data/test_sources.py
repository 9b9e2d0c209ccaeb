"""Sources of pictures: folders, zip files, tar shards and URLs give the same set."""

import gzip
import io
import os
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from infgen.errors import InfgenError, InputError, LimitError, MissingExtraError
from infgen.limits import MAX_PHOTO_MB, MAX_SHARD_MB, MAX_SHARDS
from infgen.train.data import archives
from infgen.train.data.archives import SkippedFile
from infgen.train.data.photo_set import PhotoSet
from infgen.train.data.sources import expand_braces, open_source, read_picture
from infgen.urls import display_name
from tests.train.photos import files, landscape, plain, save, tar_of, zip_of

fsspec = pytest.importorskip("fsspec")

VIEW, PATCH = 40, 24
NAMES = ("Z.png", "a/b/c.PNG", "a/z.png", "b.png")


NO_PICTURE = "it is no picture"


def open_photos(data: str | Path) -> tuple[PhotoSet, list[SkippedFile]]:
    return PhotoSet.open(data, view_px=VIEW, patch_px=PATCH)


def names(data: str | Path) -> list[str]:
    return [picture.name for picture in open_source(data).pictures]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photographs in subfolders, a text file, and a folder named like a photograph."""
    for i, name in enumerate(reversed(NAMES)):
        save(tmp_path / "photos", name, landscape(i, height=50, width=60))
    (tmp_path / "photos" / "notes.txt").touch()
    (tmp_path / "photos" / "folder.jpg").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def memory() -> Iterator[str]:
    """A URL of fsspec's in-memory file system."""
    filesystem = fsspec.filesystem("memory")
    yield "memory://bucket"
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def upload(local: Path, url: str) -> str:
    """Copy a file, or a folder with all its files, to ``url``."""
    filesystem = fsspec.filesystem("memory")
    if local.is_file():
        filesystem.pipe_file(url, local.read_bytes())
    for path in files(local) if local.is_dir() else ():
        filesystem.pipe_file(f"{url}/{path.relative_to(local).as_posix()}", path.read_bytes())
    return url


# Every way of storing gives the same set


def as_zip(folder: Path, memory: str) -> str | Path:
    return zip_of(folder, folder.parent / "photos.zip")


def as_tar(folder: Path, memory: str) -> str | Path:
    return tar_of(folder, folder.parent / "photos.tar")


def as_compressed_tar(folder: Path, memory: str) -> str | Path:
    return tar_of(folder, folder.parent / "photos.tar.gz")


def as_shards(folder: Path, memory: str) -> str | Path:
    paths = files(folder)
    for i in range(3):
        tar_of(folder, folder.parent / f"{i + 8:02d}.tar", only=paths[i::3])
    return str(folder.parent / "{08..10}.tar")


def as_folder_of_shards(folder: Path, memory: str) -> str | Path:
    (folder.parent / "shards").mkdir()
    for i in range(2):
        tar_of(folder, folder.parent / "shards" / f"{i}.tar", only=files(folder)[i::2])
    return folder.parent / "shards"


def as_file_url(folder: Path, memory: str) -> str | Path:
    return folder.as_uri()


def as_remote_folder(folder: Path, memory: str) -> str | Path:
    return upload(folder, f"{memory}/photos")


def as_remote_zip(folder: Path, memory: str) -> str | Path:
    return upload(zip_of(folder, folder.parent / "photos.zip"), f"{memory}/photos.zip")


def as_remote_tar(folder: Path, memory: str) -> str | Path:
    return upload(tar_of(folder, folder.parent / "photos.tar"), f"{memory}/photos.tar")


def as_remote_compressed_tar(folder: Path, memory: str) -> str | Path:
    return upload(tar_of(folder, folder.parent / "photos.tar.gz"), f"{memory}/photos.tar.gz")


def as_remote_shards(folder: Path, memory: str) -> str | Path:
    for i in range(2):
        upload(tar_of(folder, folder.parent / f"{i}.tar", only=files(folder)[i::2]), f"{memory}/{i}.tar")
    return f"{memory}/{{0..1}}.tar"


STORED: list[Callable[[Path, str], str | Path]] = [
    as_zip,
    as_tar,
    as_compressed_tar,
    as_shards,
    as_folder_of_shards,
    as_file_url,
    as_remote_folder,
    as_remote_zip,
    as_remote_tar,
    as_remote_compressed_tar,
    as_remote_shards,
]


@pytest.mark.parametrize("store", STORED)
def test_names_order_and_fingerprint_do_not_depend_on_how_photographs_are_stored(
    store: Callable[[Path, str], str | Path], folder: Path, memory: str
) -> None:
    photos, skipped = open_photos(store(folder, memory))
    assert [picture.name for picture in photos.photos] == list(NAMES)
    assert photos.fingerprint == open_photos(folder)[0].fingerprint
    assert [skip.reason for skip in skipped] == [NO_PICTURE]


@pytest.mark.parametrize("store", STORED)
def test_every_picture_can_be_fetched_again_in_any_order(
    store: Callable[[Path, str], str | Path], folder: Path, memory: str
) -> None:
    source = open_source(store(folder, memory))
    content = dict(source)
    for picture in reversed(source.pictures):
        assert read_picture(picture) == content[picture.name] == (folder / picture.name).read_bytes()


def test_the_order_does_not_depend_on_the_file_system(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = sorted(folder.rglob("*"), reverse=True)
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: iter(listed))
    assert names(folder) == list(NAMES)


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_a_name_that_is_not_utf_8_is_used(tmp_path: Path) -> None:
    save(tmp_path / "photos", os.fsdecode(b"caf\xe9.png"), plain((0, 0, 0)))
    photos, _ = open_photos(tmp_path / "photos")
    packed, _ = open_photos(tar_of(tmp_path / "photos", tmp_path / "photos.tar"))
    assert packed.fingerprint == photos.fingerprint


def test_pictures_of_the_same_name_in_two_shards_are_both_used(tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path / f"{i}", "a.png", plain((i, i, i)))
        tar_of(tmp_path / f"{i}", tmp_path / f"{i}.tar")
    photos, _ = open_photos(str(tmp_path / "{0..1}.tar"))
    assert [picture.label for picture in photos.photos] == ["0.tar:a.png", "1.tar:a.png"]


# Every kind of photograph inside a container


def save_unusual_photos(folder: Path) -> dict[str, np.ndarray]:
    """Save photographs that need more than decoding. Returns the expected pixels by name."""
    folder.mkdir()
    red = Image.new("RGB", (60, 40), (200, 30, 40))
    red.convert("CMYK").save(folder / "cmyk.tif")
    red.convert("L").save(folder / "grey.png")
    red.convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "palette.png")
    clear = red.copy()
    clear.putalpha(0)
    clear.save(folder / "transparent.png")
    pixels = landscape(0, height=40, width=50)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels, 1))).save(folder / "turned.png", exif=exif)
    size = {"height": 40, "width": 60}
    return {
        "cmyk.tif": plain((200, 30, 40), **size),
        "grey.png": plain((82, 82, 82), **size),
        "palette.png": plain((200, 30, 40), **size),
        "transparent.png": plain((255, 255, 255), **size),
        "turned.png": pixels,
    }


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_photographs_in_containers_are_decoded_like_files(pack: Callable[[Path, Path], Path], tmp_path: Path) -> None:
    expected = save_unusual_photos(tmp_path / "photos")
    photos, _ = open_photos(pack(tmp_path / "photos", tmp_path / f"photos.{pack.__name__[:3]}"))
    assert [picture.name for picture in photos.photos] == list(expected)
    for index, pixels in enumerate(expected.values()):
        assert int((photos.view(index).int() - torch.from_numpy(pixels.copy()).int()).abs().max()) <= 3


@pytest.mark.parametrize(("pack", "title"), [(zip_of, "photos.zip"), (tar_of, "photos.tar")])
def test_an_unusable_member_is_reported_with_its_container_and_the_rest_is_used(
    pack: Callable[[Path, Path], Path], title: str, folder: Path
) -> None:
    (folder / "a" / "torn.jpg").write_bytes((folder / "b.png").read_bytes()[:60])
    Image.new("I;16", (60, 50)).save(folder / "deep.png")
    photos, skipped = open_photos(pack(folder, folder.parent / title))
    assert len(photos) == 4
    reasons = {skip.name: skip.reason for skip in skipped if skip.reason != NO_PICTURE}
    assert list(reasons) == [f"{title}:{name}" for name in ("a/torn.jpg", "deep.png")]
    assert "grey with 16 bits" in reasons[f"{title}:deep.png"]


# Damaged shards


def make_shard(tmp_path: Path, *, count: int = 6) -> Path:
    for i in range(count):
        save(tmp_path / "photos", f"{i}.png", landscape(i, height=50, width=60))
    return tar_of(tmp_path / "photos", tmp_path / "s.tar", only=sorted(files(tmp_path / "photos")))


def member_ends(path: Path) -> list[int]:
    """Positions in a tar file at which the padded data of each member end."""
    with tarfile.open(path) as archive:
        return [m.offset_data + -(-m.size // 512) * 512 for m in archive]


def test_a_truncated_shard_is_reported_and_its_complete_pictures_are_used(tmp_path: Path) -> None:
    path = make_shard(tmp_path)
    after = member_ends(path)
    path.write_bytes(path.read_bytes()[: after[3] - 1000])
    photos, skipped = open_photos(path)
    assert [picture.name for picture in photos.photos] == ["0.png", "1.png", "2.png"]
    assert [skip.name for skip in skipped] == ["s.tar"]
    assert "only the pictures before the damage are used" in skipped[0].reason


def test_a_shard_truncated_between_two_members_is_reported(tmp_path: Path) -> None:
    path = make_shard(tmp_path)
    path.write_bytes(path.read_bytes()[: member_ends(path)[2]])
    photos, skipped = open_photos(path)
    assert len(photos) == 3
    assert skipped[0].reason.startswith("it is damaged (the file is truncated)")


def test_a_shard_with_a_damaged_header_is_reported(tmp_path: Path) -> None:
    path = make_shard(tmp_path)
    content = bytearray(path.read_bytes())
    start = member_ends(path)[1]
    content[start : start + 512] = b"x" * 512
    path.write_bytes(content)
    photos, skipped = open_photos(path)
    assert len(photos) == 2
    assert skipped[0].reason.startswith(f"it is damaged (no header at byte {start})")


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_truncated_compressed_shard_is_used_up_to_its_end(share: float, tmp_path: Path) -> None:
    content = gzip.compress(make_shard(tmp_path).read_bytes())
    (tmp_path / "s.tar.gz").write_bytes(content[: int(len(content) * share)])
    photos, skipped = open_photos(tmp_path / "s.tar.gz")
    assert 0 < len(photos) < 6
    assert {skip.name for skip in skipped} == {"s.tar.gz"}


def test_one_damaged_shard_of_several_is_reported_and_the_others_are_used(tmp_path: Path) -> None:
    path = make_shard(tmp_path)
    (tmp_path / "t.tar").write_bytes(b"no tar file at all" * 100)
    photos, skipped = open_photos(str(tmp_path / "{s,t}.tar"))
    assert len(photos) == 6
    assert [skip.name for skip in skipped] == ["t.tar"]
    assert path.exists()


@given(where=st.integers(0, 2**15), value=st.integers(0, 255), length=st.integers(0, 2**15))
def test_a_damaged_container_is_read_or_reported_and_never_crashes(
    where: int, value: int, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.getbasetemp() / "fuzz"
    if not base.exists():
        for i in range(2):
            save(base / "photos", f"{i}.png", plain((i, i, i)))
        tar_of(base / "photos", base / "a.tar")
        tar_of(base / "photos", base / "a.tar.gz")
        zip_of(base / "photos", base / "a.zip")
    for name in ("a.tar", "a.tar.gz", "a.zip"):
        content = bytearray((base / name).read_bytes())
        content[where % len(content)] = value
        (base / f"b{name[1:]}").write_bytes(content[: max(1, len(content) - length // 64)])
        try:
            photos, _ = open_photos(base / f"b{name[1:]}")
        except InputError:
            continue
        assert len(photos) > 0


def test_a_truncated_zip_file_gives_a_one_line_error(folder: Path) -> None:
    path = zip_of(folder, folder.parent / "photos.zip")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(
        InputError, match=r"holds no usable photograph \(0 pictures found; photos.zip: it is not a complete"
    ):
        open_photos(path)


def test_only_the_damaged_member_of_a_zip_file_is_skipped(folder: Path) -> None:
    path = zip_of(folder, folder.parent / "photos.zip")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("b.png")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 60] ^= 255
    path.write_bytes(content)
    photos, skipped = open_photos(path)
    assert (len(photos), [skip.name for skip in skipped]) == (3, ["photos.zip:notes.txt", "photos.zip:b.png"])


# Misleading names and members


def tar_with(path: Path, *members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, "elsewhere"
            archive.addfile(info, io.BytesIO(content))
    return path


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(landscape(0, height=50, width=60)).save(buffer, "PNG")
    return buffer.getvalue()


def test_names_in_a_shard_are_never_used_as_paths(tmp_path: Path) -> None:
    before = sorted(tmp_path.parent.rglob("*"))
    path = tar_with(tmp_path / "s.tar", ("../../evil.png", picture()), ("/etc/evil.png", picture()))
    photos, _ = open_photos(path)
    assert len(photos) == 2
    assert sorted(p for p in tmp_path.parent.rglob("*") if p != path) == before


def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    _, skipped = open_photos(tar_with(tmp_path / "s.tar", ("a\n\x1b[31m.png", b"nothing"), ("b.png", picture())))
    assert skipped[0].name == r"s.tar:a\n\x1b[31m.png"


def test_a_link_in_a_shard_is_not_followed(tmp_path: Path) -> None:
    listing = open_source(tar_with(tmp_path / "s.tar", ("a.png", b""), kind=tarfile.SYMTYPE))
    assert [skip.reason for skip in listing.skipped] == ["it is a link or a sparse file; store its content"]


def test_records_of_webdataset_are_no_pictures(tmp_path: Path) -> None:
    assert names(tar_with(tmp_path / "s.tar", ("__index__/a.png", picture()), ("b.png", picture()))) == ["b.png"]


def test_resource_forks_of_macos_are_no_pictures(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("__MACOSX/._a.png", b"shadow")
        archive.writestr("a.png", picture())
    assert names(tmp_path / "a.zip") == ["a.png"]


# Limits


def make_bomb(path: Path, mib: int) -> Path:
    """A zip file or compressed shard of a few kilobytes whose one picture takes ``mib`` MiB."""
    content = bytes(mib * 2**20)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.png", content)
    else:
        tar_with(path.with_suffix(""), ("a.png", content))
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes(), 1))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_decompression_bomb_is_refused_by_its_size_before_it_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAX_PHOTO_MB.name, "1")
    (member,) = open_source(make_bomb(tmp_path / name, 3)).pictures
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda self, info: pytest.fail("it was read"))
    with pytest.raises(InputError, match=r"3145728 bytes are over the limit of 1 MiB \(INFGEN_MAX_PHOTO_MB\)"):
        read_picture(member)


def test_a_large_file_in_a_folder_is_skipped_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAX_PHOTO_MB.name, "1")
    save(tmp_path, "a.png", plain((0, 0, 0)))
    with (tmp_path / "b.png").open("wb") as stream:
        stream.truncate(2**20 + 1)
    photos, skipped = open_photos(tmp_path)
    assert (len(photos), skipped[0].reason.split(" are")[0]) == (1, "its 1048577 bytes")


def test_a_compressed_shard_that_grows_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAX_SHARD_MB.name, "2")
    with pytest.raises(LimitError, match=r"holds more than 2 MiB when decompressed \(INFGEN_MAX_SHARD_MB\)"):
        open_source(make_bomb(tmp_path / "a.tar.gz", 3))


def test_a_very_large_header_counts_as_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "s.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("a" * 5000 + ".png")
        archive.addfile(info)
    monkeypatch.setattr(archives, "_MAX_HEADER", 4096)
    assert "a header of 5120 bytes" in open_source(tmp_path / "s.tar").skipped[0].reason


# One-line errors


def test_one_picture_is_refused_with_the_command_that_cuts_a_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("world.jpg").touch()
    with pytest.raises(InputError, match=r"is one file, neither zip nor tar; .* infgen data tiles world.jpg --size"):
        open_source("world.jpg")


@pytest.mark.parametrize("name", ["missing", "missing.tar", "memory://nothing/here", "memory://missing.zip"])
def test_a_path_without_data_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="does not exist or is not a folder; give a folder of photographs, a zip file"):
        open_source(name)


@pytest.mark.parametrize(
    ("files_there", "found"),
    [((), "0 pictures found"), (("a.png",), r"1 pictures found; a\.png: 60 x 10 px is too small")],
)
def test_a_folder_without_a_usable_photograph_is_refused(
    files_there: tuple[str, ...], found: str, tmp_path: Path
) -> None:
    (tmp_path / "README.txt").write_text("not the reason")
    for name in files_there:
        save(tmp_path, name, plain((0, 0, 0), height=10))
    with pytest.raises(InputError, match=rf"holds no usable photograph \({found}"):
        open_photos(tmp_path)


def test_archives_among_photographs_are_reported(folder: Path) -> None:
    tar_of(folder, folder / "more.tar", only=files(folder)[:1])
    photos, skipped = open_photos(folder)
    assert len(photos) == 4
    assert [skip.name for skip in skipped] == [f"{folder}/more.tar", f"{folder}/notes.txt"]


def test_an_unknown_protocol_gives_a_one_line_error() -> None:
    with pytest.raises(InputError, match=r"data nonsense://a cannot be used \(.*nonsense.*\); give a path"):
        open_source("nonsense://a")


def test_a_missing_package_of_a_protocol_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"s3://bucket/a needs s3fs; run: pip install s3fs"):
        open_source("s3://bucket/a")


def test_without_fsspec_the_error_names_the_extra_for_a_url_and_a_folder_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert len(open_source(folder)) == 4
    with pytest.raises(MissingExtraError, match=r"needs fsspec, which is not installed; run: pip install .*\[train\]"):
        open_source("memory://a")


def test_an_unreachable_server_gives_a_one_line_error(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(self: object, path: str, **options: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "isdir", offline)
    with pytest.raises(InfgenError, match=r"\Adata memory://bucket cannot be reached \(no route to host\); check"):
        open_source(memory)


@pytest.mark.parametrize("method", ["cat_file", "open"])
def test_a_lost_connection_does_not_count_as_damaged_photographs(
    method: str, folder: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = as_remote_folder if method == "cat_file" else as_remote_zip
    url = store(folder, memory)

    def offline(self: object, path: str, *positional: object, **options: object) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), method, offline)
    with pytest.raises(InfgenError, match=r"\(gone\); check the connection") as caught:
        open_photos(url)
    assert not isinstance(caught.value, InputError)


def test_secrets_of_a_url_are_not_shown() -> None:
    assert display_name("https://me:word@host/a.zip?token=1") == "https://***@host/a.zip"


# Brace patterns


@pytest.mark.parametrize(
    ("pattern", "expanded"),
    [
        ("a.tar", ["a.tar"]),
        ("{08..11}.tar", ["08.tar", "09.tar", "10.tar", "11.tar"]),
        ("{9..10}", ["9", "10"]),
        ("{a,b}/{1..2}", ["a/1", "a/2", "b/1", "b/2"]),
        ("{x,}y", ["xy", "y"]),
    ],
)
def test_braces_expand_as_in_a_shell(pattern: str, expanded: list[str]) -> None:
    assert expand_braces(pattern) == expanded


@given(first=st.integers(0, 10**6), count=st.integers(1, 50), digits=st.integers(1, 9))
def test_a_range_expands_to_every_number_with_leading_zeros(first: int, count: int, digits: int) -> None:
    last = first + count - 1
    expected = [f"s/{i:0{digits}d}.tar" for i in range(first, last + 1)]
    assert expand_braces(f"s/{{{first:0{digits}d}..{last:0{digits}d}}}.tar") == expected


@pytest.mark.parametrize(
    "pattern", ["{}", "{1..}", "{2..1}", "{a..b}", "{1..2", "1}", "{{1..2}}", "{1...2}", "{-1..2}"]
)
def test_invalid_braces_are_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="shard pattern"):
        expand_braces(pattern)


def test_a_pattern_of_too_many_shards_is_refused_before_it_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAX_SHARDS.name, "10")
    with pytest.raises(LimitError, match=r"names more than 10 shards \(INFGEN_MAX_SHARDS\)"):
        expand_braces("{0..999999999}{0..999999999}")


def test_the_error_names_a_missing_shard(tmp_path: Path) -> None:
    make_shard(tmp_path).rename(tmp_path / "0.tar")
    with pytest.raises(InputError, match=r"data shard .*1\.tar does not exist"):
        open_source(str(tmp_path / "{0..1}.tar"))
