"""The processes of a run: whether all shall stop, and in one clear line why one cannot go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.distributed import DistError

from bcpnet.errors import InputError


def any_process(fabric: Fabric, flag: bool) -> bool:
    """Whether `flag` is set in any process: a signal may reach one of them, and they must stop at the same point."""
    if fabric.world_size == 1:
        return flag
    flags = fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum")
    assert isinstance(flags, Tensor)
    return bool(flags)


@contextmanager
def clear_failures(fabric: Fabric) -> Iterator[None]:
    """Raises InputError for two of PyTorch's RuntimeErrors: memory that ran out, and another process that ended."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in text:
            raise InputError("out of memory: choose a smaller --micro-batch") from error
        # Gloo, which connects CPU processes, has no class of error.
        if fabric.world_size > 1 and (isinstance(error, DistError) or "gloo" in text):
            raise InputError("another process of this run failed; its message is above") from error
        raise
