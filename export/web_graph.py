"""The generator as small ONNX graphs without weights, for windows of any size: what ONNX Runtime Web runs in a browser.

The weights of a model are one file, a serialised ``ModelProto`` that holds nothing but tensors. A graph file followed by the
bytes of the weights file is a complete ONNX model, because protocol buffers merge messages that are joined. So all
scales, with one style or several, share one download.

A graph for one style folds it into the weights, as ``infgen.model.folded`` does. A graph for several styles scales activations
and demodulates by their mixture, as ``infgen.model.fused`` does. Sizes, batch and the number of styles are free.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from infgen.extras import require_extra
from infgen.geometry import STRUCTURE_HALO
from infgen.model.config import GeneratorConfig
from infgen.model.folded import check_seamless
from infgen.model.generator import Generator
from infgen.model.layers import EPS, GAIN, LEAK
from infgen.model.structure import KERNEL, LAYERS
from infgen.model.texture import MAPPING_LAYERS, MAPPING_LEARNING_RATE_FACTOR

with require_extra("cpu", "the web export"):
    from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

OPSET = 18
IR_VERSION = 9
BLUR_TAPS = (
    (1.0, 2.0, 1.0),
    (2.0, 4.0, 2.0),
    (1.0, 2.0, 1.0),
)  # / 4: outer([1, 2, 1]) / 16, times 4 for inserted zeros


def lossless_half(tensors: "Mapping[str, Tensor]") -> bool:
    """Return whether float16 represents all weights exactly, as in model files that are stored in half precision."""
    return all(torch.equal(tensor.half().to(tensor.dtype), tensor) for tensor in tensors.values())


def weights_bytes(generator: Generator) -> bytes:
    """Serialise all weights, as float16 if that is exact, else as float32."""
    tensors = generator.state_dict()
    dtype = torch.float16 if lossless_half(tensors) else torch.float32
    graph = helper.make_graph([], "", [], [])
    for name, tensor in tensors.items():
        graph.initializer.append(numpy_helper.from_array(tensor.to("cpu", dtype).numpy(), name))
    model = helper.make_model(graph)
    for part in ("ir_version", "opset_import"):
        model.ClearField(part)
    model.graph.ClearField("name")
    return bytes(model.SerializeToString(deterministic=True))


def graph_bytes(config: GeneratorConfig, *, mixed: bool) -> bytes:
    """Serialise the graph of a generator with ``config``, for one style or with ``mixed`` for any number.

    Inputs, all float32: ``z_l`` (B, C, n+24, m+24), ``coordinates`` (B, channels, n+24, m+24), ``noise_i`` (B, 1, h_i, w_i),
    ``noise_strength`` (), ``z_g`` (K, D) and ``w_plus`` (K, rows, D). Mixed graphs also read ``weights_structure``
    (B, K, n+24, m+24), ``weights_i`` (B, K, h, w) on the input of texture convolution i, ``first`` and ``second`` (P,) int64, the
    pairs k <= l of styles, and ``times`` (P, 1), 2 where k < l. Output: ``rgb`` (B, 3, H, W), about [-1, 1], not clipped.
    Raises InputError for a model with zero padding.
    """
    check_seamless(config)
    return _Builder(config, mixed=mixed).build()


def styles_graph_bytes(config: GeneratorConfig) -> bytes:
    """Serialise the mapping network with truncation: ``z_g`` (K, D) and ``truncation`` (K, 1) -> ``z`` (K, D), ``w`` (K, D)."""
    builder = _Builder(config, mixed=False)
    dim = config.global_channels
    squares = builder.op("ReduceMean", builder.op("Mul", "z_g", "z_g"), builder.constant([1], np.int64), keepdims=1)
    w = builder.op("Div", "z_g", builder.op("Sqrt", builder.op("Add", squares, builder.constant(EPS))))
    for i in range(MAPPING_LAYERS):
        factor = MAPPING_LEARNING_RATE_FACTOR
        weight = builder.weight(f"mapping.layers.{i}.weight", factor / math.sqrt(dim))
        w = builder.op("Gemm", w, weight, builder.weight(f"mapping.layers.{i}.bias", factor), transB=1)
        w = builder.op("Mul", builder.op("LeakyRelu", w, alpha=LEAK), builder.constant(GAIN))
    mean = builder.weight("mean_style")
    w = builder.op("Add", mean, builder.op("Mul", builder.op("Sub", w, mean), "truncation"))
    results = {"z": builder.op("Mul", "z_g", "truncation"), "w": w}
    return builder.finish(
        [_value("z_g", 2), _value("truncation", 2)], {name: (value, 2) for name, value in results.items()}
    )


@dataclass
class _Builder:
    """Collects the nodes of one graph. Methods return names of values."""

    config: GeneratorConfig
    mixed: bool
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    loaded: dict[str, str] = field(default_factory=dict)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        out = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def constant(self, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        array: npt.NDArray[Any] = np.array(value, dtype)
        key = f"{array.dtype} {array.shape} {array.tobytes().hex()}"
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, f"constant_{len(self.constants)}")
        return str(self.constants[key].name)

    def weight(self, name: str, scale: float = 1.0) -> str:
        """Read a tensor of the weights file as float32, times ``scale``. ONNX Runtime folds this when it loads the model."""
        key = f"{name} {scale}"
        if key not in self.loaded:
            value = self.op("Cast", name, to=TensorProto.FLOAT)
            self.loaded[key] = value if scale == 1 else self.op("Mul", value, self.constant(scale))
        return self.loaded[key]

    def crop(self, x: str, margin: int) -> str:
        """Crop ``margin`` positions from each side of (B, C, H, W)."""
        if not margin:
            return x
        ends = [self.constant(v, np.int64) for v in ([margin, margin], [-margin, -margin], [2, 3])]
        return self.op("Slice", x, *ends)

    def shape(self, x: str, sizes: Sequence[int]) -> str:
        return self.op("Reshape", x, self.constant(sizes, np.int64))

    def build(self) -> bytes:
        return self.finish(self._inputs(), {"rgb": (self._texture(self._structure()), 4)})

    def finish(self, inputs: list[Any], outputs: "Mapping[str, tuple[str, int]]") -> bytes:
        """Serialise the nodes. ``outputs``: value and rank by name."""
        for name, (value, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        results = [_value(name, rank) for name, (_, rank) in outputs.items()]
        graph = helper.make_graph(self.nodes, "infgen", inputs, results, list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))

    def _inputs(self) -> list[Any]:
        convs = range(len(self.config.texture_channels))
        maps = ["z_l", "coordinates", *(f"noise_{i}" for i in convs)]
        maps += ["weights_structure", *(f"weights_{i}" for i in convs)] if self.mixed else []
        inputs = [*(_value(name, 4) for name in maps), _value("noise_strength", 0), _value("z_g", 2)]
        inputs.append(_value("w_plus", 3))
        if self.mixed:
            inputs += [_value(name, 1, TensorProto.INT64) for name in ("first", "second")] + [_value("times", 2)]
        return inputs

    def _scales(self, conv: str, style: str) -> str:
        """Map ``style`` (K, D) to the scales (K, I) of a convolution."""
        dim = self.config.global_channels
        weight = self.weight(f"{conv}.modulation.weight", 1 / math.sqrt(dim))
        return self.op("Gemm", style, weight, self.weight(f"{conv}.modulation.bias"), transB=1)

    def _structure(self) -> str:
        x = "z_l"
        if self.config.structure == "none":
            inputs = self.config.local_channels + self.config.coordinate_channels
            x = self.crop(self.op("Concat", x, "coordinates", axis=1), STRUCTURE_HALO)
            return self.op(
                "Conv", x, self.weight("structure.weight", 1 / math.sqrt(inputs)), self.weight("structure.bias")
            )
        kernel = 1 if self.config.structure == "pointwise" else KERNEL
        margin, cropped = (KERNEL - kernel) // 2, 0
        for i in range(LAYERS):
            x, cropped = self.crop(x, margin), cropped + margin
            x = self.op("Concat", x, self.crop("coordinates", cropped), axis=1)
            conv = _Conv(f"structure.layers.{i}.conv", f"structure.layers.{i}.bias", kernel)
            x = self.op("LeakyRelu", self._convolve(conv, x, "z_g", "weights_structure", cropped), alpha=LEAK)
            cropped += (kernel - 1) // 2
        return x

    def _texture(self, x: str) -> str:
        rgb = ""
        channels = self.config.texture_channels
        for i, _ in enumerate(channels):
            conv = _Conv(f"texture.convs.{i}.conv", f"texture.convs.{i}.bias", 3, up=i % 2 == 0)
            y = self._convolve(conv, x, self._row(i), f"weights_{i}", 0)
            strength = self.op("Mul", self.weight(f"texture.convs.{i}.noise_strength", GAIN), "noise_strength")
            y = self.op("Add", y, self.op("Mul", f"noise_{i}", strength))
            x = self.op("LeakyRelu", y, alpha=LEAK)
            if i % 2:
                drawn = self._colour(i // 2, x, f"weights_{i}")
                rgb = drawn if not rgb else self.op("Add", self._double(rgb), drawn)
        return rgb

    def _row(self, row: int) -> str:
        """Row ``row`` of ``w_plus`` (K, rows, D) as (K, D)."""
        return self.op("Gather", "w_plus", self.constant(row, np.int64), axis=1)

    def _colour(self, level: int, x: str, weights: str) -> str:
        row = min(2 * level + 3, self.config.style_layers - 1)
        conv = f"texture.to_rgbs.{level}.conv"
        channels = self.config.texture_channels[2 * level + 1]
        scales = self._scales(conv, self._row(row))
        weight = self.weight(f"{conv}.weight", 1 / math.sqrt(channels))
        bias = self.weight(f"texture.to_rgbs.{level}.bias")
        if not self.mixed:
            return self.op("Conv", x, self.op("Mul", weight, self.shape(scales, [1, -1, 1, 1])), bias)
        return self.op("Conv", self._scale_input(x, scales, self.crop(weights, 1)), weight, bias)

    def _double(self, x: str) -> str:
        """Upsample RGB: crop 1, bilinear at exact half steps."""
        return self._between(self.crop(x, 1))

    def _between(self, x: str) -> str:
        """Interpolate (B, C, n, m) to (B, C, 2n-1, 2m-1), bilinear at exact half steps."""
        shape = self.op("Shape", x)
        sizes = self.op(
            "Sub",
            self.op("Mul", shape, self.constant([1, 1, 2, 2], np.int64)),
            self.constant([0, 0, 1, 1], np.int64),
        )
        mode = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
        return self.op("Resize", x, "", "", sizes, **mode)

    def _scale_input(self, x: str, scales: str, weights: str) -> str:
        """Multiply ``x`` (B, I, H, W) by ``scales`` (K, I) mixed by ``weights`` (B, K, H, W): a 1x1 convolution of weights."""
        mixed = self.op("Conv", weights, self.op("Unsqueeze", self.op("Transpose", scales, perm=[1, 0]), self._axes()))
        return self.op("Mul", x, mixed)

    def _axes(self) -> str:
        return self.constant([2, 3], np.int64)

    def _convolve(self, conv: "_Conv", x: str, style: str, weights: str, cropped: int) -> str:
        """Modulated convolution with bias, both times the gain of the activation."""
        inputs, outputs = self._channels(conv)
        scales = self._scales(conv.name, style)
        weight = self.weight(f"{conv.name}.weight", 1 / math.sqrt(inputs * conv.kernel**2))
        bias = self.weight(conv.bias, GAIN)
        if self.mixed:
            return self._convolve_mixed(conv, x, scales, weight, bias, self.crop(weights, cropped))
        weight = self.op("Mul", weight, self.shape(scales, [1, -1, 1, 1]))
        energy = self.op("ReduceSumSquare", weight, self.constant([1, 2, 3], np.int64), keepdims=1)
        demodulation = self.op("Sqrt", self.op("Add", energy, self.constant(EPS)))
        weight = self.op("Div", self.op("Mul", weight, self.constant(GAIN)), demodulation)
        if not conv.up:
            return self.op("Conv", x, weight, bias)
        return self._blur(self._upsample(x, weight, inputs, outputs), outputs, bias)

    def _convolve_mixed(self, conv: "_Conv", x: str, scales: str, weight: str, bias: str, weights: str) -> str:
        inputs, outputs = self._channels(conv)
        kernel = self.op("ReduceSumSquare", weight, self.constant([2, 3], np.int64), keepdims=0)  # (O, I)
        first, second = (self.op("Gather", scales, pair, axis=0) for pair in ("first", "second"))
        products = self.op("Mul", self.op("Mul", first, second), "times")  # (P, I)
        energy = self.op("MatMul", kernel, self.op("Transpose", products, perm=[1, 0]))  # (O, P)
        inner = weights if conv.up else self.crop(weights, (conv.kernel - 1) // 2)
        one, two = (self.op("Gather", inner, pair, axis=1) for pair in ("first", "second"))
        terms = self.op("Conv", self.op("Mul", one, two), self.op("Unsqueeze", energy, self._axes()))
        factors = self.op("Sqrt", self.op("Add", terms, self.constant(EPS)))
        factors = self.op("Div", self.constant(GAIN), factors)
        x = self._scale_input(x, scales, weights)
        if not conv.up:
            y = self.op("Mul", self.op("Conv", x, weight), factors)
            return self.op("Add", y, self.shape(bias, [1, -1, 1, 1]))
        y = self.op("Mul", self._upsample(x, weight, inputs, outputs), self._between(factors))
        return self._blur(y, outputs, bias)

    def _channels(self, conv: "_Conv") -> tuple[int, int]:
        config = self.config
        if conv.name.startswith("structure"):
            return config.local_channels + config.coordinate_channels, config.local_channels
        i = int(conv.name.split(".")[2])
        return (config.local_channels, *config.texture_channels)[i], config.texture_channels[i]

    def _upsample(self, x: str, weight: str, inputs: int, outputs: int) -> str:
        """(B, I, n, m) -> (B, O, 2n-1, 2m-1): a transposed convolution of stride 2, cropped by one."""
        return self.op(
            "ConvTranspose",
            x,
            self.op("Transpose", weight, perm=[1, 0, 2, 3]),
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        )

    def _blur(self, x: str, channels: int, bias: str) -> str:
        kernel = np.broadcast_to(np.array(BLUR_TAPS, np.float32) / 4, (channels, 1, 3, 3))
        return self.op("Conv", x, self.constant(kernel), bias, group=channels)


@dataclass(frozen=True)
class _Conv:
    """A modulated convolution: names of its tensors, side of its kernel, and whether it doubles the lattice."""

    name: str
    bias: str
    kernel: int
    up: bool = False


def _value(name: str, rank: int, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, [None] * rank)
