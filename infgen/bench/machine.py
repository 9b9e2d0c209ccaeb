"""Name the machine that figures were measured on."""

import platform
from pathlib import Path

import psutil
import torch

from infgen.bench.memory import first_value


def machine(device: torch.device | None = None) -> str:
    """Describe processor, threads, memory and PyTorch in one line, and the GPU if ``device`` is one."""
    name = first_value(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine()
    memory = psutil.virtual_memory().total >> 30
    parts = [name, f"{torch.get_num_threads()} threads", f"{memory} GiB", f"PyTorch {torch.__version__}"]
    if device is not None and device.type == "cuda":
        parts.insert(0, torch.cuda.get_device_name(device))
    return ", ".join(parts)
