"""The operators in ONNX: nodes of the domain "infgen", each with a body of standard operators.

ONNX Runtime inlines the bodies. TensorRT finds plugins for the two epilogues by the nodes' names and their attributes
``plugin_namespace`` and ``plugin_version``. Meanings are those of ``infgen.export.epilogues`` and ``.modulation``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from infgen.export import epilogues  # noqa: F401 -- registers the operators
from infgen.export.modulation import TINY
from infgen.model.layers import LEAK

DOMAIN = "infgen"
DOMAIN_VERSION = 1
OPSETS = {"fp32": 18, "fp16": 18, "bf16": 22}  # by precision: the oldest in which convolutions take it
PLUGIN: Mapping[str, str] = {"plugin_namespace": "infgen", "plugin_version": "1"}

# sum_t terms * energy, float32: (1 or B, T, O)^T times (B, T, H * W), so that no plane is transposed
_DEMODULATION = """
  flat = Constant <value_ints = [0, 0, -1]> ()
  planes = Reshape (terms, flat)
  any = Constant <value_ints = [-1]> ()
  matrix = Shape <start = -2> (energy)
  stacked = Concat <axis = 0> (any, matrix)
  energies = Reshape (energy, stacked)
  by_channel = Transpose <perm = [0, 2, 1]> (energies)
  flat_energy = MatMul (by_channel, planes)
  kept = Constant <value_ints = [0, 0]> ()
  size = Shape <start = 2, end = 4> (terms)
  shape = Concat <axis = 0> (kept, size)
  total = Reshape (flat_energy, shape)
  deviation = Sqrt (total)
  factors = Reciprocal (deviation)
"""

_FINISH = f"""
  noise_float = Cast <to = 1> (noise)
  loud = Mul (noise_float, strength)
  along = Constant <value_ints = [1, 2]> ()
  bias_column = Unsqueeze (bias, along)
  added = Add (loud, bias_column)
  summed = Add (scaled, added)
  active = LeakyRelu <alpha = {LEAK}> (summed)
  out = CastLike (active, y)
"""

_PLAIN = """
  y_float = Cast <to = 1> (y)
  scaled = Mul (y_float, factors)
"""

# 2n-1 of n is 1 where n is 1: one factor for all positions stays one. The filter outer([1, 2, 1]) is the mean of 2 x 2 twice,
# times 16; with it go 1/16 and the 4 of the transposed convolution.
_UPSAMPLED = """
  two = Constant <value_ints = [2]> ()
  one = Constant <value_ints = [1]> ()
  twice = Mul (size, two)
  fine_size = Sub (twice, one)
  fine_factors = Resize <axes = [2, 3], mode = "linear", coordinate_transformation_mode = "align_corners">
    (factors, , , fine_size)
  begin = Constant <value_ints = [1, 1]> ()
  end = Constant <value_ints = [-1, -1]> ()
  rows_columns = Constant <value_ints = [2, 3]> ()
  cropped = Slice (y, begin, end, rows_columns)
  y_float = Cast <to = 1> (cropped)
  demodulated = Mul (y_float, fine_factors)
  mean = AveragePool <kernel_shape = [2, 2]> (demodulated)
  blurred = AveragePool <kernel_shape = [2, 2]> (mean)
  gain = Constant <value_float = 4.0> ()
  scaled = Mul (blurred, gain)
"""

_MODULATION = f"""
  linear = MatMul (styles, affine)
  raw = Add (linear, shift)
  magnitude = Abs (raw)
  matrix = Constant <value_ints = [-2, -1]> ()
  most = ReduceMax <keepdims = 1> (magnitude, matrix)
  tiny = Constant <value_float = {TINY}> ()
  divisor = Max (most, tiny)
  size = Squeeze (divisor, matrix)
  scales = Div (raw, divisor)
  first_scales = Gather <axis = -2> (scales, first)
  second_scales = Gather <axis = -2> (scales, second)
  products = Mul (first_scales, second_scales)
  once = MatMul (products, kernel)
  square = Mul (divisor, divisor)
  share = Div (floor, square)
  raised = Add (once, share)
  energy = Mul (raised, times)
"""


@dataclass(frozen=True)
class Operator:
    """One operator: its name in ONNX, names of inputs and outputs, its body, and whether TensorRT has a plugin for it."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body: str
    plugin: bool

    @property
    def attributes(self) -> Mapping[str, str]:
        """Attributes of its nodes."""
        return PLUGIN if self.plugin else {}

    def text(self, opset: int) -> str:
        """The function in ONNX's textual form, of standard operators of version ``opset``."""
        given = ", ".join(f'{key}: string = "{value}"' for key, value in self.attributes.items())
        head = f"{self.name} {f'<{given}> ' if given else ''}({', '.join(self.inputs)}) => ({', '.join(self.outputs)})"
        return f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n{head}\n{{{self.body}}}'


_EPILOGUE_INPUTS = ("y", "terms", "energy", "noise", "strength", "bias")
_MODULATION_INPUTS = ("styles", "affine", "shift", "kernel", "floor", "first", "second", "times")
_DEMODULATED, _BLURRED = _DEMODULATION + _PLAIN + _FINISH, _DEMODULATION + _UPSAMPLED + _FINISH
MODULATED_CONV = Operator("InfgenModulatedConvEpilogue", _EPILOGUE_INPUTS, ("out",), _DEMODULATED, plugin=True)
UPSAMPLE = Operator("InfgenUpsampleEpilogue", _EPILOGUE_INPUTS, ("out",), _BLURRED, plugin=True)
MODULATION = Operator("InfgenModulation", _MODULATION_INPUTS, ("scales", "size", "energy"), _MODULATION, plugin=False)
OPERATORS = (MODULATED_CONV, UPSAMPLE, MODULATION)
_TYPES = {"y": "T", "out": "T", "first": "tensor(int64)", "second": "tensor(int64)"}  # everything else is float32


def functions(opset: int) -> list[Any]:
    """All bodies as ``onnx.FunctionProto``."""
    from onnx import parser

    return [parser.parse_function(operator.text(opset)) for operator in OPERATORS]


def register_schemas() -> None:
    """Tell ``onnx`` the signatures of the operators, once a process: the exporter asks for them."""
    from onnx import defs, helper

    def parameter(name: str) -> Any:
        return defs.OpSchema.FormalParameter(name, _TYPES.get(name, "tensor(float)"))

    for operator in OPERATORS:
        if defs.has(operator.name, DOMAIN):
            continue
        halves = ("T", ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"], "activations")
        schema = defs.OpSchema(
            operator.name,
            DOMAIN,
            DOMAIN_VERSION,
            inputs=[parameter(name) for name in operator.inputs],
            outputs=[parameter(name) for name in operator.outputs],
            type_constraints=[halves] if "y" in operator.inputs else [],
            attributes=[
                defs.OpSchema.Attribute(k, helper.make_attribute(k, v)) for k, v in operator.attributes.items()
            ],
        )
        defs.register_schema(schema)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What PyTorch's exporter writes for the operators: a node each, not its body."""
    from onnxscript.values import Opset

    opset = Opset(DOMAIN, DOMAIN_VERSION)

    def node(operator: Operator) -> Callable[..., Any]:
        def write(*inputs: Any) -> Any:
            return getattr(opset, operator.name)(*inputs, **operator.attributes)

        return write

    return {
        torch.ops.infgen.modulated_conv_epilogue.default: node(MODULATED_CONV),
        torch.ops.infgen.upsample_epilogue.default: node(UPSAMPLE),
        torch.ops.infgen.modulation.default: node(MODULATION),
    }
