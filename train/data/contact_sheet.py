"""A contact sheet: many photographs of a data set at one glance."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from infgen.atomic import check_output, write_atomically
from infgen.errors import InputError
from infgen.photo import read_photo
from infgen.train.data.archives import Picture
from infgen.train.data.prefetch import in_order
from infgen.train.data.sources import read
from infgen.train.data.storage import is_url

MOST_THUMBNAILS = 400
THUMBNAIL_PX = 128
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def check_sheet(path: Path, data: str | Path) -> None:
    """Raise InputError where a sheet for ``data`` cannot be written to ``path``, before any work is done."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"contact sheet {path} has no known ending; give one of {', '.join(FORMATS)}")
    target = check_output(path)
    if not is_url(data) and Path(data).is_dir() and target.is_relative_to(Path(data).resolve()):
        raise InputError(f"contact sheet {path} is inside data folder {data}: it would be trained on; move it")


def evenly(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """At most ``most`` of ``pictures``, equally far apart."""
    count = min(most, len(pictures))
    return [pictures[i * len(pictures) // count] for i in range(count)]


def write_sheet(pictures: Sequence[Picture], path: Path, *, least_px: int) -> int:
    """Thumbnails of at most ``MOST_THUMBNAILS`` of ``pictures``, row by row, as one picture file. Returns their number.

    ``least_px``: a short side in px that every one of them has. A picture that has gone meanwhile stays a grey field.
    Raises InputError where there are none or ``path`` cannot be written.
    """
    chosen = evenly(pictures, MOST_THUMBNAILS)
    if not chosen:
        raise InputError("there is no photograph to show on a contact sheet")
    columns = math.ceil(math.sqrt(len(chosen)))
    rows = math.ceil(len(chosen) / columns)
    sheet = Image.new("RGB", (columns * THUMBNAIL_PX, rows * THUMBNAIL_PX), (128, 128, 128))
    thumbnails = in_order(lambda picture: _thumbnail(picture, min(least_px, THUMBNAIL_PX)), chosen)
    for i, thumbnail in enumerate(thumbnails):
        if thumbnail is not None:
            x, y = (i % columns) * THUMBNAIL_PX, (i // columns) * THUMBNAIL_PX
            sheet.paste(
                thumbnail, (x + (THUMBNAIL_PX - thumbnail.width) // 2, y + (THUMBNAIL_PX - thumbnail.height) // 2)
            )
    with write_atomically(path) as temporary:
        sheet.save(temporary, FORMATS[path.suffix.lower()])
    return len(chosen)


def _thumbnail(picture: Picture, short_px: int) -> Image.Image | None:
    try:
        image = read_photo(read(picture), short_px=short_px).image
    except InputError:
        return None
    image.thumbnail((THUMBNAIL_PX - 4, THUMBNAIL_PX - 4))
    return image
