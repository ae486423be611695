"""Whether a file gives the class maps of the network that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from bcpnet.backends.onnxruntime import open_session
from bcpnet.data.streets import Streets
from bcpnet.errors import InputError
from bcpnet.frames.upsample import upsample_argmax

Frame = npt.NDArray[np.uint8]
# H x W x 3 uint8, RGB -> K x h x w float32 logits of the frame.
Runtime = Callable[[Frame], npt.NDArray[np.float32]]

_FRAMES = 3


def check_frames(size_hw: tuple[int, int]) -> list[Frame]:
    """Synthetic streets, the same on every machine; H x W x 3 uint8, RGB."""
    streets = Streets("val", size_hw, _FRAMES)
    return [streets[index].image for index in range(_FRAMES)]


def onnx_runtime(path: Path) -> Runtime:
    """ONNX Runtime on one thread. Raises InputError for a file that is none of bcpnet's, or gives class maps."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session, _ = open_session(path, options)
    name = session.get_inputs()[0].name

    def run(frame: Frame) -> npt.NDArray[np.float32]:
        logits: npt.NDArray[np.float32] = session.run(None, {name: frame[None]})[0][0]
        return logits

    return run


def require_agreement(expected: Runtime, runtime: Runtime, size_hw: tuple[int, int], least: float, out: Path) -> float:
    """The share of pixels, of all check frames, whose class is the same.

    Args:
        expected: what ran before the conversion.
        runtime: what runs the new file.
        size_hw: height and width of the frames, in pixels.
        least: share of pixels that must be the same.
        out: what the file will be called, for the error.

    Raises:
        InputError: fewer are.
    """
    same = [
        upsample_argmax(expected(frame), size_hw) == upsample_argmax(runtime(frame), size_hw)
        for frame in check_frames(size_hw)
    ]
    share = float(np.mean(same))
    if share < least:
        raise InputError(
            f"{out}: not kept: the class of {share:.2%} of the pixels is that of the network, {least:.1%} are needed"
        )
    return share
