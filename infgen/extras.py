"""Import optional dependencies. If one is missing, the error names the extra that installs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from infgen.errors import MissingExtraError


@contextmanager
def require_extra(extra: str, purpose: str, *, otherwise: str = "") -> Iterator[None]:
    """Run imports of packages of ``extra``. Raises MissingExtraError, naming ``purpose``, if one is missing.

    ``otherwise``: another remedy, for the message.

        with require_extra("train", "packing shards"):
            from webdataset import TarWriter
    """
    try:
        yield
    except ImportError as error:
        name = error.name or "a package"
        if name.split(".")[0] == "infgen":
            raise
        ways = f"run: pip install 'infgen[{extra}]'" + (f", or {otherwise}" if otherwise else "")
        raise MissingExtraError(f"{purpose} needs {name.split('.')[0]}, which is not installed; {ways}") from None
