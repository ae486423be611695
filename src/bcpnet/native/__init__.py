"""A small C library for what takes the time on CPUs; where it was not compiled, everything works without it.

`pip install` compiles it if it finds a C compiler (GCC or Clang), and installs without it if not. Calls go through
ctypes, which lets other threads run meanwhile.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec

from bcpnet.native.smoothing import CSmoothing
from bcpnet.native.structures import CLayer

LEVELS = ("avx512", "avx2", "baseline")  # of CPUs, the best first

_POINTER, _INT, _SIZE, _FLOAT = ctypes.c_void_p, ctypes.c_int, ctypes.c_ssize_t, ctypes.c_float
_FUNCTIONS = {
    "bcpnet_kernels": (_POINTER, [ctypes.c_char_p]),
    "bcpnet_level": (ctypes.c_char_p, [_POINTER]),
    "bcpnet_lanes": (_INT, [_POINTER]),
    "bcpnet_widest": (_INT, [_POINTER]),
    "bcpnet_pool": (_POINTER, [_INT]),
    "bcpnet_pool_free": (None, [_POINTER]),
    "bcpnet_layer_bytes": (_INT, []),
    "bcpnet_run": (_INT, [_POINTER, _POINTER, _POINTER, _INT]),
    "bcpnet_int8_kernels": (_POINTER, [ctypes.c_char_p]),
    "bcpnet_int8_level": (ctypes.c_char_p, [_POINTER]),
    "bcpnet_int8_lanes": (_INT, [_POINTER]),
    "bcpnet_int8_less": (_INT, [_POINTER]),
    "bcpnet_int8_multiply_adds": (_SIZE, [_POINTER, _SIZE]),
    "bcpnet_int8_layer_bytes": (_INT, []),
    "bcpnet_int8_run": (_INT, [_POINTER, _POINTER, _POINTER, _INT]),
    "bcpnet_deflate_runs": (_SIZE, [_POINTER, _SIZE, _SIZE, _POINTER]),
    "bcpnet_count_runs": (ctypes.c_int32, [_POINTER, _SIZE, _SIZE, _POINTER]),
    "bcpnet_find_runs": (None, [_POINTER, _SIZE, _SIZE, *[_POINTER] * 4]),
    "bcpnet_class_rles": (None, [_POINTER, _POINTER, ctypes.c_int32, ctypes.c_int32, _POINTER, _POINTER]),
    "bcpnet_colour_map": (None, [_POINTER, _POINTER, _SIZE, _INT, _INT, _POINTER, _POINTER]),
    "bcpnet_overlay": (_INT, [_POINTER, *[_POINTER, _SIZE] * 2, _INT, _INT, _POINTER, _INT, _POINTER]),
    "bcpnet_multiply_adds": (_SIZE, [_POINTER, _SIZE]),
    "bcpnet_resize": (
        _INT,
        [_POINTER, _POINTER, _SIZE, _INT, _INT, _POINTER, _INT, _INT, *[_POINTER, _POINTER, _INT] * 2, _INT],
    ),
    "bcpnet_smoothing_bytes": (_INT, []),
    "bcpnet_smooth_frame": (_INT, [_POINTER] * 4),
    "bcpnet_smooth_logits": (_INT, [_POINTER] * 2),
    "bcpnet_confidence": (_INT, [_POINTER, _POINTER, *[_INT] * 3, *[_POINTER] * 2, *[_INT] * 2, *[_POINTER] * 2]),
    "bcpnet_upsample_argmax": (_INT, [_POINTER, _POINTER, *[_INT] * 3, *[_SIZE] * 3, _POINTER, _INT, _INT]),
}


@cache
def library() -> ctypes.CDLL | None:
    """The compiled library, with argument types declared; None where there is none."""
    spec = find_spec("bcpnet.native._library")
    if spec is None or spec.origin is None:
        return None
    try:
        loaded = ctypes.CDLL(spec.origin)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):  # built for another machine, or from older sources
        return None
    sizes = loaded.bcpnet_layer_bytes(), loaded.bcpnet_smoothing_bytes()
    return loaded if sizes == (ctypes.sizeof(CLayer), ctypes.sizeof(CSmoothing)) else None


@cache
def kernels(level: str | None = None) -> int | None:
    """Handle of the kernels of a level, "avx512", "avx2" or "baseline"; by default the best that this CPU runs.

    None where there is no library, or the CPU lacks that level.
    """
    loaded = library()
    return None if loaded is None else loaded.bcpnet_kernels(None if level is None else level.encode())
