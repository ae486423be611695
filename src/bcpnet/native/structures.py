"""The structures of layers.h, field by field, for ctypes."""

from __future__ import annotations

import ctypes

SEPARABLE, POINTWISE, POOL, GATE, SCALE = range(5)
FRONT_FRAME, FRONT_EXPAND, FRONT_SUM = range(3)
REFUSED, NO_MEMORY, DONE = range(-1, 2)


class CActivation(ctypes.Structure):
    """`Activation`."""

    _fields_ = [("kind", ctypes.c_int32), ("low", ctypes.c_float), ("high", ctypes.c_float)]


class CProduct(ctypes.Structure):
    """`Product`."""

    _fields_ = [
        ("weights", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("weights_floats", ctypes.c_int64),
        ("bias_floats", ctypes.c_int64),
        ("inputs", ctypes.c_int32),
        ("outputs", ctypes.c_int32),
        ("activation", CActivation),
    ]


class CSource(ctypes.Structure):
    """`Source`."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("floats", ctypes.c_int64),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("sampling", ctypes.c_int32),
        ("factor", ctypes.c_float),
    ]


class CLayer(ctypes.Structure):
    """`Layer`."""

    _fields_ = [
        *(
            (name, ctypes.c_int32)
            for name in (
                "kind", "front", "height", "width", "out_height", "out_width", "channels", "kernel", "stride",
                "tile_height", "tile_width", "n_sources",
            )
        ),
        ("sources", CSource * 3),
        ("frame", ctypes.c_void_p),
        ("frame_bytes", ctypes.c_int64),
        ("frame_height", ctypes.c_int32),
        ("frame_width", ctypes.c_int32),
        ("mean", ctypes.c_float),
        ("front_activation", CActivation),
        ("expand", CProduct),
        ("depthwise", ctypes.c_void_p),
        ("depthwise_bias", ctypes.c_void_p),
        ("depthwise_floats", ctypes.c_int64),
        ("depthwise_bias_floats", ctypes.c_int64),
        ("depthwise_activation", CActivation),
        ("project", CProduct),
        ("gate", ctypes.c_void_p),
        ("residual", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("gate_floats", ctypes.c_int64),
        ("residual_floats", ctypes.c_int64),
        ("out_floats", ctypes.c_int64),
    ]  # fmt: skip
