"""Pixels of a picture, as every part of the project passes them on."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB
