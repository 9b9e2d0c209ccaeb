"""Open safetensors files from anybody: the list of tensors is limited before it is parsed."""

import os
import struct
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

MAX_HEADER_BYTES = 2**20  # names and shapes of all tensors; real files have some 30 KB


def open_tensors(path: str | Path, *, framework: Literal["pt", "np"] = "pt") -> Any:
    """Open a safetensors file on the CPU, as a context. Raises SafetensorError for a header over 1 MiB, and OSError."""
    with open(path, "rb") as file:
        start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if length > MAX_HEADER_BYTES and length < os.path.getsize(path):
        raise SafetensorError(f"its header has {length} bytes, and allowed are {MAX_HEADER_BYTES}")
    return safe_open(path, framework=framework, device="cpu") if framework == "pt" else safe_open(path, framework="np")
