"""The structure `Smoothing` of kernels.h, field by field, for ctypes."""

from __future__ import annotations

import ctypes


class CSmoothing(ctypes.Structure):
    """`Smoothing`."""

    _fields_ = [
        ("frame", ctypes.c_void_p),
        ("frame_height", ctypes.c_int),
        ("frame_width", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("grey", "coarse", "grey_before", "coarse_before")),
        ("rows", ctypes.c_int),
        ("columns", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("shifts", "differences", "contrasts", "keep")),
        *((name, ctypes.c_void_p) for name in ("present", "present_before")),
        *((name, ctypes.c_int) for name in ("classes", "height", "width")),
        *((name, ctypes.c_void_p) for name in ("logits", "before", "block_rows", "block_columns")),
        ("pixels", ctypes.c_float * 2),
    ]
