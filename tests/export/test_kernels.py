"""The Triton-language kernels: their numbers on the CPU through Triton's interpreter, and as PTX for three architectures.

Triton reads ``TRITON_INTERPRET`` when it is imported, and an interpreted kernel cannot be compiled: one child process, which
starts once, interprets; this process compiles.
"""

import functools
import importlib
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from infgen.errors import InputError, MissingExtraError
from infgen.export import epilogues

if not torch.cuda.is_available():  # next to a GPU the extra must be there
    pytest.importorskip("triton", reason="needs the extra kernels")

from triton.backends.nvidia.compiler import get_ptxas

from infgen.export import kernels
from infgen.export.ptx import CAPABILITIES, CompiledKernel, compile_ptx

LAYOUTS = ("rows", "channels last", "rows, cut out", "channels last, cut out")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ROUNDING = {"float32": 4e-6, "float16": 2**-10, "bfloat16": 2**-7}  # one last place of the type; float32: of some sums


@dataclass(frozen=True)
class Case:
    """Inputs of an epilogue; ``n`` x ``m`` is the lattice of demodulation."""

    up: bool
    n: int = 5
    m: int = 6
    channels: int = 3
    batch: int = 1
    terms: int = 6
    places: str = "all"  # where terms differ: "all", "none", "rows" or "columns"
    one_for_all: bool = False  # one set of terms for the whole batch
    layout: str = "rows"
    dtype: str = "float32"
    device: str = "cpu"

    def tensors(self) -> tuple[Tensor, ...]:
        """y, terms, energy, noise, strength, bias, as the operators take them."""
        random = torch.Generator().manual_seed(20 + self.n + 100 * self.m)
        h, w = (2 * self.n + 1, 2 * self.m + 1) if self.up else (self.n, self.m)
        size = (h - 4, w - 4) if self.up else (h, w)
        where = (self.n if self.places in ("all", "rows") else 1, self.m if self.places in ("all", "columns") else 1)
        y = torch.randn(self.batch, self.channels, h + 2, w + 2, generator=random).to(DTYPES[self.dtype])
        if self.layout.startswith("channels last"):
            y = y.contiguous(memory_format=torch.channels_last)
        y = y[:, :, 1:-1, 1:-1]
        if not self.layout.endswith("cut out"):
            last = self.layout == "channels last"
            y = y.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        tensors = (
            y,
            torch.rand(1 if self.one_for_all else self.batch, self.terms, *where, generator=random),
            torch.rand(self.terms, self.channels, generator=random) + 0.1,
            torch.randn(self.batch, 1, *size, generator=random),
            torch.tensor(0.3),
            torch.randn(self.channels, generator=random),
        )
        return tuple(tensor.to(self.device) for tensor in tensors)


@dataclass(frozen=True)
class Outcome:
    """Result of a kernel and the expected one."""

    found: np.ndarray
    expected: np.ndarray
    dtypes: tuple[torch.dtype, torch.dtype]
    strides: tuple[tuple[int, ...], tuple[int, ...]]


def both(case: Case) -> Outcome:
    """The kernel's answer and the operator's definition, in this process."""
    launch = kernels.launch_upsample if case.up else kernels.launch_conv
    definition = epilogues.upsample_epilogue if case.up else epilogues.modulated_conv_epilogue
    tensors = case.tensors()
    found = launch(*tensors)
    expected = definition(*(tensor.cpu() for tensor in tensors))
    numbers = [x.float().cpu().numpy() for x in (found, expected)]
    return Outcome(numbers[0], numbers[1], (found.dtype, expected.dtype), (found.stride(), expected.stride()))


def compile_interpreted() -> str:
    """The error of compiling in a process that interprets."""
    try:
        compile_epilogue(False, 80, "float32")
    except InputError as error:
        return str(error)
    return "no error"


@pytest.fixture(scope="module")
def interpreter() -> Iterator[ProcessPoolExecutor]:
    """A process in which kernels are interpreted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(os.getpid).result()
            patch.delenv("TRITON_INTERPRET")
            yield pool


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Triton's cache, which is in the home directory by default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        yield


def assert_equal(case: Case, outcome: Outcome) -> None:
    rounding = ROUNDING[case.dtype]
    np.testing.assert_allclose(outcome.found, outcome.expected, rtol=rounding, atol=4e-6, err_msg=str(case))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
@pytest.mark.parametrize("places", ["none", "all"])
def test_a_kernel_agrees_with_its_operator(
    interpreter: ProcessPoolExecutor, up: bool, layout: str, dtype: str, places: str
) -> None:
    case = Case(up, layout=layout, dtype=dtype, batch=2, terms=1 if places == "none" else 6, places=places)
    assert_equal(case, interpreter.submit(both, case).result())


@pytest.mark.parametrize("layout", ["rows", "channels last"])
@pytest.mark.parametrize(
    "case",
    [
        Case(False, n=3, m=150, channels=70),
        Case(False, n=40, m=3, channels=70, places="rows"),
        Case(True, n=2, m=67, channels=9, terms=2),
        Case(True, n=11, m=10, channels=70, terms=2),
    ],
    ids=lambda case: f"{'upsampling' if case.up else 'conv'} {case.channels} x {case.n} x {case.m}",
)
def test_images_larger_than_a_block_are_whole(interpreter: ProcessPoolExecutor, case: Case, layout: str) -> None:
    case = replace(case, layout=layout)
    assert_equal(case, interpreter.submit(both, case).result())


@settings(max_examples=10)
@given(
    up=st.booleans(),
    n=st.integers(2, 11),
    m=st.integers(2, 11),
    channels=st.integers(1, 9),
    batch=st.integers(1, 3),
    layout=st.sampled_from(LAYOUTS),
)
def test_any_size_is_computed(
    interpreter: ProcessPoolExecutor, up: bool, n: int, m: int, channels: int, batch: int, layout: str
) -> None:
    case = Case(up, n=n, m=m, channels=channels, batch=batch, layout=layout, terms=2)
    assert_equal(case, interpreter.submit(both, case).result())


@pytest.mark.parametrize("case", [Case(False, n=1, m=1, channels=1), Case(True, n=2, m=2, channels=1)])
def test_one_output_position_is_enough(interpreter: ProcessPoolExecutor, case: Case) -> None:
    assert_equal(case, interpreter.submit(both, case).result())


@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
@pytest.mark.parametrize("terms", [2, 15, 153])
def test_any_number_of_terms_is_summed(interpreter: ProcessPoolExecutor, up: bool, terms: int) -> None:
    case = Case(up, n=3, m=4, terms=terms, layout="channels last")
    assert_equal(case, interpreter.submit(both, case).result())


@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
@pytest.mark.parametrize("places", ["none", "rows", "columns", "all"])
def test_terms_of_one_image_serve_a_batch(interpreter: ProcessPoolExecutor, up: bool, places: str) -> None:
    case = Case(up, batch=3, places=places, one_for_all=True)
    assert_equal(case, interpreter.submit(both, case).result())


@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
@pytest.mark.parametrize("layout", ["rows", "channels last"])
def test_the_output_has_the_type_and_layout_of_the_input(
    interpreter: ProcessPoolExecutor, up: bool, layout: str
) -> None:
    case = Case(up, layout=layout, dtype="float16")
    outcome = interpreter.submit(both, case).result()
    assert (outcome.dtypes[0], outcome.strides[0]) == (outcome.dtypes[1], outcome.strides[1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
def test_pytorch_accepts_the_operators_as_registered(up: bool, layout: str) -> None:
    kernels.register()
    operator = torch.ops.infgen.upsample_epilogue if up else torch.ops.infgen.modulated_conv_epilogue
    torch.library.opcheck(operator.default, Case(up, layout=layout).tensors())


def test_registering_changes_nothing_on_a_cpu() -> None:
    tensors = Case(True).tensors()
    before = torch.ops.infgen.upsample_epilogue(*tensors)
    kernels.register()
    assert torch.equal(torch.ops.infgen.upsample_epilogue(*tensors), before)


@pytest.mark.parametrize("which", range(1, 6), ids=["terms", "energy", "noise", "strength", "bias"])
@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
def test_a_tensor_of_a_wrong_size_is_refused_by_name(up: bool, which: int) -> None:
    tensors = list(Case(up).tensors())
    tensors[which] = torch.ones(7, 7, 7)
    name = ("y", "terms", "energy", "noise", "strength", "bias")[which]
    launch = kernels.launch_upsample if up else kernels.launch_conv
    with pytest.raises(ValueError, match=f"^{name} must have size"):
        launch(*tensors)


@pytest.mark.parametrize("size", [(3, 7), (6, 7), (7, 8)])
def test_sizes_that_no_transposed_convolution_gives_are_refused(size: tuple[int, int]) -> None:
    others = Case(True).tensors()[1:]
    with pytest.raises(ValueError, match=f"not {size[0]} x {size[1]}"):
        kernels.launch_upsample(torch.ones(1, 3, *size), *others)


def test_an_empty_batch_gives_an_empty_batch() -> None:
    assert kernels.launch_conv(*Case(False, batch=0).tensors()).shape == (0, 3, 5, 6)


def test_without_triton_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "infgen.export.kernels")
    with pytest.raises(MissingExtraError, match=r"infgen\[kernels\]"):
        importlib.import_module("infgen.export.kernels")


@functools.cache
def compile_epilogue(up: bool, capability: int, dtype: str, *, channels_last: bool = True) -> CompiledKernel:
    """A kernel for 64 channels, compiled as for a plugin."""
    kernel = kernels.upsample_kernel if up else kernels.modulated_conv_kernel
    if up:
        constants = kernels.upsample_constants(250, 64, channels_last=channels_last, uniform=False)
    else:
        constants = kernels.conv_constants(500, 64, channels_last=channels_last)
    axis = "o" if channels_last else "w"
    small = dict.fromkeys(("terms", "energy", "noise", "strength", "bias"), torch.float32)
    return compile_ptx(
        kernel,
        capability=capability,
        dtypes={"y": DTYPES[dtype], **small, "out": DTYPES[dtype]},
        constants={**constants, f"y_{axis}": 1, f"out_{axis}": 1},
        aligned=[f"{x}_{step}" for x in ("y", "out") for step in "bhw"] + ["channels"] if channels_last else [],
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
def test_a_kernel_compiles_for_every_architecture(up: bool, capability: int, dtype: str) -> None:
    assert f".target sm_{capability}" in compile_epilogue(up, capability, dtype).ptx


@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
@pytest.mark.parametrize("channels_last", [True, False], ids=["channels last", "rows"])
def test_the_text_can_be_assembled(up: bool, channels_last: bool, tmp_path: Path) -> None:
    source = tmp_path / "kernel.ptx"
    source.write_text(compile_epilogue(up, 90, "float16", channels_last=channels_last).ptx)
    subprocess.run([get_ptxas(90).path, "-arch=sm_90a", source, "-o", tmp_path / "kernel.cubin"], check=True)


@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
def test_the_text_takes_the_parameters_that_it_names_and_no_others(up: bool) -> None:
    kernel = compile_epilogue(up, 80, "float16")
    assert kernel.ptx.count(f".param .u64 .ptr .global .align 1 {kernel.name}_param_") == 7
    assert kernel.ptx.count(f"{kernel.name}_param_{len(kernel.parameters)}") == 0


def test_parameters_are_inputs_then_integers_then_the_output() -> None:
    parameters = compile_epilogue(False, 80, "float16").parameters
    assert (parameters[:6], parameters[-1]) == (("y", "terms", "energy", "noise", "strength", "bias"), "out")


@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
def test_nothing_in_the_text_names_a_place_on_this_machine(up: bool) -> None:
    assert str(Path(kernels.__file__).parent) not in compile_epilogue(up, 80, "float16").ptx


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
def test_a_thread_stores_several_channels_at_a_time(up: bool, dtype: str) -> None:
    assert re.search(r"st\.global\.v[24]\.b32", compile_epilogue(up, 90, dtype).ptx)


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(InputError, match="compute capability 70"):
        compile_epilogue(False, 70, "float16")


def test_a_type_without_a_kernel_is_refused() -> None:
    with pytest.raises(InputError, match=r"tensor y cannot be torch\.float64"):
        compile_ptx(kernels.modulated_conv_kernel, capability=80, dtypes={"y": torch.float64}, constants={})


def test_compiling_while_interpreting_is_refused(interpreter: ProcessPoolExecutor) -> None:
    assert "TRITON_INTERPRET" in interpreter.submit(compile_interpreted).result()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
@pytest.mark.parametrize("terms", [1, 15])
def test_a_kernel_on_a_device_agrees_with_its_operator(up: bool, layout: str, dtype: str, terms: int) -> None:
    places = "none" if terms == 1 else "all"
    case = Case(up, 37, 45, 70, batch=2, terms=terms, places=places, layout=layout, dtype=dtype, device="cuda")
    assert_equal(case, both(case))


@pytest.mark.gpu
@pytest.mark.parametrize("layout", ["rows", "channels last"])
@pytest.mark.parametrize("up", [False, True], ids=["conv", "upsampling"])
def test_a_compiled_model_runs_the_kernel(up: bool, layout: str) -> None:
    kernels.register()
    operator = torch.ops.infgen.upsample_epilogue if up else torch.ops.infgen.modulated_conv_epilogue
    tensors = Case(up, 37, 45, 64, layout=layout, device="cuda").tensors()
    twice = torch.compile(lambda *inputs: operator(*inputs) * 2, fullgraph=True)
    torch.testing.assert_close(twice(*tensors), operator(*tensors) * 2)
