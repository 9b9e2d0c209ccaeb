"""Open file systems behind URLs (s3://, https://, memory:// ...). The only module that imports fsspec."""

import re
from pathlib import Path
from typing import Any

from infgen.errors import InputError, MissingExtraError, one_line
from infgen.extras import require_extra

_LIBRARIES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


def is_url(place: str | Path) -> bool:
    """Whether ``place`` is a URL for fsspec (``s3://bucket/photos``) and not a local path."""
    return isinstance(place, str) and ("://" in place or "::" in place)


def open_file_system(url: str, *, extra: str, what: str) -> tuple[Any, str]:
    """Return the fsspec file system of ``url`` and the path in it. ``extra``: the extra of infgen with fsspec;
    ``what``: name of the place in messages.

    Raises MissingExtraError if fsspec or the library of the protocol is missing, and InputError for another address.
    """
    name = f"{what} {display_name(url)}"
    with require_extra(extra, name):
        from fsspec.core import url_to_fs
    try:
        files, path = url_to_fs(url)
    except ImportError as error:  # fsspec knows the protocol, but its library is missing
        protocol = url.split("://", 1)[0]
        library = _LIBRARIES.get(protocol)
        remedy = f"{library}; run: pip install {library}" if library else f"one more package ({one_line_reason(error)})"
        raise MissingExtraError(f"{name} needs {remedy}") from None
    except Exception as error:  # an unknown protocol, or a library that refuses the address
        raise InputError(
            f"{name} cannot be used ({one_line_reason(error)}); give a path, or a URL such as s3://bucket/folder"
        ) from None
    return files, str(path)


def escape_unprintable(text: str) -> str:
    """Escape the characters of ``text`` that could break a line or control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def display_name(place: str | Path) -> str:
    """Format ``place`` for messages: printable, and without the passwords and signatures of a URL."""
    text = escape_unprintable(str(place))
    return re.sub(r"//[^/@]*@", "//***@", text).split("?", 1)[0] if is_url(place) else text


def one_line_reason(error: BaseException) -> str:
    """Format the message of ``error`` as one printable line, without the secrets of URLs."""
    return re.sub(r"//[^/@\s]*@", "//***@", re.sub(r"\?\S+", "", escape_unprintable(one_line(error))))
