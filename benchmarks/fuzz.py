"""Feed damaged copies of legal files to every reader, and count what each does with them.

    python -m benchmarks.fuzz                # 60 damaged copies of each kind
    python -m benchmarks.fuzz --count 500 --only png

A copy is cut, has changed or repeated bytes, or a wrong number in its header. A reader must accept it or refuse it with
an InfgenError of one line. Anything else is a fault. Memory is the peak of this process above that of its start.
"""

import io
import json
import random
import resource
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from PIL import Image
from rich.table import Table

from benchmarks.render import console, machine
from infgen.errors import InfgenError
from infgen.geometry import Region
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.photo import open_photograph
from infgen.rendering.job import Output, prepare
from infgen.rendering.studio import open_studio
from infgen.rendering.verify import verify
from infgen.train.data.sources import open_source, read_picture
from infgen.world.layout import Layout
from infgen.world.world import World

MIB = 2**20
PICTURES = ("jpeg", "png", "webp", "tiff", "gif", "bmp", "avif", "jpeg2000")


def draw_picture(kind: str) -> bytes:
    """A picture of 64 x 48 px in the format ``kind``."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def make_archive(kind: str) -> bytes:
    """Two pictures in a zip file or tar shard."""
    file, content = io.BytesIO(), draw_picture("jpeg")
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            for name in ("a.jpg", "b.jpg"):
                archive.writestr(name, content)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w") as shard:
        for name in ("a.jpg", "b.jpg"):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))
    return file.getvalue()


def make_model() -> bytes:
    """The file of a tiny model."""
    with TemporaryDirectory() as folder:
        Generator(preset("tiny")).save_pretrained(Path(folder) / "m.safetensors")
        return (Path(folder) / "m.safetensors").read_bytes()


def make_render(extension: str) -> bytes:
    """A picture of 64 x 64 px by the shipped model, with its provenance."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / f"a{extension}"
        prepare(open_studio(World()), Region(0, 0, 64, 64), Output(str(out))).run()
        return out.read_bytes()


def read_archive(path: Path) -> None:
    """Read every picture of an archive."""
    for picture in open_source(path).pictures:
        read_picture(picture)


def make_world() -> bytes:
    """A world with an edit."""
    edit = {"x": 0, "y": 0, "w": 9, "h": 9, "seed": 1, "fields": ["local"]}
    return json.dumps({"seed": 1, "edits": [edit]}).encode()


def make_layout() -> bytes:
    """A layout of two styles."""
    centres = [{"style": "a", "x": 0, "y": 0}, {"style": "b", "x": 90, "y": 0}]
    return json.dumps({"styles": {"a": {"seed": 1}, "b": {"seed": 2}}, "centres": centres, "transition": 9}).encode()


# Kind -> extension, legal file, reader.
KINDS: dict[str, tuple[str, Callable[[], bytes], Callable[[Path], object]]] = {
    **{kind: ("", lambda kind=kind: draw_picture(kind), open_photograph) for kind in PICTURES},  # type: ignore[misc]
    "zip": (".zip", lambda: make_archive("zip"), read_archive),
    "tar": (".tar", lambda: make_archive("tar"), read_archive),
    "model": (".safetensors", make_model, Generator.from_pretrained),
    "world": (".json", make_world, World.load),
    "layout": (".json", make_layout, lambda path: Layout.from_json(path.read_text(errors="replace"))),
    "rendered png": (".png", lambda: make_render(".png"), lambda path: verify(str(path))),
    "rendered tiff": (".tif", lambda: make_render(".tif"), lambda path: verify(str(path))),
}


def damage(content: bytes, rng: random.Random) -> bytes:
    """Return a damaged copy; most damage is in the first 512 bytes, where headers are."""
    copy = bytearray(content)
    place = rng.randrange(min(len(copy), 512) if rng.random() < 0.7 else len(copy))
    kind = rng.randrange(5)
    if kind == 0:
        return bytes(copy[:place])
    if kind == 1:
        copy[place] ^= 1 << rng.randrange(8)
    elif kind == 2:
        copy[place : place + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
    elif kind == 3:
        copy[place:place] = copy[place : place + 64] * rng.randrange(1, 100)
    else:
        copy[place : place + 8] = rng.randbytes(8)
    return bytes(copy)


def peak() -> int:
    """Return the peak of resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) // MIB


def try_file(path: Path, read: Callable[[Path], object]) -> str:
    """Return what ``read`` does with ``path``: accepted, refused or a fault."""
    try:
        read(path)
    except InfgenError as error:
        return "refused" if "\n" not in str(error) else f"fault: {str(error)[:200]!r}"
    except Exception as error:  # every other error is what this script looks for
        return f"fault: {type(error).__name__}: {str(error)[:200]}"
    return "accepted"


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=60, show_default=True, help="Damaged copies of each kind.")
@click.option("--seed", default=0, show_default=True, help="Of the damage.")
@click.option("--only", help="One kind.")
def main(count: int, seed: int, only: str | None) -> None:
    """Try damaged files, and exit with 1 if one makes an unexpected error."""
    torch.set_num_threads(1)
    console.print(machine())
    table, faults = Table("kind", "tried", "accepted", "refused", "peak, MiB"), list[str]()
    start = peak()
    with TemporaryDirectory() as folder:
        for kind, (extension, make, read) in KINDS.items():
            if only not in (None, kind):
                continue
            rng, content, results = random.Random(f"{seed} {kind}"), make(), Counter[str]()
            path = Path(folder) / f"file{extension}"
            path.write_bytes(content)
            if (whole := try_file(path, read)) != "accepted":
                faults.append(f"{kind}, undamaged: {whole}")
            for number in range(count):
                path.write_bytes(damage(content, rng))
                results[result := try_file(path, read)] += 1
                if result.startswith("fault"):
                    faults.append(f"{kind} {number}: {result}")
            row = (kind, count, results["accepted"], results["refused"], peak() - start)
            table.add_row(*map(str, row))
            console.print(*row)
    console.print(table)
    for fault in faults:
        console.print(fault)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
