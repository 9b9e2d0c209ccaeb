"""Render tiles on a Triton Inference Server, from a model repository of ``infgen export --triton``.

Every tile is one request with its own styles, so the server can batch the tiles of all its clients.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from infgen.engines.exported import ExportedEngine, Feed
from infgen.engines.kserve import EXAMPLE, MissingModelError, Server, ServerUrl
from infgen.engines.tile_file import OUTPUT, TileFile
from infgen.errors import InfgenError, InputError, ModelFileError

MADE_BY = "infgen export MODEL --triton"
_FLOAT = "FP32"
_OUT_OF_MEMORY = ("failed to allocate memory", "out of memory", "bad_alloc")


class TritonEngine(ExportedEngine):
    """Renders with the model of ``url``: triton://host:8001/model, or the server's only infgen model if none is named.

    Options of the URL are ``timeout``, seconds for one tile, and ``tls``, true or false. Up to
    ``infgen.engines.kserve.IN_FLIGHT`` tiles of a batch are in flight. The server chooses its batches, so pixels may differ in
    their last bits between calls, unless the server computes tiles one by one.
    Raises InputError for an invalid URL, an unknown model or an ambiguous choice. Raises ModelFileError for a model that infgen
    did not export for Triton, MissingExtraError without gRPC, and InfgenError if the server cannot be reached.
    """

    def __init__(self, url: str) -> None:
        address = ServerUrl.parse(url)
        self._server = Server(address)
        self._server.ask("ServerLive")
        self._model, parameters = self._only_model() if address.model is None else self._find_model(address.model)
        source = f"model {self._model!r} of {self._server}"
        file = TileFile.from_metadata(parameters, source=source, made_by=MADE_BY)
        if file.styles_per != "tile":
            raise ModelFileError(
                f"{source} wants the styles of a whole batch, not of each tile; make it with: {MADE_BY}"
            )
        super().__init__(file, source)

    def _find_model(self, model: str) -> tuple[str, dict[str, str]]:
        try:
            return model, self._parameters(model)
        except MissingModelError:
            ready = ", ".join(self._ready()) or "none"
            raise InputError(f"{self._server} has no model {model!r}; ready are: {ready}") from None

    def _only_model(self) -> tuple[str, dict[str, str]]:
        """Find the only ready model that infgen made."""
        known = {name: self._parameters(name) for name in self._ready()}
        ours = {name: parameters for name, parameters in known.items() if "infgen.format" in parameters}
        if not ours:
            raise InputError(
                f"{self._server} has no model of infgen (ready are: {', '.join(known) or 'none'}); make one with: {MADE_BY}"
            )
        if len(ours) > 1:
            raise InputError(f"{self._server} has several models of infgen, {', '.join(ours)}; name one: {EXAMPLE}")
        return ours.popitem()

    def _ready(self) -> list[str]:
        """Return the names of the ready models."""
        return sorted({entry.name for entry in self._server.ask("RepositoryIndex", ready=True).models})

    def _parameters(self, model: str) -> dict[str, str]:
        config = self._server.ask("ModelConfig", name=model).config
        return {entry.key: entry.value.string_value for entry in config.parameters}

    @property
    def name(self) -> str:
        return "triton"

    @property
    def device(self) -> torch.device:
        """Always the CPU, from which inputs are sent."""
        return torch.device("cpu")

    @property
    def bytes_per_value(self) -> int:
        """Bytes of one activation: 4 for fp32, else 2."""
        return 4 if self._file.precision == "fp32" else 2

    def _run(self, feed: Feed, count: int) -> Tensor:
        requests = (self._request(feed, i) for i in range(count))
        try:
            return torch.cat([self._pixels(answer) for answer in self._server.infer(requests)])
        except InfgenError as error:
            if not any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
                raise
            raise InfgenError(
                f"{self._server} has too little memory for batches of these tiles; export the model with a smaller --batch or "
                f"--tile ({error})"
            ) from None

    def _request(self, feed: Feed, tile: int) -> Any:
        """Make the request for one tile of ``feed``."""
        kinds = self._server.messages
        request = kinds["ModelInferRequest"](model_name=self._model, outputs=[kinds["Tensor"](name=OUTPUT)])
        for name, tensor in feed.items():
            array = tensor[tile : tile + 1].numpy().astype("<f4", copy=False)
            request.inputs.add(name=name, datatype=_FLOAT, shape=array.shape)
            request.raw_input_contents.append(array.tobytes())
        return request

    def _pixels(self, answer: Any) -> Tensor:
        """Read RGB (1, 3, H, W) from an answer. Raises InfgenError for any other answer."""
        expected = (1, 3, *self._file.tile_px)
        found = [(output.name, output.datatype, tuple(output.shape)) for output in answer.outputs]
        sizes = [len(content) for content in answer.raw_output_contents]
        if found != [(OUTPUT, _FLOAT, expected)] or sizes != [4 * int(np.prod(expected))]:
            shapes = "; ".join(f"{name[:40]} {kind[:10]} {shape}" for name, kind, shape in found[:3]) or "nothing"
            raise InfgenError(
                f"{self._source} answers with {shapes} in {sum(sizes)} bytes, not with {OUTPUT} {_FLOAT} {expected}; export it "
                "again"
            )
        return torch.from_numpy(np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(expected).copy())
