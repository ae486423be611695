"""Where the time goes, stage by stage, from frame in to class map out.

Every frame's wall time is split without remainder: what no stage claims is the stage "other".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, repeat
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
    """One measurement.

    Attributes:
        frames: number of frames timed; those of the warm-up are not among them.
        stages: in the order they run, "other" last; their means add up to the mean of `wall`.
        segment: frame in to class map out.
        wall: from one frame to the next, all stages.
    """

    frames: int
    stages: dict[str, Times]
    segment: Times
    wall: Times

    @property
    def fps(self) -> float:
        """Frames per second from frame in to class map out, on average."""
        return 1000 / self.segment.mean_ms

    @property
    def wall_fps(self) -> float:
        """Frames per second with every stage, reading and writing included, on average."""
        return 1000 / self.wall.mean_ms


@dataclass(frozen=True)
class Row:
    """A measurement of one backend on frames of one size."""

    backend: str
    frame_hw: tuple[int, int]
    threads: int | None  # None: the runtime's choice
    timing: Timing

    def as_dict(self) -> dict[str, Any]:
        """For JSON: every field, and the frame rates."""
        return {**asdict(self), "fps": self.timing.fps, "wall_fps": self.timing.wall_fps}


def measure(
    segment: Callable[[Frame], Timed],
    frames: Iterable[Frame],
    *,
    warmup: int = 3,
    decode: bool = False,
    then: Sequence[tuple[str, Callable[[Any], Any]]] = (),
    clock: Clock = time.perf_counter,
) -> Timing:
    """Runs all of `frames` through `segment` and what follows, one after the other.

    Args:
        segment: H x W x 3 uint8 RGB -> an object with `timings_ms`; a `bcpnet.segmenter.Segmenter`.
        frames: as many as shall be run.
        warmup: frames at the start that are run but not counted.
        decode: whether taking the next frame is work, to be reported as the stage "decode".
        then: (name, function) of the stages after; the first gets the segmentation, each further one what the
            one before returned: `[("draw", draw), ("encode", write)]`.
        clock: seconds.

    Raises:
        InputError: no frames are left after the warm-up.
    """
    stage_ms: dict[str, list[float]] = {"decode": []} if decode else {}
    segment_ms: list[float] = []
    wall_ms: list[float] = []
    start = clock()
    for index, frame in enumerate(frames):
        marks = [start, clock()]
        result: Any = segment(frame)
        timings_ms = result.timings_ms
        marks.append(clock())
        for _, function in then:
            result = function(result)
            marks.append(clock())
        # The end of a frame is the start of the next, so that no time falls between them.
        taken_ms = [1000 * (after - before) for before, after in pairwise(marks)]
        start = marks[-1]
        if index < warmup:
            continue
        stages = {"decode": taken_ms[0]} if decode else {}
        stages |= timings_ms
        stages |= {name: ms for (name, _), ms in zip(then, taken_ms[2:], strict=True)}
        wall_ms.append(sum(taken_ms))
        segment_ms.append(taken_ms[1])
        stages["other"] = wall_ms[-1] - sum(stages.values())
        for name, ms in stages.items():
            stage_ms.setdefault(name, []).append(ms)
    if not wall_ms:
        raise InputError(f"nothing to time: no frame after the {warmup} of the warm-up")
    return Timing(
        frames=len(wall_ms),
        stages={name: Times.of(samples) for name, samples in stage_ms.items()},
        segment=Times.of(segment_ms),
        wall=Times.of(wall_ms),
    )


def compare(
    load: Callable[[str, tuple[int, int]], Callable[[Frame], Timed]],
    make_frame: Callable[[tuple[int, int]], Frame],
    *,
    backends: Sequence[str],
    sizes_hw: Sequence[tuple[int, int]],
    threads: int | None,
    frames: int = 30,
    warmup: int = 3,
    report: Callable[[Row], None] | None = None,
    clock: Clock = time.perf_counter,
) -> list[Row]:
    """Times every backend at every size, on one frame of that size over and over.

    Args:
        load: (backend, frame size) -> segmenter; called once for each row.
        make_frame: size -> H x W x 3 uint8 frame. Real or realistic: the time that post-processing takes
            depends on how the classes lie.
        backends: names for `load`.
        sizes_hw: frame sizes in pixels.
        threads: that the backends were told to use, for the record; None = their own choice.
        frames: number timed, after `warmup` more.
        warmup: frames not counted.
        report: called with each row as it is done.
        clock: seconds.
    """
    rows = []
    for size_hw in sizes_hw:
        frame = make_frame(size_hw)
        for backend in backends:
            timing = measure(load(backend, size_hw), repeat(frame, warmup + frames), warmup=warmup, clock=clock)
            rows.append(Row(backend, size_hw, threads, timing))
            if report:
                report(rows[-1])
    return rows


def format_stages(timing: Timing) -> str:
    """One measurement as aligned text: mean, percentiles and share of the wall time by stage."""
    named = {**timing.stages, "frame to class map": timing.segment, "wall": timing.wall}
    width = max(map(len, named))
    lines = [f"{'ms per frame':{width}}     mean      p50      p95      p99  share"]
    for name, times in named.items():
        columns = (times.mean_ms, times.p50_ms, times.p95_ms, times.p99_ms)
        share = 100 * times.mean_ms / timing.wall.mean_ms
        lines.append(f"{name:{width}}" + "".join(f"{ms:9.2f}" for ms in columns) + f"{share:6.1f}%")
    lines.append(
        f"{timing.fps:.1f} frames/s from frame in to class map out, "
        f"{timing.wall_fps:.1f} with every stage ({timing.frames} frames)"
    )
    return "\n".join(lines)


def format_rows(rows: Sequence[Row]) -> str:
    """Several measurements as aligned text, a line each: frames/s, ms to the class map, mean ms by stage."""
    stages = list(dict.fromkeys(name for row in rows for name in row.timing.stages))
    header = ["backend", "frame", "threads", "frames/s", "p50 ms", "p95 ms", "p99 ms"]
    table = [header + [f"{name} ms" for name in stages]]
    for row in rows:
        timing = row.timing
        means = (timing.stages[name].mean_ms if name in timing.stages else None for name in stages)
        percentiles = (timing.segment.p50_ms, timing.segment.p95_ms, timing.segment.p99_ms)
        table.append(
            [
                row.backend,
                "{}x{}".format(*row.frame_hw),
                "auto" if row.threads is None else str(row.threads),
                f"{timing.fps:.1f}",
            ]
            + ["-" if ms is None else f"{ms:.2f}" for ms in (*percentiles, *means)]
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        line[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        for line in table
    )
