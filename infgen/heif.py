"""Register the reader of HEIC pictures. The only module that imports pillow-heif."""

import functools
from importlib.util import find_spec

from infgen.extras import require_extra


def is_available() -> bool:
    """Whether pillow-heif is installed."""
    return find_spec("pillow_heif") is not None


@functools.cache
def register() -> None:
    """Let Pillow open HEIC pictures. Raises MissingExtraError without pillow-heif."""
    with require_extra("heif", "a HEIC picture", otherwise="save it as JPEG"):
        from pillow_heif import register_heif_opener
    register_heif_opener(thumbnails=False)
