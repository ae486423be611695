"""Where the time goes, stage by stage, one frame after another.

Every frame's wall time is split without remainder: what no stage claims is the stage "other".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError

Frame = npt.NDArray[np.uint8]
Clock = Callable[[], float]


class Timed(Protocol):
    """What a segmenter returns, as far as timing goes."""

    @property
    def timings_ms(self) -> Mapping[str, float]:
        """Milliseconds by stage: "pre", "network", "post"."""
        ...


@dataclass(frozen=True)
class FrameTimes:
    """How long one frame took, in milliseconds.

    Attributes:
        stages: in the order they run, "other" last; they add up to `wall`.
        segment: frame in to class map out.
        wall: all stages.
    """

    stages: dict[str, float]
    segment: float
    wall: float


@dataclass(frozen=True)
class Times:
    """How long something took over many frames, in milliseconds."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @staticmethod
    def of(samples_ms: Sequence[float]) -> Times:
        """Mean and percentiles (linear between samples) of at least one sample."""
        p50, p95, p99 = np.percentile(samples_ms, (50, 95, 99))
        return Times(float(np.mean(samples_ms)), float(p50), float(p95), float(p99))


@dataclass(frozen=True)
class Timing:
    """Many frames.

    Attributes:
        frames: number of frames timed.
        stages: in the order they run, "other" last; their means add up to the mean of `wall`.
        segment: frame in to class map out.
        wall: all stages.
    """

    frames: int
    stages: dict[str, Times]
    segment: Times
    wall: Times

    @staticmethod
    def of(samples: Sequence[FrameTimes]) -> Timing:
        """The statistics of frames that all went through the same stages. Raises InputError where there are none."""
        if not samples:
            raise InputError("nothing to time: no frame")
        return Timing(
            frames=len(samples),
            stages={name: Times.of([sample.stages[name] for sample in samples]) for name in samples[0].stages},
            segment=Times.of([sample.segment for sample in samples]),
            wall=Times.of([sample.wall for sample in samples]),
        )

    @property
    def fps(self) -> float:
        """Frames per second from frame in to class map out, on average."""
        return 1000 / self.segment.mean_ms

    @property
    def wall_fps(self) -> float:
        """Frames per second with every stage, reading and writing included, on average."""
        return 1000 / self.wall.mean_ms


def time_frames(
    segment: Callable[[Frame], Timed],
    frames: Iterable[Frame],
    *,
    decode: bool = False,
    then: Sequence[tuple[str, Callable[[Any], Any]]] = (),
    clock: Clock = time.perf_counter,
) -> list[FrameTimes]:
    """Runs all of `frames` through `segment` and what follows, one after the other.

    Args:
        segment: H x W x 3 uint8 RGB -> an object with `timings_ms`; a `bcpnet.segmenter.Segmenter`.
        frames: as many as shall be run.
        decode: whether taking the next frame is work, to be reported as the stage "decode"; if not, a frame's
            time begins when it is there.
        then: (name, function) of the stages after; the first gets the segmentation, each further one what the
            one before returned: `[("draw", draw), ("encode", write)]`.
        clock: seconds.
    """
    samples = []
    end = clock()
    for frame in frames:
        # The end of a frame is the start of the next one's decoding, so that no time falls between them.
        marks = [end, clock()]
        result: Any = segment(frame)
        timings_ms = result.timings_ms
        marks.append(clock())
        for _, function in then:
            result = function(result)
            marks.append(clock())
        end = marks[-1]
        decode_ms, segment_ms, *then_ms = (1000 * (after - before) for before, after in pairwise(marks))
        stages = {"decode": decode_ms} if decode else {}
        stages |= timings_ms
        stages |= {name: ms for (name, _), ms in zip(then, then_ms, strict=True)}
        wall_ms = 1000 * (end - marks[0 if decode else 1])
        stages["other"] = wall_ms - sum(stages.values())
        samples.append(FrameTimes(stages, segment_ms, wall_ms))
    return samples
