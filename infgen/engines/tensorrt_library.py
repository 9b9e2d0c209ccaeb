"""The two TensorRTs: which is installed, and which GPU is here. Nothing else imports them.

"classic" is NVIDIA TensorRT, which builds for the GPU at hand and takes plugins; "rtx" is TensorRT-RTX, which builds without a
GPU, for several kinds of them, and takes no plugins from Python.
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
    "classic": "pip install tensorrt",
    "rtx": "pip install 'infgen[trt]' (TensorRT-RTX, for RTX cards and A100)",
}
_KEPT_LINES = 20  # of a log


@dataclass(frozen=True)
class Library:
    """An installed TensorRT."""

    builder: Builder
    module: Any
    version: str

    @property
    def title(self) -> str:
        """Its name and version, for people."""
        return f"{TITLES[self.builder]} {self.version}"


def find_library(builder: Builder) -> Library | None:
    """``builder``'s library, or None where it cannot be imported (its Python part alone is not enough)."""
    try:
        module = importlib.import_module(MODULES[builder])
    except ImportError:
        return None
    return Library(builder, module, str(module.__version__))


def require_library(builder: Builder, *, what: str) -> Library:
    """``builder``'s library for ``what`` (the subject of the message). Raises MissingExtraError."""
    library = find_library(builder)
    if library is None:
        raise MissingExtraError(f"{what} needs {TITLES[builder]}, which is not installed; run: {INSTALL[builder]}")
    return library


def plugin_module() -> ModuleType:
    """``tensorrt.plugin``. Raises InputError for a TensorRT before 10.9, whose plugins cannot be compiled ahead of time."""
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
    """A GPU as engine files know it."""

    name: str
    capability: tuple[int, int]

    @property
    def capability_text(self) -> str:
        """As in "8.9"."""
        return f"{self.capability[0]}.{self.capability[1]}"

    def __str__(self) -> str:
        return f"{self.name} ({self.capability_text})"


def find_gpu(index: int = 0) -> Gpu | None:
    """The GPU number ``index``, None where PyTorch sees none. Raises InputError where there are fewer."""
    if not torch.cuda.is_available():
        return None
    count = torch.cuda.device_count()
    if index >= count:
        raise InputError(f"GPU {index} does not exist here; there are {count}, numbered from 0")
    return Gpu(torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index))


def cuda_device(index: int) -> torch.device:
    """GPU ``index`` as PyTorch calls it."""
    return torch.device("cuda", index)


def make_logger(library: Library) -> Any:
    """A logger for ``library``'s objects that prints nothing. Its ``errors()`` are the last lines of that kind, oldest first."""
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
