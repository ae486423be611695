"""Memory that is used again: by default glibc hands every large tensor back to the system, which zeroes it anew.

A training step on a CPU then spends much of its time on pages that were just given away.
"""

from __future__ import annotations

import ctypes
import os
import sys

# mallopt's parameters, from malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_memory() -> bool:
    """Tells glibc to keep what is freed, and PyTorch to ask for huge pages; for the rest of the process.

    Huge pages only come where PyTorch has not yet allocated a tensor. Where the user has set either through the
    environment, or the C library is another, that stays as it is.

    Returns:
        Whether memory is kept.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    own = os.environ.get("GLIBC_TUNABLES", "")
    if (
        not sys.platform.startswith("linux")
        or "malloc" in own
        or any(name.startswith("MALLOC_") for name in os.environ)
    ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_ARENA_MAX, 1))
    done = [mallopt(parameter, value) for parameter, value in settings]
    return all(value == 1 for value in done)
