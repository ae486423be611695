"""The benchmark's arithmetic, on a clock that only moves when told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.benchmark import Frame, Row, Times, Timing, compare, format_rows, format_stages, measure
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


def timing_of(network_ms: list[float], warmup: int = 0) -> Timing:
    clock = FakeClock()
    return measure(FakeSegmenter(clock, network_ms), [FRAME] * len(network_ms), warmup=warmup, clock=clock)


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


def test_the_warm_up_is_run_but_not_counted() -> None:
    timing = timing_of([900.0, 900.0, 10.0, 20.0], warmup=2)
    assert timing.frames == 2
    assert timing.stages["network"].mean_ms == pytest.approx(15)
    assert timing.wall.mean_ms == pytest.approx(18.5)


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

    timing = measure(
        FakeSegmenter(clock, [10.0]),
        decode(),
        warmup=1,
        decode=True,
        then=[("draw", draw), ("encode", encode)],
        clock=clock,
    )
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
    timing = measure(FakeSegmenter(clock, network_ms), frames(), warmup=0, decode=decode, clock=clock)
    summed = sum(times.mean_ms for times in timing.stages.values())
    assert summed == pytest.approx(timing.wall.mean_ms, rel=1e-9, abs=1e-6)
    assert timing.wall.mean_ms * timing.frames == pytest.approx(1000 * (clock.now_s - began_s), abs=1e-5)


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_left_after_the_warm_up(count: int) -> None:
    clock = FakeClock()
    with pytest.raises(InputError, match="warm-up"):
        measure(FakeSegmenter(clock, [1.0]), [FRAME] * count, warmup=3, clock=clock)


def rows_of_two_backends() -> list[Row]:
    clock = FakeClock()
    speed = {"fast": 10.0, "slow": 40.0}
    reported: list[Row] = []
    rows = compare(
        lambda backend, size_hw: FakeSegmenter(clock, [speed[backend] * size_hw[0] / 360]),
        lambda size_hw: np.zeros((*size_hw, 3), np.uint8),
        backends=["fast", "slow"],
        sizes_hw=[(360, 640), (720, 1280)],
        threads=2,
        frames=5,
        warmup=1,
        report=reported.append,
        clock=clock,
    )
    assert rows == reported
    return rows


def test_every_backend_at_every_size() -> None:
    rows = rows_of_two_backends()
    found = {(row.backend, row.frame_hw): row.timing.stages["network"].mean_ms for row in rows}
    assert found == pytest.approx(
        {
            ("fast", (360, 640)): 10,
            ("slow", (360, 640)): 40,
            ("fast", (720, 1280)): 20,
            ("slow", (720, 1280)): 80,
        }
    )
    assert {(row.threads, row.timing.frames) for row in rows} == {(2, 5)}


def test_rows_are_json() -> None:
    row = json.loads(json.dumps([row.as_dict() for row in rows_of_two_backends()]))[0]
    assert row["fps"] == pytest.approx(1000 / 13.5)
    assert row["frame_hw"] == [360, 640]
    assert row["timing"]["stages"]["network"]["p99_ms"] == pytest.approx(10)


def test_the_table_of_rows_is_aligned() -> None:
    lines = format_rows(rows_of_two_backends()).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert " ".join(lines[0].split()) == (
        "backend frame threads frames/s p50 ms p95 ms p99 ms pre ms network ms post ms other ms"
    )
    assert " ".join(lines[1].split()) == "fast 360x640 2 74.1 13.50 13.50 13.50 1.00 10.00 2.00 0.50"
    assert lines[4].split()[:2] == ["slow", "720x1280"]


def test_the_table_of_stages() -> None:
    lines = format_stages(timing_of([10.0, 20.0])).splitlines()
    assert lines[2].split() == ["network", "15.00", "15.00", "19.50", "19.90", "81.1%"]
    assert lines[-2].split() == ["wall", "18.50", "18.50", "23.00", "23.40", "100.0%"]
    assert lines[-1] == "54.1 frames/s from frame in to class map out, 54.1 with every stage (2 frames)"
