"""The blocks of 16 x 16 pixels that a frame is compared by, and which of them each logit lies in."""

from __future__ import annotations

import numpy as np

from bcpnet.frames.motion import BLOCK, SUBPIXEL


class Blocks:
    """For one size of frames and logits.

    Attributes:
        frame_hw: height and width of the frames.
        logits_shape: K, h, w.
        counts: rows and columns of blocks.
        of_logits: of each row and each column of logits, its block; int32.
        pixels: down and across, a sixteenth of a grey pixel in logits.
    """

    def __init__(self, frame_hw: tuple[int, ...], logits_shape: tuple[int, ...]) -> None:
        """The sizes."""
        self.frame_hw, self.logits_shape = frame_hw, logits_shape
        sizes = list(zip(frame_hw, logits_shape[1:], strict=True))
        self.counts = tuple(-(-(side // 2) // BLOCK) for side in frame_hw)
        self.of_logits = [
            np.minimum((2 * np.arange(n, dtype=np.int32) + 1) * side // (4 * BLOCK * n), count - 1).astype(np.int32)
            for (side, n), count in zip(sizes, self.counts, strict=True)
        ]
        self.pixels = [float(np.float32(2 * n / side / SUBPIXEL)) for side, n in sizes]
