"""Write a contact sheet: thumbnails of a data set in one picture."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from infgen.atomic import check_output, write_atomically
from infgen.errors import InputError
from infgen.inputs import check_outputs
from infgen.photo import read_photo
from infgen.train.data.archives import Picture
from infgen.train.data.prefetch import map_in_order
from infgen.train.data.sources import list_places, read_picture

MAX_THUMBNAILS = 400
THUMBNAIL_PX = 128
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def check_sheet(path: Path, data: str | Path) -> None:
    """Raise InputError, before any work, if a contact sheet for ``data`` cannot be written to ``path``."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"contact sheet {path} has an unknown extension; give one of {', '.join(FORMATS)}")
    check_output(path)
    check_outputs([path], [], data=list_places(data))


def select_evenly(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """Select at most ``most`` of ``pictures`` at equal distances."""
    count = min(most, len(pictures))
    return [pictures[i * len(pictures) // count] for i in range(count)]


def write_sheet(pictures: Sequence[Picture], path: Path, *, least_px: int) -> int:
    """Write thumbnails of at most ``MAX_THUMBNAILS`` of ``pictures``, row by row, to one picture file. Returns their number.

    ``least_px``: a short side in px that every picture has. A picture that cannot be read any more stays grey.
    Raises InputError if ``pictures`` is empty or ``path`` cannot be written.
    """
    selected = select_evenly(pictures, MAX_THUMBNAILS)
    if not selected:
        raise InputError("there is no photograph to show on a contact sheet")
    columns = math.ceil(math.sqrt(len(selected)))
    rows = math.ceil(len(selected) / columns)
    sheet = Image.new("RGB", (columns * THUMBNAIL_PX, rows * THUMBNAIL_PX), (128, 128, 128))
    thumbnails = map_in_order(lambda picture: _make_thumbnail(picture, min(least_px, THUMBNAIL_PX)), selected)
    for i, thumbnail in enumerate(thumbnails):
        if thumbnail is not None:
            x, y = (i % columns) * THUMBNAIL_PX, (i // columns) * THUMBNAIL_PX
            sheet.paste(
                thumbnail, (x + (THUMBNAIL_PX - thumbnail.width) // 2, y + (THUMBNAIL_PX - thumbnail.height) // 2)
            )
    with write_atomically(path) as temporary:
        sheet.save(temporary, FORMATS[path.suffix.lower()])
    return len(selected)


def _make_thumbnail(picture: Picture, short_px: int) -> Image.Image | None:
    try:
        image = read_photo(read_picture(picture), short_px=short_px).image
    except InputError:
        return None
    image.thumbnail((THUMBNAIL_PX - 4, THUMBNAIL_PX - 4))
    return image
