"""Describe a file from its header: a model, an exported file, a world, latents or a rendered picture."""

import os
from pathlib import Path
from typing import Any

from infgen.engines.onnx_file import read_onnx
from infgen.engines.tensorrt_file import read_engine
from infgen.engines.tile_file import TileFile
from infgen.errors import InputError
from infgen.model.checkpoint import file_hash
from infgen.model.config import PATCH_CELLS, GeneratorConfig, scale_name
from infgen.model.generator import Generator
from infgen.rendering.cost import tile_flops
from infgen.sinks import FORMATS, read_provenance
from infgen.sinks.read import is_store
from infgen.world.anchoring import file_sha256
from infgen.world.anchors import AnchoredLatents, holds_latents
from infgen.world.document import cut
from infgen.world.world import World

PICTURES = frozenset(extension for f in FORMATS for extension in f.extensions)


def describe(path: Path, *, only_world: bool = False) -> dict[str, Any]:
    """Describe ``path`` as a JSON-ready mapping. ``only_world``: return only the world document of a world or picture.

    Raises InputError if the file is missing, damaged or not made by infgen.
    """
    if not (os.path.isfile(path) or (is_store(path) and os.path.isdir(path))):  # false for a name that is too long
        raise InputError(f"{cut(str(path), 200)} does not exist; give a file that infgen made")
    if path.suffix.lower() in PICTURES:
        provenance = read_provenance(path)
        if provenance is None:
            raise InputError(f"{path} has no provenance; infgen did not render it, or another program removed it")
        return _read_world(provenance, path) if only_world else {"kind": "picture", **provenance}
    if path.suffix.lower() == ".json":
        world = World.load(path).model_dump(mode="json", by_alias=True)
        return world if only_world else {"kind": "world", **world}
    if only_world:
        raise InputError(f"{path} is not a world or a picture; leave out --only-world")
    if path.suffix.lower() == ".onnx":
        return {"kind": "ONNX file", **_describe_exported(read_onnx(path)[0])}
    if path.suffix.lower() == ".engine":
        return _describe_engine(path)
    return _describe_latents(path) if holds_latents(path) else _describe_model(path)


def _read_world(provenance: dict[str, Any], path: Path) -> dict[str, Any]:
    world = provenance.get("world")
    if not isinstance(world, dict):
        raise InputError(f"{path} has provenance without a world; it was written by another program")
    return world


def _describe_model(path: Path) -> dict[str, Any]:
    generator = Generator.from_pretrained(path)
    config = generator.config
    flops = tile_flops(config, (PATCH_CELLS, PATCH_CELLS)) / config.patch_px**2
    return {
        "kind": "model",
        "sha256": file_hash(path),
        "parameters": sum(p.numel() for p in generator.parameters()),
        "patch_px": config.patch_px,
        "cell_px": config.cell_px,
        "mflop_per_px": round(flops / 1e6, 3),
        **_describe_scales(config),
        "config": config.to_dict(),
    }


def _describe_scales(config: GeneratorConfig) -> dict[str, Any]:
    """Return a model's scales (values of ``--scale``), and height and rows of its training view in px."""
    found: dict[str, Any] = {}
    if config.scales:
        found["scales"] = [scale_name(config.levels - level) for level in reversed(config.scales)]
    if config.view_px is not None:
        found["view_px"] = config.view_px
        if config.has_horizon:  # the others have no horizon, and were trained on every row
            found["rows_px"] = [-(config.view_px // 2), config.view_px // 2]
    return found


def _describe_scale(halvings: int) -> dict[str, str]:
    """Return the scale, unless it is full size."""
    return {"scale": scale_name(halvings)} if halvings else {}


def _describe_exported(file: TileFile) -> dict[str, Any]:
    return {
        "model_sha256": file.model_sha256,
        "tile_px": list(file.tile_px),
        "styles": file.styles,
        "styles_per": file.styles_per,
        "precision": file.precision,
        **_describe_scale(file.config.halvings),
        "infgen": file.infgen_version,
        "config": file.config.to_dict(),
    }


def _describe_engine(path: Path) -> dict[str, Any]:
    record, _ = read_engine(path)
    return {
        "kind": "TensorRT engine",
        "built_by": record.built_by,
        "gpus": list(record.gpus),
        "batch": record.batch,
        "workspace_mb": record.workspace_mb,
        **_describe_exported(record.tile),
    }


def _describe_latents(path: Path) -> dict[str, Any]:
    latents = AnchoredLatents.load(path)
    window = latents.pixels
    return {
        "kind": "latents",
        "sha256": file_sha256(path),
        "model_sha256": latents.model_sha256,
        **_describe_scale(latents.halvings),
        "region": {"x": window.x.start, "y": window.y.start, "w": window.x.size, "h": window.y.size},
        "cell": [latents.cell_x, latents.cell_y],
        "cells": list(latents.cells),
        "period": latents.period,
    }
