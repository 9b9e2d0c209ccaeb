"""Test the two epilogues against their definition, and their ONNX bodies against the epilogues."""

from functools import cache
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from infgen.export import functions
from infgen.export.epilogues import demodulation, modulated_conv_epilogue, upsample_epilogue, upsample_factors
from infgen.model.layers import blur

OPSET = functions.OPSETS["fp32"]
Arguments = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def arguments(
    height: int = 4, width: int = 5, *, batch: int = 2, terms: int = 3, up: bool = True, mixed: bool = True
) -> Arguments:
    """Random arguments; ``height`` and ``width`` are those of the lattice of terms."""
    rng = torch.Generator().manual_seed(height * 100 + width)
    channels = 5
    read, written = ([2 * n + margin if up else n for n in (height, width)] for margin in (1, -3))
    lattice = (batch, terms, height, width) if mixed else (1, terms, 1, 1)
    return (
        torch.randn(batch, channels, *read, generator=rng),
        torch.rand(*lattice, generator=rng) + 0.1,
        torch.rand(terms, channels, generator=rng) + 0.1,
        torch.randn(batch, 1, *written, generator=rng),
        torch.tensor(0.3),
        torch.randn(channels, generator=rng),
    )


def test_the_plain_epilogue_is_demodulation_noise_bias_and_leaky_relu():
    y, terms, energy, noise, strength, bias = arguments(up=False)
    factors = (terms.permute(0, 2, 3, 1) @ energy).rsqrt().permute(0, 3, 1, 2)
    expected = F.leaky_relu(y * factors + 0.3 * noise + bias.view(1, -1, 1, 1), 0.2)
    torch.testing.assert_close(modulated_conv_epilogue(y, terms, energy, noise, strength, bias), expected)


def test_the_upsampling_epilogue_crops_demodulates_blurs_and_activates():
    y, terms, energy, noise, strength, bias = arguments()
    fine = y[:, :, 1:-1, 1:-1] * upsample_factors(demodulation(terms, energy))
    expected = F.leaky_relu(blur(fine) + 0.3 * noise + bias.view(1, -1, 1, 1), 0.2)
    torch.testing.assert_close(upsample_epilogue(y, terms, energy, noise, strength, bias), expected)


@given(st.integers(1, 7), st.integers(1, 7))
def test_doubling_keeps_positions_and_takes_the_mean_between_them(height: int, width: int):
    coarse = torch.rand(1, 2, height, width)
    fine = upsample_factors(coarse)
    assert torch.equal(fine[:, :, ::2, ::2], coarse)
    torch.testing.assert_close(fine[:, :, ::2, 1::2], (coarse[..., :-1] + coarse[..., 1:]) / 2)
    torch.testing.assert_close(fine[:, :, 1::2, ::2], (coarse[:, :, :-1] + coarse[:, :, 1:]) / 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("up", [False, True])
def test_half_precision_is_rounded_once_at_the_end(up: bool, dtype: torch.dtype):
    y, *rest = arguments(up=up)
    epilogue = upsample_epilogue if up else modulated_conv_epilogue
    y = y.to(dtype)
    assert torch.equal(epilogue(y, *rest), epilogue(y.float(), *rest).to(dtype))


@pytest.mark.parametrize("up", [False, True])
def test_the_operators_keep_pytorchs_rules(up: bool):
    opcheck(
        upsample_epilogue if up else modulated_conv_epilogue,
        arguments(up=up),
        test_utils=("test_schema", "test_faketensor"),
    )


@cache
def session(operator: functions.Operator, element: int) -> Any:
    """ONNX Runtime on a model of one node and its body; all sizes are free."""
    helper, single = onnx.helper, onnx.TensorProto.FLOAT
    ranks = (4, 4, 2, 4, 0, 1)
    inputs = [
        helper.make_tensor_value_info(i, element if i == "y" else single, [f"{i}_{k}" for k in range(rank)])
        for i, rank in zip(operator.inputs, ranks, strict=True)
    ]
    out = helper.make_tensor_value_info("out", element, ["a", "b", "c", "d"])
    node = helper.make_node(operator.name, operator.inputs, ["out"], domain=functions.DOMAIN, **operator.attributes)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(functions.DOMAIN, 1)]
    model = helper.make_model(
        helper.make_graph([node], "one", inputs, [out]),
        opset_imports=opsets,
        functions=functions.function_protos(OPSET),
        ir_version=10,
    )
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(operator: functions.Operator, given_: Arguments) -> Tensor:
    element = onnx.TensorProto.FLOAT16 if given_[0].dtype == torch.float16 else onnx.TensorProto.FLOAT
    feed = {i: t.numpy() for i, t in zip(operator.inputs, given_, strict=True)}
    return torch.from_numpy(session(operator, element).run(None, feed)[0])


SHAPES = [(2, 2, 1), (4, 5, 2), (9, 3, 3), (16, 17, 1)]


@pytest.mark.parametrize("mixed", [False, True], ids=["one style", "several styles"])
@pytest.mark.parametrize(("height", "width", "batch"), SHAPES)
def test_the_onnx_body_of_the_plain_epilogue_is_the_reference(height: int, width: int, batch: int, mixed: bool):
    given_ = arguments(height, width, batch=batch, up=False, mixed=mixed)
    torch.testing.assert_close(run(functions.MODULATED_CONV, given_), modulated_conv_epilogue(*given_))


@pytest.mark.parametrize("mixed", [False, True], ids=["one style", "several styles"])
@pytest.mark.parametrize(("height", "width", "batch"), SHAPES)
def test_the_onnx_body_of_the_upsampling_epilogue_is_the_reference(height: int, width: int, batch: int, mixed: bool):
    given_ = arguments(height, width, batch=batch, mixed=mixed)
    torch.testing.assert_close(run(functions.UPSAMPLE, given_), upsample_epilogue(*given_))


@pytest.mark.parametrize("up", [False, True])
def test_the_onnx_bodies_compute_in_float32_for_every_type_of_y(up: bool):
    y, *rest = arguments(up=up)
    given_ = (y.half() * 100, *rest)
    operator, reference = (
        (functions.UPSAMPLE, upsample_epilogue) if up else (functions.MODULATED_CONV, modulated_conv_epilogue)
    )
    torch.testing.assert_close(run(operator, given_), reference(*given_), rtol=1e-3, atol=1e-3)  # type: ignore[arg-type]
