"""The two epilogues as plugins of classic TensorRT, from the kernels in Triton's language.

They are plugins compiled ahead of time (``tensorrt.plugin.aot_impl``): the kernel stands in the engine as PTX, and running the
engine needs neither Python nor Triton. Everything about a launch but the batch is known when the engine is built. Grids and
integers are those of ``kernels.launch_conv`` and ``kernels.launch_upsample``.

Inputs and output are those of ``infgen.export.epilogues``; no output shares memory with an input.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from infgen.export import kernels
from infgen.export.functions import DOMAIN, MODULATED_CONV, UPSAMPLE, Operator
from infgen.export.ptx import CAPABILITIES, CompiledKernel, compile_ptx

Size = tuple[int, ...]  # (B, C, H, W); B is below 0 where it is free
TYPES = {"FLOAT": ("FP32", torch.float32), "HALF": ("FP16", torch.float16), "BF16": ("BF16", torch.bfloat16)}
OLDEST = 80  # compute capability times ten: PTX for it runs on every later GPU
HALF_CHANNELS = (
    8  # TensorRT pads channels-last half precision to multiples of this; lanes that stay unwritten may hold NaN
)
_SOME_BATCH = 2  # stands for a free batch where strides are worked out: none depends on it


@dataclass(frozen=True)
class Launch:
    """How a kernel of ``infgen.export.kernels`` runs. Its grid is ``blocks`` and the batch."""

    kernel: Any
    constants: dict[str, int]  # of the compiler
    integers: dict[str, int]  # all others, by the kernel's names
    blocks: tuple[int, int]

    def compiled(self, *, capability: int, dtype: torch.dtype) -> CompiledKernel:
        """The kernel for activations of ``dtype``. Integers that are 1 become constants, as when Triton itself launches."""
        names = ("y", "terms", "energy", "noise", "strength", "bias", "out")
        dtypes = {name: dtype if name in ("y", "out") else torch.float32 for name in names}
        ones = {name: 1 for name, value in self.integers.items() if value == 1}
        aligned = [name for name, value in self.integers.items() if value % 16 == 0]
        constants = self.constants | ones
        return compile_ptx(self.kernel, capability=capability, dtypes=dtypes, constants=constants, aligned=aligned)


LaunchRule = Callable[..., Launch]


def conv_launch(y: Size, terms: Size, *, channels_last: bool) -> Launch:
    """The launch of ``modulated_conv_kernel`` for ``y`` (B, O, H, W) and ``terms`` (B or 1, T, H or 1, W or 1)."""
    plane = _plane(y, channels_last=channels_last)
    planes = [plane, _spread(terms, plane, plane.shape[2:]), plane]
    if all(x.stride(2) == x.shape[3] * x.stride(3) for x in planes):  # blocks need not end where a row ends
        planes = [x.as_strided((*x.shape[:2], 1, x.shape[2] * x.shape[3]), x.stride()) for x in planes]
    _, channels, height, width = planes[0].shape
    constants = kernels.conv_constants(width, channels, channels_last=channels_last)
    blocks = height * _blocks(width, constants["BLOCK_W"]), _blocks(channels, constants["BLOCK_O"])
    sizes = {"height": height, "width": width, "channels": channels, "count": terms[1]}
    return Launch(kernels.modulated_conv_kernel, constants, sizes | _steps(planes), blocks)


def upsample_launch(y: Size, terms: Size, *, channels_last: bool) -> Launch:
    """The launch of ``upsample_kernel`` for ``y`` (B, O, 2n+1, 2m+1) and ``terms`` (B or 1, T, n or 1, m or 1)."""
    plane = _plane(y, channels_last=channels_last)
    channels, rows, columns = y[1], y[2] // 2, y[3] // 2
    out = _plane((y[0], channels, y[2] - 4, y[3] - 4), channels_last=channels_last)
    uniform = tuple(terms[2:]) == (1, 1)
    constants = kernels.upsample_constants(columns, channels, channels_last=channels_last, uniform=uniform)
    strips = _blocks(rows - 1, constants["ROWS"])
    blocks = strips * _blocks(columns - 1, constants["BLOCK_W"]), _blocks(channels, constants["BLOCK_O"])
    sizes = {"rows": rows, "columns": columns, "channels": channels, "count": terms[1]}
    planes = [plane, _spread(terms, plane, (rows, columns)), out]
    return Launch(kernels.upsample_kernel, constants, sizes | _steps(planes), blocks)


PLUGINS: tuple[tuple[Operator, LaunchRule], ...] = ((MODULATED_CONV, conv_launch), (UPSAMPLE, upsample_launch))


def _plane(size: Size, *, channels_last: bool) -> Tensor:
    """A tensor without memory, for its strides."""
    batch = size[0] if size[0] > 0 else _SOME_BATCH
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty((batch, *size[1:]), device="meta", memory_format=layout)


def _spread(terms: Size, y: Tensor, lattice: Size) -> Tensor:
    return _plane(terms, channels_last=False).expand(len(y), -1, *lattice)


def _steps(planes: list[Tensor]) -> dict[str, int]:
    return {
        f"{name}_{axis}": x.stride(i)
        for name, x in zip(kernels.NAMES, planes, strict=True)
        for i, axis in enumerate("bohw")
    }


def _blocks(size: int, block: int) -> int:
    return -(-size // block)


def kernel_capability(target: str) -> int:
    """The architecture, as of ``compile_ptx``, whose PTX a GPU of compute capability ``target`` (8.0 or later, as "8.9") runs."""
    own = int(target.replace(".", ""))
    return own if own in CAPABILITIES else OLDEST


def layouts(dtype: str, channels: int) -> list[str]:
    """TensorRT's formats in which a plugin takes activations of ``dtype`` (of ``TYPES``), rows first."""
    if dtype == "FLOAT":
        return ["LINEAR", "HWC"]
    return ["LINEAR", "HWC8"] if channels % HALF_CHANNELS == 0 else ["LINEAR"]


def register(plugin: Any, *, capability: int) -> None:
    """Define both plugins in ``plugin`` (the module ``tensorrt.plugin``), once a process; ``capability``: of ``compile_ptx``."""
    for operator, rule in PLUGINS:
        _define(plugin, operator, rule, capability)


def _define(plugin: Any, operator: Operator, rule: LaunchRule, capability: int) -> None:
    """TensorRT asks for signatures: these inputs by name, and types of the module itself."""

    def describe(y: Any, terms: Any, energy: Any, noise: Any, strength: Any, bias: Any) -> Any:
        (batch, channels, _, _), (_, _, height, width) = y.shape_expr, noise.shape_expr
        return plugin.from_shape_expr((batch, channels, height, width), y.dtype)

    def formats(y: Any, terms: Any, energy: Any, noise: Any, strength: Any, bias: Any, outputs: Any) -> Any:
        own = TYPES[y.dtype.name][0]
        types = ", ".join([own, *["FP32"] * 5, own])
        return [
            plugin.AutoTuneCombination(types, ", ".join([layout, *["LINEAR"] * 5, layout]))
            for layout in layouts(y.dtype.name, y.shape[1])
        ]

    def kernel(y: Any, terms: Any, energy: Any, noise: Any, strength: Any, bias: Any, outputs: Any, tactic: Any) -> Any:
        launch = rule(tuple(y.shape), tuple(terms.shape), channels_last=y.format.name != "LINEAR")
        code = launch.compiled(capability=capability, dtype=TYPES[y.dtype.name][1])
        params = plugin.KernelLaunchParams()
        params.grid_x, params.grid_y = launch.blocks
        params.grid_z = y.shape_expr[0]
        params.block_x, params.shared_mem = code.threads, code.shared_bytes
        integers = [launch.integers[name] for name in code.parameters if name in launch.integers]
        return code.name, code.ptx, params, plugin.SymIntExprs.from_tuple([plugin.SymInt32(n) for n in integers])

    identity = f"{DOMAIN}::{operator.name}"
    describe.__annotations__ = dict.fromkeys((*operator.inputs, "return"), plugin.TensorDesc)
    formats.__annotations__ = {}
    kernel.__annotations__ = {"return": tuple[str, str, plugin.KernelLaunchParams, plugin.SymIntExprs]}
    plugin.register(identity)(describe)
    plugin.autotune(identity)(formats)
    plugin.aot_impl(identity)(kernel)
