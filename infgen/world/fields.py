"""Compute z_g, z_l and the noises z_n as pure functions of seed and lattice position.

One call of Philox 4x32-10 gives four standard normals. Its key is the world's 64-bit seed (low word, high word).
Its counter:

    word 0   x, bits 0 .. 31
    word 1   stream: kind (4 bits: 1 local, 2 noise, 3 global) | convolution (12 bits) | channel group (16 bits)
    word 2   y, bits 0 .. 31
    word 3   x, bits 32 .. 47 (upper half) | y, bits 32 .. 47 (lower half)

x and y are signed 48-bit numbers in two's complement. The four lanes of a call are
    local, global   channels 4*group .. 4*group + 3 at one position (global: x is the index of the latent, y is 0);
    noise           the 2x2 block of positions (2x, 2y) .. (2x + 1, 2y + 1), lane = 2 * (y & 1) + (x & 1).

Changing this layout changes every world.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.geometry import Span, Window
from infgen.world import philox

LOCAL, NOISE, GLOBAL = 1, 2, 3  # kinds of stream

POSITION_LIMIT = 1 << 47
MAX_CHANNELS = 4 << 16
MAX_CONVS = 1 << 12

# Philox makes about 100 passes over five int64 buffers. On a CPU, chunks of this size fit a 2 MB L2 cache. They also stay
# below 32768 elements, where torch starts to split operations over threads: a barrier per pass costs more than it gains.
CPU_CHUNK = 32767
GPU_CHUNK = 1 << 22


def _key(seed: int) -> tuple[int, int]:
    """Return the Philox key of a seed, which is taken modulo 2**64."""
    if not -(1 << 63) <= seed < 1 << 64:
        raise InputError(f"seed {seed} is out of range; allowed are whole numbers from -2**63 to 2**64 - 1")
    return seed & philox.WORD, (seed >> 32) & philox.WORD


def _stream(kind: int, *, conv: int = 0) -> int:
    """Return the stream id of channel group 0."""
    if not 0 <= conv < MAX_CONVS:
        raise InputError(f"texture convolution {conv} is out of range; allowed are 0 to {MAX_CONVS - 1}")
    return kind << 28 | conv << 16


def _groups(channels: int) -> int:
    """Return the number of groups of four that hold ``channels``."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise InputError(f"{channels} channels are out of range; allowed are 1 to {MAX_CHANNELS}")
    return -(-channels // 4)


def _check(span: Span, *, axis: str) -> None:
    if span.size < 0:
        raise InputError(f"window size {span.size} along {axis} is negative; allowed are 0 or more positions")
    if span.start < -POSITION_LIMIT or span.stop > POSITION_LIMIT:
        raise InputError(
            f"{axis} positions {span.start} to {span.stop - 1} are out of range; allowed are -2**47 to 2**47 - 1: "
            "choose a region closer to the origin"
        )


def _positions(span: Span, *, period: int | None, device: torch.device) -> Tensor:
    """Return the positions of a span, (N,) int64, modulo ``period``."""
    if period is not None and period < 1:
        raise InputError(f"period {period} is not positive; allowed are 1 or more positions")
    positions = torch.arange(span.start, span.stop, device=device)
    return positions if period is None else positions.remainder_(period)


def _halves(positions: Tensor) -> tuple[Tensor, Tensor]:
    """Split signed positions into bits 0 .. 31 and 32 .. 47 of their two's complement."""
    return positions & philox.WORD, (positions >> 32) & 0xFFFF


def _chunks(groups: int, height: int, width: int, *, limit: int) -> Iterator[tuple[slice, slice]]:
    """Cut (groups, height, width) into chunks of whole rows, about ``limit`` elements each: slices of groups and rows."""
    rows = max(1, min(height, limit // max(1, width)))
    planes = max(1, limit // max(1, height * width)) if rows == height else 1
    for g in range(0, groups, planes):
        for y in range(0, height, rows):
            yield slice(g, min(g + planes, groups)), slice(y, min(y + rows, height))


def _fill(lanes: Sequence[Tensor], *, seed: int, stream: int, x: Tensor, y: Tensor) -> None:
    """Write the normals of positions ``x`` (W,), ``y`` (H,) into four lanes, each a view (G, H, W) of any strides."""
    key = _key(seed)
    groups, height, width = lanes[0].shape
    (x_low, x_high), (y_low, y_high) = _halves(x), _halves(y)
    streams = torch.arange(stream, stream + groups, device=x.device).view(-1, 1, 1)
    limit = CPU_CHUNK if x.device.type == "cpu" else GPU_CHUNK
    radius, angle = torch.empty(2, 2, groups, height, width, device=x.device)
    for g, rows in _chunks(groups, height, width, limit=limit):
        high = x_high << 16 | y_high[rows].unsqueeze(1)  # (rows, W)
        words = philox.philox4x32((x_low, streams[g], y_low[rows].unsqueeze(1), high), key)
        for word, half, pair in zip(words, (radius, angle, radius, angle), (0, 0, 1, 1), strict=True):
            half[pair, g, rows].copy_(word)
    # Over the whole window at once: torch splits logarithms and sines over threads at any size and waits after each.
    cosines, sines = philox.box_muller(radius, angle)
    for lane, values in zip(lanes, (cosines[0], sines[0], cosines[1], sines[1]), strict=True):
        lane.copy_(values)


def local_latent(
    seed: int,
    window: Window,
    *,
    channels: int,
    period: int | None = None,
    period_y: int | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Compute z_l of a window of cells: (channels, H, W), float32 standard normals.

    ``seed``: -2**63 to 2**64 - 1, taken modulo 2**64. ``period``, ``period_y``: the world repeats along x and
    y after this many cells. The values of a channel do not depend on ``channels``. Raises InputError if an argument is
    out of range: seed, channels (1 to 2**18), periods (1 or more), positions (-2**47 to 2**47 - 1).
    """
    target = torch.device(device)
    for span, axis in ((window.x, "x"), (window.y, "y")):
        _check(span, axis=axis)
    groups = _groups(channels)
    out = torch.empty(groups, 4, *window.shape, device=target)
    x = _positions(window.x, period=period, device=target)
    y = _positions(window.y, period=period_y, device=target)
    _fill(out.unbind(1), seed=seed, stream=_stream(LOCAL), x=x, y=y)
    return out.flatten(0, 1)[:channels]


def noise(
    seed: int,
    window: Window,
    *,
    conv: int,
    period: int | None = None,
    period_y: int | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Compute z_n of texture convolution ``conv`` on a window of the lattice of level conv // 2 + 1: (1, H, W), float32.

    Standard normals; ``seed`` as in ``local_latent``. ``period``, ``period_y``: the world repeats along x and y after this
    many lattice positions. They are even, because every level above the cells doubles the number of positions. Raises
    InputError if an argument is out of range: seed, conv (0 to 4095), periods (even), positions (-2**47 to 2**47 - 1).
    """
    for each in (period, period_y):
        if each is not None and each % 2:
            raise InputError(f"noise period {each} is odd; allowed are even numbers of positions")
    target = torch.device(device)
    for span, axis in ((window.x, "x"), (window.y, "y")):
        _check(span, axis=axis)
    block_x, block_y = _block_span(window.x), _block_span(window.y)
    out = torch.empty(1, 2 * block_y.size, 2 * block_x.size, device=target)
    x = _positions(block_x, period=None if period is None else period // 2, device=target)
    y = _positions(block_y, period=None if period_y is None else period_y // 2, device=target)
    lanes = [out[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    _fill(lanes, seed=seed, stream=_stream(NOISE, conv=conv), x=x, y=y)
    top, left = window.y.start - 2 * block_y.start, window.x.start - 2 * block_x.start
    return out[:, top : top + window.y.size, left : left + window.x.size].contiguous()


def _block_span(span: Span) -> Span:
    """Return the blocks of two positions that cover a span."""
    start = span.start // 2
    return Span(start, -(-span.stop // 2) - start)


def global_latent(seed: int, *, channels: int, index: int = 0, device: torch.device | str = "cpu") -> Tensor:
    """Compute z_g: (channels,), float32 standard normals. ``index``: number of the latent, if a seed has several.

    ``seed`` and ``channels`` as in ``local_latent``. Raises InputError if an argument is out of range.
    """
    target = torch.device(device)
    if not -POSITION_LIMIT <= index < POSITION_LIMIT:
        raise InputError(f"global latent {index} is out of range; allowed are -2**47 to 2**47 - 1")
    groups = _groups(channels)
    out = torch.empty(groups, 4, 1, 1, device=target)
    x = _positions(Span(index, 1), period=None, device=target)
    y = _positions(Span(0, 1), period=None, device=target)
    _fill(out.unbind(1), seed=seed, stream=_stream(GLOBAL), x=x, y=y)
    return out.flatten()[:channels]
