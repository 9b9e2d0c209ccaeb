"""TensorBoard event files; the only place that knows tensorboardX."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infgen.errors import MissingExtraError


class Board:
    """Scalars and sample sheets of a run for TensorBoard. What a resumed run does again replaces what was there."""

    def __init__(self, folder: Path, *, from_step: int) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise MissingExtraError(
                "--tensorboard needs tensorboardX, which is not installed; run: pip install 'infgen[train]'"
            ) from None
        # Files are named after the second: a run resumed within one would overwrite what it wrote before.
        self._writer = SummaryWriter(str(folder), purge_step=from_step + 1, filename_suffix=f".from-{from_step}")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point of every curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def sheet(self, step: int, image: np.ndarray) -> None:
        """A sample sheet (H, W, 3) uint8."""
        self._writer.add_image("samples", image, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()
