"""Write TensorBoard event files. The only module that imports tensorboardX."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infgen.extras import require_extra


class TensorBoardWriter:
    """Writes scalars and sample sheets of a run. Steps that a resumed run repeats replace the earlier ones."""

    def __init__(self, folder: Path, *, from_step: int) -> None:
        with require_extra("train", "--tensorboard"):
            from tensorboardX import SummaryWriter

        # File names contain the second: without the suffix, a run resumed within one second would overwrite its file.
        self._writer = SummaryWriter(str(folder), purge_step=from_step + 1, filename_suffix=f".from-{from_step}")

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def add_sheet(self, step: int, image: np.ndarray) -> None:
        """Add a sample sheet (H, W, 3) uint8."""
        self._writer.add_image("samples", image, step, dataformats="HWC")

    def close(self) -> None:
        """Write the remaining events and close the file."""
        self._writer.close()
