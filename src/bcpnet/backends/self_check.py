"""Weights that bcpnet does not know are tried when they are opened, on one small frame.

Their logits must be finite, and in the engine the same as in ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcpnet.backends.base import Backend
from bcpnet.errors import InputError, UsageError
from bcpnet.weights import is_shipped

_SIZE_HW = (45, 71)  # odd, and odd again when halved: where sizes are rounded
# Of the largest logit: rounding is a hundredth of it and less, a graph that was misread is off by far more.
_TOLERANCE = 1e-3
_MOST_PIXELS = 4_000_000  # of the frames that are tried, where a network takes one size: more would take seconds


class DisagreementError(UsageError):
    """The engine and ONNX Runtime compute different logits: a fault of the engine's, which a maintainer should see."""


def require_agreement(engine: Backend, path: Path) -> None:
    """Runs one frame of noise through `engine` and ONNX Runtime, unless `path` holds weights that ship.

    Where ONNX Runtime cannot be imported, the engine runs without this check.

    Raises:
        DisagreementError: other logits.
        InputError: ONNX Runtime refuses the file, or its logits are not finite.
    """
    if is_shipped(path):
        return
    try:
        from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
    except ImportError:
        return
    frames = _noise(1, *_SIZE_HW)
    expected, logits = OnnxRuntimeBackend(path, 1)(frames), engine(frames)
    _require_finite(expected, path)
    if expected.shape == logits.shape:
        with np.errstate(invalid="ignore", over="ignore"):
            largest, difference = np.abs(expected).max(), np.abs(logits - expected).max()
        if difference <= _TOLERANCE * largest < np.inf:  # which NaN is not
            return
        how = f"by {difference:.1e} where the largest is {largest:.1e}"
    else:
        how = f"in their shape, {logits.shape} and {expected.shape}"
    raise DisagreementError(
        f"{path}: the backend native does not run this network (its logits differ from ONNX Runtime's {how}); "
        "use the backend onnxruntime"
    )


def require_numbers(backend: Backend, takes: Sequence[int | None], path: Path) -> None:
    """Runs one frame of noise through a backend, unless `path` holds weights that ship.

    Args:
        backend: opened from `path`.
        takes: number, height, width and channels of the frames that it takes; None = any.
        path: of the weights.

    Raises:
        InputError: logits that are not finite.
    """
    if is_shipped(path) or len(takes) != 4:
        return
    count, height, width = (size or small for size, small in zip(takes[:3], (1, *_SIZE_HW), strict=True))
    if count * height * width > _MOST_PIXELS:
        return
    try:
        logits = backend(_noise(count, height, width))
    except InputError:  # it may run other sizes
        return
    _require_finite(logits, path)


def _noise(count: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def _require_finite(logits: npt.NDArray[np.float32], path: Path) -> None:
    if not np.isfinite(logits).all():
        raise InputError(
            f"{path}: its network gives logits that are not finite: the file is damaged, or its training diverged"
        )
