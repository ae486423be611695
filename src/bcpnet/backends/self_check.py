"""The engine beside ONNX Runtime, once, when weights are opened that bcpnet does not know: one small frame in both."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bcpnet.backends.base import Backend
from bcpnet.errors import UsageError
from bcpnet.weights import is_shipped

_SIZE_HW = (45, 71)  # odd, and odd again when halved: where sizes are rounded
# Of the largest logit: rounding is a hundredth of it and less, a graph that was misread is off by far more.
_TOLERANCE = 1e-3


class DisagreementError(UsageError):
    """The engine and ONNX Runtime compute different logits: a fault of the engine's, which a maintainer should see."""


def require_agreement(engine: Backend, path: Path) -> None:
    """Runs one frame of noise through `engine` and ONNX Runtime, unless `path` holds weights that ship.

    Where ONNX Runtime cannot be imported, the engine runs without this check.

    Raises:
        DisagreementError: logits that are not finite, or not the same.
        InputError: ONNX Runtime refuses the file.
    """
    if is_shipped(path):
        return
    try:
        from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
    except ImportError:
        return
    frames = np.random.default_rng(0).integers(0, 256, (1, *_SIZE_HW, 3), np.uint8)
    expected, logits = OnnxRuntimeBackend(path, 1)(frames), engine(frames)
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
