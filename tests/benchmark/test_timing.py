"""The benchmark's arithmetic, on a clock that only moves when told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.benchmark.timing import Frame, Times, Timing, time_frames
from bcpnet.errors import InputError

FRAME = np.zeros((4, 6, 3), np.uint8)


@dataclass
class FakeClock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def spend(self, ms: float) -> None:
        self.now_s += ms / 1000


@dataclass
class Result:
    timings_ms: dict[str, float]


@dataclass
class FakeSegmenter:
    """Takes pre + network + post and 0.5 ms unaccounted for; the n-th network run takes network_ms[n]."""

    clock: FakeClock
    network_ms: list[float]
    runs: int = 0

    def __call__(self, frame: Frame) -> Result:
        assert frame.dtype == np.uint8
        timings_ms = {"pre": 1.0, "network": self.network_ms[self.runs % len(self.network_ms)], "post": 2.0}
        self.clock.spend(sum(timings_ms.values()) + 0.5)
        self.runs += 1
        return Result(timings_ms)


def timing_of(network_ms: list[float]) -> Timing:
    clock = FakeClock()
    return Timing.of(time_frames(FakeSegmenter(clock, network_ms), [FRAME] * len(network_ms), clock=clock))


def test_stages_and_the_rest() -> None:
    timing = timing_of([10.0, 20.0])
    assert list(timing.stages) == ["pre", "network", "post", "other"]
    means = {name: times.mean_ms for name, times in timing.stages.items()}
    assert means == pytest.approx({"pre": 1, "network": 15, "post": 2, "other": 0.5}, abs=1e-6)
    assert timing.segment.mean_ms == pytest.approx(18.5)
    assert timing.fps == pytest.approx(1000 / 18.5)
    assert timing.frames == 2


def test_percentiles() -> None:
    network = timing_of([float(ms) for ms in range(101)]).stages["network"]
    assert (network.p50_ms, network.p95_ms, network.p99_ms) == pytest.approx((50, 95, 99))
    assert network.mean_ms == pytest.approx(50)


@given(st.lists(st.floats(0, 1e4), min_size=1))
def test_percentiles_are_ordered_and_bounded(samples_ms: list[float]) -> None:
    times = Times.of(samples_ms)
    slack = 1e-9 * max(samples_ms)
    assert min(samples_ms) - slack <= times.p50_ms <= times.p95_ms + slack <= times.p99_ms + 2 * slack
    assert times.p99_ms <= max(samples_ms) + slack


def test_every_stage_of_a_video() -> None:
    """decode and encode are outside frame-in-to-class-map-out, inside the wall time."""
    clock = FakeClock()

    def decode() -> Iterator[Frame]:
        for _ in range(4):
            clock.spend(4)
            yield FRAME

    written = []

    def draw(result: Result) -> str:
        clock.spend(3)
        return f"overlay of {result.timings_ms['network']}"

    def encode(overlay: str) -> None:
        clock.spend(5)
        written.append(overlay)

    then = [("draw", draw), ("encode", encode)]
    samples = time_frames(FakeSegmenter(clock, [10.0]), decode(), decode=True, then=then, clock=clock)
    timing = Timing.of(samples)
    means = {name: times.mean_ms for name, times in timing.stages.items()}
    expected = {"decode": 4, "pre": 1, "network": 10, "post": 2, "draw": 3, "encode": 5, "other": 0.5}
    assert list(means) == list(expected)
    assert means == pytest.approx(expected)
    assert timing.segment.mean_ms == pytest.approx(13.5)
    assert timing.fps == pytest.approx(1000 / 13.5)
    assert timing.wall.mean_ms == pytest.approx(25.5)
    assert timing.wall_fps == pytest.approx(1000 / 25.5)
    assert written == ["overlay of 10.0"] * 4


@given(
    st.lists(st.floats(0, 1e4), min_size=1, max_size=20),
    st.lists(st.floats(0, 100), min_size=1, max_size=20),
    st.booleans(),
)
def test_the_stages_add_up_to_the_wall_time_and_the_wall_to_the_clock(
    network_ms: list[float], reading_ms: list[float], decode: bool
) -> None:
    clock = FakeClock()

    def frames() -> Iterator[Frame]:
        for ms in reading_ms:
            clock.spend(ms)
            yield FRAME

    began_s = clock.now_s
    samples = time_frames(FakeSegmenter(clock, network_ms), frames(), decode=decode, clock=clock)
    for sample in samples:
        assert sum(sample.stages.values()) == pytest.approx(sample.wall, rel=1e-9, abs=1e-6)
    timing = Timing.of(samples)
    summed = sum(times.mean_ms for times in timing.stages.values())
    assert summed == pytest.approx(timing.wall.mean_ms, rel=1e-9, abs=1e-6)
    # Where taking a frame is not part of the work, its time counts nowhere.
    counted_ms = 1000 * (clock.now_s - began_s) - (0 if decode else sum(reading_ms))
    assert timing.wall.mean_ms * timing.frames == pytest.approx(counted_ms, abs=1e-5)


def test_no_frames() -> None:
    with pytest.raises(InputError, match="nothing to time"):
        Timing.of([])
