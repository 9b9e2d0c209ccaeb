"""GPU kernels for the two epilogues in the Triton language. Each reads the convolution's output and writes the result once.

``infgen.export.epilogues`` defines the operators. After ``register()`` they run these kernels for CUDA tensors.
``infgen.export.ptx`` compiles the same source ahead of time. Needs the extra ``kernels``.

A program computes one *block* at a time: ``BLOCK_W`` neighbours in a row by ``BLOCK_O`` output channels, as a matrix whose
last axis is contiguous in memory. Strides are in elements. Arithmetic is float32, addresses are 64-bit.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from infgen.export import epilogues
from infgen.extras import require_extra
from infgen.model.layers import LEAK

with require_extra("kernels", "a GPU kernel"):
    import triton
    import triton.language as tl

# Adjacent threads must access adjacent memory. In channels-last layout, 64 channels of 16 bits fill a cache line, which 8
# threads read with 16 bytes each. In NCHW layout, a block has 128 neighbours of a row, read one by one: rows are unaligned.
CHANNEL_RUN, ROW_RUN = 64, 128
CONV_VALUES = 2048  # per block: 16 per thread, enough concurrent loads to hide their latency
UPSAMPLE_VALUES = 512  # fewer, because a program keeps seven float32 matrices of this size from row to row
UPSAMPLE_ROWS = 8  # lattice rows per program, which reads 18 rows of y and writes 16
LAUNCH_OPTIONS = {"num_warps": 4, "enable_fp_fusion": True}  # explicit, because defaults depend on the version

NAMES = ("y", "terms", "out")  # tensors whose strides are kernel arguments
SLOPE = tl.constexpr(LEAK)
jit: Callable[[Callable[..., Any]], Any] = triton.jit


@jit
def _block(number: tl.tensor, CHANNELS_LAST: tl.constexpr, BLOCK_W: tl.constexpr, BLOCK_O: tl.constexpr) -> tl.tuple:
    """Compute columns and channels of block ``number`` of a row, 64-bit, along their axes of the block."""
    column = number * BLOCK_W + tl.arange(0, BLOCK_W).to(tl.int64)
    channel = tl.program_id(1) * BLOCK_O + tl.arange(0, BLOCK_O).to(tl.int64)
    if CHANNELS_LAST:
        column, channel = column[:, None], channel[None, :]
    else:
        column, channel = column[None, :], channel[:, None]
    return column, channel


@jit
def _activate(x: tl.tensor, noise: tl.tensor, strength: tl.tensor, bias: tl.tensor, inside: tl.tensor) -> tl.tensor:
    """leaky_relu(x + noise * strength + bias). ``noise``: pointers; ``inside``: mask of the valid ones."""
    x += tl.load(noise, mask=inside, other=0.0).to(tl.float32) * strength + bias
    return tl.where(x > 0, x, x * SLOPE)


@jit
def _demodulation(
    terms: tl.tensor,
    terms_o: tl.tensor,
    energy: tl.tensor,
    channels: tl.tensor,
    count: tl.tensor,
    column_in: tl.tensor,
    channel_in: tl.tensor,
) -> tl.tensor:
    """rsqrt(sum_t terms * energy) of a block. ``terms`` and ``energy`` point to the first term and its energies."""
    # 1 outside the mask: these values are not stored, and they avoid a division by zero
    total = tl.load(terms, mask=column_in, other=1.0) * tl.load(energy, mask=channel_in, other=1.0)
    for _ in range(1, count):
        terms += terms_o
        energy += channels
        total += tl.load(terms, mask=column_in, other=0.0) * tl.load(energy, mask=channel_in, other=0.0)
    return tl.rsqrt(total)


@jit
def modulated_conv_kernel(
    y: tl.tensor, terms: tl.tensor, energy: tl.tensor, noise: tl.tensor, strength: tl.tensor, bias: tl.tensor,
    height: tl.tensor, width: tl.tensor, channels: tl.tensor, count: tl.tensor,
    y_b: tl.tensor, y_o: tl.tensor, y_h: tl.tensor, y_w: tl.tensor,
    terms_b: tl.tensor, terms_o: tl.tensor, terms_h: tl.tensor, terms_w: tl.tensor,
    out_b: tl.tensor, out_o: tl.tensor, out_h: tl.tensor, out_w: tl.tensor, out: tl.tensor,
    CHANNELS_LAST: tl.constexpr, BLOCK_W: tl.constexpr, BLOCK_O: tl.constexpr,
) -> None:  # fmt: skip
    """leaky_relu(y * demodulation + noise * strength + bias). Grid: (blocks of all rows, blocks of channels, B).

    ``channels`` is O, ``count`` is T, ``terms_o`` is the stride of a term. Energy, noise and bias are contiguous.
    """
    blocks = tl.cdiv(width, BLOCK_W)
    batch, row = tl.program_id(2).to(tl.int64), (tl.program_id(0) // blocks).to(tl.int64)
    column, channel = _block(tl.program_id(0) % blocks, CHANNELS_LAST, BLOCK_W, BLOCK_O)
    column_in, channel_in = column < width, channel < channels
    inside = column_in & channel_in

    terms += batch * terms_b + row * terms_h + column * terms_w
    factors = _demodulation(terms, terms_o, energy + channel, channels, count, column_in, channel_in)
    y += batch * y_b + row * y_h + column * y_w + channel * y_o
    x = tl.load(y, mask=inside, other=0.0).to(tl.float32) * factors

    noise += (batch * height + row) * width + column
    shift = tl.load(bias + channel, mask=channel_in, other=0.0).to(tl.float32)
    x = _activate(x, noise, tl.load(strength).to(tl.float32), shift, column_in)
    out += batch * out_b + row * out_h + column * out_w + channel * out_o
    tl.store(out, x.to(out.dtype.element_ty), mask=inside)


@jit
def _lattice_row(
    terms: tl.tensor, terms_o: tl.tensor, terms_w: tl.tensor, energy: tl.tensor, channels: tl.tensor, count: tl.tensor,
    even_in: tl.tensor, odd_in: tl.tensor, channel_in: tl.tensor, UNIFORM: tl.constexpr,
) -> tl.tuple:  # fmt: skip
    """Demodulation at lattice columns q, q+1 (mask ``even_in``) and q+2 (mask ``odd_in``); 1 if it is uniform."""
    if UNIFORM:
        first = tl.full([], 1.0, tl.float32)
        second, third = first, first
    else:
        scale = tl.load(energy, mask=channel_in, other=1.0)
        first = tl.load(terms, mask=even_in, other=1.0) * scale
        second = tl.load(terms + terms_w, mask=even_in, other=1.0) * scale
        third = tl.load(terms + 2 * terms_w, mask=odd_in, other=1.0) * scale
        for _ in range(1, count):
            terms += terms_o
            energy += channels
            scale = tl.load(energy, mask=channel_in, other=0.0)
            first += tl.load(terms, mask=even_in, other=0.0) * scale
            second += tl.load(terms + terms_w, mask=even_in, other=0.0) * scale
            third += tl.load(terms + 2 * terms_w, mask=odd_in, other=0.0) * scale
        first, second, third = tl.rsqrt(first), tl.rsqrt(second), tl.rsqrt(third)
    return first, second, third


@jit
def _blur_row(
    y: tl.tensor,
    y_w: tl.tensor,
    first: tl.tensor,
    second: tl.tensor,
    third: tl.tensor,
    even_in: tl.tensor,
    odd_in: tl.tensor,
) -> tl.tuple:
    """Filter a row of y times the interpolated demodulation with [1, 2, 1], at output columns 2q and 2q+1.

    ``y`` points to fine column 2q. ``first`` to ``third`` are the demodulation at lattice columns q to q+2.
    """
    a = tl.load(y, mask=even_in, other=0.0).to(tl.float32) * first
    b = tl.load(y + y_w, mask=even_in, other=0.0).to(tl.float32) * (0.5 * (first + second))
    c = tl.load(y + 2 * y_w, mask=even_in, other=0.0).to(tl.float32) * second
    d = tl.load(y + 3 * y_w, mask=odd_in, other=0.0).to(tl.float32) * (0.5 * (second + third))
    return a + 2 * b + c, b + 2 * c + d


@jit
def _store_row(
    out: tl.tensor, out_w: tl.tensor, noise: tl.tensor, strength: tl.tensor, shift: tl.tensor,
    even: tl.tensor, odd: tl.tensor, even_in: tl.tensor, odd_in: tl.tensor, channel_in: tl.tensor,
) -> None:  # fmt: skip
    """Activate and store output columns 2q (mask ``even_in``) and 2q+1 (mask ``odd_in``) of a row."""
    even = _activate(even, noise, strength, shift, even_in)
    odd = _activate(odd, noise + 1, strength, shift, odd_in)
    tl.store(out, even.to(out.dtype.element_ty), mask=even_in & channel_in)
    tl.store(out + out_w, odd.to(out.dtype.element_ty), mask=odd_in & channel_in)


@jit
def upsample_kernel(
    y: tl.tensor, terms: tl.tensor, energy: tl.tensor, noise: tl.tensor, strength: tl.tensor, bias: tl.tensor,
    rows: tl.tensor, columns: tl.tensor, channels: tl.tensor, count: tl.tensor,
    y_b: tl.tensor, y_o: tl.tensor, y_h: tl.tensor, y_w: tl.tensor,
    terms_b: tl.tensor, terms_o: tl.tensor, terms_h: tl.tensor, terms_w: tl.tensor,
    out_b: tl.tensor, out_o: tl.tensor, out_h: tl.tensor, out_w: tl.tensor, out: tl.tensor,
    CHANNELS_LAST: tl.constexpr, UNIFORM: tl.constexpr,
    BLOCK_W: tl.constexpr, BLOCK_O: tl.constexpr, ROWS: tl.constexpr,
) -> None:  # fmt: skip
    """Crop, demodulation, blur, noise, bias, leaky ReLU. Grid: (blocks of all strips of ROWS rows, blocks of channels, B).

    ``rows`` and ``columns`` are n and m; the other arguments are as above. Lattice position (p, q) gives output rows 2p, 2p+1
    and columns 2q, 2q+1, from fine rows 2p .. 2p+3 and columns 2q .. 2q+3 (counted after the crop) and demodulation at p .. p+2
    and q .. q+2. Values shared along a column stay in registers; values shared along a row come from the cache.
    """
    blocks = tl.cdiv(columns - 1, BLOCK_W)
    batch, top = tl.program_id(2).to(tl.int64), (tl.program_id(0) // blocks).to(tl.int64) * ROWS
    column, channel = _block(tl.program_id(0) % blocks, CHANNELS_LAST, BLOCK_W, BLOCK_O)
    channel_in = channel < channels
    even_in, odd_in = column < columns - 1, column < columns - 2
    even_inside, odd_inside = even_in & channel_in, odd_in & channel_in

    energy += channel
    shift = tl.load(bias + channel, mask=channel_in, other=0.0).to(tl.float32)
    gain = tl.load(strength).to(tl.float32)
    terms += batch * terms_b + column * terms_w
    scale = tl.full([], 0.25, tl.float32)
    if UNIFORM:
        scale *= _demodulation(terms, terms_o, energy, channels, count, even_in, channel_in)

    terms += top * terms_h
    y += batch * y_b + (2 * top + 1) * y_h + (2 * column + 1) * y_w + channel * y_o
    a0, b0, c0 = _lattice_row(terms, terms_o, terms_w, energy, channels, count, even_in, odd_in, channel_in, UNIFORM)
    terms += terms_h
    a1, b1, c1 = _lattice_row(terms, terms_o, terms_w, energy, channels, count, even_in, odd_in, channel_in, UNIFORM)
    even0, odd0 = _blur_row(y, y_w, a0, b0, c0, even_inside, odd_inside)
    y += y_h
    even1, odd1 = _blur_row(y, y_w, 0.5 * (a0 + a1), 0.5 * (b0 + b1), 0.5 * (c0 + c1), even_inside, odd_inside)

    width = 2 * columns - 3
    noise += (batch * (2 * rows - 3) + 2 * top) * width + 2 * column
    out += batch * out_b + 2 * top * out_h + 2 * column * out_w + channel * out_o
    for step in range(tl.minimum(ROWS, rows - 1 - top)):
        end = tl.where(top + step < rows - 2, columns, 0)  # the last lattice row gives one output row
        even_in2, odd_in2 = column < end - 1, column < end - 2
        terms += terms_h
        a2, b2, c2 = _lattice_row(
            terms, terms_o, terms_w, energy, channels, count, even_in2, odd_in2, channel_in, UNIFORM
        )
        y += y_h
        even2, odd2 = _blur_row(y, y_w, a1, b1, c1, even_inside, odd_inside)
        y += y_h
        a, b, c = 0.5 * (a1 + a2), 0.5 * (b1 + b2), 0.5 * (c1 + c2)
        even3, odd3 = _blur_row(y, y_w, a, b, c, even_in2 & channel_in, odd_in2 & channel_in)

        even, odd = (even0 + 2 * even1 + even2) * scale, (odd0 + 2 * odd1 + odd2) * scale
        _store_row(out, out_w, noise, gain, shift, even, odd, even_in, odd_in, channel_in)
        even, odd = (even1 + 2 * even2 + even3) * scale, (odd1 + 2 * odd2 + odd3) * scale
        _store_row(out + out_h, out_w, noise + width, gain, shift, even, odd, even_in2, odd_in2, channel_in)
        noise += 2 * width
        out += 2 * out_h
        a1, b1, c1 = a2, b2, c2
        even0, odd0, even1, odd1 = even2, odd2, even3, odd3


def _block_constants(values: int, width: int, channels: int, *, channels_last: bool, row_run: int) -> dict[str, int]:
    """Choose a block of at most ``values``, long along the axis that is contiguous in memory. Sizes are powers of two."""
    wide, deep = triton.next_power_of_2(width), triton.next_power_of_2(channels)
    if channels_last:
        deep = min(deep, CHANNEL_RUN)
        wide = min(wide, values // deep)
    else:
        wide = min(wide, row_run)
        deep = min(deep, values // wide)
    return {"CHANNELS_LAST": channels_last, "BLOCK_W": wide, "BLOCK_O": deep}


def conv_constants(width: int, channels: int, *, channels_last: bool) -> dict[str, int]:
    """Choose the constants of ``modulated_conv_kernel`` for rows of ``width`` positions."""
    return _block_constants(CONV_VALUES, width, channels, channels_last=channels_last, row_run=ROW_RUN)


def upsample_constants(columns: int, channels: int, *, channels_last: bool, uniform: bool) -> dict[str, int]:
    """Choose the constants of ``upsample_kernel`` for m ``columns`` of the lattice; ``uniform``: terms are (B or 1, T, 1, 1)."""
    block = _block_constants(UPSAMPLE_VALUES, columns - 1, channels, channels_last=channels_last, row_run=ROW_RUN // 2)
    return {**block, "UNIFORM": uniform, "ROWS": UPSAMPLE_ROWS}


def _check_size(name: str, tensor: Tensor, *allowed: tuple[int, ...]) -> None:
    if tuple(tensor.shape) not in allowed:
        raise ValueError(f"{name} must have size {' or '.join(map(str, allowed))}, not {tuple(tensor.shape)}")


def _check_inputs(y: Tensor, others: tuple[Tensor, ...], lattice: tuple[int, int], size: tuple[int, int]) -> None:
    """Raise ValueError unless all sizes match the demodulation lattice and the output: a kernel checks no bounds."""
    terms, energy, noise, strength, bias = others
    batch, channels = y.shape[:2]
    count = energy.shape[0]
    _check_size("energy", energy, (count, channels))
    sizes = itertools.product((1, batch), (count,), (1, lattice[0]), (1, lattice[1]))
    _check_size("terms", terms, *dict.fromkeys(sizes))
    _check_size("noise", noise, (batch, 1, *size))
    _check_size("strength", strength, ())
    _check_size("bias", bias, (channels,))
    other_devices = {str(x.device) for x in others} - {str(y.device)}
    if other_devices:
        raise ValueError(f"y is on {y.device}, other tensors are on {', '.join(sorted(other_devices))}")


def _are_channels_last(x: Tensor) -> bool:
    return x.stride(1) < x.stride(3)


def _is_one_row(x: Tensor) -> bool:
    return x.stride(2) == x.shape[3] * x.stride(3)


def _as_one_row(x: Tensor) -> Tensor:
    return x.as_strided((*x.shape[:2], 1, x.shape[2] * x.shape[3]), x.stride())


def _launch(
    kernel: Any, grid: tuple[int, int, int], planes: list[Tensor], operands: tuple[Tensor, ...], **sizes: int
) -> None:
    """Launch ``kernel`` with ``planes`` (y, terms, output) and ``operands`` (energy, noise, strength, bias)."""
    energy, noise, strength, bias = operands
    y, terms, out = planes
    strides = {
        f"{name}_{axis}": x.stride(i) for name, x in zip(NAMES, planes, strict=True) for i, axis in enumerate("bohw")
    }
    with torch.cuda.device_of(y):  # type: ignore[no-untyped-call]
        kernel[grid](
            *(y, terms, energy.float().contiguous(), noise.contiguous(), strength, bias.contiguous()),
            **{"out": out, "channels": out.shape[1], "count": len(energy)},
            **strides,
            **sizes,
            **LAUNCH_OPTIONS,
        )


def launch_conv(y: Tensor, terms: Tensor, energy: Tensor, noise: Tensor, strength: Tensor, bias: Tensor) -> Tensor:
    """Run the kernel of ``epilogues.modulated_conv_epilogue``. The result has y's memory layout; ValueError for other sizes."""
    _check_inputs(y, (terms, energy, noise, strength, bias), (y.shape[2], y.shape[3]), (y.shape[2], y.shape[3]))
    out = torch.empty_like(y)
    if out.numel() == 0:
        return out
    planes = [y, terms.float().expand(len(y), -1, *y.shape[2:]), out]
    if all(_is_one_row(x) for x in planes):  # blocks may then span rows
        planes = [_as_one_row(x) for x in planes]
    batch, channels, height, width = planes[0].shape
    constants = conv_constants(width, channels, channels_last=_are_channels_last(planes[0]))
    blocks = height * triton.cdiv(width, constants["BLOCK_W"])
    grid = (blocks, triton.cdiv(channels, constants["BLOCK_O"]), batch)
    operands = (energy, noise, strength, bias)
    _launch(modulated_conv_kernel, grid, planes, operands, height=height, width=width, **constants)
    return out


def launch_upsample(y: Tensor, terms: Tensor, energy: Tensor, noise: Tensor, strength: Tensor, bias: Tensor) -> Tensor:
    """Run the kernel of ``epilogues.upsample_epilogue``. The result has y's memory layout; ValueError for other sizes."""
    batch, channels, fine_h, fine_w = y.shape
    rows, columns = fine_h // 2, fine_w // 2
    if min(rows, columns) < 2 or fine_h % 2 == 0 or fine_w % 2 == 0:
        raise ValueError(f"y must have odd sizes of 5 or more, not {fine_h} x {fine_w}")
    _check_inputs(y, (terms, energy, noise, strength, bias), (rows, columns), (fine_h - 4, fine_w - 4))
    out = torch.empty_like(y[:, :, 4:, 4:])
    if out.numel() == 0:
        return out
    planes = [y, terms.float().expand(batch, -1, rows, columns), out]
    uniform = terms.shape[2:] == (1, 1)
    constants = upsample_constants(columns, channels, channels_last=_are_channels_last(y), uniform=uniform)
    blocks = triton.cdiv(rows - 1, constants["ROWS"]) * triton.cdiv(columns - 1, constants["BLOCK_W"])
    grid = (blocks, triton.cdiv(channels, constants["BLOCK_O"]), batch)
    operands = (energy, noise, strength, bias)
    _launch(upsample_kernel, grid, planes, operands, rows=rows, columns=columns, **constants)
    return out


@functools.cache
def register() -> None:
    """Register these kernels for CUDA tensors with the operators of ``infgen.export.epilogues``, also for compiled models."""
    epilogues.modulated_conv_epilogue.register_kernel("cuda")(launch_conv)
    epilogues.upsample_epilogue.register_kernel("cuda")(launch_upsample)
