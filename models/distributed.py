"""Where a run trains: the processor, one GPU, or several processes that torch's own launcher started.

`torchrun --nproc-per-node 4 -m models.train scadf-moe` trains on four GPUs of a machine, or in four processes where
there is none.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

Batch = TypeVar("Batch")
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


@dataclass(frozen=True)
class Workers:
    """The processes that train together; `rank` is the number of this one."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def wrap(self, objective: nn.Module) -> nn.Module:
        """The objective, with gradients averaged over the processes where there are several."""
        if self.count == 1:
            return objective
        return DistributedDataParallel(objective, find_unused_parameters=True)  # a variant may leave parts out

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()

    def agree(self, module: nn.Module) -> None:
        """Give every process the weights and statistics of the one that leads: batch norm has seen others in each."""
        if self.count > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)

    def share(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches of this process; every process gets as many."""
        while len(some := list(islice(batches, self.count))) == self.count:
            yield some[self.rank]


@contextmanager
def workers(device: str | None) -> Iterator[Workers]:
    """Join the processes that the launcher started, if it did.

    Args:
        device: such as `cpu` or `cuda`; by default a GPU where there is one.
    """
    _keep_freed_memory()
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Workers(torch.device(kind))
        return
    place = torch.device(kind, int(os.environ["LOCAL_RANK"])) if kind == "cuda" else torch.device(kind)
    distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Workers(place, distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


def _keep_freed_memory() -> None:
    """Let glibc keep what tensors free: a training step that maps its pages anew spends 40 % of its time in the kernel.

    Measured with two runs on two cores: 72 s an epoch without, 50 s with.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28)):
            libc.mallopt(option, value)
