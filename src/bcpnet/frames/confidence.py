"""How sure a network is of every pixel: the probability of its class, without full-size logits.

The probabilities at the logits are exact; between them they are interpolated as the logits are (bilinear,
align_corners=False), for the one class that each pixel has. In whole numbers, so that C (native/confidence.inc, where
that was compiled) and NumPy give the same to the bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bcpnet import native

_Bytes = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]
_Words = npt.NDArray[np.int32]

_ONE = 255 << 8  # a probability of 1
_SHARE_BITS = 14  # of a pixel's distance from the logit before it


def softmax(logits: _Floats) -> _Floats:
    """K x h x w logits as the probabilities of the K classes, which add up to 1; NaN where a logit is not finite."""
    with np.errstate(invalid="ignore"):
        exponentials: _Floats = np.exp(logits - logits.max(axis=0))
        exponentials /= exponentials.sum(axis=0)
    return exponentials


def confidence(probabilities: _Floats, class_map: _Bytes) -> _Bytes:
    """The probability of every pixel's class.

    Args:
        probabilities: K x h x w float32, 0 to 1, of the classes at the logits; NaN counts as 0.
        class_map: H x W uint8, all below K.

    Returns:
        H x W uint8: 255 = certain. From the exact interpolation it differs by rounding: by less than 0.52.

    Raises:
        ValueError: a class that has no probabilities.
    """
    if class_map.max(initial=0) >= len(probabilities):
        raise ValueError(f"class {class_map.max()} of {len(probabilities)}")
    scaled = np.nan_to_num(probabilities) * np.float32(_ONE) + np.float32(0.5)
    table = np.ascontiguousarray(scaled.astype(np.uint16))
    kernels = native.kernels()
    return _in_numpy(table, class_map) if kernels is None else _in_c(kernels, table, class_map)


def _in_c(kernels: int, table: npt.NDArray[np.uint16], class_map: _Bytes) -> _Bytes:
    library = native.library()
    assert library is not None  # the kernels are its
    class_map = np.ascontiguousarray(class_map)
    result = np.empty_like(class_map)
    rows, columns = (_neighbours(*sizes) for sizes in zip(table.shape[1:], class_map.shape, strict=True))
    if not library.bcpnet_confidence(
        kernels, table.ctypes.data, *table.shape, class_map.ctypes.data, result.ctypes.data, *class_map.shape,
        rows.ctypes.data, columns.ctypes.data,
    ):  # fmt: skip
        raise MemoryError("interpolating probabilities")
    return result


def _in_numpy(table: npt.NDArray[np.uint16], class_map: _Bytes) -> _Bytes:
    rows, columns = (_neighbours(*sizes) for sizes in zip(table.shape[1:], class_map.shape, strict=True))
    one, half = 1 << _SHARE_BITS, 1 << (_SHARE_BITS - 1)
    result = np.empty_like(class_map)
    left, right, share_x = columns
    for y, (top, bottom, share_y) in enumerate(rows.T):
        line = (table[:, top].astype(np.int32) * (one - share_y) + table[:, bottom] * share_y + half) >> _SHARE_BITS
        labels = class_map[y]
        value = line[labels, left] * (one - share_x) + line[labels, right] * share_x
        result[y] = (value + (half << 8)) >> (_SHARE_BITS + 8)
    return result


def _neighbours(n_in: int, n_out: int) -> _Words:
    """3 x n_out: of each output pixel the logit before it, the one after it, and its distance from the first."""
    position = np.clip((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5, 0, n_in - 1)
    before = position.astype(np.int32)
    share = np.rint((position - before) * (1 << _SHARE_BITS)).astype(np.int32)
    return np.stack([before, np.minimum(before + 1, n_in - 1).astype(np.int32), share])
