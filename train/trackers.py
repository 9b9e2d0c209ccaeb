"""Send curves and sample sheets to Weights & Biases or MLflow, through the trackers of Accelerate."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from infgen.extras import require_extra

TrackerName = Literal["wandb", "mlflow"]
TRACKERS: tuple[TrackerName, ...] = get_args(TrackerName)
PROJECT = "infgen"


class Tracker:
    """Writes to one tracking service, as ``TensorBoardWriter`` writes to files."""

    def __init__(self, name: TrackerName, settings: Mapping[str, Any]) -> None:
        """Start a run of the service. ``settings``: the recipe, to store with it. Raises MissingExtraError."""
        with require_extra("train", f"--tracker {name}"):
            from accelerate import PartialState
            from accelerate.tracking import LOGGER_TYPE_TO_CLASS
        with require_extra(name, f"--tracker {name}"):
            __import__(name)
        PartialState()  # the trackers ask it which process is the first
        self._tracker = LOGGER_TYPE_TO_CLASS[name](PROJECT)
        if hasattr(self._tracker, "start"):
            self._tracker.start()
        self._tracker.store_init_configuration(dict(settings))
        self._has_images = hasattr(self._tracker, "log_images")

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._tracker.log(dict(values), step=step)

    def add_sheet(self, step: int, image: np.ndarray) -> None:
        """Send a sample sheet (H, W, 3) uint8, if the service takes pictures."""
        if self._has_images:
            self._tracker.log_images({"samples": [image]}, step=step)

    def close(self) -> None:
        """Send what is left, and end the run."""
        self._tracker.finish()
