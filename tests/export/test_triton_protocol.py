"""The inference protocol as infgen writes it down: URLs, and messages beside the official ones."""

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from infgen.engines.kserve import ServerUrl, messages
from infgen.errors import InputError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("triton://host", ServerUrl("host:8001", None)),
        ("triton://host:9001/scenery", ServerUrl("host:9001", "scenery")),
        ("triton://[::1]:8001/", ServerUrl("[::1]:8001", None)),
        ("triton://10.0.0.1?timeout=2.5&tls=true", ServerUrl("10.0.0.1:8001", None, timeout=2.5, tls=True)),
    ],
)
def test_a_url_names_server_model_and_options(url: str, expected: ServerUrl):
    assert ServerUrl.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("triton://", "is not understood"),
        ("http://host:8001", "is not understood"),
        ("triton://host/a/b", "is not understood"),
        ("triton://me@host", "is not understood"),
        ("triton://host:eight", "is no URL"),
        ("triton://host:70000", "is no URL"),
        ("triton://[::1", "is no URL"),
        ("triton://host?timeout", "is no URL"),
        ("triton://host?timeout=", "seconds from 0.001"),
        ("triton://host?timeout=0", "seconds from 0.001"),
        ("triton://host?timeout=-1", "seconds from 0.001"),
        ("triton://host?timeout=nan", "seconds from 0.001"),
        ("triton://host?tls=maybe", "allowed are true and false"),
        ("triton://host?model=x", "option 'model'"),
    ],
)
def test_a_url_that_is_not_understood_is_refused(url: str, message: str):
    with pytest.raises(InputError) as refusal:
        ServerUrl.parse(url)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


OFFICIAL = {
    "ModelIndex": service_pb2.RepositoryIndexResponse.ModelIndex,
    "ModelConfig": model_config_pb2.ModelConfig,
    "NamedParameter": model_config_pb2.ModelConfig.ParametersEntry,
    "ModelParameter": model_config_pb2.ModelParameter,
    "Tensor": service_pb2.ModelInferRequest.InferInputTensor,
}


@pytest.mark.parametrize("name", sorted(messages()))
def test_messages_have_the_official_names_and_numbers(name: str):
    official = OFFICIAL.get(name) or getattr(service_pb2, name)
    fields = official.DESCRIPTOR.fields_by_name
    for ours in messages()[name].DESCRIPTOR.fields:
        theirs = fields[ours.name]
        assert (ours.number, ours.type, ours.is_repeated) == (theirs.number, theirs.type, theirs.is_repeated)


def test_messages_that_are_sent_can_be_parsed_by_the_official_ones():
    kinds = messages()
    sent = kinds["ModelInferRequest"](model_name="tiny", raw_input_contents=[b"\0\1"])
    sent.inputs.add(name="z_l", datatype="FP32", shape=[1, 6, 2**40])
    read = service_pb2.ModelInferRequest.FromString(sent.SerializeToString())
    assert (read.model_name, read.inputs[0].name, list(read.inputs[0].shape)) == ("tiny", "z_l", [1, 6, 2**40])
    assert read.raw_input_contents == [b"\0\1"]
