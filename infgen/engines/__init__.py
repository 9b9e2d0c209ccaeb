"""Engines turn batches of tile inputs into pixels."""

from infgen.engines.base import Engine, TileBatch
from infgen.engines.eager import EagerEngine, pick_device

__all__ = ["EagerEngine", "Engine", "TileBatch", "pick_device"]
