"""Export the canvas as a folder of static files: the page, the model, and ONNX Runtime Web, which renders in the browser."""

import importlib.util
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from infgen.atomic import check_parent
from infgen.errors import InputError
from infgen.export.web_graph import graph_bytes, styles_graph_bytes, weights_bytes
from infgen.geometry import Region
from infgen.lock import create_temporary_folder
from infgen.model.checkpoint import file_hash
from infgen.model.scales import VIEW_CELLS
from infgen.rendering.studio import Studio, open_studio
from infgen.version import __version__
from infgen.world.world import World

RUNTIME = "onnxruntime-web"
_PAGE = Path(__file__).parent / "page"
PREVIEWS = 24  # styles that the palette shows first
PREVIEW_PX = 96
_PREVIEW_QUALITY = 90
_ONE_SCALE_VIEW_PX = 256  # side of the window of a style preview, for models with one scale
# Files of the runtime's folder "dist" by their names in the page. Some hosts serve the extension .mjs as plain data.
RUNTIME_FILES = {
    "wasm.js": "ort.wasm.min.mjs",
    "wasm-module.js": "ort-wasm-simd-threaded.mjs",
    "wasm.wasm": "ort-wasm-simd-threaded.wasm",
    "webgpu.js": "ort.jspi.min.mjs",
    "webgpu-module.js": "ort-wasm-simd-threaded.jspi.mjs",
    "webgpu.wasm": "ort-wasm-simd-threaded.jspi.wasm",
}
# The page may load nothing from elsewhere; WebAssembly needs a permission of its own.
_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; img-src 'self' blob: data:; "
    "connect-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'"
)


@dataclass(frozen=True)
class WebSite:
    """A written page: its folder, and the bytes of each part."""

    folder: Path
    sizes: dict[str, int]

    def describe(self) -> str:
        """Describe the parts in one line."""
        parts = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in self.sizes.items())
        return f"{parts}; in all {sum(self.sizes.values()) / 1e6:.1f} MB"


def export_web(model: str | Path | None, folder: str | Path, *, runtime: str | Path | None = None) -> WebSite:
    """Write the page for ``model`` (None: the shipped model) into the new ``folder``, complete or not at all.

    ``runtime``: folder of the npm package onnxruntime-web; None: ``node_modules/onnxruntime-web`` in the current folder.
    Raises InputError if ``folder`` exists and is not empty, if the package is missing or incomplete, and for a model that
    cannot be exported; MissingExtraError without ``onnx``.

    >>> from infgen.export import export_web
    >>> site = export_web("tiny.safetensors", "site", runtime="node_modules/onnxruntime-web")
    >>> (site.folder / "index.html").is_file()
    True
    """
    target = _check_folder(Path(folder))
    files = find_runtime(runtime)
    studio = open_studio(World(), model=model)
    with create_temporary_folder(target) as temporary:
        _write_page(temporary)
        _write_model(temporary, studio)
        _write_previews(temporary, studio)
        (temporary / "ort").mkdir()
        for name, source in files.items():
            shutil.copyfile(source, temporary / "ort" / name)
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    return WebSite(target, _sizes(target))


def _check_folder(folder: Path) -> Path:
    """Return the absolute path of the folder to write, behind links. Raises InputError unless it can be created."""
    target = Path(os.path.realpath(folder))
    if target.is_dir() and not any(target.iterdir()):
        return target
    if os.path.lexists(target):
        raise InputError(f"folder {folder} exists and is not empty; give a new one, or remove it first")
    check_parent(target)
    return target


def find_runtime(folder: str | Path | None = None) -> dict[str, Path]:
    """Return the files of onnxruntime-web by their names in the page. ``folder``: as in ``export_web``.

    Raises InputError if the package, or one of its files, is missing.
    """
    package = Path("node_modules") / RUNTIME if folder is None else Path(folder)
    version = json.loads((_PAGE / "package.json").read_text())["dependencies"][RUNTIME]
    if not package.is_dir():
        raise InputError(
            f"the page needs {RUNTIME}, and folder {package} does not exist; run npm install {RUNTIME}@{version}, or give the "
            "folder of the package with --ort"
        )
    dist = package / "dist" if (package / "dist").is_dir() else package
    files = {name: dist / source for name, source in RUNTIME_FILES.items()}
    if missing := [path.name for path in files.values() if not path.is_file()]:
        raise InputError(
            f"folder {package} lacks {missing[0]} of {RUNTIME}; run npm install {RUNTIME}@{version}, or give the folder of the "
            "package with --ort"
        )
    return files | {"LICENSE": _PAGE / "licences" / f"{RUNTIME}.txt"}


def page_folder() -> Path:
    """Return the folder of the canvas page. It belongs to ``infgen.serve``, whose packages are not needed here."""
    spec = importlib.util.find_spec("infgen.serve")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "static"


def _write_page(folder: Path) -> None:
    """Write the canvas page with the modules that replace its server."""
    static = folder / "static"
    shutil.copytree(page_folder(), static)
    (static / "js" / "local").mkdir()
    for module in _PAGE.glob("*.js"):
        shutil.copyfile(module, static / "js" / "local" / module.name)
    (static / "js" / "api.js").write_text('export * from "./local/api.js";\n')
    page = (static / "index.html").read_text()
    (static / "index.html").unlink()
    head = '<meta charset="utf-8">'
    assert head in page
    policy = f'{head}\n  <meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    (folder / "index.html").write_text(page.replace(head, policy))
    shutil.copyfile(_PAGE / "licences" / "infgen.txt", folder / "LICENSE")


def _write_model(folder: Path, studio: Studio) -> None:
    """Write weights, graphs of all scales, and what the page must know of the model."""
    generator, target = studio.generator, folder / "model"
    target.mkdir()
    config = generator.config
    halvings = sorted(config.levels - level for level in config.pictures)
    (target / "weights.bin").write_bytes(weights_bytes(generator))
    (target / "styles.onnx").write_bytes(styles_graph_bytes(config))
    for k in halvings:
        for name, mixed in (("one", False), ("mixed", True)):
            (target / f"{name}-{k}.onnx").write_bytes(graph_bytes(generator.coarser(k).config, mixed=mixed))
    record = {
        "infgen": __version__,
        "model": {"name": studio.model_path.name, "sha256": file_hash(studio.model_path)},
        "levels": config.levels,
        "texture_channels": config.texture_channels,
        "local_channels": config.local_channels,
        "global_channels": config.global_channels,
        "style_rows": config.style_layers,
        "coordinates": config.coordinates,
        "halvings": halvings,
        "view_px": config.view_px or VIEW_CELLS << config.levels,
        "previews": PREVIEWS,
    }
    (target / "model.json").write_text(json.dumps(record, separators=(",", ":")))


def _write_previews(folder: Path, studio: Studio) -> None:
    """Render the styles that the palette shows first, as ``infgen serve`` does."""
    (folder / "styles").mkdir()
    coarse, side = _preview_view(studio)
    for seed in range(PREVIEWS):
        pixels = coarse.with_world(World().replace(style_seed=seed)).array(
            Region(-(side // 2), -(side // 2), side, side)
        )
        picture = Image.fromarray(np.asarray(pixels)).resize((PREVIEW_PX, PREVIEW_PX), Image.Resampling.LANCZOS)
        picture.save(folder / "styles" / f"{seed}.webp", quality=_PREVIEW_QUALITY)


def _preview_view(studio: Studio) -> tuple[Studio, int]:
    """Return the coarsest scale whose view is large enough, and the view's height."""
    config = studio.generator.config
    for level in sorted(config.pictures)[:-1]:
        view = (config.view_px or 0) >> (config.levels - level)
        if view >= PREVIEW_PX:
            return studio.coarser(config.levels - level), view
    return studio, _ONE_SCALE_VIEW_PX


def _sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of the parts of a page."""
    runtime = {path: path.stat().st_size for path in (folder / "ort").iterdir()}
    gpu = sum(size for path, size in runtime.items() if path.name.startswith("webgpu"))
    every = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    model = sum(size for path, size in every.items() if path.parent.name == "model")
    page = sum(every.values()) - model - sum(runtime.values())
    return {
        "page": page,
        "model": model,
        f"{RUNTIME} for WebAssembly": sum(runtime.values()) - gpu,
        f"{RUNTIME} for WebGPU": gpu,
    }
