"""Who is measured when, and what becomes of those that fail, with processes that are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bcpnet.benchmark.ceilings import Ceilings
from bcpnet.benchmark.comparison import Contestant, Row, compete
from bcpnet.benchmark.process import OpenWorker
from bcpnet.benchmark.table import format_rows
from bcpnet.errors import InputError, UsageError

SCENES = [np.full((40, 64, 3), number, np.uint8) for number in range(2)]
CEILINGS = Ceilings(threads=2, peak_gflops=100.0, copy_gb_per_s=10.0)
MS = {"fast": 10.0, "slow": 40.0, "baseline": 100.0, "lame": 300.0, "endless": 9000.0}
MACS = 500_000_000


class FakeWorker:
    """Takes MS[backend] a frame for the network, 1 ms for each other stage; fails where its name says so."""

    def __init__(self, task: str, arguments: dict[str, Any], log: list[str]) -> None:
        self.arguments, self.log = arguments, log
        if task == "macs":
            known = arguments["weights"].endswith(".onnx")
            self.opened: Any = (MACS, "int8" in arguments["weights"]) if known else None
            return
        if task == "chosen":
            self.opened = "fast"
            return
        self.backend = arguments["backend"]
        if self.backend == "missing":
            raise UsageError("not installed")
        self.opened = {"backend": self.backend, "classes": 11, "ready": 50.0}
        self.frames = 0

    def ask(self, request: dict[str, Any]) -> Any:
        if "class_map" in request:
            Path(request["class_map"]).write_bytes(bytes(10 * [self.backend == "slow"] + 30 * [False]))
            return self.frame(7 * MS.get(self.backend, 1.0))
        if "peak" in request:
            return {"baseline": 800.0}.get(self.backend, 200.0)
        if self.backend == "hungry":
            raise InputError("out of memory")
        self.log += [f"{self.backend} {request['frames']}"]
        samples = []
        for index in range(request["frames"]):
            first = self.frames == 0 or index == 0  # as in life: slow before its caches and threads are awake
            samples.append(self.frame(MS[self.backend] * (7 if first else 1)))
            self.frames += 1
        return samples

    def frame(self, network_ms: float) -> dict[str, Any]:
        stages = {"pre": 1.0, "network": network_ms, "post": 1.0, "other": 1.0}
        return {"stages": stages, "segment": sum(stages.values()), "wall": sum(stages.values())}

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.log += [f"{self.arguments.get('backend', 'other')} closed"]


def opener(log: list[str]) -> OpenWorker:
    return lambda task, arguments: FakeWorker(task, arguments, log)  # type: ignore[return-value]


def run(
    *backends: str,
    frames: int = 12,
    log: list[str] | None = None,
    weights: str = "net.onnx",
    budget_s: float | None = None,
    macs: bool = True,
) -> list[Row]:
    log = [] if log is None else log
    return compete(
        [Contestant("net", weights, backend) for backend in backends],
        SCENES,
        threads=2,
        frames=frames,
        budget_s=budget_s,
        macs=macs,
        between=lambda: log.append("between"),
        open_worker=opener(log),
    )


def test_in_turns() -> None:
    log: list[str] = []
    run("fast", "slow", log=log)
    rounds = log[log.index("between") - 2 :]
    assert rounds[:9] == [
        "fast 6", "slow 6", "between", "fast 6", "slow 6", "between", "fast 3", "slow 3", "between",
    ]  # fmt: skip
    assert {"fast closed", "slow closed"} <= set(rounds[9:])


def test_only_what_is_awake_is_counted() -> None:
    for row in run("fast", "slow"):
        assert row.timing is not None
        assert row.timing.frames == 12
        assert row.timing.stages["network"].p99_ms == pytest.approx(MS[row.backend])
        assert row.timing.fps == pytest.approx(1000 / (3 + MS[row.backend]))


def test_the_slow_have_few_frames() -> None:
    """In a second, 23 of 43 ms and 9 of 103; one where the first took longer, and that very one above 5 s."""
    log: list[str] = []
    rows = run("fast", "slow", "baseline", "lame", "endless", frames=30, budget_s=1.0, log=log)
    assert [row.timing.frames for row in rows if row.timing] == [30, 23, 9, 1, 1]
    assert [entry for entry in log if entry.startswith(("lame", "endless"))] == [
        "lame 1", "endless closed", "lame closed",
    ]  # fmt: skip
    assert rows[-1].timing is not None
    assert rows[-1].timing.stages["network"].p50_ms == pytest.approx(7 * MS["endless"])


def test_multiply_adds_need_not_be_counted() -> None:
    log: list[str] = []
    (row,) = run("fast", macs=False, log=log)
    assert row.macs is None
    assert "other closed" not in log


def test_class_maps_are_compared_with_the_first() -> None:
    assert [row.same_pixels for row in run("fast", "slow", "baseline")] == [1, 0.75, 1]


def test_who_fails_gets_a_row_that_says_so() -> None:
    rows = run("missing", "fast", "hungry", "baseline")
    assert [row.error for row in rows] == ["not installed", None, "out of memory", None]
    assert [row.timing is None for row in rows] == [True, False, True, False]
    lines = format_rows(rows, CEILINGS).splitlines()
    assert "net, missing, 40x64: not installed" in lines
    assert "net, hungry, 40x64: out of memory" in lines


def test_nobody_left() -> None:
    with pytest.raises(UsageError, match="not installed"):
        run("missing", "missing")


def test_no_frames() -> None:
    with pytest.raises(UsageError, match="nothing to time: 0 frames"):
        run("fast", frames=0)


def test_auto_is_the_backend_it_stands_for() -> None:
    (row,) = run("auto")
    assert (row.backend, row.ran) == ("auto", "fast")
    assert "auto: fast" in format_rows([row], CEILINGS)


def test_the_share_of_the_ceiling() -> None:
    """1e9 operations in 10 ms are 100 GFLOP/s: all of it."""
    fast, slow = run("fast", "slow")
    assert fast.share_of_peak(CEILINGS) == pytest.approx(1)
    assert slow.share_of_peak(CEILINGS) == pytest.approx(0.25)
    (unknown,) = run("fast", weights="net.safetensors")
    assert unknown.macs is None
    assert unknown.share_of_peak(CEILINGS) is None


def test_the_share_of_8_bit_weights_is_of_the_integer_ceiling() -> None:
    both = replace(CEILINGS, int8_peak_gops=400.0, int8_level="avx2")
    (row,) = run("fast", weights="net-int8.onnx")
    assert row.share_of_peak(both) == pytest.approx(0.25)
    assert row.as_dict(both)["int8"] is True
    (floats,) = run("fast")
    assert floats.share_of_peak(both) == pytest.approx(1)


def test_rows_are_json() -> None:
    row = json.loads(json.dumps([row.as_dict(CEILINGS) for row in run("fast", "hungry")]))[0]
    assert row["fps"] == pytest.approx(1000 / 13)
    assert row["frame_hw"] == [40, 64]
    assert row["timing"]["stages"]["network"]["p99_ms"] == pytest.approx(10)
    assert row["memory"] == {"ready": 50, "peak": 200}
    assert row["share_of_peak"] == pytest.approx(1)


def test_the_table() -> None:
    lines = format_rows(run("fast", "slow", "baseline"), CEILINGS).splitlines()
    assert len({len(line) for line in lines[:4]}) == 1
    assert " ".join(lines[0].split()) == (
        "network backend frame threads frames/s p50 ms p95 ms p99 ms "
        "pre ms network ms post ms other ms peak MiB of peak"
    )
    assert " ".join(lines[1].split()) == "net fast 40x64 2 76.9 13.00 13.00 13.00 1.00 10.00 1.00 1.00 200 100 %"
    assert lines[4] == "net, fast, 40x64: 7.92 times as fast as the baseline, 0.25 of its memory"
    assert lines[5] == "net, slow, 40x64: 2.40 times as fast as the baseline, 0.25 of its memory"
    assert len(lines) == 6
