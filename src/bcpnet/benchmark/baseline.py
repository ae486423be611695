"""The baseline: the usual way from frame to class map, to compare ours with. Needs PyTorch.

The same network in ONNX Runtime, then what its users write: the logits interpolated to the frame's size and the
argmax over the classes, in PyTorch. They would also turn the frame into floats first; here the network's file does
that as it does for us, so the comparison is about the rest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from bcpnet.backends import open_backend
from bcpnet.frames.preprocess import preprocess


@dataclass(frozen=True, eq=False)
class BaselineResult:
    """As `bcpnet.segmenter.Segmentation`: H x W uint8 classes, and milliseconds by stage."""

    class_map: npt.NDArray[np.uint8]
    timings_ms: dict[str, float]


class Baseline:
    """What `bcpnet.segmenter.Segmenter` does, the usual way."""

    def __init__(self, weights: str | Path, size_hw: tuple[int, int], threads: int | None) -> None:
        """Opens the weights in ONNX Runtime.

        Args:
            weights: as for `bcpnet.backends.open_backend`.
            size_hw: of the network's input, in pixels.
            threads: for ONNX Runtime and PyTorch each; None = what they choose.

        Raises:
            UsageError, InputError: as `open_backend`.
        """
        self.backend = open_backend(weights, "onnxruntime", threads)
        self.size_hw = size_hw
        if threads is not None:
            torch.set_num_threads(threads)

    def __call__(self, frame: npt.NDArray[np.uint8]) -> BaselineResult:
        """Segments one H x W x 3 uint8 frame, at its own size."""
        marks = [time.perf_counter()]
        images = preprocess(frame, self.size_hw)[None]
        marks.append(time.perf_counter())
        logits = self.backend(images)
        marks.append(time.perf_counter())
        with torch.inference_mode():
            full = F.interpolate(torch.from_numpy(logits), frame.shape[:2], mode="bilinear", align_corners=False)
            class_map: npt.NDArray[np.uint8] = full.argmax(1)[0].to(torch.uint8).numpy()
        marks.append(time.perf_counter())
        pre, network, post = (1000 * seconds for seconds in np.diff(marks))
        return BaselineResult(class_map, {"pre": pre, "network": network, "post": post})
