"""Compile kernels ahead of time to PTX, NVIDIA's portable assembly. Compiling needs no GPU, and running needs no Triton.

TensorRT embeds the PTX in an engine and passes the kernel its pointers and 32-bit integers in the order of ``parameters``.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from infgen.errors import InputError
from infgen.export.kernels import LAUNCH_OPTIONS

CAPABILITIES = {80: "A100", 90: "H100, H200", 120: "RTX 50 and RTX PRO Blackwell"}  # compute capability times ten
TYPES = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"}
ALIGNED = [["tt.divisibility", 16]]  # Triton's notation for a multiple of 16


@dataclass(frozen=True, kw_only=True)
class CompiledKernel:
    """A kernel for one architecture, set of types and layout, with the values that a launcher needs."""

    name: str  # the entry point in ``ptx``
    ptx: str
    parameters: tuple[str, ...]  # pointers and 32-bit integers, in the order of the arguments
    threads: int  # of one program, along x
    shared_bytes: int  # dynamic shared memory of one program
    capability: int


def compile_ptx(
    kernel: Any,
    *,
    capability: int,
    dtypes: Mapping[str, torch.dtype],
    constants: Mapping[str, int],
    aligned: Collection[str] = (),
) -> CompiledKernel:
    """Compile ``kernel`` of ``infgen.export.kernels`` for GPUs of ``capability`` (80, 90 or 120).

    ``dtypes``: type of every tensor. ``constants``: value of every upper-case parameter, and of other parameters that never
    change (such as a stride of 1, which lets the compiler see contiguous accesses). All other parameters are integers.
    Those in ``aligned`` are multiples of 16, as the addresses of tensors must be, which allows accesses of 16 bytes. Raises
    InputError for another architecture or type, and under ``TRITON_INTERPRET``.
    """
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile
    from triton.runtime.jit import JITFunction

    _check_options(capability, dtypes)
    if not isinstance(kernel, JITFunction):
        raise InputError("kernels cannot be compiled while TRITON_INTERPRET is set; unset it and start again")
    kinds = {name: TYPES[dtypes[name]] if name in dtypes else "i32" for name in kernel.arg_names}
    signature = {name: "constexpr" if name in constants else kind for name, kind in kinds.items()}
    multiples = {(i,): ALIGNED for i, name in enumerate(signature) if name in dtypes or name in aligned}
    source = ASTSource(kernel, signature, dict(constants), multiples)
    compiled = compile(source, target=GPUTarget("cuda", capability, 32), options=LAUNCH_OPTIONS)
    parameters = tuple(name for name, kind in signature.items() if kind != "constexpr")
    return CompiledKernel(
        name=compiled.metadata.name,
        ptx=_strip_extras(compiled.asm["ptx"], len(parameters)),
        parameters=parameters,
        threads=32 * compiled.metadata.num_warps,
        shared_bytes=compiled.metadata.shared,
        capability=capability,
    )


def _check_options(capability: int, dtypes: Mapping[str, torch.dtype]) -> None:
    if capability not in CAPABILITIES:
        known = ", ".join(f"{number} ({cards})" for number, cards in CAPABILITIES.items())
        raise InputError(f"compute capability {capability} is not supported by the kernels; choose one of {known}")
    for name, dtype in dtypes.items():
        if dtype not in TYPES:
            known = ", ".join(str(each).removeprefix("torch.") for each in TYPES)
            raise InputError(f"tensor {name} cannot be {dtype} in a kernel; choose one of {known}")


def _strip_extras(ptx: str, count: int) -> str:
    """Keep only the first ``count`` parameters of ``ptx``, and remove the paths of this machine.

    Triton appends pointers to scratch memory and notes on source lines. These kernels do not use the pointers, and
    TensorRT does not pass them.
    """
    entry = re.search(r"\.entry \w+\((.*?)\n\)", ptx, re.DOTALL)
    assert entry is not None
    declared = entry[1].split(",\n")
    extra = [declaration.split()[-1] for declaration in declared[count:]]
    assert not any(f"[{name}" in ptx for name in extra), "the kernel uses scratch memory"
    ptx = ptx[: entry.start(1)] + ",\n".join(declared[:count]) + ptx[entry.end(1) :]
    return "\n".join(_strip_line_info(ptx)) + "\n"


def _strip_line_info(ptx: str) -> Iterator[str]:
    """Iterate over the lines of ``ptx`` before its debug sections, which refer to source files."""
    for line in ptx.splitlines():
        if line.lstrip().startswith(".section"):
            return
        if not line.lstrip().startswith((".loc", ".file")):
            yield line
