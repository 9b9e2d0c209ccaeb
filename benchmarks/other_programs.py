"""Open files of infgen with other programs, and say which programs were found.

    python -m benchmarks.other_programs            # programs of PATH
    python -m benchmarks.other_programs --path tools/bin    # and of this folder first, such as a virtual environment

Programs: rio-cogeo, ome-zarr-models, exiftool, ImageMagick, GDAL, napari (on a virtual screen, xvfb-run) and OpenSeadragon in
Chromium. OpenSeadragon comes from npm: give its folder with --openseadragon.
"""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import click

SIZE = (700, 400)
FORMATS = {"a.png": "png", "a.jpg": "jpeg", "a.webp": "webp", "a.tif": "cog", "b.tif": "tiff"}
NAPARI = """
import sys
import napari
viewer = napari.Viewer(show=False)
layers = viewer.open(sys.argv[1], plugin="napari-ome-zarr")
print([(layer.name, [level.shape for level in layer.data]) for layer in layers])
viewer.close()
"""
PAGE = """<!doctype html><script src="openseadragon.js"></script><div id="v" style="width:600px;height:400px"></div>
<script>const viewer = OpenSeadragon({id: "v", tileSources: "a.dzi", prefixUrl: "", drawer: "canvas"});
viewer.addHandler("open", () => { const s = viewer.source.dimensions; document.title = "open " + s.x + " " + s.y; });
viewer.addHandler("open-failed", (e) => { document.title = "failed " + e.message; });</script>"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without log lines."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def run(*words: object) -> str:
    """Run a program. Returns what it printed. Raises RuntimeError if it failed."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, timeout=240)
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout.strip()


def make_files(folder: Path) -> None:
    """Render one window in every format."""
    size = ("--w", SIZE[0], "--h", SIZE[1], "--seed", 3, "-q")
    for name, kind in (*FORMATS.items(), ("a.dzi", "dzi"), ("a.zarr", "zarr"), ("b.zarr", "ome-zarr-0.4")):
        run(sys.executable, "-m", "infgen", "render", *size, "--format", kind, "-o", folder / name)


def check_cog(folder: Path) -> str:
    """Validate the Cloud Optimized GeoTIFF. Raises RuntimeError if it is refused."""
    text = run("rio", "cogeo", "validate", "--strict", folder / "a.tif")
    if "is a valid cloud optimized GeoTIFF" not in text:
        raise RuntimeError(text)
    return text.splitlines()[-1].replace(str(folder) + "/", "")


def check_exiftool(folder: Path) -> str:
    """Read seed, model and source type. Raises RuntimeError if it is refused."""
    found = []
    for name in FORMATS:
        values = json.loads(run("exiftool", "-json", folder / name))[0]
        if (
            values.get("Seed") != 3
            or not values.get("Model")
            or "trainedAlgorithmicMedia" not in values["DigitalSourceType"]
        ):
            raise RuntimeError(f"{name}: seed, model or source type is missing: {values}")
        found.append(f"{name} seed {values['Seed']}, {values['Model']}")
    return "; ".join(found)


def check_imagemagick(folder: Path) -> str:
    """Read the sizes. Raises RuntimeError if it is refused."""
    program = shutil.which("magick") or shutil.which("identify") or "identify"
    more = ["identify"] if program.endswith("magick") else []
    sizes = [run(program, *more, "-format", "%m %wx%h", f"{folder / name}[0]") for name in FORMATS]
    if any(f"{SIZE[0]}x{SIZE[1]}" not in size for size in sizes):
        raise RuntimeError(f"other sizes: {sizes}")
    return ", ".join(sizes)


def check_gdal(folder: Path) -> str:
    """Read size and layout of the Cloud Optimized GeoTIFF. Raises RuntimeError if it is refused."""
    found = json.loads(run("gdalinfo", "-json", folder / "a.tif"))
    layout = found["metadata"].get("IMAGE_STRUCTURE", {})
    if found["size"] != list(SIZE) or layout.get("LAYOUT") != "COG":
        raise RuntimeError(f"size {found['size']}, {layout}")
    return f"{found['driverShortName']} {found['size']}, layout {layout['LAYOUT']}, {len(found['bands'])} bands"


def check_ome_zarr(folder: Path) -> str:
    """Validate OME-Zarr 0.5 and 0.4. Raises RuntimeError if it is refused."""
    for name in ("a.zarr", "b.zarr"):
        run("ome-zarr-models", "validate", folder / name)
    return "a.zarr (0.5) and b.zarr (0.4) are valid"


def check_napari(folder: Path) -> str:
    """Open OME-Zarr in a window of a virtual screen, as napari draws with OpenGL. Raises RuntimeError if it is refused."""
    if shutil.which("xvfb-run") is None:
        raise FileNotFoundError("no xvfb-run; install xvfb and libgl1-mesa-dri")
    python = Path(shutil.which("napari") or "").with_name("python")
    found = run("xvfb-run", "-a", "-s", "-screen 0 1024x768x24", python, "-c", NAPARI, folder / "a.zarr").splitlines()[
        -1
    ]
    if str((SIZE[1], SIZE[0])) not in found:
        raise RuntimeError(found)
    return f"layers and levels {found}"


def check_openseadragon(folder: Path, library: Path | None) -> str:
    """Open the DeepZoom picture in a browser. Raises RuntimeError if it is refused."""
    if library is None or not (script := next(library.rglob("openseadragon.js"), None)):
        raise FileNotFoundError("no openseadragon.js; give --openseadragon FOLDER after npm install openseadragon")
    from playwright.sync_api import sync_playwright

    shutil.copy(script, folder)
    (folder / "index.html").write_text(PAGE)
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/index.html")
        page.wait_for_function(
            "document.title.startsWith('open') || document.title.startsWith('failed')", timeout=60_000
        )
        title = page.title()
        browser.close()
    server.shutdown()
    if title != f"open {SIZE[0]} {SIZE[1]}":
        raise RuntimeError(title)
    return title


@click.command()
@click.option("--path", type=click.Path(path_type=Path), help="Look for programs in this folder first.")
@click.option("--openseadragon", type=click.Path(path_type=Path), help="Folder with openseadragon.js.")
def main(path: Path | None, openseadragon: Path | None) -> None:
    """Open files of infgen with other programs. Exits with code 1 if one refuses a file."""
    if path is not None:
        os.environ["PATH"] = f"{path.absolute()}{os.pathsep}{os.environ['PATH']}"
    checks: dict[str, tuple[str, Callable[[Path], str]]] = {
        "rio cogeo validate --strict": ("rio", check_cog),
        "ome-zarr-models validate": ("ome-zarr-models", check_ome_zarr),
        "exiftool": ("exiftool", check_exiftool),
        "ImageMagick": ("identify", check_imagemagick),
        "GDAL": ("gdalinfo", check_gdal),
        "napari": ("napari", check_napari),
        "OpenSeadragon": ("chromium", lambda folder: check_openseadragon(folder, openseadragon)),
    }
    failed = False
    with tempfile.TemporaryDirectory(prefix="infgen-") as name:
        make_files(Path(name))
        for title, (program, check) in checks.items():
            if shutil.which(program) is None:
                print(f"{title}: not found ({program}), skipped")
                continue
            try:
                print(f"{title}: {check(Path(name))}")
            except FileNotFoundError as error:
                print(f"{title}: skipped, {error}")
            except (RuntimeError, KeyError, subprocess.TimeoutExpired) as error:
                failed = True
                print(f"{title}: FAILED, {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
