"""The processes of one run: index and number, and averages over all of them. One process needs no extra package.

Gradients are averaged once per update, after all backward passes. Gradient hooks of wrapped networks do not work here: a
GAN's step runs parts of its networks several times and differentiates twice.
"""

import atexit
import os
from collections.abc import Iterable
from datetime import timedelta

import torch
from torch import Tensor

from infgen.engines.eager import pick_device
from infgen.errors import InfgenError, InputError, one_line
from infgen.extras import require_extra

TIMEOUT = timedelta(minutes=30)  # for the other processes while the first one measures a model or writes files


class Processes:
    """A single process. ``ProcessGroup`` has the same interface for several."""

    index = 0
    count = 1

    def __init__(self, device: str | None = None) -> None:
        self.device = pick_device(device)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.index == 0

    def mean(self, values: Tensor) -> Tensor:
        """Average a tensor of the same shape over all processes."""
        return values

    def maximum(self, value: int) -> int:
        """Return the largest ``value`` of all processes; values are 0 to 2^24."""
        return value

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over all processes."""


class ProcessGroup(Processes):
    """This process among the processes started by ``torchrun`` or ``accelerate launch``.

    Raises MissingExtraError without the ``train`` extra, and InputError for a device other than "cpu" or "cuda".
    """

    def __init__(self, device: str | None = None) -> None:
        with require_extra("train", "training in several processes"):
            from accelerate import PartialState
            from accelerate.utils import reduce
        if device not in {None, "cpu", "cuda"}:
            raise InputError(f"device {device!r} cannot be used in several processes; give cpu, cuda, or leave it out")
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        # A group that exists when Python exits may abort the process, because its threads free their last tensors then.
        # This module keeps the group that exists at its import as a default argument, and the first optimizer imports it.
        import torch.distributed.nn.functional

        cpu = device == "cpu" or not torch.cuda.is_available()
        group = PartialState(cpu=cpu, timeout=TIMEOUT)
        atexit.register(group.destroy_process_group)
        self.device = group.device
        self.index, self.count = group.process_index, group.num_processes
        self._reduce = reduce

    def mean(self, values: Tensor) -> Tensor:
        """Average a tensor of the same shape over all processes."""
        return self._reduce_all(values, "mean")

    def maximum(self, value: int) -> int:
        """Return the largest ``value`` of all processes; values are 0 to 2^24."""
        return int(self._reduce_all(torch.tensor(float(value), device=self.device), "max"))

    def _reduce_all(self, values: Tensor, kind: str) -> Tensor:
        """Reduce ``values`` over all processes. Raises InfgenError if another process has ended."""
        try:
            return self._reduce(values, reduction=kind)
        except RuntimeError as error:
            reason = one_line(error)
            raise InfgenError(
                f"process {self.index} of {self.count} lost the connection to another process ({reason}); "
                "start all of them again with --resume"
            ) from error

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over all processes, in one reduction."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        mean = self.mean(torch.cat([g.flatten() for g in gradients]))
        for gradient, part in zip(gradients, torch.split(mean, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


def join_processes(device: str | None = None) -> Processes:
    """Join the processes of this run: a group if a launcher started several (``WORLD_SIZE``), else one process."""
    return ProcessGroup(device) if int(os.environ.get("WORLD_SIZE") or 1) > 1 else Processes(device)
