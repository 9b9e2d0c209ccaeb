"""Model repositories for Triton Inference Server: a folder for each model, with a configuration and a numbered version.

Triton joins requests of all its clients to batches, along the first axis of every input. So the graph in a repository takes
styles and noise strength for each tile (``styles_per="tile"``), and any two tiles can share a batch.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from infgen import __version__
from infgen.atomic import TEMPORARY_PREFIX, write_atomically
from infgen.engines.tensorrt_file import EngineRecord
from infgen.engines.tensorrt_library import find_gpu, require_library
from infgen.engines.tile_file import DEFAULT_BATCH, FORMAT, OUTPUT, Precision, TileFile
from infgen.errors import InputError
from infgen.export.onnx import example_inputs, export_onnx
from infgen.export.tensorrt import build_engine
from infgen.model.generator import Generator
from infgen.rendering.plan import MAX_BATCH

QUEUE_DELAY_US = 2000  # what a tile waits at most for others to share its batch; small against its own computing
CONFIG = "config.pbtxt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # safe as a folder and in a URL
_OURS = f'key: "infgen.format" value: {{ string_value: "{FORMAT}" }}'


def export_triton(
    generator: Generator,
    repository: str | Path,
    *,
    name: str,
    model_sha256: str,
    cells: tuple[int, int],
    styles: int = 1,
    precision: Precision = "fp32",
    batch: int = DEFAULT_BATCH,
    plan: bool = False,
) -> TileFile:
    """Write ``generator`` as model ``name`` into the folder ``repository``, whole or not at all; one of infgen is replaced.

    ``cells``, ``styles``, ``precision``, ``model_sha256``: as of ``export_onnx``. ``batch``: how many tiles the server joins at
    most. ``plan``: with a TensorRT engine in place of an ONNX file, built by classic TensorRT for the GPU here.
    Raises what ``export_onnx`` raises; InputError for a name or batch out of range, a folder that cannot be written, or a model
    ``name`` that infgen did not make; for ``plan`` MissingExtraError without TensorRT, InputError without a GPU, InfgenError
    where TensorRT fails.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"model name {name!r} is not possible; use letters, digits, '_', '-' and '.', a letter or digit first"
        )
    if not 1 <= batch <= MAX_BATCH:
        raise InputError(f"batch {batch} is out of range; allowed are 1 to {MAX_BATCH}")
    with _model_folder(Path(repository), name) as folder:
        version = folder / "1"
        version.mkdir()
        onnx = version / "model.onnx"
        file = export_onnx(
            generator,
            onnx,
            model_sha256=model_sha256,
            cells=cells,
            styles=styles,
            precision=precision,
            styles_per="tile",
        )
        parameters = _replace_by_plan(onnx, file, batch=batch).to_metadata() if plan else file.to_metadata()
        text = configuration(file, parameters, batch=batch, plan=plan)
        with write_atomically(folder / CONFIG) as temporary:
            temporary.write_text(text, encoding="ascii")
    return file


def model_name(model: str, *, halvings: int = 0) -> str:
    """The name in a repository of ``model``, a file or hub id; of its scale 1/4 it ends in "-1-4"."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(model).name.removesuffix(".safetensors")).lstrip("_.-") or "model"
    return f"{name}-1-{1 << halvings}" if halvings else name


def configuration(file: TileFile, parameters: Mapping[str, str], *, batch: int, plan: bool) -> str:
    """The text of config.pbtxt, protobuf's text form of Triton's ``ModelConfig``.

    No name stands in it: Triton then takes that of the folder, which may be renamed.
    """
    needs_gpu = plan or file.precision == "bf16"  # ONNX Runtime has no bf16 on CPUs
    tensors = {name: f"data_type: TYPE_FP32 dims: {_dims(shape)}" for name, shape in input_shapes(file).items()}
    inputs = ",\n".join(f'  {{ name: "{name}" {tensor} }}' for name, tensor in tensors.items())
    zeros = "\n".join(
        f'    inputs {{ key: "{n}" value: {{ {tensor} zero_data: true }} }}' for n, tensor in tensors.items()
    )
    return f"""# Made by infgen {__version__}. The folder's name is the model's name.
platform: "{"tensorrt_plan" if plan else "onnxruntime_onnx"}"
max_batch_size: {batch}
input [
{inputs}
]
output [ {{ name: "{OUTPUT}" data_type: TYPE_FP32 dims: {_dims((3, *file.tile_px))} }} ]
version_policy {{ latest {{ num_versions: 1 }} }}

# One instance on each GPU{", which this model needs" if needs_gpu else "; where there is none, one on all cores"}.
instance_group [ {{ count: 1 kind: {"KIND_GPU" if needs_gpu else "KIND_AUTO"} }} ]

# Tiles of all clients share batches, of any size: Triton's guide advises against preferred sizes for such models.
dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_DELAY_US} }}

# A whole batch is drawn before the model is ready: one that does not fit the memory shows at once.
model_warmup [
  {{
    name: "whole batch"
    batch_size: {batch}
{zeros}
  }}
]

# What infgen's client asks for.
{_facts(parameters)}
"""


def input_shapes(file: TileFile) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs by name, without the batch."""
    shapes: list[tuple[int, ...]] = []
    for value in example_inputs(file):
        shapes += [tuple(tensor.shape[1:]) for tensor in (value if isinstance(value, list) else [value])]
    return dict(zip(file.input_names, shapes, strict=True))


def _dims(shape: tuple[int, ...]) -> str:
    return f"[ {', '.join(map(str, shape))} ]"


def _facts(parameters: Mapping[str, str]) -> str:
    lines = (
        f"key: {json.dumps(key)} value: {{ string_value: {json.dumps(value)} }}" for key, value in parameters.items()
    )
    return "\n".join(f"parameters {{ {line} }}" for line in lines)


def _replace_by_plan(onnx: Path, file: TileFile, *, batch: int) -> EngineRecord:
    """Put an engine of the file ``onnx`` in its place.

    Functions are inlined before it is built: the plugins of ``infgen.export.tensorrt_plugins`` take one style for all tiles.
    """
    library, here = require_library("classic", what="a TensorRT plan"), find_gpu()
    if here is None:
        raise InputError(
            "a TensorRT plan is built on the GPU that will run it, and PyTorch sees none here; export on that machine, with the "
            "TensorRT version of its Triton, or leave --plan out"
        )
    import onnx as onnx_package
    from onnx import inliner

    onnx_package.save(inliner.inline_local_functions(onnx_package.load(onnx)), onnx)
    record = EngineRecord(file, "classic", library.version, (str(here),), batch, None)
    engine, _ = build_engine(onnx, library, record, capabilities=(here.capability_text,))
    with write_atomically(onnx.with_name("model.plan")) as temporary:
        temporary.write_bytes(engine)
    onnx.unlink()
    return record


@contextmanager
def _model_folder(repository: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder in ``repository``, made where it is missing; it takes ``name`` when the block ends without error."""
    target = repository / name
    if repository.exists() and not repository.is_dir():
        raise InputError(f"output {repository} is a file; give a folder for the model repository")
    if target.exists() and not is_ours(target):
        raise InputError(f"{target} is there and infgen did not make it; move it away, or choose another repository")
    made = not repository.exists()
    work = repository / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        repository.mkdir(exist_ok=True)
        work.mkdir()
    except OSError as error:
        raise InputError(f"model repository {repository} cannot be written: {error.strerror}; choose another") from None
    try:
        yield work
        _take_name(work, target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        if made:
            with suppress(OSError):  # another process put something into it
                repository.rmdir()
        raise


def is_ours(folder: Path) -> bool:
    """Whether infgen made the model ``folder``."""
    try:
        return _OURS in (folder / CONFIG).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False


def _take_name(work: Path, target: Path) -> None:
    """Rename ``work`` to ``target``; an older folder of this name goes when the new one is there."""
    old = work.with_name(f"{work.name}-old")
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(work, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
