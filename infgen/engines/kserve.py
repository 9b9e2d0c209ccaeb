"""A minimal gRPC client of the open inference protocol (KServe v2), for rendering tiles.

Message classes are built at run time from the protocol text below. This needs no generated code and no fixed version of
protobuf. Needs the extra ``triton``.
"""

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from infgen.errors import InfgenError, InputError
from infgen.extras import require_extra

SCHEME, PORT = "triton", 8001
EXAMPLE = f"{SCHEME}://host:{PORT}/model"
TIMEOUT = 300.0  # seconds for one tile, including its time in the server's queue
OPENING_TIMEOUT = 10.0  # seconds for a request without computation
TRIES = 3  # attempts while the server is unavailable
BACKOFF = 0.5  # seconds before the second attempt, doubled before the third
IN_FLIGHT = 8  # most unanswered requests
MAX_MESSAGE = 2**31 - 1  # bytes, protobuf's own limit; gRPC's of 4 MiB is less than a tile
SERVICE = "inference.GRPCInferenceService"
_SHOWN = 300  # characters of a server's message that are shown

# Names and numbers are those of the protocol (github.com/kserve/open-inference-protocol) and of Triton's model configuration.
# On the wire a map is a list of keys and values.
_PROTOCOL = """
message ServerLiveRequest {}
message ServerLiveResponse { bool live = 1; }
message RepositoryIndexRequest { bool ready = 2; }
message RepositoryIndexResponse { repeated ModelIndex models = 1; }
message ModelIndex { string name = 1; }
message ModelConfigRequest { string name = 1; }
message ModelConfigResponse { ModelConfig config = 1; }
message ModelConfig { repeated NamedParameter parameters = 14; }
message NamedParameter { string key = 1; ModelParameter value = 2; }
message ModelParameter { string string_value = 1; }
message ModelInferRequest {
  string model_name = 1; repeated Tensor inputs = 5; repeated Tensor outputs = 6; repeated bytes raw_input_contents = 7;
}
message ModelInferResponse { repeated Tensor outputs = 5; repeated bytes raw_output_contents = 6; }
message Tensor { string name = 1; string datatype = 2; repeated int64 shape = 3; }
"""


class MissingModelError(InputError):
    """The server has no such model."""


@dataclass(frozen=True)
class ServerUrl:
    """Address of a server: ``target`` (host:port), ``model`` (None: the only one), ``timeout`` in s for a tile, ``tls``."""

    target: str
    model: str | None
    _: KW_ONLY
    timeout: float = TIMEOUT
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read triton://host:8001/model?timeout=300&tls=true; all but the host may be left out. Raises InputError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or PORT
            options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise InputError(f"server {url!r} is no URL ({error}); write it as {EXAMPLE}") from None
        model = parts.path.strip("/")
        if parts.scheme != SCHEME or not host or "/" in model or parts.username or parts.fragment:
            raise InputError(f"server {url!r} is not understood; write it as {EXAMPLE}")
        if unknown := sorted(options.keys() - {"timeout", "tls"}):
            raise InputError(f"server {url!r} has the option {unknown[0]!r}; allowed are timeout=SECONDS and tls=true")
        timeout, tls = options.get("timeout", [str(TIMEOUT)])[-1], options.get("tls", ["false"])[-1]
        if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", timeout, re.ASCII) or float(timeout) == 0:
            raise InputError(f"server {url!r} has timeout {timeout!r}; allowed are seconds from 0.001 to 999999")
        if tls not in ("true", "false"):
            raise InputError(f"server {url!r} has tls {tls!r}; allowed are true and false")
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return cls(target, model or None, timeout=float(timeout), tls=tls == "true")


def messages() -> dict[str, Any]:
    """Build the protocol's message classes by name, in a separate pool, so that programs can also load the official ones."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="infgen.proto", package="inference", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, body in re.findall(r"message (\w+) \{(.*?)\}", _PROTOCOL, re.DOTALL):
        message = file.message_type.add(name=name)
        for many, kind, field, number in re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", body):
            simple = getattr(kinds, f"TYPE_{kind.upper()}", None)
            message.field.add(
                name=field,
                number=int(number),
                label=kinds.LABEL_REPEATED if many else kinds.LABEL_OPTIONAL,
                type=kinds.TYPE_MESSAGE if simple is None else simple,
                type_name=f".inference.{kind}" if simple is None else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        each.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{each.name}"))
        for each in file.message_type
    }


class Server:
    """A client of one server. It connects on the first request. Raises MissingExtraError if gRPC is not installed."""

    def __init__(self, url: ServerUrl) -> None:
        with require_extra("triton", f"server {url.target}"):
            import grpc

            self.messages = messages()
        options = [("grpc.max_send_message_length", MAX_MESSAGE), ("grpc.max_receive_message_length", MAX_MESSAGE)]
        self._grpc, self._url = grpc, url
        self._channel = (
            grpc.secure_channel(url.target, grpc.ssl_channel_credentials(), options=options)
            if url.tls
            else grpc.insecure_channel(url.target, options=options)
        )

    def __str__(self) -> str:
        return f"server {self._url.target}"

    def ask(self, method: str, **fields: Any) -> Any:
        """Send a request without computation and return the answer. Raises what ``infer`` raises."""
        request = self.messages[f"{method}Request"](**fields)
        timeout = min(self._url.timeout, OPENING_TIMEOUT)
        return self._answer(method, request, self._start(method, request, timeout), timeout)

    def infer(self, requests: Iterable[Any]) -> Iterator[Any]:
        """Yield the answers to ``requests`` (ModelInferRequest) in order, with several requests in flight.

        Raises MissingModelError. Raises InfgenError if the server is unavailable in ``TRIES`` attempts, does not answer in time
        or reports an error; requests in flight are then cancelled.
        """
        method, timeout = "ModelInfer", self._url.timeout
        pending: deque[tuple[Any, Any]] = deque()
        try:
            for request in requests:
                if len(pending) == IN_FLIGHT:
                    yield self._answer(method, *pending.popleft(), timeout)
                pending.append((request, self._start(method, request, timeout)))
            while pending:
                yield self._answer(method, *pending.popleft(), timeout)
        finally:
            for _, call in pending:
                call.cancel()

    def _start(self, method: str, request: Any, timeout: float) -> Any:
        call = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=self.messages[f"{method}Response"].FromString,
        )
        return call.future(request, timeout=timeout)

    def _answer(self, method: str, request: Any, call: Any, timeout: float) -> Any:
        """Return the result of ``call``; retry while the server is unavailable."""
        for attempt in range(1, TRIES + 1):
            try:
                return call.result()
            except self._grpc.RpcError as error:
                if error.code() is not self._grpc.StatusCode.UNAVAILABLE or attempt == TRIES:
                    raise self._failure(method, error, timeout) from None
            except BaseException:  # Ctrl-C: stop the computation on the server
                call.cancel()
                raise
            time.sleep(BACKOFF * 2 ** (attempt - 1))
            call = self._start(method, request, timeout)
        raise AssertionError

    def _failure(self, method: str, error: Any, timeout: float) -> InfgenError:
        """Convert a gRPC ``error`` to an error of one line."""
        codes, words = self._grpc.StatusCode, " ".join(str(error.details()).split())
        words = "".join(c for c in words if c.isprintable())[:_SHOWN]
        match error.code():
            case codes.UNAVAILABLE:
                return InfgenError(
                    f"{self} is not available, in {TRIES} tries ({words}); check that it runs and that this is its gRPC port"
                )
            case codes.DEADLINE_EXCEEDED:
                return InfgenError(
                    f"{self} did not answer within {timeout:g} s; give it more time with ?timeout=SECONDS"
                )
            case codes.RESOURCE_EXHAUSTED:
                return InfgenError(
                    f"{self} or a proxy before it does not take messages as large as this tile ({words}); raise its limit, or "
                    "export the model with a smaller --tile"
                )
            case codes.NOT_FOUND:
                return MissingModelError(f"{self} has no such model ({words})")
            case codes.UNIMPLEMENTED:
                return InputError(f"{self} does not know {method}; infgen needs Triton Inference Server")
        return InfgenError(f"{self} reports an error: {words or error.code().name}")
