"""The structures of int8_layers.h, field by field, for ctypes."""

from __future__ import annotations

import ctypes

SEPARABLE, POINTWISE, POOL = range(3)
FRONT_FRAME, FRONT_EXPAND, FRONT_SUM, FRONT_COPY = range(4)


class CRequantising(ctypes.Structure):
    """`Requantising`."""

    _fields_ = [
        ("start", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("room", ctypes.c_int64),
        ("zero_point", ctypes.c_int32),
        ("float_start", ctypes.c_int32),
    ]


class CInt8Product(ctypes.Structure):
    """`Int8Product`."""

    _fields_ = [
        ("weights", ctypes.c_void_p),
        ("weights_bytes", ctypes.c_int64),
        ("requantising", CRequantising),
        ("inputs", ctypes.c_int32),
        ("outputs", ctypes.c_int32),
    ]


class CInt8Source(ctypes.Structure):
    """`Int8Source`."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_int64),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("sampling", ctypes.c_int32),
        ("zero_point", ctypes.c_int32),
        ("scale", ctypes.c_float),
    ]


class CInt8Layer(ctypes.Structure):
    """`Int8Layer`."""

    _fields_ = [
        *(
            (name, ctypes.c_int32)
            for name in (
                "kind", "front", "height", "width", "out_height", "out_width", "channels", "pitch", "stride",
                "tile_height", "tile_width", "n_sources",
            )
        ),
        ("sources", CInt8Source * 3),
        ("frame", ctypes.c_void_p),
        ("frame_bytes", ctypes.c_int64),
        ("frame_height", ctypes.c_int32),
        ("frame_width", ctypes.c_int32),
        ("frame_zero", ctypes.c_int32),
        ("front_zero", ctypes.c_int32),
        ("swish_scale", ctypes.c_float),
        ("expand", CInt8Product),
        ("depthwise", ctypes.c_void_p),
        ("depthwise_bytes", ctypes.c_int64),
        ("depthwise_requantising", CRequantising),
        ("project", CInt8Product),
        ("residual", ctypes.c_void_p),
        ("residual_bytes", ctypes.c_int64),
        ("own_scale", ctypes.c_float),
        ("residual_scale", ctypes.c_float),
        ("residual_offset", ctypes.c_float),
        ("as_floats", ctypes.c_int32),
        ("out", ctypes.c_void_p),
        ("out_bytes", ctypes.c_int64),
    ]  # fmt: skip
