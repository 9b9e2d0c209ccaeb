"""Feed every parser its worst legal input and inputs beyond its limits, and measure the peak memory of each.

    python benchmarks/hostile.py                # all, in a new process each
    python benchmarks/hostile.py palette-png    # some of them

The first column is the input, the second what the parser did, the third the peak of resident memory above that of the
imported package. docs/limits.md has the results.
"""

import json
import resource
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

MIB = 2**20
PACKED_MIB = 1400  # what a compressed checkpoint unpacks to
TENSORS = 1_500_000  # names in a long header
SIDE = 13_000  # px; 169 million pixels, just below INFGEN_MAX_PHOTO_PIXELS


def png(
    width: int, height: int, *, depth: int = 8, colour: int = 2, extra: bytes = b"", row: bytes | None = None
) -> bytes:
    """Assemble a PNG of equal rows, which compresses to a few KiB for each million pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    line = row or bytes(1 + (width * channels * depth + 7) // 8)
    packer = zlib.compressobj(9)
    body = b"".join([packer.compress(line) for _ in range(height)] + [packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def palette_png() -> bytes:
    """The largest palette picture with a transparent colour: it needs RGBA, RGB and a mask."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    entries = chunk(b"PLTE", bytes(range(256)) * 3) + chunk(b"tRNS", b"\x00" + b"\xff" * 255)
    row = b"\0" + bytes([0]) + bytes([1]) * (SIDE - 1)
    return png(SIDE, SIDE, colour=3, extra=entries, row=row)


def photo(content: Callable[[], bytes]) -> Callable[[Path], object]:
    """Read ``content`` as outpainting does."""

    def run(folder: Path) -> object:
        from infgen.photo import open_photograph

        (folder / "photo").write_bytes(content())
        return open_photograph(folder / "photo").image.size

    return run


def training(content: Callable[[], bytes]) -> Callable[[Path], object]:
    """Read ``content`` as training does."""

    def run(folder: Path) -> object:
        from infgen.photo import read_photo

        return read_photo(content(), short_px=197).image.size

    return run


def many_failures(folder: Path) -> object:
    """Refuse twenty large damaged photographs, one after another: what one kept would add up."""
    from infgen.errors import InputError
    from infgen.photo import open_photograph

    content = png(6000, 6000)
    (folder / "photo").write_bytes(content[: len(content) // 2])
    for _ in range(20):
        try:
            open_photograph(folder / "photo")
        except InputError as error:
            found = str(error)[-60:]
    return found


def crafted_zip(folder: Path) -> object:
    """Read a member whose header claims 1,000 bytes and which holds 1.9 GB."""
    from infgen.train.data.sources import open_source, read_picture

    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join([packed.compress(bytes(MIB)) for _ in range(PACKED_MIB)] + [packed.flush()])
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", b"x" * 1000)
    content = bytearray((folder / "a.zip").read_bytes())
    start = 30 + len("a.jpg")
    old = struct.unpack_from("<I", content, 18)[0]
    content[start : start + old] = body
    content[18:22] = struct.pack("<I", len(body))
    where = content.rindex(b"PK\x01\x02")
    content[where + 20 : where + 24] = struct.pack("<I", len(body))
    end = content.rindex(b"PK\x05\x06")
    content[end + 16 : end + 20] = struct.pack("<I", where)
    (folder / "a.zip").write_bytes(content)
    return len(read_picture(open_source(folder / "a.zip").pictures[0]))


def crafted_tar(folder: Path) -> object:
    """List a shard with a header that claims 8 GB."""
    from infgen.train.data.sources import open_source

    info = tarfile.TarInfo("a.jpg")
    info.size = 8 * 2**30
    (folder / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    return [skipped.reason[:60] for skipped in open_source(folder / "a.tar").skipped]


def packed_checkpoint(folder: Path) -> Path:
    """A file of torch.save, compressed: 1.4 GB of zeros in 1.4 MB."""
    import torch

    torch.save({"g_ema": {"a": torch.zeros(MIB)}}, folder / "small.pth")
    with (
        zipfile.ZipFile(folder / "small.pth") as plain,
        zipfile.ZipFile(folder / "a.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            with packed.open(member.filename, "w", force_zip64=True) as stream:
                if "/data/" in member.filename:
                    for _ in range(PACKED_MIB):
                        stream.write(bytes(MIB))
                else:
                    stream.write(plain.read(member))
    return folder / "a.pth"


def released_checkpoint(folder: Path) -> object:
    """Convert a compressed checkpoint."""
    from infgen.model.convert import convert

    return convert(packed_checkpoint(folder), network="g_ema")


def training_state(folder: Path) -> object:
    """Resume from a compressed training state."""
    from infgen.train.checkpoint import RunFolder

    packed_checkpoint(folder).rename(folder / "state.pt")
    return RunFolder(folder).read_options()


def long_header(folder: Path) -> Path:
    """A safetensors file of 1.5 million empty tensors: 84 MB of header."""
    entry = '"{:07d}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    length = 2 + TENSORS * len(entry.format(0)) + TENSORS - 1
    with (folder / "a.safetensors").open("wb") as file:  # piece by piece: the memory of this script counts, too
        file.write(struct.pack("<Q", length) + b"{")
        for i in range(TENSORS):
            file.write((("," if i else "") + entry.format(i)).encode())
        file.write(b"}")
    return folder / "a.safetensors"


def model_header(folder: Path) -> object:
    """Load a model with a long header."""
    from infgen.model.generator import Generator

    return Generator.from_pretrained(long_header(folder))


def anchor_header(folder: Path) -> object:
    """Load latents with a long header."""
    from infgen.world.anchors import AnchoredLatents

    return AnchoredLatents.load(long_header(folder))


def largest_world(folder: Path) -> object:
    """Load a world of 16 MB with as many edits as are allowed."""
    from infgen.world.world import World

    edit = {"x": -(2**40), "y": -(2**40), "w": 99_999, "h": 99_999, "seed": 2**63, "fields": ["local", "noise"]}
    (folder / "w.json").write_text(json.dumps({"edits": [edit] * 10_000}) + " " * (14 * MIB))
    return len(World.load(folder / "w.json").edits)


def broken_world(folder: Path) -> object:
    """Refuse a world of 16 MB with empty edits."""
    from infgen.world.world import World

    (folder / "w.json").write_text('{"edits":[' + ",".join(["[]"] * 5_000_000) + "]}")
    return World.load(folder / "w.json")


def largest_painting(folder: Path) -> object:
    """Resolve a layout with a painting at the limit of pixels."""
    from infgen.geometry import Region
    from infgen.world.layout import Layout
    from infgen.world.layout_files import resolve

    (folder / "a.png").write_bytes(png(8192, 8191))
    text = {"styles": {"a": {"seed": 1}}, "painting": {"image": "a.png", "colours": {"#000000": "a"}}}
    layout = Layout.from_json(json.dumps(text))
    return len(resolve(layout, Region(0, 0, 100, 100), folder=folder).styles)


def provenance(tile: int, batch: int) -> Callable[[Path], object]:
    """Verify a picture whose provenance asks for ``tile`` and ``batch``."""

    def run(folder: Path) -> object:
        from infgen.geometry import Region
        from infgen.rendering import job, studio
        from infgen.rendering.verify import verify
        from infgen.world.world import World

        studio_of_world = studio.open_studio(World())
        made = job.prepare(studio_of_world, Region(0, 0, 64, 64), job.Output(str(folder / "a.dzi")))
        made.run()
        file = folder / "a_files" / "infgen.json"
        document = json.loads(file.read_text())
        file.write_text(json.dumps(document | {"tile": [tile, tile], "batch": batch}))
        return verify(str(folder / "a.dzi")).passed

    return run


CASES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda folder: None,
    "rgb-png": photo(lambda: png(SIDE, SIDE)),
    "palette-png": photo(palette_png),
    "deep-png": photo(lambda: png(SIDE, SIDE, depth=16, colour=6)),
    "shrunk-png": photo(lambda: png(22_000, 22_000)),
    "training-palette-png": training(palette_png),
    "training-shrunk-png": training(lambda: png(22_000, 22_000)),
    "text-png": photo(lambda: png(64, 64, extra=text_chunks())),
    "many-failures": many_failures,
    "zip-member": crafted_zip,
    "tar-header": crafted_tar,
    "released-checkpoint": released_checkpoint,
    "training-state": training_state,
    "model-header": model_header,
    "anchor-header": anchor_header,
    "world": largest_world,
    "broken-world": broken_world,
    "painting": largest_painting,
    "provenance-tile": provenance(16_005, 1),
    "provenance-batch": provenance(517, 1024),
}


def text_chunks() -> bytes:
    """Compressed texts that unpack to a gigabyte."""
    data = b"a\0\0" + zlib.compress(bytes(100 * MIB), 9)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    return chunk * 10


def peak() -> int:
    """Return the peak of resident memory of this process in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // MIB


def run_case(name: str) -> None:
    """Run one case in this process, and print what it did and its peak."""
    import numpy  # noqa: F401
    import torch

    import infgen.decoding
    import infgen.train.checkpoint  # noqa: F401
    from infgen.errors import InfgenError

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = f"accepted: {CASES[name](Path(folder))}"
        except InfgenError as error:
            found = f"refused: {error}".replace(folder, "")
    print(json.dumps([name, found[:150], peak()]))


def results(names: list[str]) -> Iterator[tuple[str, str, int]]:
    """Run each case in a process of its own."""
    for name in names:
        done = subprocess.run([sys.executable, __file__, "--run", name], capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        yield tuple(json.loads(lines[-1])) if lines else (name, f"DIED {done.returncode}: {done.stderr[-300:]}", -1)


def main(names: list[str]) -> None:
    """Print one line for each case."""
    base = 0
    for name, found, memory in results(["nothing", *(names or [name for name in CASES if name != "nothing"])]):
        base = memory if name == "nothing" else base
        print(f"{name:22} {memory - base:6} MiB  {found}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run_case(sys.argv[2])
    else:
        main(sys.argv[1:])
