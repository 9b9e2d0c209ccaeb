"""Draw contact sheets: labelled pictures of one size in rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from infgen.atomic import check_output, write_atomically
from infgen.errors import InputError, LimitError
from infgen.pixels import Pixels
from infgen.progress import Progress, silent

MARK = "infgen sheet"  # in the file, so that training can tell a sheet from a photograph
MAX_SHEET_PX = 10**8  # the sheet is held in memory, 3 bytes per px
LABEL_PX = 18
_GAP_PX = 4
_FONT_PX = 12
_FORMATS = {".png": ("PNG", 2**31 - 1), ".jpg": ("JPEG", 65_500), ".jpeg": ("JPEG", 65_500)}  # name, longest side in px


@dataclass(frozen=True)
class Sheet:
    """``count`` pictures of ``w`` x ``h`` px in rows of at most ``columns``."""

    count: int
    columns: int
    w: int
    h: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        columns = min(self.columns, self.count)
        rows = -(-self.count // columns)
        return columns * (self.w + _GAP_PX) - _GAP_PX, rows * (self.h + LABEL_PX + _GAP_PX) - _GAP_PX

    def corner(self, index: int) -> tuple[int, int]:
        """Return the upper left corner (x, y) of the label of picture ``index``; the picture starts ``LABEL_PX`` below."""
        row, column = divmod(index, self.columns)
        return column * (self.w + _GAP_PX), row * (self.h + LABEL_PX + _GAP_PX)


def check_sheet(path: Path, sheet: Sheet) -> None:
    """Raise InputError for an unusable path, or LimitError for a sheet that is too large."""
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"sheet {path} has no known ending; give one of {', '.join(_FORMATS)}")
    check_output(path)
    width, height = sheet.size
    if width * height > MAX_SHEET_PX:
        raise LimitError(
            f"a sheet of {sheet.count} pictures of {sheet.w} x {sheet.h} px has {width * height} px, over the limit of "
            f"{MAX_SHEET_PX}; give fewer or smaller pictures"
        )
    name, longest = _FORMATS[path.suffix.lower()]
    if max(width, height) > longest:
        raise LimitError(f"{name} holds at most {longest} px per side, not {width} x {height} px; write .png instead")


def draw_sheet(
    sheet: Sheet,
    pictures: Iterable[tuple[str, Pixels]],
    *,
    progress: Progress = silent,
) -> Image.Image:
    """Draw (label, (h, w, 3) uint8) pairs in order; call ``progress(pictures done, pictures in all)`` after each."""
    image = Image.new("RGB", sheet.size, "white")
    for i, (label, pixels) in enumerate(pictures):
        x, y = sheet.corner(i)
        image.paste(text_strip(label, sheet.w), (x, y))
        image.paste(Image.fromarray(pixels), (x, y + LABEL_PX))
        progress(i + 1, sheet.count)
    return image


def text_strip(text: str, width: int) -> Image.Image:
    """Draw black text on white, ``width`` x ``LABEL_PX`` px. Longer text is cut off."""
    strip = Image.new("RGB", (width, LABEL_PX), "white")
    ImageDraw.Draw(strip).text((2, 2), text, fill="black", font=ImageFont.load_default(_FONT_PX))
    return strip


def save_sheet(image: Image.Image, path: Path, *, profile: bytes | None = None) -> None:
    """Write ``image`` atomically, in the format of the extension of ``path``. ``profile``: its colour profile (ICC)."""
    name = _FORMATS[path.suffix.lower()][0]
    marks = PngInfo()
    marks.add_text("Software", MARK)
    marked: dict[str, Any] = {"pnginfo": marks} if name == "PNG" else {"comment": MARK}
    with write_atomically(path) as temporary:
        image.save(temporary, name, icc_profile=profile, **marked)
