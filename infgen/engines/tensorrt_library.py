"""Find the installed TensorRT libraries and the GPU. No other module imports them.

"classic" is NVIDIA TensorRT, which builds for the present GPU and supports plugins. "rtx" is TensorRT-RTX, which builds without
a GPU for several types of GPUs, and supports no plugins from Python.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, get_args

import torch

from infgen.errors import InputError, MissingExtraError

Builder = Literal["classic", "rtx"]
BUILDERS: tuple[Builder, ...] = get_args(Builder)
MODULES: dict[Builder, str] = {"classic": "tensorrt", "rtx": "tensorrt_rtx"}
TITLES: dict[Builder, str] = {"classic": "TensorRT", "rtx": "TensorRT-RTX"}
INSTALL: dict[Builder, str] = {
    "classic": "pip install 'infgen[trt-classic]' (TensorRT, for any card from 8.0 on, built on its machine)",
    "rtx": "pip install 'infgen[trt]' (TensorRT-RTX, for RTX cards and A100)",
}
_KEPT_LINES = 20  # error lines that a logger keeps


@dataclass(frozen=True)
class Library:
    """An installed TensorRT."""

    builder: Builder
    module: Any
    version: str

    @property
    def title(self) -> str:
        """Name and version in messages."""
        return f"{TITLES[self.builder]} {self.version}"


def find_library(builder: Builder) -> Library | None:
    """Import the library of ``builder``; None if this fails."""
    try:
        module = importlib.import_module(MODULES[builder])
    except ImportError:
        return None
    return Library(builder, module, str(module.__version__))


def require_library(builder: Builder, *, what: str) -> Library:
    """Import the library of ``builder``, or raise MissingExtraError about ``what``."""
    library = find_library(builder)
    if library is None:
        raise MissingExtraError(f"{what} needs {TITLES[builder]}, which is not installed; run: {INSTALL[builder]}")
    return library


def plugin_module() -> ModuleType:
    """Import ``tensorrt.plugin``. Raises InputError before TensorRT 10.9, which cannot compile plugins ahead of time."""
    library = require_library("classic", what="building with plugins")
    try:
        plugin = importlib.import_module("tensorrt.plugin")
    except ImportError:
        plugin = ModuleType("missing")
    if not hasattr(plugin, "aot_impl"):
        raise InputError(f"{library.title} has no plugins compiled ahead of time; install 10.9 or newer")
    return plugin


@dataclass(frozen=True)
class Gpu:
    """A GPU, as recorded in engine files."""

    name: str
    capability: tuple[int, int]

    @property
    def capability_text(self) -> str:
        """Compute capability as text, such as "8.9"."""
        return f"{self.capability[0]}.{self.capability[1]}"

    def __str__(self) -> str:
        return f"{self.name} ({self.capability_text})"


def find_gpu(index: int = 0) -> Gpu | None:
    """Return GPU ``index``, or None if PyTorch finds no GPU. Raises InputError if there are fewer."""
    if not torch.cuda.is_available():
        return None
    count = torch.cuda.device_count()
    if index >= count:
        raise InputError(f"GPU {index} does not exist here; there are {count}, numbered from 0")
    return Gpu(torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index))


def cuda_device(index: int) -> torch.device:
    """Return the PyTorch device of GPU ``index``."""
    return torch.device("cuda", index)


def make_logger(library: Library) -> Any:
    """Make a silent logger for objects of ``library``. Its ``errors()`` returns the last errors, oldest first."""
    severity = library.module.ILogger.Severity

    class Log(library.module.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self._errors: list[str] = []

        def log(self, level: Any, message: str) -> None:
            if level in (severity.ERROR, severity.INTERNAL_ERROR):
                self._errors = [*self._errors, " ".join(message.split())][-_KEPT_LINES:]

        def errors(self) -> list[str]:
            return list(self._errors)

    return Log()
