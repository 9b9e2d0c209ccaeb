"""The processes of one run: who this one is, and means over all of them. One process needs nothing installed.

Gradients are averaged once per update, after all backward passes, instead of wrapping the networks: a GAN's step runs parts
of its networks several times and differentiates twice, which gradient hooks do not survive.
"""

import atexit
import os
from collections.abc import Iterable
from datetime import timedelta

import torch
from torch import Tensor

from infgen.engines.eager import pick_device
from infgen.errors import InfgenError, InputError, MissingExtraError

PATIENCE = timedelta(minutes=30)  # the others wait this long while the first one judges a model or writes


class Processes:
    """One process alone. ``Group`` is the same for several."""

    index = 0
    count = 1

    def __init__(self, device: str | None = None) -> None:
        self.device = pick_device(device)

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.index == 0

    def mean(self, values: Tensor) -> Tensor:
        """Mean of equally shaped tensors over all processes."""
        return values

    def largest(self, value: int) -> int:
        """Largest of one number of each process, 0 to 2^24."""
        return value

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over all processes."""


class Group(Processes):
    """This process among those that ``torchrun`` or ``accelerate launch`` started.

    Raises MissingExtraError without the ``train`` extra, InputError for a device other than "cpu" or "cuda".
    """

    def __init__(self, device: str | None = None) -> None:
        try:
            from accelerate import PartialState
            from accelerate.utils import reduce
        except ImportError:
            raise MissingExtraError(
                "training in several processes needs accelerate, which is not installed; run: pip install 'infgen[train]'"
            ) from None
        if device not in {None, "cpu", "cuda"}:
            raise InputError(f"device {device!r} cannot be used in several processes; give cpu, cuda, or leave it out")
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        # A group that lives when Python ends may abort the process: its threads drop their last tensors then. These
        # functions take the group of their import as a default argument, and the first optimizer imports them.
        import torch.distributed.nn.functional

        cpu = device == "cpu" or not torch.cuda.is_available()
        group = PartialState(cpu=cpu, timeout=PATIENCE)
        atexit.register(group.destroy_process_group)
        self.device = group.device
        self.index, self.count = group.process_index, group.num_processes
        self._reduce = reduce

    def mean(self, values: Tensor) -> Tensor:
        """Mean of equally shaped tensors over all processes."""
        return self._exchange(values, "mean")

    def largest(self, value: int) -> int:
        """Largest of one number of each process, 0 to 2^24."""
        return int(self._exchange(torch.tensor(float(value), device=self.device), "max"))

    def _exchange(self, values: Tensor, kind: str) -> Tensor:
        """Raises InfgenError where another process is gone."""
        try:
            return self._reduce(values, reduction=kind)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:160]
            raise InfgenError(
                f"process {self.index} of {self.count} lost another one ({reason}); start all of them again with --resume"
            ) from error

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over all processes, in one exchange."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        mean = self.mean(torch.cat([g.flatten() for g in gradients]))
        for gradient, part in zip(gradients, torch.split(mean, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


def join(device: str | None = None) -> Processes:
    """The processes of this run: a group where a launcher started several (``WORLD_SIZE``), one process otherwise."""
    return Group(device) if int(os.environ.get("WORLD_SIZE") or 1) > 1 else Processes(device)
