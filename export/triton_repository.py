"""Write model repositories for Triton Inference Server: one folder per model, with a configuration and a numbered version.

Triton joins the requests of all clients into batches, along the first axis of every input. So the graph in a repository has
styles and noise strength per tile (``styles_per="tile"``), and any two tiles can share a batch.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from infgen.atomic import write_atomically
from infgen.engines.tensorrt_file import EngineRecord
from infgen.engines.tensorrt_library import find_gpu, require_library
from infgen.engines.tile_file import DEFAULT_BATCH, FORMAT, OUTPUT, Precision, TileFile
from infgen.errors import InputError
from infgen.export.onnx import example_inputs, export_onnx
from infgen.export.tensorrt import build_engine
from infgen.lock import create_temporary_folder
from infgen.model.generator import Generator
from infgen.rendering.plan import MAX_BATCH
from infgen.version import __version__

QUEUE_DELAY_US = 2000  # maximum wait for other tiles of a batch; short compared with computing a tile
CONFIG = "config.pbtxt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # safe as a folder name and in a URL
_FORMAT_ENTRY = f'key: "infgen.format" value: {{ string_value: "{FORMAT}" }}'


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
    """Write ``generator`` as model ``name`` into the folder ``repository``, complete or not at all.

    A model of infgen with this name is replaced. ``cells``, ``styles``, ``precision``, ``model_sha256``: as for ``export_onnx``.
    ``batch``: maximum number of tiles that the server joins. ``plan``: write a TensorRT engine instead of an ONNX file, built by
    classic TensorRT for the GPU of this machine.
    Raises whatever ``export_onnx`` raises; InputError for a name or batch out of range, a folder that cannot be written, or an
    existing model ``name`` that infgen did not make. With ``plan``: MissingExtraError without TensorRT, InputError without a
    GPU, InfgenError if TensorRT fails.

    >>> from infgen import Generator
    >>> from infgen.export import export_triton
    >>> from infgen.model.checkpoint import file_hash
    >>> generator = Generator.from_pretrained("tiny.safetensors")
    >>> sha256 = file_hash("tiny.safetensors")
    >>> export_triton(generator, "repository", name="tiny", model_sha256=sha256, cells=(9, 9)).tile_px
    (21, 21)
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
    """Make the repository name of ``model``, a file or hub id. For scale 1/4 it ends in "-1-4"."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(model).name.removesuffix(".safetensors")).lstrip("_.-") or "model"
    return f"{name}-1-{1 << halvings}" if halvings else name


def configuration(file: TileFile, parameters: Mapping[str, str], *, batch: int, plan: bool) -> str:
    """Format config.pbtxt, Triton's ``ModelConfig`` in protobuf's text form.

    It contains no name, so Triton uses the name of the folder, which may be renamed.
    """
    needs_gpu = plan or file.precision == "bf16"  # ONNX Runtime has no bf16 on CPUs
    tensors = {name: f"data_type: TYPE_FP32 dims: {_format_dims(shape)}" for name, shape in input_shapes(file).items()}
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
output [ {{ name: "{OUTPUT}" data_type: TYPE_FP32 dims: {_format_dims((3, *file.tile_px))} }} ]
version_policy {{ latest {{ num_versions: 1 }} }}

# One instance on each GPU{", which this model needs" if needs_gpu else "; without a GPU, one on all CPU cores"}.
instance_group [ {{ count: 1 kind: {"KIND_GPU" if needs_gpu else "KIND_AUTO"} }} ]

# Tiles of all clients share batches, of any size: Triton's guide advises against preferred sizes for such models.
dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_DELAY_US} }}

# A full batch is rendered before the model is ready, so that too little memory is an error at the start.
model_warmup [
  {{
    name: "whole batch"
    batch_size: {batch}
{zeros}
  }}
]

# Parameters that infgen's client reads.
{_format_parameters(parameters)}
"""


def input_shapes(file: TileFile) -> dict[str, tuple[int, ...]]:
    """List the shapes of the inputs by name, without the batch."""
    shapes: list[tuple[int, ...]] = []
    for value in example_inputs(file):
        shapes += [tuple(tensor.shape[1:]) for tensor in (value if isinstance(value, list) else [value])]
    return dict(zip(file.input_names, shapes, strict=True))


def _format_dims(shape: tuple[int, ...]) -> str:
    return f"[ {', '.join(map(str, shape))} ]"


def _format_parameters(parameters: Mapping[str, str]) -> str:
    lines = (
        f"key: {json.dumps(key)} value: {{ string_value: {json.dumps(value)} }}" for key, value in parameters.items()
    )
    return "\n".join(f"parameters {{ {line} }}" for line in lines)


def _replace_by_plan(onnx: Path, file: TileFile, *, batch: int) -> EngineRecord:
    """Replace the file ``onnx`` by its TensorRT engine.

    Functions are inlined before the build: the plugins of ``infgen.export.tensorrt_plugins`` support one style for all tiles.
    """
    library, gpu = require_library("classic", what="a TensorRT plan"), find_gpu()
    if gpu is None:
        raise InputError(
            "a TensorRT plan is built on the GPU that will run it, and PyTorch finds none here; export on that machine, with the "
            "TensorRT version of its Triton, or leave --plan out"
        )
    import onnx as onnx_package
    from onnx import inliner

    onnx_package.save(inliner.inline_local_functions(onnx_package.load(onnx)), onnx)
    record = EngineRecord(file, "classic", version=library.version, gpus=(str(gpu),), batch=batch, workspace_mb=None)
    engine, _ = build_engine(onnx, library, record, capabilities=(gpu.capability_text,))
    with write_atomically(onnx.with_name("model.plan")) as temporary:
        temporary.write_bytes(engine)
    onnx.unlink()
    return record


@contextmanager
def _model_folder(repository: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder in ``repository``, which is created if missing. Rename it to ``name`` if the block succeeds."""
    target = repository / name
    if repository.exists() and not repository.is_dir():
        raise InputError(f"output {repository} is a file; give a folder for the model repository")
    if target.exists() and not is_made_by_infgen(target):
        raise InputError(f"{target} exists and was not made by infgen; move it away, or choose another repository")
    with ExitStack() as stack:
        if not repository.exists():
            stack.callback(_remove_if_empty, repository)  # after a failure
        try:
            repository.mkdir(exist_ok=True)
            work = stack.enter_context(create_temporary_folder(target))
        except OSError as error:
            raise InputError(
                f"model repository {repository} cannot be written: {error.strerror}; choose another"
            ) from None
        yield work
        _replace_folder(work, target)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # another process has written to it
        folder.rmdir()


def is_made_by_infgen(folder: Path) -> bool:
    """Whether the model ``folder`` was made by infgen."""
    try:
        return _FORMAT_ENTRY in (folder / CONFIG).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False


def _replace_folder(work: Path, target: Path) -> None:
    """Rename ``work`` to ``target``, and then delete an older folder of that name."""
    old = work.with_name(f"{work.name}-old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)  # of a killed export
        os.rename(target, old)
    try:
        os.rename(work, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
