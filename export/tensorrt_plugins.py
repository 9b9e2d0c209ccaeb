"""The two epilogues as plugins of classic TensorRT, with the kernels in the Triton language.

The plugins are compiled ahead of time (``tensorrt.plugin.aot_impl``): the engine contains the kernel as PTX, and running it
needs neither Python nor Triton. All values of a launch except the batch are fixed when the engine is built. Grids and
integers are those of ``kernels.launch_conv`` and ``kernels.launch_upsample``.

Inputs and output are those of ``infgen.export.epilogues``. The output shares no memory with an input.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from infgen.export import kernels
from infgen.export.functions import DOMAIN, MODULATED_CONV, UPSAMPLE, Operator
from infgen.export.ptx import CAPABILITIES, CompiledKernel, compile_ptx

Size = tuple[int, ...]  # (B, C, H, W); a negative B is dynamic
TYPES = {"FLOAT": ("FP32", torch.float32), "HALF": ("FP16", torch.float16), "BF16": ("BF16", torch.bfloat16)}
MIN_CAPABILITY = 80  # compute capability times ten: PTX for it runs on every later GPU
# TensorRT pads channels-last half precision to multiples of this. Lanes that are not written may contain NaN.
HALF_CHANNELS = 8
_EXAMPLE_BATCH = 2  # for strides with a dynamic batch, which do not depend on it


@dataclass(frozen=True)
class Launch:
    """Launch parameters of a kernel of ``infgen.export.kernels``. The grid is ``blocks`` and the batch."""

    kernel: Any
    constants: dict[str, int]  # compile-time parameters
    integers: dict[str, int]  # all other integers, by parameter name
    blocks: tuple[int, int]

    def compile(self, *, capability: int, dtype: torch.dtype) -> CompiledKernel:
        """Compile the kernel for activations of ``dtype``. Integers equal to 1 become constants, as in Triton's own launches."""
        names = ("y", "terms", "energy", "noise", "strength", "bias", "out")
        dtypes = {name: dtype if name in ("y", "out") else torch.float32 for name in names}
        ones = {name: 1 for name, value in self.integers.items() if value == 1}
        aligned = [name for name, value in self.integers.items() if value % 16 == 0]
        constants = self.constants | ones
        return compile_ptx(self.kernel, capability=capability, dtypes=dtypes, constants=constants, aligned=aligned)


LaunchRule = Callable[..., Launch]


def conv_launch(y: Size, terms: Size, *, channels_last: bool) -> Launch:
    """Make the launch of ``modulated_conv_kernel`` for ``y`` (B, O, H, W) and ``terms`` (B or 1, T, H or 1, W or 1)."""
    plane = _meta_tensor(y, channels_last=channels_last)
    planes = [plane, _broadcast_terms(terms, plane, plane.shape[2:]), plane]
    if all(x.stride(2) == x.shape[3] * x.stride(3) for x in planes):  # blocks may then span rows
        planes = [x.as_strided((*x.shape[:2], 1, x.shape[2] * x.shape[3]), x.stride()) for x in planes]
    _, channels, height, width = planes[0].shape
    constants = kernels.conv_constants(width, channels, channels_last=channels_last)
    blocks = height * _block_count(width, constants["BLOCK_W"]), _block_count(channels, constants["BLOCK_O"])
    sizes = {"height": height, "width": width, "channels": channels, "count": terms[1]}
    return Launch(kernels.modulated_conv_kernel, constants, sizes | _strides(planes), blocks)


def upsample_launch(y: Size, terms: Size, *, channels_last: bool) -> Launch:
    """Make the launch of ``upsample_kernel`` for ``y`` (B, O, 2n+1, 2m+1) and ``terms`` (B or 1, T, n or 1, m or 1)."""
    plane = _meta_tensor(y, channels_last=channels_last)
    channels, rows, columns = y[1], y[2] // 2, y[3] // 2
    out = _meta_tensor((y[0], channels, y[2] - 4, y[3] - 4), channels_last=channels_last)
    uniform = tuple(terms[2:]) == (1, 1)
    constants = kernels.upsample_constants(columns, channels, channels_last=channels_last, uniform=uniform)
    strips = _block_count(rows - 1, constants["ROWS"])
    blocks = strips * _block_count(columns - 1, constants["BLOCK_W"]), _block_count(channels, constants["BLOCK_O"])
    sizes = {"rows": rows, "columns": columns, "channels": channels, "count": terms[1]}
    planes = [plane, _broadcast_terms(terms, plane, (rows, columns)), out]
    return Launch(kernels.upsample_kernel, constants, sizes | _strides(planes), blocks)


PLUGINS: tuple[tuple[Operator, LaunchRule], ...] = ((MODULATED_CONV, conv_launch), (UPSAMPLE, upsample_launch))


def _meta_tensor(size: Size, *, channels_last: bool) -> Tensor:
    """Make a tensor without memory, to compute its strides."""
    batch = size[0] if size[0] > 0 else _EXAMPLE_BATCH
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty((batch, *size[1:]), device="meta", memory_format=layout)


def _broadcast_terms(terms: Size, y: Tensor, lattice: Size) -> Tensor:
    return _meta_tensor(terms, channels_last=False).expand(len(y), -1, *lattice)


def _strides(planes: list[Tensor]) -> dict[str, int]:
    return {
        f"{name}_{axis}": x.stride(i)
        for name, x in zip(kernels.NAMES, planes, strict=True)
        for i, axis in enumerate("bohw")
    }


def _block_count(size: int, block: int) -> int:
    return -(-size // block)


def kernel_capability(target: str) -> int:
    """Architecture for ``compile_ptx`` whose PTX runs on a GPU of compute capability ``target``, such as "8.9" (8.0 or later)."""
    number = int(target.replace(".", ""))
    return number if number in CAPABILITIES else MIN_CAPABILITY


def layouts(dtype: str, channels: int) -> list[str]:
    """List TensorRT's memory formats that a plugin accepts for activations of ``dtype`` (of ``TYPES``), NCHW first."""
    if dtype == "FLOAT":
        return ["LINEAR", "HWC"]
    return ["LINEAR", "HWC8"] if channels % HALF_CHANNELS == 0 else ["LINEAR"]


def register(plugin: Any, *, capability: int) -> None:
    """Define both plugins in ``plugin`` (module ``tensorrt.plugin``), once per process; ``capability`` as for ``compile_ptx``."""
    for operator, rule in PLUGINS:
        _define(plugin, operator, rule, capability)


def _define(plugin: Any, operator: Operator, rule: LaunchRule, capability: int) -> None:
    """Define one plugin. TensorRT inspects the signatures: inputs by name, and types of its own module."""

    def describe(y: Any, terms: Any, energy: Any, noise: Any, strength: Any, bias: Any) -> Any:
        (batch, channels, _, _), (_, _, height, width) = y.shape_expr, noise.shape_expr
        return plugin.from_shape_expr((batch, channels, height, width), y.dtype)

    def formats(y: Any, terms: Any, energy: Any, noise: Any, strength: Any, bias: Any, outputs: Any) -> Any:
        dtype_name = TYPES[y.dtype.name][0]
        types = ", ".join([dtype_name, *["FP32"] * 5, dtype_name])
        return [
            plugin.AutoTuneCombination(types, ", ".join([layout, *["LINEAR"] * 5, layout]))
            for layout in layouts(y.dtype.name, y.shape[1])
        ]

    def kernel(y: Any, terms: Any, energy: Any, noise: Any, strength: Any, bias: Any, outputs: Any, tactic: Any) -> Any:
        launch = rule(tuple(y.shape), tuple(terms.shape), channels_last=y.format.name != "LINEAR")
        code = launch.compile(capability=capability, dtype=TYPES[y.dtype.name][1])
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
