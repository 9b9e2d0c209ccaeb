"""List the pictures of DATA in one fixed order: a folder, a zip file or tar shards, local or behind a URL.

Pictures are sorted by relative name, so the same pictures give the same training run however they are stored.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infgen.errors import InfgenError, InputError, LimitError
from infgen.limits import MAX_PHOTO_MB, MAX_SHARDS, MIB
from infgen.train.data.archives import (
    Listing,
    Picture,
    SkippedFile,
    is_archive,
    is_picture,
    list_archive,
    list_others,
    read_head,
)
from infgen.train.data.lmdb_set import is_lmdb, list_lmdb
from infgen.train.data.prefetch import map_in_order
from infgen.train.data.storage import (
    File,
    Folder,
    locate,
)
from infgen.urls import display_name, escape_unprintable, is_url, one_line_reason

RUN_FOLDER = "infgen-run"  # default folder of a run; below DATA it is not read, because it holds sample sheets
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})", re.ASCII)


@dataclass(frozen=True)
class Source:
    """All pictures of DATA, sorted by name, and the files that cannot be used."""

    title: str
    pictures: Sequence[Picture]
    skipped: Sequence[SkippedFile]

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Iterate over (name, content) of every picture, in order. Raises as ``read_picture``."""
        return ((picture.name, read_picture(picture)) for picture in self.pictures)

    def no_photograph_error(self, skipped: Sequence[SkippedFile]) -> InputError:
        """Make the error to raise if every picture was skipped: it names one, rather a picture than another file."""
        found, names = f"{len(self)} pictures found", {picture.label for picture in self.pictures}
        if skipped:
            example = next((file for file in skipped if file.name in names), skipped[0])
            found += f"; {example.name.rsplit('/', 1)[-1]}: {example.reason}"
        return InputError(f"data folder {self.title} holds no usable photograph ({found})")


def read_picture(picture: Picture) -> bytes:
    """Read an encoded picture. Several threads may call this at once.

    Raises InputError if it is above INFGEN_MAX_PHOTO_MB or cannot be read, and InfgenError if the connection is lost.
    """
    limit = MAX_PHOTO_MB.value() * MIB
    if picture.size > limit:
        raise InputError(f"its {picture.size} bytes are over the limit of {limit // MIB} MiB ({MAX_PHOTO_MB.name})")
    try:
        content = picture.fetch()
    except InfgenError:
        raise
    except Exception as error:  # zipfile raises many kinds for damaged and encrypted members
        raise InputError(f"it cannot be read ({one_line_reason(error)})") from None
    if len(content) > limit:
        raise InputError(f"its {len(content)} bytes are over the limit of {limit // MIB} MiB ({MAX_PHOTO_MB.name})")
    return content


def list_places(data: str | Path) -> list[Path]:
    """List the local files and folders that ``data`` names; none for URLs."""
    if is_url(data):
        return []
    names = expand_braces(str(data)) if "{" in str(data) and not Path(data).exists() else [str(data)]
    return [Path(name) for name in names]


def open_source(data: str | Path) -> Source:
    """List the pictures of ``data``: a folder, a zip file, a tar shard, a brace pattern of shards, or a folder of shards.

    A folder may also be an LMDB set of the released code, see ``lmdb_set``. ``data`` is a local path or a URL that fsspec
    supports. Raises InputError if nothing usable is there, LimitError for too many or too large shards, MissingExtraError,
    and InfgenError if the server does not answer.
    """
    listing = _list_data(data)
    pictures = sorted(listing.pictures, key=lambda p: (p.name, p.label))
    return Source(display_name(data), pictures, listing.skipped)


def _list_data(data: str | Path) -> Listing:
    if not is_url(data) and is_lmdb(Path(data)):
        return list_lmdb(Path(data))
    found = locate(data)
    if isinstance(found, Folder):
        return _list_folder(found)
    if found is not None and is_archive(found.name):
        return list_archive(found, found.name)
    if found is None and "{" in str(data):
        return _list_archives([(file.name, file) for file in map(_find_shard, expand_braces(str(data)))])
    if found is not None:
        raise InputError(
            f"data {display_name(data)} is one file, neither zip nor tar; give a folder of photographs, or cut a large map "
            f"into tiles: infgen data tiles {display_name(data)} --size 788 -o tiles/"
        )
    raise InputError(
        f"data folder {display_name(data)} does not exist or is not a folder; give a folder of photographs, a zip file, "
        "or tar shards such as shards/{0000..0009}.tar"
    )


def _find_shard(name: str) -> File:
    found = locate(name)
    if found is None or isinstance(found, Folder) or not is_archive(found.name):
        raise InputError(
            f"data shard {display_name(name)} does not exist or is no .tar, .tar.gz or .zip; correct the pattern"
        )
    return found


def _list_folder(folder: Folder) -> Listing:
    files = {name: file for name, file in folder.files.items() if not name.startswith(f"{RUN_FOLDER}/")}
    archives = [(escape_unprintable(name), file) for name, file in files.items() if is_archive(name)]
    rest = {name: file for name, file in files.items() if not is_archive(name)}
    names = [name for name, file in rest.items() if is_picture(name, partial(read_head, file))]
    pictures = [_make_picture(folder, name, rest[name]) for name in names]
    prefix = f"{folder.title}/"
    skipped = list_others(rest.keys() - names, prefix)
    skipped += [SkippedFile(prefix + escape_unprintable(name), why) for name, why in folder.unusable.items()]
    if archives and not pictures:
        listing = _list_archives(archives)
        return Listing(listing.pictures, [*listing.skipped, *skipped])
    ignored = "archives next to photographs are not read; move it to another folder, or give it as DATA"
    return Listing(pictures, [*(SkippedFile(prefix + name, ignored) for name, _ in archives), *skipped])


def _make_picture(folder: Folder, name: str, file: File) -> Picture:
    label = str(Path(folder.title) / name) if not is_url(folder.title) else f"{folder.title}/{name}"
    try:
        size, version = file.size, file.version
    except OSError:  # deleted since it was listed; reading it reports that
        size, version = 0, None
    return Picture(name, escape_unprintable(label), size, file.read, version)


def _list_archives(archives: Sequence[tuple[str, File]]) -> Listing:
    """List the pictures of several archives in threads, because listing a remote archive mostly waits for the network."""
    listings = list(map_in_order(lambda archive: list_archive(archive[1], archive[0]), archives))
    return Listing(
        [picture for listing in listings for picture in listing.pictures],
        [skipped for listing in listings for skipped in listing.skipped],
    )


def expand_braces(pattern: str) -> list[str]:
    """Expand ``a{08..10}{x,y}`` to a08x, a08y, a09x ... as a shell does, without nesting.

    Raises InputError for invalid braces, and LimitError for more names than INFGEN_MAX_SHARDS.
    """
    limit = MAX_SHARDS.value()
    parts = _BRACES.split(pattern)  # text, group, text, group, ..., text
    groups = [_parse_group(group, pattern) for group in parts[1::2]]
    if any(c in text for text in parts[::2] for c in "{}"):
        raise InputError(f"shard pattern {pattern!r} has unpaired braces; write it as shards/{{0000..0009}}.tar")
    if math.prod(count for count, _ in groups) > limit:
        raise LimitError(f"shard pattern {pattern!r} names more than {limit} shards ({MAX_SHARDS.name}); correct it")
    names = [parts[0]]
    for (count, choice), text in zip(groups, parts[2::2], strict=True):
        names = [f"{name}{choice(i)}{text}" for name in names for i in range(count)]
    return names


def _parse_group(group: str, pattern: str) -> tuple[int, Callable[[int], str]]:
    """Parse the text between two braces: the number of names, and a function from index to name."""
    if "," in group:
        words = group.split(",")
        return len(words), words.__getitem__
    match = _RANGE.fullmatch(group)
    if match is None or int(match[1]) > int(match[2]):
        raise InputError(
            f"{{{group}}} in shard pattern {pattern!r} is not a range; write first..last with as many digits as the names"
        )
    return int(match[2]) - int(match[1]) + 1, partial(_format_number, int(match[1]), len(match[1]))


def _format_number(first: int, digits: int, i: int) -> str:
    return f"{first + i:0{digits}d}"
