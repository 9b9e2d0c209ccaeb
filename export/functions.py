"""The operators in ONNX: functions of the domain "infgen", whose bodies consist of standard operators.

ONNX Runtime inlines the bodies. TensorRT finds plugins for the two epilogues by the names of the nodes and their attributes
``plugin_namespace`` and ``plugin_version``. ``infgen.export.epilogues`` and ``infgen.export.modulation`` define the operators.
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
OPSETS = {"fp32": 18, "fp16": 18, "bf16": 22}  # oldest version whose convolutions support the precision
PLUGIN: Mapping[str, str] = {"plugin_namespace": "infgen", "plugin_version": "1"}

# sum_t terms * energy, float32: (1 or B, T, O)^T times (B, T, H * W), so that no feature map is transposed
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

# For n = 1, 2n-1 is 1: a factor for all positions stays one. The filter outer([1, 2, 1]) / 16 equals two 2 x 2 means. The
# gain of 4 is that of the transposed convolution.
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
    """One operator: ONNX name, input and output names, body, and whether TensorRT has a plugin for it."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body: str
    plugin: bool

    @property
    def attributes(self) -> Mapping[str, str]:
        """Attributes of the operator's nodes."""
        return PLUGIN if self.plugin else {}

    def to_text(self, opset: int) -> str:
        """Format the function in ONNX's text form, with standard operators of version ``opset``."""
        attributes = ", ".join(f'{key}: string = "{value}"' for key, value in self.attributes.items())
        head = f"{self.name} {f'<{attributes}> ' if attributes else ''}({', '.join(self.inputs)}) => ({', '.join(self.outputs)})"
        return f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n{head}\n{{{self.body}}}'


_EPILOGUE_INPUTS = ("y", "terms", "energy", "noise", "strength", "bias")
_MODULATION_INPUTS = ("styles", "affine", "shift", "kernel", "floor", "first", "second", "times")
_DEMODULATED, _BLURRED = _DEMODULATION + _PLAIN + _FINISH, _DEMODULATION + _UPSAMPLED + _FINISH
MODULATED_CONV = Operator("InfgenModulatedConvEpilogue", _EPILOGUE_INPUTS, ("out",), _DEMODULATED, plugin=True)
UPSAMPLE = Operator("InfgenUpsampleEpilogue", _EPILOGUE_INPUTS, ("out",), _BLURRED, plugin=True)
MODULATION = Operator("InfgenModulation", _MODULATION_INPUTS, ("scales", "size", "energy"), _MODULATION, plugin=False)
OPERATORS = (MODULATED_CONV, UPSAMPLE, MODULATION)
_TYPES = {"y": "T", "out": "T", "first": "tensor(int64)", "second": "tensor(int64)"}  # all others are float32


def function_protos(opset: int) -> list[Any]:
    """Parse all operators into ``onnx.FunctionProto``."""
    from onnx import parser

    return [parser.parse_function(operator.to_text(opset)) for operator in OPERATORS]


def register_schemas() -> None:
    """Register the signatures of the operators with ``onnx``, once per process: the exporter looks them up."""
    from onnx import defs, helper

    def make_parameter(name: str) -> Any:
        return defs.OpSchema.FormalParameter(name, _TYPES.get(name, "tensor(float)"))

    for operator in OPERATORS:
        if defs.has(operator.name, DOMAIN):
            continue
        float_types = ("T", ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"], "activations")
        schema = defs.OpSchema(
            operator.name,
            DOMAIN,
            DOMAIN_VERSION,
            inputs=[make_parameter(name) for name in operator.inputs],
            outputs=[make_parameter(name) for name in operator.outputs],
            type_constraints=[float_types] if "y" in operator.inputs else [],
            attributes=[
                defs.OpSchema.Attribute(k, helper.make_attribute(k, v)) for k, v in operator.attributes.items()
            ],
        )
        defs.register_schema(schema)


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Make the translation table for PyTorch's exporter: each operator becomes one node."""
    from onnxscript.values import Opset

    opset = Opset(DOMAIN, DOMAIN_VERSION)

    def node_writer(operator: Operator) -> Callable[..., Any]:
        def write(*inputs: Any) -> Any:
            return getattr(opset, operator.name)(*inputs, **operator.attributes)

        return write

    return {
        torch.ops.infgen.modulated_conv_epilogue.default: node_writer(MODULATED_CONV),
        torch.ops.infgen.upsample_epilogue.default: node_writer(UPSAMPLE),
        torch.ops.infgen.modulation.default: node_writer(MODULATION),
    }
