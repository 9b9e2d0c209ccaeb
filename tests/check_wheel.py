"""Check built distributions: a wheel has all packages and assets, a source distribution every file of the repository.

python tests/check_wheel.py dist/*
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

MAX_MODEL_BYTES = 20_000_000
PACKAGES = ("bench", "cli", "engines", "export", "inversion", "model", "rendering", "serve", "sinks", "train", "world")
CARDS = {  # shipped model -> its card
    "scenery": "MODEL_CARD.md",
    "planet": "MODEL_CARD_planet.md",
    "atlas": "MODEL_CARD_atlas.md",
}
FILES = (
    "infgen/py.typed",
    *(f"infgen/assets/{name}.safetensors" for name in CARDS),
    *(f"infgen/assets/{card}" for card in CARDS.values()),
    "infgen/assets/CREDITS.md",
    "infgen/assets/NOTICE.md",
    "infgen/assets/lpips-alexnet-v0.1-fp16.safetensors",
    "infgen/assets/lpips-vgg16-v0.1-heads-fp16.safetensors",
)


def problems(wheel: Path) -> list[str]:
    """List the faults of ``wheel`` in sentences; empty for a good one."""
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    found = [f"{name} is missing" for name in FILES if name not in sizes]
    found += [f"package infgen.{p} is missing" for p in PACKAGES if f"infgen/{p}/__init__.py" not in sizes]
    found += [f"{n} installs outside infgen" for n in sizes if not n.startswith("infgen/") and ".dist-info/" not in n]
    found += [f"{n} does not belong in a wheel" for n in sizes if n.endswith((".pyc", ".pt", ".npz", ".ipynb"))]
    models = sum(sizes.get(f"infgen/assets/{name}.safetensors", 0) for name in CARDS)
    found += [f"the models have {models} bytes, over {MAX_MODEL_BYTES}"] if models > MAX_MODEL_BYTES else []
    sources = {f"infgen/{p.relative_to('infgen')}" for p in Path("infgen").rglob("*.py")}
    for folder in ("train", "export", "serve"):
        sources |= {f"infgen/{p}" for p in Path(folder).rglob("*.py")}
    found += [f"{name} is in the sources and not in the wheel" for name in sorted(sources - set(sizes))]
    return found


def problems_of_sources(sdist: Path) -> list[str]:
    """List the files that git knows and ``sdist`` lacks, and those that git does not know."""
    with tarfile.open(sdist) as archive:
        found = {name.partition("/")[2] for name in archive.getnames() if not archive.getmember(name).isdir()}
    known = set(subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines())
    made = {name for name in found - known if name in ("PKG-INFO", "setup.cfg") or name.startswith("infgen.egg-info/")}
    missing = [f"{name} is in git and not in the source distribution" for name in sorted(known - found)]
    return missing + [f"{name} is not in git" for name in sorted(found - known - made)]


if __name__ == "__main__":
    complaints = []
    for path in map(Path, sys.argv[1:]):
        complaints += problems(path) if path.suffix == ".whl" else problems_of_sources(path)
    print("\n".join(complaints) or f"{', '.join(sys.argv[1:])}: whole")
    sys.exit(1 if complaints else 0)
