"""Test the engine that uses a Triton server: pixels, requests, and errors."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch

from infgen.engines import EagerEngine, kserve
from infgen.engines.triton import TritonEngine
from infgen.errors import InfgenError, InputError, MissingExtraError, ModelFileError, exit_code
from infgen.model.checkpoint import file_hash
from infgen.world.world import World
from tests.export.files import batch_of, tiny_file, tiny_generator
from tests.export.kserve import Double, Faults, serving, tiny_repository
from tests.rendering.test_fused_seams import four_styles

ONE, OTHER = World.create(seed=5), World.create(seed=6, noise=0.3)
FOUR = World.create(seed=5, layout=four_styles((-515, -515), 401))
PATIENT = 10.0  # seconds that the double waits until a batch is full


@pytest.fixture(scope="module")
def running() -> Iterator[Double]:
    with serving(tiny_repository(1)) as double:
        yield double


@pytest.fixture
def server(running: Double, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    """A double without faults. Retries have no delay."""
    monkeypatch.setattr(kserve, "BACKOFF", 0.0)
    running.faults = Faults()
    running.calls.clear()
    running.under_way.clear()
    model = running.models["tiny"]
    model.batches.clear()
    delay, most = model.delay, model.most
    yield running
    running.faults = Faults()
    model.delay, model.most = delay, most


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


def refusal(url: str, kind: type[InfgenError] = InputError) -> str:
    with pytest.raises(kind) as caught:
        TritonEngine(url)
    return one_line(caught.value)


def failure(server: Double, *, count: int = 1, url: str = "") -> str:
    with pytest.raises(InfgenError) as caught:
        TritonEngine(url or server.url).render_float(batch_of(ONE, count=count))
    return one_line(caught.value)


def test_the_engine_describes_the_servers_model(server: Double):
    engine = TritonEngine(server.url)
    assert (engine.name, engine.precision, engine.fixed_cells, engine.device.type) == (
        "triton",
        "fp32",
        (11, 11),
        "cpu",
    )
    assert (engine.config, engine.bytes_per_value) == (tiny_generator().config, 4)


@pytest.mark.parametrize("path", ["", "/", "/tiny"])
def test_the_only_model_need_not_be_named(server: Double, path: str):
    assert TritonEngine(server.url + path).file.model_sha256 == file_hash(tiny_file())


def test_tiles_of_a_batch_travel_together_and_are_joined(server: Double):
    server.models["tiny"].delay = PATIENT
    TritonEngine(server.url).render_float(batch_of(ONE, count=4))
    assert server.models["tiny"].batches == [4]


def test_tiles_of_two_worlds_share_a_batch_and_each_is_as_if_alone(server: Double):
    server.models["tiny"].delay, server.models["tiny"].most = PATIENT, 2
    batches = [batch_of(world, count=1) for world in (ONE, OTHER)]
    with ThreadPoolExecutor(2) as clients:
        found = list(clients.map(lambda batch: TritonEngine(server.url).render_float(batch), batches))
    assert server.models["tiny"].batches == [2]
    for batch, picture in zip(batches, found, strict=True):
        torch.testing.assert_close(picture, EagerEngine(tiny_generator()).render_float(batch), rtol=0, atol=1e-4)


def test_no_more_tiles_are_under_way_than_allowed(server: Double, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kserve, "IN_FLIGHT", 2)
    batch = batch_of(ONE, count=5)
    picture = TritonEngine(server.url).render_float(batch)
    assert max(server.under_way) <= 2
    torch.testing.assert_close(picture, EagerEngine(tiny_generator()).render_float(batch), rtol=0, atol=1e-4)


def test_a_server_that_is_not_available_for_a_moment_is_asked_again(server: Double):
    server.faults.unavailable = kserve.TRIES - 1
    batch = batch_of(ONE, count=1)
    picture = TritonEngine(server.url).render_float(batch)
    assert len(server.calls) == kserve.TRIES
    torch.testing.assert_close(picture, EagerEngine(tiny_generator()).render_float(batch), rtol=0, atol=1e-4)


def test_a_server_that_stays_unavailable_is_given_up(server: Double):
    server.faults.unavailable = 100
    message = failure(server)
    assert "is not available, in 3 tries (Exceeds maximum queue size)" in message
    assert len(server.calls) == kserve.TRIES


def test_tries_are_further_and_further_apart(server: Double, monkeypatch: pytest.MonkeyPatch):
    waits: list[float] = []
    monkeypatch.setattr(kserve, "BACKOFF", 0.5)
    monkeypatch.setattr(kserve.time, "sleep", waits.append)
    server.faults.unavailable = 2
    TritonEngine(server.url).render_float(batch_of(ONE, count=1))
    assert [wait for wait in waits if wait] == [0.5, 1.0]


def test_other_errors_are_shown_in_the_server_s_words_at_once(server: Double):
    server.faults.words = "onnx runtime error 2: \n  not what\twas\x07 expected"
    assert "reports an error: onnx runtime error 2: not what was expected" in failure(server)
    assert len(server.calls) == 1


def test_long_words_of_a_server_are_cut(server: Double):
    server.faults.words = "word " * 1000
    assert len(failure(server)) < 400


def test_lack_of_memory_on_a_server_is_distinguished_from_other_errors(server: Double):
    server.faults.words = "onnx runtime error 6: Failed to allocate memory for requested buffer of size 7"
    assert "export the model with a smaller --batch or --tile" in failure(server)


def test_a_server_that_takes_too_long_is_given_up(server: Double):
    server.faults.seconds = 1.0
    assert "did not answer within 0.5 s" in failure(server, url=f"{server.url}/tiny?timeout=0.5")


def test_an_answer_of_another_size_is_refused_with_both(server: Double):
    server.faults.wrong_shape = True
    message = failure(server)
    assert "rgb FP32 (1, 3, 101, 100)" in message
    assert "rgb FP32 (1, 3, 101, 101)" in message


def test_requests_under_way_are_given_up_when_one_fails(server: Double):
    server.faults.words = "no"
    failure(server, count=12)
    assert len(server.calls) <= kserve.IN_FLIGHT


def test_ctrl_c_cancels_requests_in_flight(server: Double):
    server.faults.seconds = 0.3
    engine = TritonEngine(server.url)
    started = engine._server._start
    calls: list[Any] = []

    def interrupt(*arguments: Any) -> Any:
        calls.append(started(*arguments))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return calls[-1]

    engine._server._start = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        engine.render_float(batch_of(ONE, count=4))
    assert [call.cancelled() for call in calls[:2]] == [True, True]


def test_a_server_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kserve, "BACKOFF", 0.0)
    message = refusal("triton://127.0.0.1:1", InfgenError)
    assert "server 127.0.0.1:1 is not available" in message
    assert "gRPC port" in message


def test_a_model_that_is_missing_is_refused_with_those_that_are_ready(server: Double):
    assert "has no model 'texture'; ready are: tiny" in refusal(f"{server.url}/texture")


def test_more_styles_than_the_model_mixes_are_refused(server: Double):
    with pytest.raises(InputError, match=r"styles reach one tile and model 'tiny' of server .* draws one style"):
        TritonEngine(server.url).render_float(batch_of(FOUR))


def test_tiles_of_another_size_are_refused(server: Double):
    with pytest.raises(InputError, match=r"101 x 149 px were asked of model 'tiny'"):
        TritonEngine(server.url).render_float(batch_of(ONE, cells=(11, 14)))


def test_a_model_made_of_another_file_is_refused(server: Double):
    with pytest.raises(InputError, match=r"model 'tiny' of server .* was made from model"):
        TritonEngine(server.url).check(model_sha256="0" * 64)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(tiny_repository(1), tmp_path / "repository"))


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "config.pbtxt").read_text()
    assert old in text
    (folder / "config.pbtxt").write_text(text.replace(old, new))


def test_one_of_several_models_must_be_named(repository: Path):
    shutil.copytree(repository / "tiny", repository / "second")
    with serving(repository) as server:
        assert "several models of infgen, second, tiny; name one: triton://host:8001/model" in refusal(server.url)


def test_models_of_other_programs_are_ignored(repository: Path):
    shutil.copytree(repository / "tiny", repository / "another")
    edit(repository / "another", "infgen.", "other.")
    with serving(repository) as server:
        assert TritonEngine(server.url).fixed_cells == (11, 11)
        assert "was not made by infgen" in refusal(f"{server.url}/another", ModelFileError)


def test_a_server_without_models_of_infgen_is_refused(repository: Path):
    edit(repository / "tiny", "infgen.", "other.")
    with serving(repository) as server:
        assert "has no model of infgen (ready are: tiny); make one with: infgen export" in refusal(server.url)


def test_a_model_for_whole_batches_is_refused(repository: Path):
    edit(repository / "tiny", '"tile"', '"batch"')
    with serving(repository) as server:
        assert "make it with: infgen export MODEL --triton" in refusal(server.url, ModelFileError)


def test_a_contradictory_configuration_is_refused(repository: Path):
    edit(repository / "tiny", '"11x11"', '"eleven"')
    with serving(repository) as server:
        assert "metadata that cannot be read" in refusal(server.url, ModelFileError)


def test_a_message_that_the_server_does_not_take_is_named():
    with serving(tiny_repository(1), most_bytes=100_000) as server:
        message = failure(server)
    assert "does not take messages as large as this tile" in message
    assert "smaller --tile" in message


def test_a_server_of_another_kind_is_named():
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert "does not know ServerLive; infgen needs Triton" in refusal(f"triton://127.0.0.1:{port}")
    finally:
        server.stop(0).wait()


@pytest.mark.parametrize("module", ["grpc", "google.protobuf"])
def test_a_missing_dependency_names_the_extra(monkeypatch: pytest.MonkeyPatch, module: str):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"infgen\[triton\]"):
        TritonEngine("triton://127.0.0.1:1")


def test_bad_input_and_failed_work_end_with_their_own_codes():
    assert (exit_code(kserve.MissingModelError("")), exit_code(InfgenError(""))) == (2, 1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and a certificate of this machine, signed by itself."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the program openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    words = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *names]
    subprocess.run([*words, *files], check=True, capture_output=True)
    return key, certificate


def test_a_server_is_reached_by_tls_when_its_certificate_is_trusted(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(certificate[1])
    )  # gRPC reads it once, when TLS first begins
    key, signed = (path.read_bytes() for path in certificate)
    with serving(tiny_repository(1), credentials=grpc.ssl_server_credentials([(key, signed)])) as server:
        assert TritonEngine(f"{server.url}?tls=true").fixed_cells == (11, 11)


def test_a_batch_of_one_style_with_weights_is_rendered(server: Double):
    batch = batch_of(FOUR, count=1)
    alone = replace(batch, style=type(batch.style)(batch.style.z_g[:1], batch.style.w_plus[:1]), weights=None)
    expected = EagerEngine(tiny_generator()).render_float(alone)
    torch.testing.assert_close(TritonEngine(server.url).render_float(alone), expected, rtol=0, atol=1e-4)
