"""Write the pictures that are measured to files, for other programs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from infgen.atomic import write_atomically
from infgen.errors import InputError


@dataclass(frozen=True)
class Dump:
    """A folder with one subfolder for each set of pictures: ``samples-1x/000000.png`` and so on.

    Raises InputError if the folder is not empty, or is a file.
    """

    folder: Path

    def __post_init__(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"dump folder {self.folder} is not a folder; give another one")
        if self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(f"dump folder {self.folder} is not empty; give an empty or a new one")

    def keep(self, title: str, pictures: Iterator[Tensor]) -> Iterator[Tensor]:
        """Yield ``pictures`` (3, H, W) uint8, and write each as a PNG file into the subfolder of ``title``."""
        folder = self.folder / re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"dump folder {folder} cannot be created ({error.strerror}); give another one") from None
        for number, picture in enumerate(pictures):
            with write_atomically(folder / f"{number:06d}.png") as temporary:
                Image.fromarray(picture.permute(1, 2, 0).numpy()).save(temporary, format="PNG")
            yield picture
