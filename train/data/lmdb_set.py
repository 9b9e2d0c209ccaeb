"""List the pictures of an LMDB set of the released code. The only module that imports lmdb.

Such a set is a folder with ``data.mdb``. Key ``<size>-<number>`` holds an encoded picture, key ``length`` their number.
Values are decoded as photographs and in no other way.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

from infgen.errors import InputError
from infgen.extras import require_extra
from infgen.train.data.archives import Listing, Picture
from infgen.urls import display_name, one_line_reason

DATA_FILE = "data.mdb"
_LENGTH = b"length"
_KEY = re.compile(rb"([1-9]\d{0,4})-\d{5,8}")


def is_lmdb(folder: Path) -> bool:
    """Whether ``folder`` is an LMDB set."""
    return (folder / DATA_FILE).is_file()


def list_lmdb(folder: Path) -> Listing:
    """List the pictures of the set in ``folder``: those of the largest size, if it holds several.

    Raises MissingExtraError without lmdb, and InputError for a set that cannot be read or has keys of another program.
    """
    environment, title = _open(folder), display_name(folder)
    status = (folder / DATA_FILE).stat()
    version = f"{status.st_size}-{status.st_mtime_ns}"
    found: dict[int, list[Picture]] = {}
    with environment.begin(buffers=True) as transaction:
        for key, value in transaction.cursor():
            name = bytes(key)
            if name == _LENGTH:
                continue
            match = _KEY.fullmatch(name)
            if match is None:
                raise InputError(
                    f"LMDB set {title} has key {name[:40]!r}, and the released code writes <size>-<number> and length; "
                    "store its pictures as files, a zip file or tar shards"
                )
            text = name.decode()
            picture = Picture(text, f"{title}:{text}", len(value), partial(_fetch, environment, name), version)
            found.setdefault(int(match[1]), []).append(picture)
    return Listing(found[max(found)] if found else [], [])


def _fetch(environment: Any, key: bytes) -> bytes:
    with environment.begin() as transaction:
        value: bytes | None = transaction.get(key)
    if value is None:
        raise KeyError(f"key {key.decode()} is gone")
    return value


def _open(folder: Path) -> Any:
    with require_extra("lmdb", f"LMDB set {display_name(folder)}"):
        import lmdb
    try:
        return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False, create=False)
    except lmdb.Error as error:
        raise InputError(
            f"LMDB set {display_name(folder)} cannot be read ({one_line_reason(error)}); copy it again"
        ) from None
