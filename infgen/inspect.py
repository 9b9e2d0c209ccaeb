"""What a file is, read from its header: a model, a world, or a rendered picture."""

from pathlib import Path
from typing import Any

from infgen.errors import InputError
from infgen.model.checkpoint import file_hash, load
from infgen.model.config import PATCH_CELLS
from infgen.rendering.cost import tile_flops
from infgen.sinks import FORMATS, read_recipe
from infgen.sinks.read import is_store
from infgen.world.world import World

PICTURES = frozenset(extension for f in FORMATS for extension in f.extensions)


def describe(path: Path, *, only_world: bool = False) -> dict[str, Any]:
    """A JSON-ready description of ``path``. ``only_world``: the world document of a world or of a picture.

    Raises InputError where the file is missing, damaged, or nothing that infgen made.
    """
    if not (path.is_file() or (path.is_dir() and is_store(path))):
        raise InputError(f"{path} does not exist; give a model, a world or a rendered picture")
    if path.suffix.lower() in PICTURES:
        recipe = read_recipe(path)
        if recipe is None:
            raise InputError(f"{path} carries no recipe; it was not rendered by infgen, or a program removed it")
        return _world_of(recipe, path) if only_world else {"kind": "picture", **recipe}
    if path.suffix.lower() == ".json":
        world = World.load(path).model_dump(mode="json", by_alias=True)
        return world if only_world else {"kind": "world", **world}
    if only_world:
        raise InputError(f"{path} is not a world or a picture; leave out --world")
    return _model(path)


def _world_of(recipe: dict[str, Any], path: Path) -> dict[str, Any]:
    world = recipe.get("world")
    if not isinstance(world, dict):
        raise InputError(f"{path} carries a recipe without a world; it was written by another program")
    return world


def _model(path: Path) -> dict[str, Any]:
    generator = load(path)
    config = generator.config
    flops = tile_flops(config, (PATCH_CELLS, PATCH_CELLS)) / config.patch_px**2
    return {
        "kind": "model",
        "sha256": file_hash(path),
        "parameters": sum(p.numel() for p in generator.parameters()),
        "patch_px": config.patch_px,
        "cell_px": config.cell_px,
        "mflop_per_px": round(flops / 1e6, 3),
        "config": config.to_dict(),
    }
