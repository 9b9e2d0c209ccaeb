"""Run a TensorRT engine on PyTorch's streams, CUDA graphs and memory, without another CUDA binding.

Every batch size has two *lanes*: input and output buffers, and the launches as a CUDA graph. While one lane computes, the inputs
of the next batch are copied into the other lane on a second stream. The CPU waits only for the copy of two calls before. Streams
order the results, so reading them synchronises.
"""

import itertools
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from infgen.engines.exported import Feed, OutOfDeviceMemory
from infgen.engines.tensorrt_library import Library
from infgen.engines.tile_file import OUTPUT
from infgen.errors import InfgenError

LANES = 2
KEPT_SIZES = 4  # most batch sizes with lanes in memory


class Lane:
    """A context of the engine with its own inputs and output."""

    def __init__(self, context: Any, inputs: Feed, output: Tensor, *, scratch: Tensor, capturable: bool) -> None:
        self._context, self._inputs, self._output = context, inputs, output
        self._scratch, self._capturable = scratch, capturable  # the context holds only its address
        self._staging: Feed = {}
        self._graph: torch.cuda.CUDAGraph | None = None
        self._uploaded = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._computed = torch.cuda.Event()  # type: ignore[no-untyped-call]
        context.set_device_memory(scratch.data_ptr(), scratch.numel())
        for name, buffer in (inputs | {OUTPUT: output}).items():
            context.set_tensor_address(name, buffer.data_ptr())

    def upload(self, feed: Feed, stream: torch.cuda.Stream, *, after: torch.cuda.Stream) -> None:
        """Copy ``feed``, made on the stream ``after``, to the inputs."""
        self._uploaded.synchronize()  # the staging memory must be free
        stream.wait_stream(after)
        stream.wait_event(self._computed)  # the inputs must have been read
        with torch.cuda.stream(stream):
            for name, buffer in self._inputs.items():
                buffer.copy_(self._source(name, feed[name], stream), non_blocking=True)
            self._uploaded.record(stream)

    def _source(self, name: str, tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
        """Return ``tensor``, or its copy in pinned memory for an asynchronous copy on ``stream``."""
        if tensor.is_cuda:
            tensor.record_stream(stream)
            return tensor
        if name not in self._staging:
            self._staging[name] = torch.empty_like(tensor).pin_memory()
        return self._staging[name].copy_(tensor)

    def compute(self, stream: torch.cuda.Stream) -> Tensor:
        """Start the computation on ``stream``, and return a copy of the output on this stream."""
        stream.wait_event(self._uploaded)
        with torch.cuda.stream(stream):
            if self._graph is None and self._capturable:
                self._graph = self._capture(stream)
            if self._graph is None:
                self._execute(stream)
            else:
                self._graph.replay()
            rgb = self._output.clone()
            self._computed.record(stream)
        return rgb

    def _capture(self, stream: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
        """Capture the launches as a graph, after a first run for setup that a graph cannot hold."""
        self._execute(stream)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._execute(stream)
        return graph

    def _execute(self, stream: torch.cuda.Stream) -> None:
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise Refused


class Refused(Exception):
    """TensorRT reported a failure; its log has the reason."""


class Runner:
    """Runs ``engine``, deserialised by ``library``, on ``device``. ``log``: of ``make_logger``."""

    def __init__(self, library: Library, engine: Any, device: torch.device, *, log: Any) -> None:
        self._library, self._engine, self._device, self._log = library, engine, device, log
        self._lanes: OrderedDict[int, Iterator[Lane]] = OrderedDict()
        self._uploads = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._computes = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self._inputs = [name for name in names if name != OUTPUT]
        self._free = [name for name in self._inputs if -1 in tuple(engine.get_tensor_shape(name))]
        self._context_config = self._choose_context_config()

    def run(self, feed: Feed, count: int) -> Tensor:
        """Compute RGB (count, 3, H, W), float32, on the device, ordered by the current stream.

        Raises OutOfDeviceMemory, or InfgenError if TensorRT fails.
        """
        with torch.cuda.device(self._device):
            try:
                lane = next(self._lanes_for(feed, count))
                current = torch.cuda.current_stream(self._device)
                lane.upload(feed, self._uploads, after=current)
                rgb = lane.compute(self._computes)
            except (torch.OutOfMemoryError, Refused) as error:
                self._forget(*self._lanes)
                raise self._failure(error) from None
            current.wait_stream(self._computes)
            rgb.record_stream(current)
        return rgb

    def layers(self) -> list[str]:
        """Return descriptions of the engine's layers by TensorRT's inspector, one line each."""
        inspector, form = self._engine.create_engine_inspector(), self._library.module.LayerInformationFormat.ONELINE
        return [inspector.get_layer_information(i, form) for i in range(self._engine.num_layers)]

    def _lanes_for(self, feed: Feed, count: int) -> Iterator[Lane]:
        """Return the lanes for ``count`` tiles in turn."""
        if count not in self._lanes:
            if len(self._lanes) >= KEPT_SIZES:
                self._forget(next(iter(self._lanes)))
            self._lanes[count] = itertools.cycle(self._new_lanes(feed))
        self._lanes.move_to_end(count)
        return self._lanes[count]

    def _new_lanes(self, feed: Feed) -> list[Lane]:
        """Make lanes that share scratch memory, because only one computes at a time."""
        contexts = [self._context(feed) for _ in range(LANES)]
        need = max(context.update_device_memory_size_for_shapes() for context in contexts)
        scratch = torch.empty(max(need, 1), dtype=torch.uint8, device=self._device)
        lanes = []
        for context in contexts:
            inputs = {name: torch.empty(feed[name].shape, device=self._device) for name in self._inputs}
            output = torch.empty(tuple(context.get_tensor_shape(OUTPUT)), device=self._device)
            lanes.append(Lane(context, inputs, output, scratch=scratch, capturable=self._is_capturable(context)))
        return lanes

    def _context(self, feed: Feed) -> Any:
        """Create a context for inputs with the shapes of ``feed``, without memory of its own."""
        context = self._engine.create_execution_context(self._context_config)
        if context is None:
            raise Refused
        for name in self._free:
            if not context.set_input_shape(name, tuple(feed[name].shape)):
                raise Refused
        return context

    def _choose_context_config(self) -> Any:
        """Return the settings of new contexts, which use memory allocated by the caller."""
        module = self._library.module
        given = module.ExecutionContextAllocationStrategy.USER_MANAGED
        if self._library.builder == "classic":
            return given
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(given)
        # compile kernels for a batch size at once: fallback kernels can give other bits
        config.dynamic_shapes_kernel_specialization_strategy = module.DynamicShapesKernelSpecializationStrategy.EAGER
        return config

    def _is_capturable(self, context: Any) -> bool:
        """Return whether launches can be captured; some networks of TensorRT-RTX cannot."""
        return self._library.builder == "classic" or bool(context.is_stream_capturable(self._computes.cuda_stream))

    def _forget(self, *counts: int) -> None:
        """Free the lanes of these batch sizes."""
        self._computes.synchronize()
        for count in counts:
            del self._lanes[count]
        torch.cuda.empty_cache()  # TensorRT's own memory is not PyTorch's

    def _failure(self, error: Exception) -> Exception:
        reason = (self._log.errors() or ["no reason was given"])[-1]
        if isinstance(error, torch.OutOfMemoryError) or "memory" in reason.lower():
            return OutOfDeviceMemory()
        return InfgenError(f"{self._library.title} failed: {reason[:300]}")
