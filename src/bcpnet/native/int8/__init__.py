"""The C engine for networks in 8-bit integers: `bcpnet.native`'s other half, optional like it."""

from __future__ import annotations

import ctypes
from functools import cache

from bcpnet.native import library
from bcpnet.native.int8.structures import CInt8Layer

LEVELS = ("avx512vnni", "avxvnni", "avx2", "i8mm", "dotprod", "baseline")  # of CPUs, the best first


@cache
def int8_kernels(level: str | None = None) -> int | None:
    """Handle of the kernels of a level, one of LEVELS; by default the best that this CPU runs.

    None where there is no library, or the CPU lacks that level.
    """
    loaded = library()
    if loaded is None or loaded.bcpnet_int8_layer_bytes() != ctypes.sizeof(CInt8Layer):
        return None
    handle: int | None = loaded.bcpnet_int8_kernels(None if level is None else level.encode())
    return handle
