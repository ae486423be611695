"""How steady class maps are over time, smoothed and not, on synthetic drives whose labels and motion are exact."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.data.streets import MovingSample, drive_with_motion
from bcpnet.frames.preprocess import network_size_hw, preprocess
from bcpnet.frames.smoothing import Smoother
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.metrics import ConfusionMatrix
from bcpnet.segmenter import Segmenter

Maps = Sequence[npt.NDArray[np.uint8]]

_FRAME_HW = (360, 640)
# Seed, and how far the camera turns to and fro, radians. The demo clip is the drive of seed 7.
DRIVES = ((7, 0.0), (0, 0.0), (3, 0.0), (5, 0.2))


def flips(maps: Maps) -> npt.NDArray[np.bool_]:
    """Where a class is left and is back in the next frame: A, B, A in three frames.

    Returns:
        (T - 2) x H x W bool, for the second to the last but one of T maps.
    """
    stack = np.stack(list(maps))
    is_flip: npt.NDArray[np.bool_] = (stack[1:-1] != stack[:-2]) & (stack[2:] == stack[:-2])
    return is_flip


@dataclass(frozen=True)
class Stability:
    """What is measured of one way to make class maps; shares are 0..1.

    Attributes:
        miou: against the labels, over all frames of all drives.
        flips: share of pixels whose class is left and is back in the next frame.
        false_flips: the same, where the label stays the same in the three frames.
        consistency: mIoU of each map and the one before, brought to the place where the same surfaces are now.
    """

    miou: float
    flips: float
    false_flips: float
    consistency: float


@dataclass(frozen=True)
class StabilityRow:
    """One set of weights.

    Attributes:
        weights, backend, size_hw, threads: what ran; the size is that of the network's input.
        drives: (seed, pan) of each.
        frames: of each drive.
        plain, smoothed: what was measured.
        label_flips: share of pixels whose label is left and is back in the next frame.
        frame_ms: network and upsampling, the least of all frames.
        smoothing_ms: what smoothing adds to it, the least of all frames.
    """

    weights: str
    backend: str
    size_hw: tuple[int, int]
    threads: int | None
    drives: list[tuple[int, float]]
    frames: int
    plain: Stability
    smoothed: Stability
    label_flips: float
    frame_ms: float
    smoothing_ms: float

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


class _Sums:
    """What `Stability` is made of, drive after drive."""

    def __init__(self, n_classes: int) -> None:
        self._right, self._same = ConfusionMatrix(n_classes), ConfusionMatrix(n_classes)
        self._flips: list[float] = []
        self._false_flips: list[float] = []

    def add(self, maps: Maps, drive: Sequence[MovingSample]) -> None:
        """Takes the maps of all frames of a drive."""
        labels = _labels(drive)
        found, is_label_still = flips(maps), _still(labels)
        self._flips.append(float(found.mean()))
        self._false_flips.append(float((found & is_label_still).mean()))
        for index, moving in enumerate(drive):
            self._right.update(labels[index], maps[index])
            if moving.before is not None:
                is_seen = ~np.isnan(moving.before[..., 0])
                row, column = np.rint(moving.before[is_seen]).astype(np.intp).T
                self._same.update(maps[index - 1][row, column], maps[index][is_seen])

    def stability(self) -> Stability:
        """The means."""
        return Stability(
            self._right.mean_iou(),
            float(np.mean(self._flips)),
            float(np.mean(self._false_flips)),
            self._same.mean_iou(),
        )


def measure_stability(
    name: str,
    segmenter: Segmenter,
    threads: int | None,
    frames: int,
    drives: Iterable[tuple[int, float]] = DRIVES,
    frame_hw: tuple[int, int] = _FRAME_HW,
) -> StabilityRow:
    """Runs the network over every drive, frame by frame, and makes each class map in both ways, one after the other.

    Args:
        name: of the weights, for the row.
        segmenter: with CamVid's classes.
        threads: that it was opened with.
        frames: of each drive, at least 3.
        drives: (seed, pan) of each.
        frame_hw: height and width that the drives are drawn at.
    """
    drives = list(drives)
    size_hw = segmenter.size_hw or network_size_hw(frame_hw, segmenter.backend.metadata.short_side)
    n_classes = len(segmenter.backend.metadata.classes)
    plain, smoothed = _Sums(n_classes), _Sums(n_classes)
    label_flips, frame_s, smoothing_s = [], [], []
    for seed, pan in drives:
        drive = list(drive_with_motion(frames, frame_hw, seed, pan=pan))
        smoother = Smoother()
        maps: tuple[list[npt.NDArray[np.uint8]], list[npt.NDArray[np.uint8]]] = ([], [])
        for moving in drive:
            network_input = preprocess(moving.sample.image, size_hw)
            start = time.perf_counter()
            logits = segmenter.backend(network_input[None])[0]
            maps[0].append(upsample_argmax(logits, frame_hw))
            middle = time.perf_counter()
            probabilities = smoother(network_input, logits)
            smoothing_s.append(time.perf_counter() - middle)
            frame_s.append(middle - start)
            maps[1].append(upsample_argmax(probabilities, frame_hw))
        plain.add(maps[0], drive)
        smoothed.add(maps[1], drive)
        label_flips.append(float(flips(_labels(drive)).mean()))
    return StabilityRow(
        name, segmenter.backend.name, size_hw, threads, drives, frames, plain.stability(), smoothed.stability(),
        float(np.mean(label_flips)), 1000 * min(frame_s), 1000 * min(smoothing_s),
    )  # fmt: skip


def format_stability(rows: Sequence[StabilityRow]) -> str:
    """A table for people."""
    lines = ["weights              maps      mIoU   flips  false flips  consistency      ms"]
    for row in rows:
        for way, found, milliseconds in (
            ("plain", row.plain, f"{row.frame_ms:7.2f}"),
            ("smoothed", row.smoothed, f"{row.smoothing_ms:+7.2f}"),
        ):
            lines.append(
                f"{row.weights:20} {way:9}{100 * found.miou:5.1f} {100 * found.flips:6.2f} %"
                f"{100 * found.false_flips:11.2f} %{100 * found.consistency:13.1f} {milliseconds}"
            )
    return "\n".join(lines)


def _labels(drive: Sequence[MovingSample]) -> list[npt.NDArray[np.uint8]]:
    labels = [moving.sample.label for moving in drive]
    return [label for label in labels if label is not None]  # all have one


def _still(labels: Maps) -> npt.NDArray[np.bool_]:
    stack = np.stack(list(labels))
    is_still: npt.NDArray[np.bool_] = (stack[1:-1] == stack[:-2]) & (stack[2:] == stack[:-2])
    return is_still
