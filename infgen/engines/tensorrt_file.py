"""Write and read engine files: a header that describes the engine, and a serialised TensorRT engine.

Magic (8 bytes), SHA-256 of the rest, length of the header (8 bytes, little endian), header (JSON), engine. Reading executes
nothing.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Self

from infgen.engines.tensorrt_library import BUILDERS, TITLES, Builder, Gpu, Library
from infgen.engines.tile_file import TileFile
from infgen.errors import InputError, ModelFileError
from infgen.limits import MAX_MODEL_MB, MIB

MADE_BY = "infgen export MODEL --trt"
MAGIC = b"INFGTRT1"
_DIGEST_BYTES, _LENGTH = 32, struct.Struct("<Q")
_PREFIX = len(MAGIC) + _DIGEST_BYTES + _LENGTH.size
_MAX_HEADER = 2**20  # bytes; real ones have about a thousand


@dataclass(frozen=True)
class EngineRecord:
    """Description of an engine: its windows (``tile``), its builder and its GPUs.

    ``gpus``: for classic TensorRT the GPU of the build, as ``str(Gpu)``; for TensorRT-RTX compute capabilities such as "8.9".
    ``batch``: most tiles per call. ``workspace_mb``: most memory of one layer in MiB, None for TensorRT's default.
    """

    tile: TileFile
    builder: Builder
    _: KW_ONLY
    version: str
    gpus: tuple[str, ...]
    batch: int
    workspace_mb: int | None

    @property
    def built_by(self) -> str:
        """Name and version of the builder."""
        return f"{TITLES[self.builder]} {self.version}"

    def command(self, output: Path) -> str:
        """Return the command that rebuilds the engine on this machine as ``output``."""
        options = {
            "-o": output.name,
            "--tile": self.tile.tile_px[0],
            "--max-styles": self.tile.styles,
            "--precision": self.tile.precision,
            "--batch": self.batch,
            "--workspace": self.workspace_mb,
        }
        given = " ".join(f"{name} {value}" for name, value in options.items() if value is not None)
        return f"{MADE_BY} {given}"

    def differences(self, wanted: "EngineRecord") -> list[str]:
        """List the differences from ``wanted``, one phrase each; empty for the same engine."""
        rows = zip(self._facts(), wanted._facts(), strict=True)
        return [f"{name} {there} there, {here} here" for (name, there), (_, here) in rows if there != here]

    def _facts(self) -> list[tuple[str, str]]:
        height, width = self.tile.tile_px
        return [
            ("model", self.tile.model_sha256[:12]),
            ("tile", f"{height} x {width} px"),
            ("styles", str(self.tile.styles)),
            ("precision", self.tile.precision),
            ("batch", str(self.batch)),
            ("workspace", "free" if self.workspace_mb is None else f"{self.workspace_mb} MiB"),
            ("built by", self.built_by),
            ("GPU", ", ".join(self.gpus)),
            ("infgen", self.tile.infgen_version),
        ]

    def runs_on(self, gpu: Gpu) -> bool:
        """Return whether the engine has code for ``gpu``."""
        return (str(gpu) if self.builder == "classic" else gpu.capability_text) in self.gpus

    def to_metadata(self) -> dict[str, str]:
        """Return the record as text by name; ``from_metadata`` reads it."""
        return self.tile.to_metadata() | {
            "infgen.trt.builder": self.builder,
            "infgen.trt.version": self.version,
            "infgen.trt.gpus": json.dumps(self.gpus),
            "infgen.trt.batch": str(self.batch),
            "infgen.trt.workspace_mb": "" if self.workspace_mb is None else str(self.workspace_mb),
        }

    @classmethod
    def from_metadata(cls, data: Mapping[str, str], *, source: str) -> Self:
        """Read a record from ``to_metadata``. Raises ModelFileError, which names ``source``, for anything else."""
        tile = TileFile.from_metadata(data, source=source, made_by=MADE_BY)
        try:
            builder, gpus = data["infgen.trt.builder"], json.loads(data["infgen.trt.gpus"])
            workspace = data["infgen.trt.workspace_mb"]
            if builder not in BUILDERS or not all(isinstance(each, str) for each in gpus):
                raise ValueError(f"builder {builder[:20]!r}")
            return cls(
                tile,
                builder,
                version=data["infgen.trt.version"],
                gpus=tuple(gpus),
                batch=int(data["infgen.trt.batch"]),
                workspace_mb=int(workspace) if workspace else None,
            )
        except (KeyError, ValueError, TypeError) as error:
            raise ModelFileError(f"{source} has a header that cannot be read ({error}); export it again") from None


def pack(record: EngineRecord, engine: bytes) -> bytes:
    """Return the content of the engine file."""
    header = json.dumps(record.to_metadata() | {"infgen.trt.bytes": str(len(engine))}).encode()
    body = _LENGTH.pack(len(header)) + header + engine
    return MAGIC + hashlib.sha256(body).digest() + body


def read_engine(path: str | Path) -> tuple[EngineRecord, bytes]:
    """Read the record and the serialised engine of the file ``path``, without loading the engine.

    Raises InputError for a missing file, ModelFileError for one that is too large, truncated, changed or not made by infgen.
    """
    source = f"engine file {path}"
    data = _read(Path(path), source)
    if not data.startswith(MAGIC) or len(data) < _PREFIX:
        raise ModelFileError(f"{source} was not made by infgen; make one with: {MADE_BY} -o {Path(path).name}")
    body = memoryview(data)[len(MAGIC) + _DIGEST_BYTES :]
    (size,) = _LENGTH.unpack_from(body)
    end = _LENGTH.size + size
    header = _header(bytes(body[_LENGTH.size : end])) if size <= _MAX_HEADER else None
    if hashlib.sha256(body).digest() != data[len(MAGIC) : len(MAGIC) + _DIGEST_BYTES]:
        raise ModelFileError(_damage(source, found=len(body), end=end, header=header))
    if header is None:
        raise ModelFileError(f"{source} has a header that cannot be read; export it again")
    return EngineRecord.from_metadata(header, source=source), bytes(body[end:])


def _read(path: Path, source: str) -> bytes:
    if not path.is_file():
        raise InputError(f"{source} does not exist; make one with: {MADE_BY} -o {path.name}")
    size, limit = path.stat().st_size, MAX_MODEL_MB.value()
    if size > limit * MIB:
        raise ModelFileError(f"{source} has {size} bytes, over the limit of {limit} MiB ({MAX_MODEL_MB.name})")
    return path.read_bytes()


def _header(text: bytes) -> dict[str, str] | None:
    """Parse the header, or return None if it is invalid."""
    try:
        header: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(header, dict) or not all(isinstance(value, str) for value in header.values()):
        return None
    return header


def _damage(source: str, *, found: int, end: int, header: Mapping[str, str] | None) -> str:
    """Describe the damage of a file with a wrong hash: missing or changed bytes."""
    engine = (header or {}).get("infgen.trt.bytes", "")
    whole = end + int(engine) if engine.isdecimal() and len(engine) < 16 else end
    if (header is None and end < found) or found >= whole:
        return f"{source} was changed or damaged after infgen wrote it (its hash does not match); export it again"
    return f"{source} is cut off: {found} of {whole} bytes are there; copy it again, or export it again"


def check_runs(record: EngineRecord, library: Library, gpu: Gpu, *, path: Path) -> None:
    """Raise InputError if the engine was built by another version than ``library``, or has no code for ``gpu``."""
    again = record.command(path)
    if record.version != library.version:
        raise InputError(
            f"engine file {path} was built by {record.built_by}, and {library.title} is here; run: {again}"
        )
    if not record.runs_on(gpu):
        kinds = "compute capability " if record.builder == "rtx" else ""
        raise InputError(
            f"engine file {path} was built for {kinds}{', '.join(record.gpus)}, and the GPU here is {gpu}; run: {again}"
        )
