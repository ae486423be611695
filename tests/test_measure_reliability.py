"""tools/measure_reliability.py with small counts, and the table that is made of what it writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from media_files import write_clip
from tools_here import load_tool

from bcpnet import native

TOOL = load_tool("measure_reliability")
LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")


@LINUX
@pytest.mark.skipif(native.library() is None, reason="the C library was not compiled here (no C compiler)")
def test_parts_are_kept_beside_each_other_and_make_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "reliability.json"
    monkeypatch.setattr(TOOL, "soak", lambda work, seconds: soaked(work.__name__, seconds))
    monkeypatch.setattr(TOOL, "opens", lambda backend, times: opened(backend, times))
    assert TOOL.main(["soak", "--minutes", "2", "--out", str(out)]) == 0
    assert TOOL.main(["fuzz", "--share", "0.001", "--seed", "5", "--out", str(out)]) == 0
    assert TOOL.main(["opens", "--times", "2", "--out", str(out)]) == 1
    parts = json.loads(out.read_text())
    assert parts["soak"]["command"] == f"python tools/measure_reliability.py soak --minutes 2 --out {out}"
    assert set(parts) == {"soak", "fuzz", "opens"}
    assert all(set(part) == {"command", "found", "machine"} for part in parts.values())
    for name, found in parts["fuzz"]["found"].items():
        assert found["seed"] == 5
        done = found["requests" if name == "bodies" else "files"]
        assert (found["count"], done, found["faults"]) == (TOOL.FUZZERS[name] // 1000,) * 2 + (0,), name

    table = load_tool("reliability_table")
    monkeypatch.setattr(table, "results", {"reliability": parts}.get)
    header, rule, *lines = table.reliability_table().splitlines()
    assert header == "| what | how much | faults |"
    assert len(lines) == sum(len(part["found"]) for part in parts.values())
    assert {line.count("|") for line in (rule, *lines)} == {4}
    assert "| damaged weights and changed networks | 10 | 0 |" in lines
    assert "| video: 5 MiB at first, 6 MiB at the end | 1,200 frames in 1 minutes, 1,200 results | 0 |" in lines
    assert "| `pytorch` opened and dropped | 2 times | 1 |" in lines


def soaked(name: str, seconds: float) -> dict[str, Any]:
    frames = 1200
    del name
    return {
        "seconds": seconds, "frames_in": frames, "frames_out": frames, "early_mib": 5.0, "late_mib": 6.0, "faults": 0
    }  # fmt: skip


def opened(backend: str, times: int) -> dict[str, Any]:
    return {"opened": times, "threads": 0, "files": 0, "mib": 0.0, "faults": int(backend == "pytorch")}


@pytest.mark.parametrize(
    "content", ["print('{}'); raise SystemExit(3)", "raise SystemExit(0)", "import os; os.abort()"]
)
def test_a_fuzzer_that_breaks_is_no_count(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tests" / "fuzz").mkdir(parents=True)
    (tmp_path / "tests" / "fuzz" / "images.py").write_text(content)
    monkeypatch.setattr(TOOL, "REPOSITORY", tmp_path)
    with pytest.raises(SystemExit, match="images: ended with"):
        TOOL.fuzz("images", 1, 0)
    capfd.readouterr()


@LINUX
def test_a_soak_of_the_real_thing_loses_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOOL, "CLIP", write_clip(tmp_path / "clip.mp4", 7))
    for work, frames in ((TOOL.videos, 7), (TOOL.streamed, 100)):
        found = TOOL.soak(partial(at_most, 1, work()), 60)
        assert (found["frames_in"], found["frames_out"], found["faults"]) == (frames, frames, 0)
        assert found["early_mib"] > 10


def at_most(times: int, steps: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for _ in range(times):
        yield next(steps)


@LINUX
def test_a_soak_tells_of_lost_frames_and_of_memory_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOOL.soak(lambda: iter([(10, 10), (10, 9)]), 60)["faults"] == 1
    assert TOOL.soak(lambda: iter([(10, 10), (10, 10)]), 60)["faults"] == 0
    assert TOOL.soak(lambda: iter([(10, 10), (10, 9)]), 0)["frames_in"] == 10  # its time is over after the first
    for growth_mib, faults in ((TOOL.FLAT_MIB, 0), (TOOL.FLAT_MIB + 1, 1)):
        mib = iter([50.0, 50.0, 50.0 + growth_mib])
        clock = iter([0.0, 0.0, 0.0, 0.0, 30.0, 61.0])
        monkeypatch.setattr(TOOL, "resident_mib", lambda mib=mib: next(mib))
        monkeypatch.setattr(TOOL.time, "monotonic", lambda clock=clock: next(clock))
        assert TOOL.soak(lambda: iter([(1, 1), (1, 1)]), 60)["faults"] == faults
        monkeypatch.undo()


@LINUX
def test_opens_count_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    found = TOOL.opens("onnxruntime", 3)  # too few for its memory to be flat
    assert (found["opened"], found["threads"] > 0, found["files"] > 0) == (3, False, False)
    left = iter([(4, 10, 50.0), (5, 11, 50.0 + TOOL.FLAT_MIB + 1)])
    monkeypatch.setattr(TOOL, "held", lambda: next(left))
    assert TOOL.opens("onnxruntime", 1)["faults"] == 3
