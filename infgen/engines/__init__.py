"""Engines turn batches of tile inputs into pixels."""

from infgen.engines.base import Engine, TileBatch
from infgen.engines.eager import EagerEngine, pick_device
from infgen.engines.onnx import OnnxEngine

__all__ = ["EagerEngine", "Engine", "OnnxEngine", "TileBatch", "pick_device"]
