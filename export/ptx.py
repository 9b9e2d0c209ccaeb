"""Kernels compiled ahead of time to PTX, the GPU's portable assembly: no GPU is needed here, and no Triton where it runs.

TensorRT embeds such a text in an engine and passes a kernel its pointers and 32-bit integers in the order of ``parameters``.
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
ALIGNED = [["tt.divisibility", 16]]  # Triton's way to say "a multiple of 16"


@dataclass(frozen=True)
class CompiledKernel:
    """A kernel for one architecture, types and layout, and what a launcher has to know about it."""

    name: str  # the entry point in ``ptx``
    ptx: str
    parameters: tuple[str, ...]  # pointers and 32-bit integers, in the order in which they are passed
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

    ``dtypes`` gives the type of every tensor; ``constants`` the value of every upper-case parameter and of those others
    that are always the same (a stride of 1, so that accesses are seen to be contiguous). Other parameters are integers;
    those in ``aligned`` are multiples of 16, as tensors' addresses must be, which allows accesses of 16 bytes. Raises InputError
    for another architecture or type, and under ``TRITON_INTERPRET``.
    """
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile
    from triton.runtime.jit import JITFunction

    _check(capability, dtypes)
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
        ptx=_without_extras(compiled.asm["ptx"], len(parameters)),
        parameters=parameters,
        threads=32 * compiled.metadata.num_warps,
        shared_bytes=compiled.metadata.shared,
        capability=capability,
    )


def _check(capability: int, dtypes: Mapping[str, torch.dtype]) -> None:
    if capability not in CAPABILITIES:
        known = ", ".join(f"{number} ({cards})" for number, cards in CAPABILITIES.items())
        raise InputError(f"kernels are compiled for compute capability {known}, not {capability}; choose one of these")
    for name, dtype in dtypes.items():
        if dtype not in TYPES:
            known = ", ".join(str(each).removeprefix("torch.") for each in TYPES)
            raise InputError(f"tensor {name} cannot be {dtype} in a kernel; choose one of {known}")


def _without_extras(ptx: str, count: int) -> str:
    """``ptx`` with the first ``count`` parameters, and without paths of this machine.

    Triton appends pointers to scratch memory, which these kernels do not use and TensorRT does not pass, and notes on
    source lines.
    """
    entry = re.search(r"\.entry \w+\((.*?)\n\)", ptx, re.DOTALL)
    assert entry is not None
    declared = entry[1].split(",\n")
    surplus = [declaration.split()[-1] for declaration in declared[count:]]
    assert not any(f"[{name}" in ptx for name in surplus), "the kernel uses scratch memory"
    ptx = ptx[: entry.start(1)] + ",\n".join(declared[:count]) + ptx[entry.end(1) :]
    return "\n".join(_without_line_info(ptx)) + "\n"


def _without_line_info(ptx: str) -> Iterator[str]:
    """Lines of ``ptx`` up to its debug sections, which refer to source files."""
    for line in ptx.splitlines():
        if line.lstrip().startswith(".section"):
            return
        if not line.lstrip().startswith((".loc", ".file")):
            yield line
