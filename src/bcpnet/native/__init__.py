"""A small C library for what takes the time on CPUs; where it was not compiled, everything works without it.

`pip install` compiles it if it finds a C compiler (GCC or Clang), and installs without it if not. Calls go through
ctypes, which lets other threads run meanwhile.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec


@cache
def library() -> ctypes.CDLL | None:
    """The compiled library, with argument types declared; None where there is none."""
    spec = find_spec("bcpnet.native._library")
    if spec is None or spec.origin is None:
        return None
    try:
        loaded = ctypes.CDLL(spec.origin)
    except OSError:  # built for another machine
        return None
    loaded.bcpnet_level.restype = ctypes.c_char_p
    return loaded


def level() -> str | None:
    """The instruction set that is used: "avx512", "avx2" or "baseline"; None without the library."""
    loaded = library()
    return None if loaded is None else loaded.bcpnet_level().decode()
