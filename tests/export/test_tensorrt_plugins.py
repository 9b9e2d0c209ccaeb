"""Test the plugins of classic TensorRT: launches against those of PyTorch, and calls of a double of ``tensorrt.plugin``."""

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

pytest.importorskip("triton", reason="needs the extra kernels")

from infgen.export import kernels, tensorrt_plugins
from infgen.export.functions import MODULATED_CONV, PLUGIN, UPSAMPLE, Operator
from infgen.export.tensorrt_plugins import Launch, conv_launch, kernel_capability, layouts, upsample_launch

BATCH = 3


class Recorder:
    """A double of a kernel that records its launches."""

    def __init__(self) -> None:
        self.grid: tuple[int, ...] = ()
        self.values: dict[str, Any] = {}

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def start(*tensors: Tensor, **values: Any) -> None:
            self.grid, self.values = grid, values

        return start


def started(up: bool, y: tuple[int, ...], terms: tuple[int, ...], *, channels_last: bool) -> Recorder:
    """How PyTorch starts the kernel for these sizes."""
    batch, channels, height, width = y
    layout = torch.channels_last if channels_last else torch.contiguous_format
    out = (height - 4, width - 4) if up else (height, width)
    tensors = (
        torch.zeros(y).contiguous(memory_format=layout),
        torch.zeros(terms),
        torch.zeros(terms[1], channels),
        torch.zeros(batch, 1, *out),
        torch.zeros(()),
        torch.zeros(channels),
    )
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "upsample_kernel" if up else "modulated_conv_kernel", recorder)
        patch.setattr(torch.cuda, "device_of", lambda x: nullcontext())
        (kernels.launch_upsample if up else kernels.launch_conv)(*tensors)
    return recorder


@st.composite
def sizes(draw: st.DrawFn) -> tuple[bool, tuple[int, ...], tuple[int, ...]]:
    """(upsampling?, size of y, size of terms), as they occur: terms are one number, or as many as positions and styles."""
    up = draw(st.booleans())
    n, m = draw(st.integers(2, 80)), draw(st.integers(2, 80))
    channels, count = draw(st.integers(2, 70)), draw(st.sampled_from([1, 3, 10]))
    y = (BATCH, channels, 2 * n + 1, 2 * m + 1) if up else (BATCH, channels, n, m)
    return up, y, (1, 1, 1, 1) if count == 1 else (BATCH, count, n, m)


@settings(max_examples=40)
@given(case=sizes(), channels_last=st.booleans())
def test_a_plugin_starts_its_kernel_as_pytorch_does(
    case: tuple[bool, tuple[int, ...], tuple[int, ...]], channels_last: bool
):
    up, y, terms = case
    launch = (upsample_launch if up else conv_launch)(y, terms, channels_last=channels_last)
    there = started(up, y, terms, channels_last=channels_last)
    assert (*launch.blocks, BATCH) == there.grid
    assert launch.constants | launch.integers == {
        name: there.values[name] for name in launch.constants | launch.integers
    }
    assert set(there.values) - set(launch.constants | launch.integers) == {"out", *kernels.LAUNCH_OPTIONS}


@settings(max_examples=20)
@given(case=sizes(), channels_last=st.booleans())
def test_a_launch_is_the_same_for_a_batch_that_is_free(
    case: tuple[bool, tuple[int, ...], tuple[int, ...]], channels_last: bool
):
    up, y, terms = case
    rule = upsample_launch if up else conv_launch
    free = terms if terms[0] == 1 else (-1, *terms[1:])
    assert rule((-1, *y[1:]), free, channels_last=channels_last) == rule(y, terms, channels_last=channels_last)


@pytest.mark.parametrize(
    ("target", "capability"), [("8.0", 80), ("8.6", 80), ("8.9", 80), ("9.0", 90), ("10.0", 80), ("12.0", 120)]
)
def test_ptx_is_for_the_gpu_or_for_the_oldest_one(target: str, capability: int):
    assert kernel_capability(target) == capability


@pytest.mark.parametrize(
    ("dtype", "channels", "expected"),
    [
        ("FLOAT", 6, ["LINEAR", "HWC"]),
        ("HALF", 64, ["LINEAR", "HWC8"]),
        ("BF16", 64, ["LINEAR", "HWC8"]),
        ("HALF", 6, ["LINEAR"]),
    ],
)
def test_channels_last_is_offered_where_no_channel_is_padded(dtype: str, channels: int, expected: list[str]):
    assert layouts(dtype, channels) == expected


class Description:
    """A tensor as ``tensorrt.plugin`` describes it; expressions of sizes are pairs of a name and an axis."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str = "FLOAT", layout: str = "LINEAR") -> None:
        self.shape, self.dtype, self.format = shape, SimpleNamespace(name=dtype), SimpleNamespace(name=layout)
        self.shape_expr: Any = tuple((name, axis) for axis in range(len(shape)))


class PluginModule:
    """``tensorrt.plugin``, as far as the plugins use it."""

    TensorDesc = Description

    class KernelLaunchParams(SimpleNamespace):
        pass

    class SymIntExprs(list[Any]):
        @classmethod
        def from_tuple(cls, values: list[Any]) -> "PluginModule.SymIntExprs":
            return cls(values)

    def __init__(self) -> None:
        self.defined: dict[str, dict[str, Callable[..., Any]]] = {}

    def SymInt32(self, value: int) -> int:
        return value

    def AutoTuneCombination(self, types: str, layouts: str) -> tuple[list[str], list[str]]:
        return types.split(", "), layouts.split(", ")

    def from_shape_expr(self, sizes: tuple[Any, ...], dtype: Any) -> Description:
        made = Description("", (0,) * len(sizes), dtype.name)
        made.shape_expr = sizes
        return made

    def _keep(self, what: str, identity: str) -> Callable[[Callable[..., Any]], None]:
        return lambda function: self.defined.setdefault(identity, {}).update({what: function})

    def register(self, identity: str) -> Callable[[Callable[..., Any]], None]:
        return self._keep("register", identity)

    def autotune(self, identity: str) -> Callable[[Callable[..., Any]], None]:
        return self._keep("autotune", identity)

    def aot_impl(self, identity: str) -> Callable[[Callable[..., Any]], None]:
        return self._keep("aot_impl", identity)


@pytest.fixture(scope="module")
def plugin() -> PluginModule:
    module = PluginModule()
    tensorrt_plugins.register(module, capability=90)
    return module


def describe(up: bool, *, styles: bool = True, dtype: str = "HALF", layout: str = "LINEAR") -> list[Description]:
    """Inputs of one plugin, 16 channels, a free batch."""
    terms = (-1, 10, 9, 7) if styles else (1, 1, 1, 1)
    y, out = ((-1, 16, 19, 15), (15, 11)) if up else ((-1, 16, 9, 7), (9, 7))
    shapes = {"terms": terms, "energy": (terms[1], 16), "noise": (-1, 1, *out), "strength": (), "bias": (16,)}
    return [Description("y", y, dtype, layout), *(Description(name, shape) for name, shape in shapes.items())]


OPERATORS = pytest.mark.parametrize("operator", [MODULATED_CONV, UPSAMPLE], ids=lambda operator: operator.name)


@OPERATORS
def test_plugins_are_found_by_the_nodes_of_the_graph(plugin: PluginModule, operator: Operator):
    assert f"{PLUGIN['plugin_namespace']}::{operator.name}" in plugin.defined


@OPERATORS
def test_functions_have_the_signatures_that_tensorrt_checks(plugin: PluginModule, operator: Operator):
    functions = plugin.defined[f"infgen::{operator.name}"]
    names = {what: list(inspect.signature(function).parameters) for what, function in functions.items()}
    assert names["register"] == list(operator.inputs)
    assert names["autotune"] == [*operator.inputs, "outputs"]
    assert names["aot_impl"] == [*operator.inputs, "outputs", "tactic"]
    assert set(functions["register"].__annotations__.values()) == {Description}


@OPERATORS
def test_the_output_has_the_type_of_y_and_the_size_of_the_noise(plugin: PluginModule, operator: Operator):
    out = plugin.defined[f"infgen::{operator.name}"]["register"](*describe(operator is UPSAMPLE))
    assert out.shape_expr == (("y", 0), ("y", 1), ("noise", 2), ("noise", 3))
    assert out.dtype.name == "HALF"


@OPERATORS
def test_all_but_y_and_the_output_is_float32_in_rows(plugin: PluginModule, operator: Operator):
    offers = plugin.defined[f"infgen::{operator.name}"]["autotune"](*describe(operator is UPSAMPLE), ())
    assert [types for types, _ in offers] == [["FP16", *["FP32"] * 5, "FP16"]] * 2
    assert [layouts for _, layouts in offers] == [["LINEAR"] * 7, ["HWC8", *["LINEAR"] * 5, "HWC8"]]


@OPERATORS
@pytest.mark.parametrize(("styles", "layout"), [(True, "HWC8"), (False, "LINEAR")])
def test_the_kernel_has_the_parameters_that_tensorrt_passes_in_the_same_order(
    plugin: PluginModule, operator: Operator, styles: bool, layout: str
):
    up = operator is UPSAMPLE
    inputs = describe(up, styles=styles, layout=layout)
    name, ptx, params, integers = plugin.defined[f"infgen::{operator.name}"]["aot_impl"](*inputs, (), 0)
    launch: Launch = (upsample_launch if up else conv_launch)(
        inputs[0].shape, inputs[1].shape, channels_last=layout != "LINEAR"
    )
    code = launch.compile(capability=90, dtype=torch.float16)
    assert (name, ptx) == (code.name, code.ptx)
    assert code.parameters[:6] == operator.inputs
    assert code.parameters[-1] == "out"
    assert integers == [launch.integers[each] for each in code.parameters[6:-1]]
    assert (params.grid_x, params.grid_y, params.grid_z) == (*launch.blocks, ("y", 0))
    assert (params.block_x, params.shared_mem) == (code.threads, code.shared_bytes)
