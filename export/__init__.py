"""Export: ONNX and TensorRT files, GPU kernels, TorchServe archives and Triton repositories (installed as ``infgen.export``).

Public names are imported on first use, because each needs another optional package.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infgen.export.onnx import export_onnx
    from infgen.export.tensorrt import export_tensorrt
    from infgen.export.torchserve import export_torchserve
    from infgen.export.triton_repository import export_triton
    from infgen.export.web import export_web

__all__ = ["export_onnx", "export_tensorrt", "export_torchserve", "export_triton", "export_web"]

_HOMES = {
    "export_onnx": "infgen.export.onnx",
    "export_tensorrt": "infgen.export.tensorrt",
    "export_torchserve": "infgen.export.torchserve",
    "export_triton": "infgen.export.triton_repository",
    "export_web": "infgen.export.web",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'infgen.export' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
