"""Do the two epilogue kernels move their bytes as fast as a GPU can, and what do they gain over separate operations?

    python -m benchmarks.epilogues                        # one style and four, channels last, fp16; needs a CUDA device
    python -m benchmarks.epilogues --layout rows --precision fp32 --rounds 100

The bound is memory: y is read once, the output written once, noise and terms beside them. Its rate is that of a copy of a
tensor as large as y in the same rounds. Rivals: the same arithmetic as separate PyTorch operations in the type of y, and
these compiled by Inductor. All works run in lockstep, a round each, and are checked against the operators' definition first.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import click
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from infgen.bench.machine import machine
from infgen.bench.timing import Work, lockstep
from infgen.export import epilogues
from infgen.model.layers import LEAK, blur

LATTICES = (
    (512, 64),
    (256, 128),
    (128, 256),
    (64, 512),
)  # (channels, n): about the levels of a tile of 1,000 px, full width
REPEATS = 10  # calls a turn, so that starting them costs nothing
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
LAYOUTS = {"channels-last": torch.channels_last, "rows": torch.contiguous_format}
TOLERANCE = {"fp32": 5e-3, "fp16": 5e-2, "bf16": 0.4}  # sums of cancelling terms, in TF32 where conv2d is fp32
Epilogue = Callable[..., Tensor]


def separate_conv(y: Tensor, terms: Tensor, energy: Tensor, noise: Tensor, strength: Tensor, bias: Tensor) -> Tensor:
    """``modulated_conv_epilogue`` as PyTorch operations in the type of ``y`` (B, O, H, W)."""
    factors = epilogues.demodulation(terms, energy).to(y.dtype)
    return _finish(y * factors, noise, strength, bias)


def separate_upsample(
    y: Tensor, terms: Tensor, energy: Tensor, noise: Tensor, strength: Tensor, bias: Tensor
) -> Tensor:
    """``upsample_epilogue`` as PyTorch operations in the type of ``y`` (B, O, 2n+1, 2m+1)."""
    factors = epilogues.upsample_factors(epilogues.demodulation(terms, energy)).to(y.dtype)
    return _finish(blur(y[:, :, 1:-1, 1:-1] * factors), noise, strength, bias)


def _finish(x: Tensor, noise: Tensor, strength: Tensor, bias: Tensor) -> Tensor:
    x = x + noise * strength.to(x.dtype)
    return F.leaky_relu(x + bias.to(x.dtype)[:, None, None], LEAK)


@dataclass(frozen=True)
class Task:
    """One epilogue at one size."""

    name: str
    operator: Epilogue
    separate: Epilogue
    tensors: tuple[Tensor, ...]

    def bytes_moved(self) -> int:
        """Bytes that any implementation reads and writes at least: y, terms, energy, noise, bias and the output."""
        y, _, _, noise, *_ = self.tensors
        out = y.shape[:2].numel() * noise.shape[2:].numel() * y.element_size()
        return sum(x.numel() * x.element_size() for x in self.tensors) + out

    def rivals(self) -> dict[str, Epilogue]:
        """What is timed, by name."""
        torch.compiler.reset()  # it gives up on a function after eight sizes
        compiled = torch.compile(self.separate, dynamic=False)
        return {"kernel": self.operator, "separate operations": self.separate, "Inductor": compiled}


def make_task(up: bool, channels: int, n: int, *, batch: int, styles: int, precision: str, layout: str) -> Task:
    """Random inputs on the GPU: an n x n lattice, ``styles`` styles that mix everywhere."""
    random = torch.Generator("cuda").manual_seed(n)
    dtype, side = DTYPES[precision], 2 * n + 1 if up else n
    size = side - 4 if up else side
    count = 1 if styles == 1 else styles * (styles + 1) // 2 + styles + 1
    y = torch.randn(batch, channels, side, side, generator=random, device="cuda")
    where = (1, 1, 1, 1) if styles == 1 else (batch, count, n, n)
    tensors = (
        y.to(dtype, memory_format=LAYOUTS[layout]),
        torch.rand(*where, generator=random, device="cuda"),
        torch.rand(count, channels, generator=random, device="cuda") + 0.1,
        torch.randn(batch, 1, size, size, generator=random, device="cuda").to(dtype),
        torch.tensor(0.3, device="cuda"),
        torch.randn(channels, generator=random, device="cuda"),
    )
    name = f"{'upsampling' if up else 'conv'}, {channels} x {size}²"
    if up:
        return Task(name, torch.ops.infgen.upsample_epilogue, separate_upsample, tensors)
    return Task(name, torch.ops.infgen.modulated_conv_epilogue, separate_conv, tensors)


def check(task: Task, rivals: dict[str, Epilogue], expected: Tensor, tolerance: float) -> None:
    """ClickException if one of ``rivals`` computes something else than ``expected``; this also compiles them."""
    for name, rival in rivals.items():
        error = (rival(*task.tensors).float() - expected.float()).abs() / (1 + expected.float().abs())
        if not float(error.max()) <= tolerance:  # not a number is wrong as well
            raise click.ClickException(f"{name} is off by {float(error.max()):.1e} on {task.name}; no time was taken")


def repeat(work: Callable[[], object]) -> Work:
    """A work that calls ``work`` some times and waits for the GPU."""

    def run() -> None:
        for _ in range(REPEATS):
            work()
        torch.cuda.synchronize()

    return run


def measure(task: Task, tolerance: float, rounds: int) -> list[str]:
    """A row of the table: bytes, the copy's rate, time and share of that rate for every rival."""
    rivals = task.rivals()
    definition = (
        epilogues.upsample_epilogue if task.separate is separate_upsample else epilogues.modulated_conv_epilogue
    )
    with definition.set_kernel_enabled("cuda", enabled=False):  # plain PyTorch, in float32
        expected = definition(*task.tensors)
    check(task, rivals, expected, tolerance)
    del expected
    y = task.tensors[0]
    copy = torch.empty_like(y)
    works = [repeat(partial(copy.copy_, y)), *(repeat(partial(rival, *task.tensors)) for rival in rivals.values())]
    times = [statistics.median(turn.seconds for turn in turns) / REPEATS for turns in lockstep(works, rounds=rounds)]
    rate = 2 * y.numel() * y.element_size() / times[0]
    moved = task.bytes_moved()
    cells = [f"{1e3 * t:.3f} ms, {moved / t / rate:.2f}" for t in times[1:]]
    return [task.name, f"{moved / 1e6:,.0f} MB", f"{rate / 1e9:,.0f} GB/s", *cells]


@click.command()
@click.option("--batch", default=4, show_default=True, type=click.IntRange(1))
@click.option("--styles", "counts", multiple=True, default=(1, 4), show_default=True, type=click.IntRange(1, 16))
@click.option("--precision", type=click.Choice(list(DTYPES)), default="fp16", show_default=True)
@click.option("--layout", type=click.Choice(list(LAYOUTS)), default="channels-last", show_default=True)
@click.option("--rounds", default=30, show_default=True, type=click.IntRange(1))
def main(batch: int, counts: tuple[int, ...], precision: str, layout: str, rounds: int) -> None:
    """Measure; see the module's docstring."""
    if not torch.cuda.is_available():
        raise click.ClickException("these kernels run on a CUDA device, and PyTorch finds none here")
    from infgen.export import kernels

    kernels.register()
    console = Console(width=140)
    console.print(
        f"{machine(torch.device('cuda'))}; batch {batch}, {precision}, {layout}; time, share of the copy's rate"
    )
    for styles in counts:
        table = Table(
            "epilogue", "bytes", "copy", "kernel", "separate operations", "Inductor", title=f"{styles} style(s)"
        )
        for up in (False, True):
            for channels, n in LATTICES:
                n = n // 2 if up else n
                task = make_task(up, channels, n, batch=batch, styles=styles, precision=precision, layout=layout)
                table.add_row(*measure(task, TOLERANCE[precision], rounds))
        console.print(table)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
