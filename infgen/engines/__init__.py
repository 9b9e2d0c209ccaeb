"""Engines compute the pixels of tile batches."""

from infgen.engines.base import Engine, TileBatch
from infgen.engines.eager import EagerEngine, pick_device
from infgen.engines.onnx import OnnxEngine
from infgen.engines.tensorrt import TensorRTEngine
from infgen.engines.triton import TritonEngine

__all__ = ["EagerEngine", "Engine", "OnnxEngine", "TensorRTEngine", "TileBatch", "TritonEngine", "pick_device"]
